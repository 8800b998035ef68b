"""Paintings with what dermatologists said of them: diagnosis, characteristics and where these are.

As the DermX paper teaches its networks (Jalaboi et al. 2023, Medical Image Analysis 83:102647, section 2.3): only
evaluations with the right diagnosis enter. A characteristic is present if one of them marks it; its map is the share
of them that outlined a pixel.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medxai.data import dermxdb, masks
from medxai.data.dermxdb import DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError
from medxai.evaluation import agreement
from medxai.experiment import image_sets
from medxai.experiment.kept_maps import once
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
    return explained_images(db, image_sets.paintings(db, profile, side=side), map_side=map_side)


def explained_images(db: DermXDB, images: LabelledImages, *, map_side: int) -> ExplainedPaintings:
    """Return pictures of a data set's images with what its dermatologists said, as `explained_paintings`."""
    characteristics = modelled(db)
    explained, present = _known(db, images.names, characteristics)
    maps = fuzzy_maps(db, images.names, characteristics, map_side)
    return ExplainedPaintings(images, characteristics, explained, present, maps)


def modelled(db: DermXDB) -> tuple[str, ...]:
    """Return what the paper's rule keeps (`medxai.evaluation.agreement.modelled`); DataError if that is nothing."""
    characteristics = agreement.modelled(db.select("paper"))
    if not characteristics:
        number = int(db.images["paper"].sum())
        raise DataError(f"none of the characteristics of {number} images is modelled by the paper's rule: expected one")
    return characteristics


def _known(db: DermXDB, names: Sequence[str], characteristics: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return which images have a right evaluation, bool (n,), and what these mark, bool (n, c)."""
    right = db.select(names)
    right = right[right["correct"]].groupby("image")[list(characteristics)].any()
    return np.isin(names, right.index), right.reindex(names, fill_value=False).to_numpy(dtype=bool)


def fuzzy_maps(db: DermXDB, names: Sequence[str], characteristics: Sequence[str], side: int) -> np.ndarray:
    """Return `DermXDB.fuzzy_map` of many images, float32 (n, c, side, side), with zeros for its NaN.

    All of the paper's images take half a minute; the maps are then kept in ``results/maps``.
    """

    def make() -> dict[str, np.ndarray]:
        maps = np.zeros((len(names), len(characteristics), side, side), np.float32)
        for row, column in np.argwhere(_known(db, names, characteristics)[1]):
            maps[row, column] = db.fuzzy_map(names[row], characteristics[column], side)
        return {"maps": maps}

    told = repr([db.digest, list(names), list(characteristics), side])
    programs = b"".join(Path(program).read_bytes() for program in (__file__, dermxdb.__file__, masks.__file__))
    return once(f"fuzzy-{hashlib.sha256(told.encode() + programs).hexdigest()[:16]}", make)["maps"]
