"""What a study is, and the one cache of computed results.

A trial is a plain function call with picklable arguments. Its record (a dictionary of tidy tables) is kept under
``results/<study>/<profile>/`` and is valid while the study's version, the trial's arguments, the profile, the digests
of its data and the lock file are the same; all are part of the file's name, so a stale record is never read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import pandas as pd

from medxai import paths
from medxai.errors import DataError
from medxai.profiles import Profile
from medxai.studies import references
from medxai.studies.references import Data

Record = dict[str, pd.DataFrame]
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Absent:
    """Stands in for data that are not to be had; `reason` says why, and what to do about it."""

    reason: str
    kind: ClassVar[str] = "absent"
    digest: ClassVar[str] = "absent"


def optional(load: Callable[[], Loaded]) -> Loaded | Absent:
    """Return what `load` returns, or why it cannot: for data that a study can do without."""
    try:
        return load()
    except DataError as error:
        return Absent(str(error))


@dataclass(frozen=True)
class Trial:
    """One unit of work of a study.

    Attributes
    ----------
    name
        Unique within the study; part of a file name.
    compute
        Called with the data, in the order of `data`, then the profile, then `arguments` by name; returns tables.
    data
        Which of the study's data it needs.
    arguments
        Further arguments as (name, value) pairs; values are numbers, strings or tuples of them.
    """

    name: str
    compute: Callable[..., Record] = field(repr=False)
    data: tuple[str, ...]
    arguments: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Study:
    """The computations behind one chapter.

    Attributes
    ----------
    name
        Of its module under ``medxai.studies``; ``data/reference/<name>`` holds its reference results.
    chapter
        The notebook that shows it, without ending.
    version
        Counted up when the same data give other results.
    trials
        Lists the trials of a profile.
    data
        What opens each of its data, given a profile; should be quick the second time.
    seed
        Of everything random in it.
    """

    name: str
    chapter: str
    version: int
    trials: Callable[[Profile], Sequence[Trial]]
    data: Mapping[str, Callable[[Profile], Data]]
    seed: int = 0

    def record_path(self, trial: Trial, profile: Profile) -> Path:
        """Return where the record of `trial` is kept, whether it is there or not."""
        name = f"{trial.name}-{self._key(trial, profile)}.json"
        return paths.RESULTS / self.name / profile.name / name

    def run_trial(self, trial: Trial, profile: Profile) -> Record:
        """Return the tables of one trial by name, computed or as stored: equal to the last bit."""
        return stored(self.record_path(trial, profile), lambda: self._compute(trial, profile))

    def collect(self, trials: Iterable[Trial], profile: Profile) -> Record:
        """Return all tables of some trials by name; what is not stored is computed.

        Tables of the same name, from trials that are parts of one piece of work, are put one below the other.
        """
        parts: dict[str, list[pd.DataFrame]] = {}
        for trial in trials:
            for name, table in self.run_trial(trial, profile).items():
                parts.setdefault(name, []).append(table)
        return {
            name: tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
            for name, tables in parts.items()
        }

    def absent(self, profile: Profile) -> dict[str, str]:
        """Return by name which of the study's data are not to be had, and why."""
        return {name: data.reason for name, data in self._open(profile).items() if isinstance(data, Absent)}

    def write_reference(self, profile: Profile, command: str) -> Path:
        """Write all tables to ``data/reference/<name>`` with their provenance, and return that folder.

        Raises
        ------
        DataError
            If some data are simulated or absent: a reference comes from real ones.
        """
        opened = self._open(profile)
        for name, data in opened.items():
            if data.kind != "real":
                reason = data.reason if isinstance(data, Absent) else "set MEDXAI_DATA to where they are"
                raise DataError(f"reference results of {self.name!r} need the real {name}: {reason}")
        tables = self.collect(self.trials(profile), profile)
        return references.write(self.name, tables, profile, command=command, seed=self.seed, data=opened)

    def _open(self, profile: Profile) -> dict[str, Data]:
        return {name: load(profile) for name, load in self.data.items()}

    def _compute(self, trial: Trial, profile: Profile) -> Record:
        data = [self.data[name](profile) for name in trial.data]
        return trial.compute(*data, profile, **dict(trial.arguments))

    def _key(self, trial: Trial, profile: Profile) -> str:
        """Return the 16 hexadecimal digits that name a trial's record: a digest of all that it depends on."""
        lock = hashlib.sha256((paths.ROOT / "requirements.lock").read_bytes()).hexdigest()
        digests = [self.data[name](profile).digest for name in trial.data]
        parts = [self.name, self.version, trial.name, trial.arguments, asdict(profile), digests, lock]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def stored(path: Path, compute: Callable[[], Record]) -> Record:
    """Return the record at `path`, computing and storing it first where it is not there.

    Parameters
    ----------
    path
        From :meth:`Study.record_path`.
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
