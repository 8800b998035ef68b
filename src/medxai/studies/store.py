"""What a study is, and the one cache of computed results.

A trial is a plain function call with picklable arguments. Its record (a dictionary of tidy tables) is kept under
``results/<study>/<profile>/`` and is valid while the study's version, the trial's arguments, the profile, the digests
of its data and the lock file are the same; all are part of the file's name, so a stale record is never read.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import pandas as pd

from medxai import files, paths, results
from medxai.errors import DataError
from medxai.profiles import Profile
from medxai.results import Record

Loaded = TypeVar("Loaded")


class Data(Protocol):
    """What a study needs of its data: ``real``, ``simulated`` or ``absent``, and a digest of all that they hold."""

    kind: str
    digest: str


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
        Unique within the study; part of file names, so of letters, digits, and ``_ + - .``.
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

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+-]+", self.name, re.ASCII):
            raise ValueError(f"name of a trial is {self.name!r}: expected letters, digits, _, +, - and . only")


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
    digits
        Significant digits that its reference keeps.
    """

    name: str
    chapter: str
    version: int
    trials: Callable[[Profile], Sequence[Trial]]
    data: Mapping[str, Callable[[Profile], Data]]
    seed: int = 0
    digits: int = 4

    def record_path(self, trial: Trial, profile: Profile) -> Path:
        """Return where the record of `trial` is kept, whether it is there or not."""
        name = f"{trial.name}-{self._key(trial, profile)}.json"
        return paths.RESULTS / self.name / profile.name / name

    def run_trial(self, trial: Trial, profile: Profile) -> Record:
        """Return the tables of one trial by name, computed or as stored: equal to the last bit."""
        return stored(self.record_path(trial, profile), lambda: self.compute(trial, profile))

    def collect(self, trials: Iterable[Trial], profile: Profile) -> Record:
        """Return all tables of some trials by name; what is not stored is computed.

        Tables of the same name, from trials that are parts of one piece of work, are put one below the other.
        """
        parts: dict[str, list[pd.DataFrame]] = {}
        for trial in trials:
            for name, table in self.run_trial(trial, profile).items():
                parts.setdefault(name, []).append(table)
        return {name: results.joined(tables) for name, tables in parts.items()}

    def named(self, names: Sequence[str], profile: Profile) -> list[Trial]:
        """Return the trials of these names, all if there are none.

        Raises
        ------
        ValueError
            If a name is that of no trial.
        """
        known = {trial.name: trial for trial in self.trials(profile)}
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"trial of study {self.name} is {', '.join(unknown)}: expected some of {', '.join(known)}")
        return [known[name] for name in names or known]

    def absent(self, profile: Profile) -> dict[str, str]:
        """Return by name which of the study's data are not to be had, and why."""
        return {name: data.reason for name, data in self.open_data(profile).items() if isinstance(data, Absent)}

    def open_data(self, profile: Profile) -> dict[str, Data]:
        """Return the study's data by name, each as it is or `Absent`."""
        return {name: load(profile) for name, load in self.data.items()}

    def compute(self, trial: Trial, profile: Profile, recording: Profile | None = None) -> Record:
        """Return the tables of one trial, computed anew; `recording`, if given, is the profile that the trial sees."""
        data = [self.data[name](profile) for name in trial.data]
        return trial.compute(*data, recording or profile, **dict(trial.arguments))

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
        files.check_place(path)  # before the work, not after it
        write_record(path, compute())
    return read_record(path)


def write_record(path: Path, tables: Record) -> None:
    """Store tables at `path`."""
    files.write(path, json.dumps({name: table.to_dict("split", index=False) for name, table in tables.items()}))


def read_record(path: Path) -> Record:
    """Return the tables stored at `path`."""
    tables = json.loads(path.read_text(encoding="utf-8"))
    return {name: pd.DataFrame(**table) for name, table in tables.items()}
