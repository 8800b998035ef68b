"""Data that several studies use where they are there, and do without where they are not; opened once per process."""

import functools
from pathlib import Path

from medxai import paths
from medxai.data import photo_sets
from medxai.data.photo_sets import ImageSet
from medxai.models import weights
from medxai.models.weights import Pretrained
from medxai.profiles import Profile
from medxai.studies.store import Absent, optional

NETWORK = weights.DEFAULT
"""The large network of the studies."""


def imagenet(_: Profile) -> Pretrained:
    """Return `NETWORK` with weights from ImageNet: see `medxai.models.weights`."""
    return _pretrained(paths.data_root())


def busi(_: Profile) -> ImageSet | Absent:
    """Return the breast ultrasound images below MEDXAI_DATA."""
    return _ultrasound(paths.data_root())


@functools.cache
def _pretrained(root: Path) -> Pretrained:
    return weights.pretrained(NETWORK)


@functools.cache
def _ultrasound(root: Path) -> ImageSet | Absent:
    return optional(lambda: photo_sets.busi(root / "busi"))
