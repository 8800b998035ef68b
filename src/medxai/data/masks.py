"""Outlines to masks at the image's own resolution, kept as packed bits."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class PackedMask:
    """A binary mask, stored as the bits of its bounding box only."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom) in pixels, right and bottom excluded."""
    bits: np.ndarray
    """uint8 (bottom - top, ceil((right - left) / 8)): rows of `numpy.packbits`."""

    def unpack(self) -> np.ndarray:
        """Return the mask inside its box, uint8 of 0 and 1."""
        left, _, right, _ = self.box
        return np.unpackbits(self.bits, axis=1, count=right - left)

    def within(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """Return the mask inside another `box` that contains its own, uint8 of 0 and 1."""
        out = np.zeros((box[3] - box[1], box[2] - box[0]), dtype=np.uint8)
        self.add_to(out, box[:2])
        return out

    def add_to(self, counts: np.ndarray, origin: tuple[int, int] = (0, 0)) -> None:
        """Add 1 to `counts`, whose first pixel is `origin` (left, top), wherever the mask is set."""
        left, top, right, bottom = self.box
        x, y = origin
        counts[top - y : bottom - y, left - x : right - x] += self.unpack()


def rasterise(instances: Sequence[Sequence[np.ndarray]], width: int, height: int) -> PackedMask:
    """Fill outlines and join them; each instance has paths, float (n, 2) of x and y in pixels, anywhere in the plane.

    This gives the public repository's mask files to the pixel: vertices are clipped to the image and rounded half to
    even, all paths of an instance are filled at once (even-odd, outline included), instances are joined.
    """
    limit = (width - 1, height - 1)
    rounded = [[np.rint(np.clip(path, 0, limit)).astype(np.int32) for path in paths] for paths in instances]
    vertices = np.concatenate([path for paths in rounded for path in paths])
    left, top = vertices.min(axis=0)
    right, bottom = vertices.max(axis=0) + 1
    union = np.zeros((bottom - top, right - left), dtype=np.uint8)
    for paths in rounded:
        # One fill per instance: filling all instances at once would punch holes where they overlap.
        filled = np.zeros_like(union)
        cv2.fillPoly(filled, [path - (left, top) for path in paths], 1)
        union |= filled
    return PackedMask((int(left), int(top), int(right), int(bottom)), np.packbits(union, axis=1))


def area_average(values: np.ndarray, size: int | tuple[int, int] | None) -> np.ndarray:
    """Shrink a map (H, W) to a size by averaging over areas: float32 (height, width).

    The size is height and width, one number for a square, None to leave the map as it is. Masks must be shrunk like
    this and not be rasterised small: the outline that belongs to each filled polygon would make small lesions grow.
    """
    values = values.astype(np.float32)
    if size is None:
        return values
    height, width = (size, size) if isinstance(size, int) else size
    small = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    # An average lies between the smallest and the largest value; OpenCV's rounding may leave that range by an ulp.
    return np.clip(small, values.min(), values.max())


class Cache:
    """Keeps what was used last, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Hashable, tuple[PackedMask, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], PackedMask]) -> PackedMask:
        """Return the mask kept under `key`, made by `make` where there is none."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        mask = make()
        self._kept[key] = (mask, mask.bits.nbytes)
        self.size += mask.bits.nbytes
        while self.size > self.limit and len(self._kept) > 1:
            self.size -= self._kept.popitem(last=False)[1][1]
        return mask


def stack(packed: Sequence[PackedMask]) -> np.ndarray:
    """Return masks as bits of the box common to all of them: uint64 (n, words), one row per mask, padded with 0."""
    boxes = np.array([mask.box for mask in packed])
    box = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    bits = np.stack([np.packbits(mask.within(box)) for mask in packed])
    return np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
