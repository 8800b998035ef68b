"""Stored trials: the one cache of computed results.

A trial is a plain function call with picklable arguments. Its record (a dictionary of tidy tables) is kept under
``results/<study>/<profile>/`` and is valid while the study's ``VERSION``, the trial's arguments, the profile, the
digests of its data and the lock file are the same; all are part of the file's name, so a stale record is never read.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from medxai import paths
from medxai.profiles import Profile

Record = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Trial:
    """One unit of work of a study.

    Attributes
    ----------
    study
        Name of the study's module under ``medxai.studies``.
    name
        Name of the trial, unique within the study; part of a file name.
    arguments
        Further arguments as (name, value) pairs; values are numbers, strings or tuples of them.
    """

    study: str
    name: str
    arguments: tuple[tuple[str, object], ...] = ()


def key(trial: Trial, profile: Profile, version: int, data_digest: str) -> str:
    """Return the 16 hexadecimal digits that name a trial's record: a digest of all that it depends on."""
    lock = hashlib.sha256((paths.ROOT / "requirements.lock").read_bytes()).hexdigest()
    parts = [asdict(trial), asdict(profile), version, data_digest, lock]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def record_path(trial: Trial, profile: Profile, version: int, data_digest: str) -> Path:
    """Return where the record of `trial` is kept, whether it is there or not."""
    name = f"{trial.name}-{key(trial, profile, version, data_digest)}.json"
    return paths.RESULTS / trial.study / profile.name / name


def stored(path: Path, compute: Callable[[], Record]) -> Record:
    """Return the record at `path`, computing and storing it first where it is not there.

    Parameters
    ----------
    path
        From :func:`record_path`.
    compute
        Called without arguments when nothing is stored; returns tables by name.

    Returns
    -------
    dict of DataFrame
        The tables by name, equal to the last bit whether read or computed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        tables = {name: table.to_dict("split", index=False) for name, table in compute().items()}
        temporary.write_text(json.dumps(tables), encoding="utf-8")
        os.replace(temporary, path)
    tables = json.loads(path.read_text(encoding="utf-8"))
    return {name: pd.DataFrame(**table) for name, table in tables.items()}
