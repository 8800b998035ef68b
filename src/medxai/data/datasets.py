"""The data sets that the book can use: where each comes from, where it goes, and whether it is there."""

from dataclasses import dataclass
from pathlib import Path

from medxai import paths
from medxai.data.archive import ENDINGS


@dataclass(frozen=True)
class Repository:
    """Part of a public git repository."""

    url: str
    commit: str
    paths: tuple[str, ...]
    """Folders and files at its top; nothing else is downloaded."""


@dataclass(frozen=True)
class Download:
    """One file on the web and the SHA-256 that it must have."""

    url: str
    sha256: str


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
            return bool(found)
        return any((self.place / "annotations").glob("*.json")) or any(path.name.endswith(ENDINGS) for path in found)

    @property
    def advice(self) -> str:
        """What to do to have it."""
        if self.is_there:
            return "nothing to do"
        get = self.source if isinstance(self.source, str) else f"medxai data fetch {self.name}"
        return f"what is at this place is not {self.name}: move it away, then {get}" if self.place.exists() else get


_OWN_COPY = "put your own copy there, as data/README.md says, with its licence note"
_MEDMNIST = "https://zenodo.org/records/10519652/files"

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "dermxdb",
            "CC0 1.0",
            "dermxdb",
            Repository(
                "https://github.com/ralucaj/dermx",
                "20a07c6386303f94628b4904a9d17faf74d4364f",
                ("annotations", "masks", "folds", "metadata.csv", "LICENSE", "README.md"),
            ),
        ),
        Dataset(
            "dermxdb-photographs",
            "restricted: research only, not to be passed on",
            "dermxdb/photographs",
            "ask the owners of DermNetNZ and of SD-260, then put the files there, named as in metadata.csv",
        ),
        Dataset(
            "breastmnist",
            "CC BY 4.0",
            "medmnist/breastmnist.npz",
            Download(
                f"{_MEDMNIST}/breastmnist.npz?download=1",
                "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1",
            ),
        ),
        Dataset(
            "retinamnist",
            "CC BY 4.0",
            "medmnist/retinamnist.npz",
            Download(
                f"{_MEDMNIST}/retinamnist.npz?download=1",
                "254915f5f0a2074665c4676356824cf4ef4a3bcab233894b4bafcaf48962bd69",
            ),
        ),
        Dataset("busi", "CC BY 4.0", "busi", _OWN_COPY),
        Dataset("isic-uda1", "CC0 1.0", "isic_uda1", _OWN_COPY),
        Dataset("ham10000-artefacts", "CC BY-NC-SA 4.0", "ham10000_artefacts", _OWN_COPY),
    )
}
