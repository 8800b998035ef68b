"""The two sets of images on which networks are explained.

Paintings of DermXDB, whose references are the dermatologists' outlines; real breast ultrasound with a true mask of each
lesion.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medxai import paths
from medxai.data import photo_sets, pictures
from medxai.data.dermxdb import DISEASES, DermXDB, chosen
from medxai.data.labelled_images import LabelledImages
from medxai.data.masks import area_average
from medxai.data.photo_sets import ImageSet
from medxai.painting import cache
from medxai.profiles import Profile

SEED = 0
PER_CLASS = 50
"""At most so many ultrasound images of a class, as in our selection."""


def paintings(db: DermXDB, profile: Profile, *, side: int | None = None) -> LabelledImages:
    """Return the paintings of a profile.

    Parameters
    ----------
    side
        Of the pictures; the profile's ``explained_size`` without one.
    """
    names = chosen(db, profile.painted_images)
    return painted(db, names, profile.painted_size, side or profile.explained_size)


def painted(db: DermXDB, names: Sequence[str], size: int, side: int, confounders: Sequence[str] = ()) -> LabelledImages:
    """Paint images of DermXDB at a size, and shrink them to a side; raters are its dermatologists, first round.

    Confounders are as of `medxai.painting.cache.paint_all`; they are no part of the truth.
    """
    folder = cache.paint_all(db, size, images=names, seed=SEED, confounders=confounders)
    shown = np.stack([pictures.square(cache.read(folder, name), side) for name in names])

    def truth(row: int) -> np.ndarray:
        terms = [value for term, value in cache.truth(folder, names[row]).items() if term not in confounders]
        return np.max([pictures.square(term, side) for term in terms] or [np.zeros((side, side), np.float32)], axis=0)

    known = _by_dermatologists(db, names, side)
    return LabelledImages("paintings", "rendered", names, shown, classes=tuple(DISEASES), truth=truth, **known)


def photographed(db: DermXDB, names: Sequence[str], side: int) -> LabelledImages:
    """Read the photographs of images of DermXDB, which the user has, as `painted` paints them; the truth is not known.

    Raises
    ------
    DataError
        If one cannot be read.
    """
    shown = np.stack([pictures.square(pictures.read(path), side) for path in db.images.loc[list(names), "photograph"]])
    known = _by_dermatologists(db, names, side)
    return LabelledImages("photographs", "real", names, shown, classes=tuple(DISEASES), **known)


def _by_dermatologists(db: DermXDB, names: Sequence[str], side: int) -> dict[str, object]:
    """Return what `LabelledImages` wants to know of diagnoses and outlines."""

    def raters(row: int) -> dict[int, np.ndarray]:
        return {rater: outlined(count, side) for rater, count in db.rater_counts(names[row]).items()}

    labels = db.images.loc[list(names), "reference"].map({name: i for i, name in enumerate(DISEASES)}).to_numpy()
    return {"labels": labels, "raters": raters}


def ultrasound(images: ImageSet, profile: Profile, *, side: int | None = None) -> LabelledImages:
    """Return real breast ultrasound; its one rater is the mask that comes with an image, empty for a normal one.

    Parameters
    ----------
    side
        As of `paintings`.
    """
    side, table = side or profile.explained_size, images.images.groupby("label").head(PER_CLASS)
    full = [images.image(name) for name in table.index]
    labels = table["label"].map({name: i for i, name in enumerate(photo_sets.BUSI_LABELS)}).to_numpy()

    def truth(row: int) -> np.ndarray:
        return area_average(images.mask(table.index[row]).astype(np.float32), side)

    return LabelledImages(
        "ultrasound",
        "real",
        list(table.index),
        np.stack([pictures.square(image, side) for image in full]),
        labels,
        photo_sets.BUSI_LABELS,
        photo_sets.near_copies(full),
        upside_down=False,
        raters=lambda row: {1: truth(row) >= 0.5},
        truth=truth,
    )


def open_ultrasound() -> ImageSet:
    """Open the breast ultrasound images below MEDXAI_DATA; once per process.

    Raises
    ------
    DataError
        If they are not there.
    """
    return _open(paths.data_root())


@functools.cache
def _open(root: Path) -> ImageSet:
    return photo_sets.busi(root / "busi")


def outlined(count: np.ndarray, side: int) -> np.ndarray:
    """Return where at least half of a pixel lies inside a rater's outlines, bool (side, side).

    ``count`` says how many of their outlines cover each pixel of the full image.
    """
    return area_average((count > 0).astype(np.float32), side) >= 0.5
