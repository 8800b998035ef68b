"""Photographs with what dermatologists say of their quality: the type, and a folder of one's own.

Classes and reasons are those of ImageQX (appendix C of the thesis of Jalaboi): a dermatologist is asked whether the
photograph shows a lesion, healthy skin or no skin, or is too poor to tell, and for what reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from medxai import paths
from medxai.data import pictures, tables
from medxai.errors import DataError

CLASSES = ("Lesion", "No skin", "Healthy skin", "Poor quality")
REASONS = ("Bad framing", "Bad light", "Blurry", "Low resolution", "Too far away")
LESION, NO_SKIN, HEALTHY, POOR = range(len(CLASSES))
MAP_SIDE = 16
"""Pixels along a side of the maps that say where a fault is."""
FOLDER, TABLE = "photo_quality", "labels.csv"
"""Below MEDXAI_DATA: a folder of photographs of one's own, and the table in it."""


@dataclass(frozen=True, eq=False)
class QualityPhotos:
    """Square photographs, n, with what raters say of them; what is not known is NaN.

    Other shapes or types are a ValueError.
    """

    pictures: np.ndarray
    """uint8 (n, side, side, 3), RGB."""
    labels: np.ndarray
    """int (n,): of `CLASSES`, what most raters say."""
    reasons: np.ndarray
    """float32 (n, 5): of `REASONS`, 1 where at least one rater gives it, else 0."""
    votes: np.ndarray
    """float32 (n, 4): the share of the raters for each class."""
    faults: np.ndarray
    """float32 (n, 5) in [0, 1]: the true strength of the fault behind each reason."""
    maps: np.ndarray
    """float16 (n, 5, `MAP_SIDE`, `MAP_SIDE`) in [0, 1]: where that fault is."""
    tone: np.ndarray
    """str (n,): ``light``, ``medium`` or ``dark`` skin, empty where nobody knows or there is none."""
    groups: np.ndarray
    """int (n,): photographs of one patient share a number, so that they are never on both sides of a split."""
    variants: np.ndarray
    """str (n, 5): which kind of each fault it is, such as ``shadow``; empty for none."""
    kind: Literal["real", "simulated"] = "simulated"
    """Whether the pictures are photographs, or painted."""

    def __post_init__(self) -> None:
        n, shape = len(self.pictures), self.pictures.shape
        if self.pictures.dtype != np.uint8 or len(shape) != 4 or n == 0 or shape[1:] != (shape[1], shape[1], 3):
            raise ValueError(f"pictures are {self.pictures.dtype} {shape}: expected uint8 (n, side, side, 3)")
        several = (n, len(REASONS))
        wanted = {"labels": (n,), "reasons": several, "votes": (n, len(CLASSES)), "faults": several}
        wanted |= {"maps": (*several, MAP_SIDE, MAP_SIDE), "tone": (n,), "groups": (n,), "variants": several}
        for name, size in wanted.items():
            if (found := getattr(self, name).shape) != size:
                raise ValueError(f"{name} are {found}: expected {size}")
        if self.labels.dtype.kind not in "iu" or self.labels.min() < 0 or self.labels.max() >= len(CLASSES):
            raise ValueError(f"labels are {self.labels.dtype}: expected integers from 0 to {len(CLASSES) - 1}")

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def side(self) -> int:
        """Of the pictures, in pixels."""
        return self.pictures.shape[1]

    def rows(self, rows: np.ndarray) -> "QualityPhotos":
        """Return some of the photographs."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})


ARRAYS = tuple(field.name for field in fields(QualityPhotos) if field.name != "kind")
"""Names of what has one entry for each photograph."""


def plurality(votes: np.ndarray) -> np.ndarray:
    """Return the class with most votes, int64 (n,), of shares or counts (n, 4).

    Among equals the first in the order of `CLASSES` wins, save that poor quality wins against all: a photograph that as
    many find poor as not is better taken again.
    """
    order = [POOR, *(row for row in range(len(CLASSES)) if row != POOR)]
    return np.array(order)[np.argmax(np.asarray(votes)[:, order], axis=1)]


def read_folder(folder: Path | str | None = None, *, side: int = 224) -> QualityPhotos:
    """Read photographs of one's own with their labels.

    Parameters
    ----------
    folder
        Holds ``labels.csv``: ``file`` (a path below the folder), ``class`` (of `CLASSES`), for each of `REASONS` a
        column of 0 and 1, and if known ``tone`` and ``patient``. Without one, ``photo_quality`` below MEDXAI_DATA.
    side
        To which whole photographs are scaled, in pixels.

    Returns
    -------
    QualityPhotos
        Of kind ``real``. Votes are the label itself; strengths and maps of faults are NaN, as nobody knows them.

    Raises
    ------
    DataError
        In one sentence, if the folder, the table or a photograph is not there or not as above.
    """
    folder = paths.data_root() / FOLDER if folder is None else Path(folder)
    table = tables.read(folder / TABLE, ("file", "class", *REASONS), texts=("file", "class", "tone", "patient"))
    labels = _classes(table["class"].fillna(""), folder)
    reasons = tables.numbers(table, REASONS).to_numpy(np.float32)
    if not np.isin(reasons, (0, 1)).all():
        raise DataError(f"{folder / TABLE} has a reason that is neither 0 nor 1: expected one of these in each cell")
    n = len(table)
    shown = [pictures.square(pictures.read(pictures.below(folder, str(name))), side) for name in table["file"]]
    patients = table["patient"].fillna("") if "patient" in table else table["file"]
    unknown = np.full((n, len(REASONS)), np.nan, np.float32)
    return QualityPhotos(
        np.stack(shown),
        labels,
        reasons,
        np.eye(len(CLASSES), dtype=np.float32)[labels],
        unknown,
        np.full((*unknown.shape, MAP_SIDE, MAP_SIDE), np.nan, np.float16),
        (table["tone"].fillna("") if "tone" in table else table["file"].map(lambda _: "")).to_numpy(str),
        np.unique(patients.to_numpy(str), return_inverse=True)[1],
        np.full(unknown.shape, "", dtype="U1"),
        "real",
    )


def _classes(names: Sequence[str], folder: Path) -> np.ndarray:
    """Return the numbers of classes, int64 (n,)."""
    if unknown := sorted({paths.shown(str(name)) for name in names if name not in CLASSES}):
        raise DataError(f"{folder / TABLE} has the class {unknown[0]!r}: expected one of {', '.join(CLASSES)}")
    return np.array([CLASSES.index(name) for name in names])
