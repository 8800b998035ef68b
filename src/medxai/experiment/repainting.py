"""Truth by re-painting: what is each characteristic of a painting worth to a network, and do maps say so?

A painting without one of its characteristics, all else equal, is a counterfactual that no photograph gives. How far the
score falls is the true effect of the characteristic; maps are compared with it over the pixels that the removal changes
(`medxai.evaluation.removals`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.attribution import CONTROLS, METHODS
from medxai.data.dermxdb import DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.data.pictures import square
from medxai.evaluation import removals
from medxai.experiment import image_sets
from medxai.experiment.panel import Maps, Panel
from medxai.experiment.trained_network import train
from medxai.models.weights import Pretrained
from medxai.painting import photograph
from medxai.profiles import Profile
from medxai.results import Record

COVERED = "covered"
"""In place of a map: what the score loses when the same pixels are covered in the mean colour, not painted anew."""
UNMOVED = 1
"""Of 255: by so much a value outside of a removal may move (`medxai.painting.photograph.repaint`)."""


@dataclass(frozen=True, eq=False)
class Removals:
    """A painting without each of its c characteristics."""

    row: int
    """Of the painting among its images."""
    characteristics: tuple[str, ...]
    pictures: np.ndarray
    """uint8 (c, side, side, 3)."""
    changed: np.ndarray
    """bool (c, side, side): which pixels are others than in the painting, so all that the network can notice of the
    removal; the coverage that the painter reports would leave out shadows and rims."""


def without_each(images: LabelledImages, row: int, case: photograph.Case) -> Removals:
    """Paint a painting without each of its characteristics; those that nobody would miss, as no pixel moves, stay.

    Parameters
    ----------
    case
        What the painting was painted from, at the size at which it was painted.
    """
    found = {}
    for term in case.regions:
        picture = square(photograph.repaint(case, term, seed=image_sets.SEED).image, images.side)
        moved = np.abs(picture.astype(int) - images.pictures[row]).max(2) > UNMOVED
        if moved.any():
            found[term] = picture, moved
    pictures, changed = (np.array([pair[place] for pair in found.values()]) for place in (0, 1))
    shape = (len(found), images.side, images.side)
    return Removals(
        row, tuple(found), pictures.reshape(*shape, 3).astype(np.uint8), changed.reshape(shape).astype(bool)
    )


def chosen(
    db: DermXDB, images: LabelledImages, rows: Sequence[int], number: int, size: int
) -> list[tuple[int, photograph.Case]]:
    """Return the first paintings with at least `removals.LEAST` characteristics; where too few have, others follow.

    Parameters
    ----------
    rows
        In the order of choice.
    size
        At which they were painted, in pixels.
    """
    enough, fewer = [], []
    for row in rows:
        case = photograph.case(db, images.names[row], size)
        (enough if len(case.regions) >= removals.LEAST else fewer).append((row, case))
        if len(enough) == number:
            break
    return [*enough, *fewer][:number]


def logits(panel: Panel, pixels: Tensor, target: int) -> np.ndarray:
    """Return what the network says of a class, logit and probability, float64 (2, n), for pixels (n, 3, side, side)."""
    with torch.no_grad():
        said = panel.network(pixels).double()
    return torch.stack([said, said.softmax(1)])[..., target].numpy()


def effects(panel: Panel, removed: Removals) -> pd.DataFrame:
    """Return what each characteristic of a painting is worth to the network.

    Returns
    -------
    DataFrame
        A line for each characteristic: ``image``, ``characteristic``, ``effect``, the logit of the image's class less
        that without the characteristic, ``probability``, the same for the probability, ``covered``, the logit less that
        with the changed pixels in the mean colour, and ``share`` of the picture that changes.
    """
    whole = panel.pixels([removed.row])
    hidden = whole.masked_fill(torch.from_numpy(removed.changed)[:, None], 0)
    given = torch.cat([whole, panel.normalisation.apply(removed.pictures), hidden])
    (logit, *rest), (probability, *others) = logits(panel, given, int(panel.targets[removed.row]))
    count = len(removed.characteristics)
    return pd.DataFrame(
        {
            "image": panel.images.names[removed.row],
            "characteristic": removed.characteristics,
            "effect": logit - np.array(rest[:count]),
            "probability": probability - np.array(others[:count]),
            "covered": logit - np.array(rest[count:]),
            "share": removed.changed.mean((1, 2)),
        }
    )


def sums(removed: Removals, stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of maps (m, side, side), and means of their absolute values, where each removal changes something.

    Both are float64 (m, c).
    """
    inside = removed.changed.reshape(len(removed.characteristics), -1).T.astype(float)
    flat = stack.reshape(len(stack), -1).astype(float)
    return flat @ inside, np.abs(flat) @ inside / inside.sum(0)


