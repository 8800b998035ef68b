"""Which data a run uses: real where it is there, else simulated; and what is there at all."""

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from medxai import paths
from medxai.data import dermxdb, simulate
from medxai.data.dermxdb import DermXDB
from medxai.data.fetch import DATASETS, Dataset, Download, Repository, holds_dermxdb
from medxai.errors import DataError
from medxai.profiles import KINDS, Profile

SEED = 0


@dataclass(frozen=True)
class Status:
    """Whether a data set is there, where it is or would go, and what to do."""

    name: str
    present: bool
    where: Path
    licence: str
    advice: str


def real_dermxdb() -> Path | None:
    """Return the folder of the real DermXDB annotations, ``None`` if they are not there."""
    root = paths.data_root() / DATASETS["dermxdb"].place
    return root if holds_dermxdb(root) else None


def dermxdb_root(profile: Profile, kind: str | None = None) -> Path:
    """Return a folder that `medxai.data.dermxdb.load` reads.

    Parameters
    ----------
    profile
        Its ``simulated_images`` is the size of a simulated data set.
    kind
        ``real``, ``simulated``, or ``auto`` (real where it is there); ``None`` for the environment variable
        MEDXAI_DATA_KIND, which is ``auto`` where it is not set.

    Returns
    -------
    Path
        The real data set under MEDXAI_DATA, or a simulated one under ``results/simulated``, written at first use.

    Raises
    ------
    ValueError
        If there is no such kind.
    DataError
        If `kind` is ``real`` and the annotations are not there.
    """
    kind = kind or os.environ.get("MEDXAI_DATA_KIND") or "auto"
    if kind not in KINDS:
        raise ValueError(f"unknown kind of data {kind!r}: use one of {', '.join(KINDS)}")
    real = None if kind == "simulated" else real_dermxdb()
    if real is not None:
        return real
    if kind == "real":
        raise DataError(
            f"{paths.data_root() / DATASETS['dermxdb'].place} does not hold DermXDB: run `medxai data fetch dermxdb`, "
            "put the unpacked repository or an archive of it there, or point MEDXAI_DATA at the folder above it"
        )
    return _simulated(profile.simulated_images)


def open_dermxdb(profile: Profile) -> DermXDB:
    """Load DermXDB from where `dermxdb_root` says; once per process."""
    return _load(dermxdb_root(profile))


@functools.lru_cache(maxsize=1)
def _load(root: Path) -> DermXDB:
    return dermxdb.load(root)


def check() -> list[Status]:
    """Return the status of every known data set."""
    return [_status(dataset) for dataset in DATASETS.values()]


def _simulated(images: int) -> Path:
    """Return the simulated data set of this size, by the simulator as it is now; write it if it is not there."""
    sources = sorted(Path(simulate.__file__).parent.glob("simulate*.*"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    root = paths.RESULTS / "simulated" / f"dermxdb-{images}-{SEED}-{version}"
    if root.is_dir():
        return root
    try:
        return simulate.write(root, images=images, seed=SEED, progress=True)
    except DataError:
        if root.is_dir():  # another process was quicker
            return root
        raise


def _status(dataset: Dataset) -> Status:
    where = paths.data_root() / dataset.place
    if isinstance(dataset.source, Repository):
        present = holds_dermxdb(where)
    elif isinstance(dataset.source, Download):
        present = where.is_file()
    else:
        present = where.is_dir() and any(where.iterdir())
    if present:
        advice = "nothing to do"
    elif where.exists():
        advice = f"what is at this place is not {dataset.name}: move it away, then {dataset.how}"
    else:
        advice = dataset.how
    return Status(dataset.name, present, where, dataset.licence, advice)
