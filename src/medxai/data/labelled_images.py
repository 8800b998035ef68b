"""Images with what is known about them: the one type that networks are trained on and methods explain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Square images of one size, and as much as is known of their classes and of where to look.

    What is ``None`` or empty is not known. Other shapes or types are a ValueError.
    """

    name: str
    """Of the set, such as ``paintings``."""
    kind: Literal["real", "rendered", "simulated"]
    """Whether the pictures are photographs, painted from real annotations, or simulated."""
    names: Sequence[str]
    """Of the images, n different ones."""
    pictures: np.ndarray
    """uint8 (n, side, side, 3), RGB."""
    labels: np.ndarray | None = None
    """int (n,), classes from 0."""
    classes: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    """int (n,): near copies of one image share a number, so that folds and resamples keep them together."""
    upside_down: bool = True
    """Whether an image may be turned upside down in training."""
    raters: Callable[[int], dict[int, np.ndarray]] | None = None
    """For a row: what each rater outlined, bool (side, side), by number; one rater where the truth is known."""
    truth: Callable[[int], np.ndarray] | None = None
    """For a row: where the lesion truly is, float32 (side, side) in [0, 1]."""

    def __post_init__(self) -> None:
        shape = self.pictures.shape
        if self.pictures.dtype != np.uint8 or len(shape) != 4 or shape[0] == 0 or shape[1:] != (shape[1], shape[1], 3):
            raise ValueError(f"pictures are {self.pictures.dtype} {shape}: expected uint8 (n, side, side, 3)")
        if len(self.names) != shape[0] or len(set(self.names)) != shape[0]:
            raise ValueError(f"names are {len(set(self.names))} different ones: expected {shape[0]}, one an image")
        for what in ("labels", "groups"):
            values = getattr(self, what)
            if values is not None and (values.shape != shape[:1] or values.dtype.kind not in "iu"):
                raise ValueError(f"{what} are {values.dtype} {values.shape}: expected integers ({shape[0]},)")

    @classmethod
    def with_masks(
        cls, names: Sequence[str], pictures: np.ndarray, masks: np.ndarray | None = None, name: str = "images"
    ) -> "LabelledImages":
        """Return pictures of one's own, with the masks of one rater if there are some: bool (n, side, side)."""
        if masks is not None and (masks.dtype != bool or masks.shape != pictures.shape[:3]):
            raise ValueError(f"masks are {masks.dtype} {masks.shape}: expected bool {pictures.shape[:3]}")
        return cls(name, "real", names, pictures, raters=None if masks is None else lambda row: {1: masks[row]})

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def side(self) -> int:
        """Of the pictures, in pixels."""
        return self.pictures.shape[1]

    def group(self, row: int) -> int:
        """Return the number that near copies of an image share."""
        return row if self.groups is None else int(self.groups[row])

    def reference(self, row: int) -> np.ndarray:
        """Return the share of the raters who outlined each pixel, float64 (side, side); ValueError without raters."""
        if self.raters is None:
            raise ValueError(f"{self.name} has no outlines: expected images with raters")
        return np.mean(list(self.raters(row).values()), axis=0, dtype=float)
