"""Which data a run uses: the real annotations or small images where they are there, else simulated ones.

The kind is ``real``, ``simulated``, or ``auto`` (real where it is there); ``None`` for the environment variable
MEDXAI_DATA_KIND, which is ``auto`` where it is not set. There being no such kind is a ValueError.
"""

import functools
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from medxai import files, paths
from medxai.data.datasets import DATASETS
from medxai.errors import DataError
from medxai.profiles import KINDS, Profile

if TYPE_CHECKING:
    from medxai.data.dermxdb import DermXDB
    from medxai.data.medmnist import Splits

SEED = 0


def real_dermxdb() -> Path | None:
    """Return the folder of the real DermXDB annotations, ``None`` if they are not there."""
    dataset = DATASETS["dermxdb"]
    return dataset.place if dataset.is_there else None


def dermxdb_root(profile: Profile, kind: str | None = None) -> Path:
    """Return a folder of annotations for `medxai.data.dermxdb.load`.

    That is the real one below MEDXAI_DATA, or a simulated one below ``results/simulated``, written at first use, with
    as many images as the profile says.

    Raises
    ------
    DataError
        If the kind is ``real`` and the annotations are not there.
    """
    kind = _checked(kind)
    real = None if kind == "simulated" else real_dermxdb()
    if real is not None:
        return real
    if kind == "real":
        raise DataError(
            f"{DATASETS['dermxdb'].place} does not hold DermXDB: run `medxai data fetch dermxdb`, "
            "put the unpacked repository or an archive of it there, or point MEDXAI_DATA at the folder above it"
        )
    return _simulated(profile.simulated_images)


def _checked(kind: str | None) -> str:
    kind = kind or os.environ.get("MEDXAI_DATA_KIND") or "auto"
    if kind not in KINDS:
        raise ValueError(f"kind of data is {kind!r}: expected one of {', '.join(KINDS)}")
    return kind


def open_small_images(name: str, side: int = 28, kind: str | None = None) -> "Splits":
    """Read one of the real `medxai.data.medmnist.SETS`, or simulated ultrasound of that size; its ``kind`` says which.

    The simulated one is below ``results/simulated``, written at first use.

    Raises
    ------
    ValueError, DataError
        As `medxai.data.medmnist.open_set`; if the kind is ``real`` and the set is not there.
    """
    from medxai.data import medmnist, speckle

    kind, there = _checked(kind), medmnist.place(name, side) is not None
    if kind == "real" or (kind == "auto" and there):
        return medmnist.open_set(name, side)
    version = _version([Path(speckle.__file__)])
    path = paths.simulated(f"ultrasound-{side}-{SEED}-{version}") / "images.npz"
    with files.disk_refusals(path):
        files.once(path, lambda: speckle.npz(side, seed=SEED))
    return medmnist.read(path, "simulated-ultrasound")


def open_dermxdb(profile: Profile) -> "DermXDB":
    """Load DermXDB from where `dermxdb_root` says; once per process."""
    return _load(dermxdb_root(profile))


def simulated_dermxdb(images: int, seed: int) -> "DermXDB":
    """Load a simulated DermXDB of another seed than `SEED`, which stands in for the real one; once per process."""
    return _load(_simulated(images, seed))


@functools.lru_cache(maxsize=2)
def _load(root: Path) -> "DermXDB":
    from medxai.data import dermxdb  # not above: a build asks which data there are before it needs them

    return dermxdb.load(root)


def _simulated(images: int, seed: int = SEED) -> Path:
    """Return the simulated data set of this size and seed, by the simulator as it is now; write it if it is missing."""
    version = _version(sorted(Path(__file__).parent.glob("simulate*.*")))
    root = paths.simulated(f"dermxdb-{images}-{seed}-{version}")
    if root.is_dir():
        return root
    from medxai.data import simulate

    try:
        return simulate.write(root, images=images, seed=seed)
    except DataError:
        if root.is_dir():  # another process was quicker
            return root
        raise


def _version(sources: list[Path]) -> str:
    """Return eight digits that change with a simulator."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
