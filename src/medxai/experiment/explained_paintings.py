"""Paintings with what dermatologists said of them: diagnosis, characteristics and where these are.

As the DermX paper teaches its networks (Jalaboi et al. 2023, Medical Image Analysis 83:102647, section 2.3): only
evaluations with the right diagnosis enter. A characteristic is present if one of them marks it; its map is the share
of them that outlined a pixel.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medxai import files, paths
from medxai.data import dermxdb, masks
from medxai.data.dermxdb import DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError
from medxai.evaluation import agreement
from medxai.experiment import image_sets
from medxai.profiles import Profile


@dataclass(frozen=True, eq=False)
class ExplainedPaintings:
    """Paintings, n, with c characteristics and their maps."""

    images: LabelledImages
    """Pictures, and the reference diagnosis as labels."""
    characteristics: tuple[str, ...]
    """Those that the paper's rule keeps (`medxai.evaluation.agreement.modelled`), of all images of the paper."""
    explained: np.ndarray
    """bool (n,): whether any evaluation has the right diagnosis. Of the others nothing is known below: leave them out
    of losses and scores of characteristics."""
    present: np.ndarray
    """bool (n, c); False where not explained."""
    maps: np.ndarray
    """float32 (n, c, map_side, map_side) in [0, 1], shrunk by averaging over areas; zeros where not present."""


def explained_paintings(db: DermXDB, profile: Profile, *, map_side: int, side: int | None = None) -> ExplainedPaintings:
    """Return the paintings of a profile, painted and explained, or read from the results.

    Parameters
    ----------
    map_side
        Side of the maps in pixels. Maps that are to be rotated and scaled together with the pictures need more than
        the network's last map has: rotated first, shrunk then.
    side
        Of the pictures; the profile's ``explained_size`` without one.

    Raises
    ------
    DataError
        If no characteristic is frequent and agreed on, as in a small simulated data set.
    """
    characteristics = agreement.modelled(db.select("paper"))
    if not characteristics:
        number = int(db.images["paper"].sum())
        raise DataError(f"none of the characteristics of {number} images is modelled by the paper's rule: expected one")
    images = image_sets.paintings(db, profile, side=side)
    # Counted by name: an image without a right evaluation has no row.
    right = db.select(images.names)
    right = right[right["correct"]].groupby("image")[list(characteristics)].any()
    present = right.reindex(images.names, fill_value=False).to_numpy(dtype=bool)
    explained = np.isin(images.names, right.index)
    return ExplainedPaintings(
        images, characteristics, explained, present, fuzzy_maps(db, images.names, characteristics, map_side)
    )


def fuzzy_maps(db: DermXDB, names: Sequence[str], characteristics: Sequence[str], side: int) -> np.ndarray:
    """Return `DermXDB.fuzzy_map` of many images, float32 (n, c, side, side), with zeros for its NaN.

    Each outline is filled at the size of the photograph, as there, and only its own box is averaged. All of the paper's
    images take some ten seconds; the maps are then kept in ``results/maps``.
    """
    told = repr([db.digest, list(names), list(characteristics), side])
    programs = b"".join(Path(program).read_bytes() for program in (__file__, dermxdb.__file__, masks.__file__))
    path = paths.maps(f"fuzzy-{hashlib.sha256(told.encode() + programs).hexdigest()[:16]}")

    def content() -> bytes:
        written = io.BytesIO()
        np.savez_compressed(written, maps=_counted(db, names, characteristics, side))
        return written.getvalue()

    files.once(path, content)
    with np.load(path) as file:
        return file["maps"]


def _counted(db: DermXDB, names: Sequence[str], characteristics: Sequence[str], side: int) -> np.ndarray:
    """Add up the outlines of each right evaluation, and divide by how many of them the image has."""
    chosen = db.select(names)
    chosen = chosen[chosen["correct"]]
    number, raters = {name: row for row, name in enumerate(names)}, chosen["image"].value_counts()
    maps = np.zeros((len(names), len(characteristics), side, side), np.float32)
    for image, evaluations in chosen.groupby("image"):
        width, height = db.images.loc[image, ["width", "height"]]
        down, across = _cells(int(height), side), _cells(int(width), side)
        for place, term in enumerate(characteristics):
            if packed := [db.packed_mask(row, term) for row in evaluations.index[evaluations[term]]]:
                boxes = np.array([mask.box for mask in packed])
                (left, top), (right, bottom) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
                counts = np.zeros((bottom - top, right - left), np.uint8)
                for mask in packed:
                    mask.add_to(counts, (left, top))
                maps[number[image], place] = down[:, top:bottom] @ counts.astype(np.float32) @ across[:, left:right].T
        maps[number[image]] /= raters[image]
    return np.clip(maps, 0, 1)  # sums of shares may leave the range by an ulp


def _cells(pixels: int, side: int) -> np.ndarray:
    """Return which share of each of so many cells each pixel of a line is, float32 (side, pixels)."""
    edges = np.arange(side + 1) * pixels / side
    start, end, pixel = edges[:-1, None], edges[1:, None], np.arange(pixels)
    return (np.clip(np.minimum(end, pixel + 1) - np.maximum(start, pixel), 0, None) * side / pixels).astype(np.float32)
