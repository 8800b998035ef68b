"""The data sets that the book can use: where each comes from, where it goes, and whether it is there."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from medxai import paths
from medxai.data.archive import ENDINGS


@dataclass(frozen=True)
class Repository:
    """Part of a public git repository."""

    url: str
    commit: str
    paths: list[str]
    """Folders and files at its top; nothing else is downloaded."""


@dataclass(frozen=True)
class Download:
    """One file on the web and the checksum that it must have: an MD5 where its owners publish no better one."""

    url: str
    sha256: str = ""
    md5: str = ""

    @property
    def checksum(self) -> tuple[str, str]:
        """Its algorithm, as hashlib names it, and its hexadecimal digits."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)


@dataclass(frozen=True)
class Dataset:
    """A data set, its licence, and where it goes."""

    name: str
    licence: str
    folder: str
    """Or file, below the folder of the data sets."""
    source: Repository | Download | str
    """Where it is downloaded from, or how to get it, in a sentence."""

    @property
    def place(self) -> Path:
        """Where it is or would be."""
        return paths.data_root() / self.folder

    @property
    def is_there(self) -> bool:
        """Whether it is what lies at its place."""
        if isinstance(self.source, Download):
            return self.place.is_file()
        found = list(self.place.iterdir()) if self.place.is_dir() else []
        if isinstance(self.source, str):
            return bool(found) or self.place.is_file()
        return any((self.place / "annotations").glob("*.json")) or any(path.name.endswith(ENDINGS) for path in found)

    @property
    def advice(self) -> str:
        """What to do to have it."""
        if self.is_there:
            return "nothing to do"
        get = self.source if isinstance(self.source, str) else f"medxai data fetch {self.name}"
        return f"what is at this place is not {self.name}: move it away, then {get}" if self.place.exists() else get


def _read() -> dict[str, Dataset]:
    """Read ``datasets.yml``, in which each data set has a repository, a download or, in words, a way to get it."""
    found = yaml.safe_load(Path(__file__).with_name("datasets.yml").read_text(encoding="utf-8"))
    kinds = {"repository": lambda entry: Repository(**entry), "download": lambda entry: Download(**entry), "get": str}
    datasets = {}
    for name, entry in found.items():
        (source,) = (make(entry[kind]) for kind, make in kinds.items() if kind in entry)
        datasets[name] = Dataset(name, entry["licence"], entry["folder"], source)
    return datasets


DATASETS = _read()
