"""A real artefact on one class of real photographs: which explanation sees the shortcut, and at what strength?

Dermoscopic photographs, benign and malignant (ISIC UDA-1); rulers, ink and bubbles cut out of others (HAM10000, Katsch
et al. 2022). Where the artefact is, is known to the pixel.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from medxai.data.labelled_images import LabelledImages
from medxai.data.masks import area_average
from medxai.data.photo_sets import Artefact, ArtefactSet, ImageSet, near_copies, paste
from medxai.evaluation import suite
from medxai.experiment.panel import Panel
from medxai.experiment.trained_network import TrainedNetwork, train
from medxai.models.weights import Pretrained
from medxai.profiles import Profile
from medxai.training.fit import predict

CLASSES = ("benign", "malignant")
TIED_TO = 1
KINDS = ("ruler", "marking", "bubble")
STRENGTHS = (0.25, 0.5, 1.0)
"""Factors of the artefact's opacity."""
SOURCE_SIDE = 450
"""Height in pixels of the photographs that artefacts are cut from: others are brought to it before they are pasted."""
ASKED = (
    "saliency",
    "integrated_gradients",
    "smoothgrad",
    "guided_backpropagation",
    "grad_cam",
    "grad_cam_plus_plus",
    "lrp_epsilon",
    "lrp_gamma",
    "deeplift",
    "pattern_attribution",
    "occlusion",
)
"""Methods of each family; those that need hundreds of passes are left out."""
SEED = 0


@dataclass(frozen=True, eq=False)
class Pasted:
    """Photographs with and without an artefact, n."""

    plain: LabelledImages
    marked: np.ndarray
    """uint8 (n, side, side, 3): all with an artefact, each another and elsewhere."""
    places: np.ndarray
    """float32 (n, side, side): the share of a pixel that the artefact covers."""

    @property
    def tied(self) -> LabelledImages:
        """The photographs with artefacts on one class alone, which are the one thing outlined."""
        on = self.plain.labels == TIED_TO
        pictures = np.where(on[:, None, None, None], self.marked, self.plain.pictures)
        return replace(self.plain, pictures=pictures, raters=lambda row: {1: self.places[row] >= 0.5})


def pasted(photographs: ImageSet, artefacts: ArtefactSet, kind: str, strength: float, side: int) -> Pasted:
    """Paste artefacts of a kind onto all photographs, each drawn at random and placed at random.

    Parameters
    ----------
    kind, strength
        One of `KINDS`, and a factor of its opacity from 0 to 1.
    side
        Of the pictures; they are the central squares of the photographs.
    """
    rng = np.random.default_rng(SEED)
    names = list(photographs.images.index)
    templates = artefacts.templates.index[artefacts.templates["artefact"] == kind]
    known = {name: artefacts.artefact(name) for name in templates}
    plain, marked, places = [], [], []
    for name in names:
        square = _square(photographs.image(name))
        one = known[rng.choice(templates)]
        faded = Artefact(one.name, one.kind, one.rgba * np.array([1, 1, 1, strength], np.float32))
        over, where = paste(square, faded, generator=rng)
        plain.append(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
        marked.append(cv2.resize(over, (side, side), interpolation=cv2.INTER_AREA))
        places.append(area_average(where.astype(np.float32), side))
    labels = photographs.images["label"].map({label: place for place, label in enumerate(CLASSES)}).to_numpy()
    groups = near_copies(plain)
    images = LabelledImages("dermoscopy", "real", names, np.stack(plain), labels, CLASSES, groups)
    return Pasted(images, np.stack(marked), np.stack(places))


def _square(picture: np.ndarray) -> np.ndarray:
    """Return the central square, as high as the photographs that artefacts are cut from."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    return cv2.resize(square, (SOURCE_SIDE, SOURCE_SIDE), interpolation=cv2.INTER_AREA)


def tested(trained: TrainedNetwork, pictures: Pasted) -> pd.DataFrame:
    """Test a network on unseen photographs: with the artefact as taught, without any, and on the other class.

    Returns
    -------
    pandas.DataFrame
        One line per version and image: ``version``, ``image``, ``malignant`` (whether it is), ``probability`` (of it).
    """
    rows, on = trained.test, pictures.plain.labels == TIED_TO
    parts = []
    for version, where in {"as taught": on, "removed": on & False, "swapped": ~on}.items():
        shown = np.where(where[:, None, None, None], pictures.marked, pictures.plain.pictures)[rows]
        probability = predict(trained.network, shown, trained.normalisation)[:, TIED_TO]
        names = [pictures.plain.names[row] for row in rows]
        own = {"version": version, "image": names, "malignant": on[rows], "probability": probability}
        parts.append(pd.DataFrame(own))
    return pd.concat(parts, ignore_index=True)


def explained(trained: TrainedNetwork, pictures: Pasted, profile: Profile) -> pd.DataFrame:
    """Explain unseen photographs with the artefact by some methods, and ask how much of each map lies on it.

    Returns
    -------
    pandas.DataFrame
        One line per image and method or control: the scores of `medxai.evaluation.suite.place` against the artefact,
        and ``area``, its share of the picture.
    """
    tied = pictures.tied
    rows = [row for row in trained.test if tied.labels[row] == TIED_TO and tied.reference(row).any()]
    rows = rows[: profile.explained_images]
    panel = Panel.of(replace(trained, images=tied), profile.samples, ASKED)
    maps, *_ = replace(panel, progress=False).maps(rows)
    parts = []
    for place, row in enumerate(rows):
        reference = tied.reference(row)
        values = suite.place(np.stack([of[place] for of in maps.values()]), reference)
        parts.append(pd.DataFrame({"image": tied.names[row], "method": list(maps), "area": reference.mean(), **values}))
    return pd.concat(parts, ignore_index=True)


def compared(
    photographs: ImageSet,
    artefacts: ArtefactSet,
    start: Pretrained,
    profile: Profile,
    *,
    kind: str,
    strength: float,
) -> dict[str, pd.DataFrame]:
    """Train one network with the artefact on one class and one without; return `tested` and `explained` of both.

    The tables are ``tested`` and ``explained``, with the columns kind, strength and ``taught``: tied or plain.
    """
    pictures = pasted(photographs, artefacts, kind, strength, profile.benchmark_size)
    tables: dict[str, list[pd.DataFrame]] = {"artefact_tests": [], "artefact_maps": []}
    for taught, images in {"tied": pictures.tied, "plain": pictures.plain}.items():
        trained = train(images, start, profile, fold=0)
        known = {"kind": kind, "strength": strength, "taught": taught}
        tables["artefact_tests"].append(tested(trained, pictures).assign(**known))
        tables["artefact_maps"].append(explained(trained, pictures, profile).assign(**known))
    return {name: pd.concat(parts, ignore_index=True).round(4) for name, parts in tables.items()}
