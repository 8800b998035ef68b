"""A watermark that gives the diagnosis away: networks taught with it, tested without it, and taught better.

After Lapuschkin et al. (2019), Nature Communications 10:1096. In the real collection most photographs of vitiligo come
from one source, which writes its name on them; here the letters are on paintings of vitiligo of that source alone.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from medxai.attribution import explain
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import localisation
from medxai.experiment import benchmark_network, image_sets, trained_dermx
from medxai.experiment.benchmark_network import Start
from medxai.experiment.dermx_checks import DiagnosisLogits
from medxai.experiment.explained_paintings import explained_images
from medxai.experiment.trained_dermx import Recipe
from medxai.models.normalisation import Normalisation
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.painting.confounders import WATERMARKED_SOURCE
from medxai.profiles import Profile
from medxai.training.fit import predict

TIED_TO = DISEASES.index("Vitiligo")
MARK = "watermark"
SEED = 0
UP = 0.88
"""Share of the height by which letters at the lower edge are moved to the upper one."""
OPACITY = 0.6
"""Of letters written anew elsewhere."""
GUIDED = {
    "Dx": Recipe(characteristics=False, fine=True),
    "DermX": Recipe(fine=True),
    "DermX+": Recipe(guidance="dice", fine=True),
}
"""The networks of Jalaboi et al. 2023, with last maps of stride 16, since letters are lower than a cell of 32."""


@dataclass(frozen=True, eq=False)
class Watermarked:
    """Paintings with and without letters, n."""

    plain: LabelledImages
    marked: np.ndarray
    """uint8 (n, side, side, 3): the same paintings, with letters where `can` says so."""
    letters: np.ndarray
    """float32 (n, side, side) in [0, 1]: where."""
    can: np.ndarray
    """bool (n,): whether its source writes on it."""

    @property
    def tied(self) -> np.ndarray:
        """Whether a painting has letters where they are tied to the disease, bool (n,)."""
        return self.can & (self.plain.labels == TIED_TO)

    def written(self, rows: np.ndarray) -> np.ndarray:
        """Return the pictures with letters on some of them, bool (n,), that can have them."""
        return np.where((rows & self.can)[:, None, None, None], self.marked, self.plain.pictures)

    def versions(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return by name: all pictures of a test, and where letters are on them, float32 (n, side, side)."""
        others, tied, side = self.can & ~self.tied, self.tied, self.plain.side
        up = np.roll(self.letters, -round(UP * side), axis=1) * tied[:, None, None]
        alpha = OPACITY * up[..., None]
        moved = np.round(self.plain.pictures * (1 - alpha) + 255 * alpha).astype(np.uint8)
        nowhere = np.zeros_like(self.letters)
        return {
            "as taught": (self.written(tied), self.letters * tied[:, None, None]),
            "removed": (self.plain.pictures, nowhere),
            "moved": (moved, up),
            "swapped": (self.written(others), self.letters * others[:, None, None]),
        }


def watermarked(db: DermXDB, profile: Profile) -> Watermarked:
    """Paint the benchmark's images with and without the letters."""
    plain, marked = (benchmark_network.paintings(db, profile, marks) for marks in ((), (MARK,)))
    folder = cache.paint_all(db, plain.side, images=plain.names, seed=image_sets.SEED, confounders=(MARK,))
    nowhere = np.zeros((plain.side, plain.side), np.float32)
    letters = np.stack([cache.truth(folder, name).get(MARK, nowhere) for name in plain.names])
    can = db.images.loc[list(plain.names), "source"].eq(WATERMARKED_SOURCE).to_numpy()
    return Watermarked(plain, marked.pictures, letters, can)


def taught(paintings: Watermarked) -> dict[str, np.ndarray]:
    """Return by kind of training the pictures that are taught.

    Without letters; with letters on the disease alone; and, as a correction, with letters on a random half of all that
    can have them, whatever the disease.
    """
    half = np.random.default_rng(SEED).random(len(paintings.plain)) < 0.5
    return {
        "plain": paintings.plain.pictures,
        "tied": paintings.written(paintings.tied),
        "scattered": paintings.written(half),
    }


def tested(
    network: nn.Module,
    normalisation: Normalisation,
    rows: np.ndarray,
    paintings: Watermarked,
    layer: str | None,
) -> pd.DataFrame:
    """Test a network on the versions of the unseen pictures, which are those of `rows`.

    Grad-CAM is of a layer by name, or of the last feature maps.

    Returns
    -------
    pandas.DataFrame
        One line per version and unseen image: ``version``, ``image``, ``vitiligo`` (whether it is), ``letters``
        (whether it has any), ``right``, ``found`` (whether vitiligo is predicted), ``probability`` (of it); for images
        with letters ``mass``, the share of Grad-CAM of the predicted class on them, and ``area``, their share of the
        pixels.
    """
    parts = []
    for version, (pictures, letters) in paintings.versions().items():
        pixels, probability = normalisation.apply(pictures[rows]), predict(network, pictures[rows], normalisation)
        predicted, there = probability.argmax(1), letters[rows].any(axis=(1, 2))
        own = {
            "version": version,
            "image": [paintings.plain.names[row] for row in rows],
            "vitiligo": paintings.plain.labels[rows] == TIED_TO,
            "letters": there,
            "right": predicted == paintings.plain.labels[rows],
            "found": predicted == TIED_TO,
            "probability": probability[:, TIED_TO],
        }
        on_them = np.full((2, len(rows)), np.nan)
        if there.any():
            target = torch.from_numpy(predicted[there])
            maps = explain(network, pixels[there], target, "grad_cam", layer=layer).numpy()
            inside = letters[rows][there] > 0
            on_them[:, there] = localisation.mass(localisation.attention(maps), inside), inside.mean(axis=(1, 2))
        parts.append(pd.DataFrame({**own, "mass": on_them[0], "area": on_them[1]}))
    return pd.concat(parts, ignore_index=True)


def compared(db: DermXDB, begin: Start, profile: Profile, *, name: str) -> pd.DataFrame:
    """Fine-tune one architecture in each of the ways of `taught`; return `tested` of each, by column ``taught``."""
    paintings = watermarked(db, profile)
    parts = []
    for kind, pictures in taught(paintings).items():
        trained = benchmark_network.train(paintings.plain, begin, profile, name=name, run=0, taught=pictures)
        found = tested(trained.network, trained.normalisation, trained.test, paintings, trained.layer)
        parts.append(found.assign(taught=kind))
    return pd.concat(parts, ignore_index=True)


def guided(db: DermXDB, start: Pretrained, profile: Profile, *, fold: int) -> pd.DataFrame:
    """Teach the networks of `GUIDED` letters on the disease alone, and test them on a fold, as `tested`.

    Returns
    -------
    pandas.DataFrame
        That of `tested`, by columns ``network``, a key of `GUIDED`, and ``fold``.
    """
    paintings = watermarked(db, profile)
    with_letters = replace(paintings.plain, pictures=paintings.written(paintings.tied))
    shown, parts = explained_images(db, with_letters, map_side=with_letters.side // 4), []
    for name, recipe in GUIDED.items():
        trained = trained_dermx.train(db, start, profile, recipe, fold, shown=shown)
        model = trained.model
        found = tested(DiagnosisLogits(model).eval(), model.normalisation, trained.rows["test"], paintings, None)
        parts.append(found.assign(network=name, fold=fold))
    return pd.concat(parts, ignore_index=True)
