"""Paintings of nothing, with labels and characteristics that a test knows."""

from collections.abc import Sequence

import numpy as np

from medxai.data.labelled_images import LabelledImages
from medxai.experiment.explained_paintings import ExplainedPaintings


def toy_paintings(
    labels: np.ndarray,
    present: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    explained: np.ndarray | None = None,
    maps: np.ndarray | None = None,
    outlines: np.ndarray | None = None,
    side: int = 2,
) -> ExplainedPaintings:
    """Return black pictures of classes a, b, c ...; all are explained, and maps are empty, unless given.

    Parameters
    ----------
    labels, present
        int (n,), and bool (n, c): which characteristics are marked.
    names, explained, maps
        Of the characteristics; bool (n,); float32 (n, c, h, w).
    outlines
        bool (n, side, side): what the one rater outlined, if anything.
    """
    number, characteristics = present.shape
    images = LabelledImages(
        "toy",
        "simulated",
        [f"i{row}" for row in range(number)],
        np.zeros((number, side, side, 3), np.uint8),
        labels,
        tuple("abcdefgh"[: labels.max() + 1]),
        raters=None if outlines is None else lambda row: {1: outlines[row]},
    )
    return ExplainedPaintings(
        images,
        tuple(names or (f"c{column}" for column in range(characteristics))),
        np.ones(number, bool) if explained is None else explained,
        present,
        np.zeros((number, characteristics, 1, 1), np.float32) if maps is None else maps,
    )