def scored(panel: Panel, removed: Removals, worth: pd.DataFrame, maps: Maps) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the maps (side, side) of a painting with its `effects`.

    Returns
    -------
    of_parts : DataFrame
        A line for each characteristic and map, `COVERED` among them: ``image``, ``characteristic``, ``method``,
        ``sum``, ``mean``.
    of_maps : DataFrame
        A line for each map: ``image``, ``method``, and the values of `medxai.evaluation.removals.agreement`.
    """
    total, mean = sums(removed, np.stack(list(maps.values())))
    covered, pixels = worth["covered"].to_numpy(), removed.changed.sum((1, 2))
    total, mean = np.vstack([total, covered]), np.vstack([mean, np.abs(covered) / pixels])
    names = [*maps, COVERED]
    signed = np.array([name == COVERED or (METHODS | CONTROLS)[name].signed for name in names])
    known = {"image": panel.images.names[removed.row]}
    of_parts = pd.DataFrame(
        {
            **known,
            "characteristic": np.tile(removed.characteristics, len(names)),
            "method": np.repeat(names, len(removed.characteristics)),
            "sum": total.ravel(),
            "mean": mean.ravel(),
        }
    )
    found = removals.agreement(worth["effect"].to_numpy(), total, mean, signed)
    return of_parts, pd.DataFrame({**known, "method": names, **found})


def compared(db: DermXDB, start: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Explain paintings of a fold by every method and control, and compare the maps with the truth by re-painting.

    Maps and metrics take half of the profile's samples: they are many.

    Returns
    -------
    dict of DataFrame
        ``removal_effects`` of `effects`, ``removal_sums`` and, with all other metrics of the same maps,
        ``removal_scores`` of `scored`; and ``removal_refused``, which method refused the network and why, if any did.
    """
    images = image_sets.paintings(db, profile)
    trained = train(images, start, profile, fold)
    candidates = trained.rows_to_explain(len(trained.test))
    cases = chosen(db, images, candidates, profile.removal_images, profile.painted_size)
    panel, rows = Panel.of(trained, profile.samples // 2), [row for row, _ in cases]
    maps, refused, _, _ = panel.maps(rows)
    scores = panel.scores(rows, maps).scores
    worth, parts, found = [], [], []
    for place, (row, case) in enumerate(cases):
        removed = without_each(images, row, case)
        worth.append(effects(panel, removed))
        tables = scored(panel, removed, worth[-1], {name: values[place] for name, values in maps.items()})
        parts.append(tables[0])
        found.append(tables[1])
    scores = pd.concat(found).merge(scores, on=["image", "method"], how="left")
    own = pd.DataFrame({"image": [images.names[row] for row in rows], "right": trained.right[rows]})
    scores = scores.drop(columns="group").merge(own.assign(group=rows), on="image")
    tables = {"removal_effects": pd.concat(worth), "removal_sums": pd.concat(parts), "removal_scores": scores}
    if refused:
        tables["removal_refused"] = pd.DataFrame(refused.items(), columns=["method", "reason"])
    return {name: table.assign(fold=fold).reset_index(drop=True) for name, table in tables.items()}
