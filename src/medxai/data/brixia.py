"""Chest films of Brixia's public set, with the scores of two radiologists for six zones of the lungs.

Signoroni et al. 2021 (Medical Image Analysis 71:102046): each zone has 0 (nothing abnormal) to 3 (most). A, B, C are
the upper, middle and lower zone of the right lung, which is on the left of the picture; D, E, F those of the left lung.
Nobody outlined the zones: here each is a third of the height of a box that `medxai.data.lung_boxes` fits to the film,
so a zone's mask is rough.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from medxai.data import lung_boxes, photo_sets, pictures, tables
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError

ZONES = tuple("ABCDEF")
READERS = {"senior": "S", "junior": "J"}
"""Radiologists, and the letter of their columns."""
HIGHEST = 3
AUTHORS = (
    "Signoroni A, Savardi M, Benini S et al. Medical Image Analysis 71:102046, 2021, films from Cohen JP et al. 2020"
)


@dataclass(frozen=True, eq=False)
class ScoredFilms:
    """Films, and what two readers saw in each zone."""

    images: LabelledImages
    """Without labels; groups are the cases from which the films are."""
    scores: np.ndarray
    """int (n, readers, zones) from 0 to `HIGHEST`."""
    zones: np.ndarray
    """bool (n, zones, side, side), rough."""
    licence: str

    @property
    def credit(self) -> str:
        """What must stand under a figure that shows one of the films."""
        return photo_sets.credit("Brixia score COVID-19", AUTHORS, self.licence)


def read(root: Path, side: int) -> ScoredFilms:
    """Read the films listed in ``manifest.csv`` at a side in pixels; whole films are stretched to a square.

    The list has columns ``png512`` (path of a film), ``url`` (of its case), and ``S-A`` to ``J-F`` (scores).

    Raises
    ------
    DataError
        In one sentence, if a file is not there or not what it should be, a score is none, or there is no licence note.
    """
    if not (root / "manifest.csv").is_file():
        raise DataError(f"{root} is not the Brixia set: expected manifest.csv in it (see data/README.md)")
    columns = [f"{letter}-{zone}" for letter in READERS.values() for zone in ZONES]
    table = tables.read(root / "manifest.csv", ("png512", "url", *columns), texts=("png512", "url"))
    names = table["png512"]
    if names.isna().any() or names.duplicated().any():
        raise DataError(f"{root / 'manifest.csv'} has a row without png512, or one film twice")
    scores = tables.numbers(table, columns).to_numpy()
    if len(wrong := names[~np.isin(scores, np.arange(HIGHEST + 1)).all(axis=1)]):
        raise DataError(f"{wrong.iloc[0]} has a score that is none of 0 to {HIGHEST}, in {root / 'manifest.csv'}")
    shown = [pictures.square(pictures.read(pictures.below(root, name)), side) for name in names]
    images = LabelledImages(
        "Brixia",
        "real",
        [Path(name).stem for name in names],
        np.stack(shown),
        groups=pd.factorize(table["url"].fillna(names))[0],
        upside_down=False,
    )
    zones = np.stack([zone_masks(lung_boxes.fit(picture[..., 0]), side) for picture in shown])
    scores = scores.astype(int).reshape(len(names), len(READERS), len(ZONES))
    return ScoredFilms(images, scores, zones, photo_sets.licence_of(root))


def zone_masks(boxes: tuple[lung_boxes.Box, lung_boxes.Box], side: int) -> np.ndarray:
    """Return thirds of the boxes of both lungs in the order of `ZONES`, bool (zones, side, side)."""
    middles = (np.arange(side) + 0.5) / side
    masks = []
    for left, top, right, bottom in boxes:
        edges = np.linspace(top, bottom, 4)
        within = (middles > left) & (middles < right)
        masks += [np.outer((middles > low) & (middles <= high), within) for low, high in pairwise(edges)]
    return np.stack(masks)
