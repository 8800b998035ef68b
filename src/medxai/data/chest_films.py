"""Chest films with where a radiologist looked: what every reader of them returns, and splits by patient."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medxai.data.labelled_images import LabelledImages
from medxai.data.medmnist import SPLITS
from medxai.errors import DataError

CLASSES = ("normal", "heart failure", "pneumonia")
"""In the order of their labels."""
PARTS = 10
"""Of which validation and test are one each."""


@dataclass(frozen=True, eq=False)
class ChestFilms:
    """Frontal chest radiographs with gaze. Other shapes or types are a ValueError."""

    images: LabelledImages
    """Labels number the `CLASSES`, groups the patients; the truth is where the findings are, where that is known."""
    gaze: np.ndarray
    """float32 (n, side, side) in [0, 1], static maps as of `medxai.data.gaze`; NaN where nobody looked."""
    fixations: pd.DataFrame
    """As of `medxai.data.gaze`, in pixels of the pictures."""
    lungs: np.ndarray | None = None
    """bool (n, side, side), or ``None`` where nobody marked them."""

    def __post_init__(self) -> None:
        shape = self.images.pictures.shape[:3]
        if self.gaze.dtype != np.float32 or self.gaze.shape != shape:
            raise ValueError(f"gaze is {self.gaze.dtype} {self.gaze.shape}: expected float32 {shape}")
        if self.lungs is not None and (self.lungs.dtype != bool or self.lungs.shape != shape):
            raise ValueError(f"lungs are {self.lungs.dtype} {self.lungs.shape}: expected bool {shape}")


def split(labels: np.ndarray, patients: np.ndarray, *, seed: int) -> dict[str, np.ndarray]:
    """Return the rows of each of the `SPLITS`, int: no patient is in two, and classes have alike shares in each.

    Raises
    ------
    DataError
        If there are too few patients or too few images of any class for `PARTS` parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(np.unique(patients[labels == label])) for label in np.unique(labels))
    if fewest < PARTS:
        raise DataError(f"a class has {fewest} patients: expected at least {PARTS}, for a split into {PARTS} parts")
    folds = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed).split(labels, labels, patients)
    test, val = (rows for _, (_, rows) in zip(range(2), folds, strict=False))
    train = np.setdiff1d(np.arange(len(labels)), np.concatenate([test, val]))
    return check_split(dict(zip(SPLITS, (train, val, test), strict=True)), patients)


def check_split(rows: Mapping[str, np.ndarray], patients: np.ndarray) -> dict[str, np.ndarray]:
    """Return a split, be it one's own: rows by the name of the split.

    Raises
    ------
    DataError
        If a patient is in two splits, or a row is not one of the images.
    """
    seen: dict[int, str] = {}
    for name, mine in rows.items():
        if len(mine) == 0 or np.min(mine) < 0 or np.max(mine) >= len(patients):
            raise DataError(f"the split {name!r} is empty or has a row that is none of {len(patients)} images")
        for patient in np.unique(patients[mine]).tolist():
            if other := seen.get(patient):
                raise DataError(f"patient {patient} is in the splits {other!r} and {name!r}: expected each in one")
            seen[patient] = name
    return dict(rows)
