"""A cause that says nothing of the class: the lamp under which a painting was made. Do maps mark it?

What is independent of the class can still be of use to a network, which takes it off from what it sees; such a variable
is called a suppressor (Haufe et al. 2014, NeuroImage 87:96-110; Wilming et al. 2023, ICML). A map that marks it is
true to the network, and leads a reader astray who takes what is marked for a sign of the disease.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import localisation
from medxai.evaluation.similarity import rank_correlation
from medxai.evaluation.sums import ratio
from medxai.experiment import benchmark_network, image_sets
from medxai.experiment.panel import Panel
from medxai.experiment.pasted_shortcuts import ASKED
from medxai.experiment.trained_network import train
from medxai.models.weights import Pretrained
from medxai.painting import photograph
from medxai.profiles import Profile
from medxai.training.fit import predict

SMOOTH = 1 / 16
"""Of the side: standard deviation by which changes are blurred, as a lamp knows no details."""


@dataclass(frozen=True, eq=False)
class Relit:
    """Some paintings, n, under their own lamp and under another."""

    own: LabelledImages
    other: np.ndarray
    """uint8 (n, side, side, 3)."""

    @property
    def brighter(self) -> np.ndarray:
        """By how much a place is brighter under the other lamp, blurred, float32 (n, side, side) of 255."""
        change = self.other.astype(np.float32).mean(3) - self.own.pictures.astype(np.float32).mean(3)
        return np.stack([blurred(one) for one in change])


def blurred(change: np.ndarray) -> np.ndarray:
    """Return a change of a picture or of a map (side, side) as far as a lamp can be its cause, float32."""
    return cv2.GaussianBlur(change.astype(np.float32), (0, 0), SMOOTH * len(change))


def relit(db: DermXDB, images: LabelledImages, rows: np.ndarray) -> Relit:
    """Paint some of the benchmark's paintings again, under another lamp."""
    known = {"labels": images.labels[rows], "groups": None, "raters": None, "truth": None}
    own = replace(images, names=[images.names[row] for row in rows], pictures=images.pictures[rows], **known)
    made = [photograph.relight(photograph.case(db, name, own.side), seed=image_sets.SEED) for name in own.names]
    return Relit(own, np.stack([one.image for one in made]))


def followed(own: np.ndarray, other: np.ndarray, brighter: np.ndarray) -> float:
    """Say how far a map goes where the light goes.

    Parameters
    ----------
    own, other
        Maps under the one and the other lamp, (side, side); what is positive in them counts, as shares of its sum.
    brighter
        The change of the light, (side, side).

    Returns
    -------
    float
        Rank correlation over pixels of the map's change, blurred, with that of the light: 0 for a map that does not
        care about the lamp, in [-1, 1]. NaN where the map does not change at all or has nothing positive.
    """
    shares = [ratio(positive, positive.sum()) for positive in map(localisation.attention, (own, other))]
    change = shares[1] - shares[0]
    return rank_correlation(blurred(change), brighter) if np.isfinite(change).all() and np.ptp(change) else np.nan


def compared(db: DermXDB, start: Pretrained, profile: Profile) -> dict[str, pd.DataFrame]:
    """Train the book's network on the benchmark's paintings, and explain unseen ones under two lamps.

    Returns
    -------
    dict of DataFrame
        ``lamp_maps``: a line for each ``image`` and ``method``, a method or control, with ``followed``. ``lamp_tests``:
        a line for each image, with ``before`` and ``after``, the probability of its class, ``same``, whether the most
        probable class stays, and ``change``, the mean absolute change of the light, of 255.
    """
    images = benchmark_network.paintings(db, profile)
    trained = train(images, start, profile, fold=0)
    rows = trained.rows_to_explain(profile.samples)
    lamps = relit(db, images, rows)
    brighter = lamps.brighter
    panel = replace(
        Panel.of(trained, profile.samples, ASKED), images=lamps.own, targets=lamps.own.labels, progress=False
    )
    under = [replace(panel, images=replace(lamps.own, pictures=some)) for some in (lamps.own.pictures, lamps.other)]
    every = range(len(rows))
    own, other = ({name: one.explain(every, name).cpu().numpy() for name in one.names} for one in under)
    lines = [
        {"image": name, "method": method, "followed": followed(own[method][row], other[method][row], brighter[row])}
        for method in own
        for row, name in enumerate(lamps.own.names)
    ]
    told = [predict(trained.network, some, trained.normalisation) for some in (lamps.own.pictures, lamps.other)]
    before, after = (one[np.arange(len(rows)), lamps.own.labels] for one in told)
    same, change = told[0].argmax(1) == told[1].argmax(1), np.abs(brighter).mean((1, 2))
    tests = {"image": list(lamps.own.names), "before": before, "after": after, "same": same, "change": change}
    return {"lamp_maps": pd.DataFrame(lines).round(4), "lamp_tests": pd.DataFrame(tests).round(4)}
