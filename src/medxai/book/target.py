"""What one build makes, and where: a profile and an edition name a folder under ``_build/``."""

import json
from dataclasses import dataclass
from pathlib import Path

from medxai import paths, profiles

EDITIONS = ("student", "instructor")


@dataclass(frozen=True)
class Target:
    """One build: the published site is the student edition, which has no solutions.

    Raises
    ------
    ValueError
        If there is no such profile or edition.
    """

    profile: str
    edition: str = "student"

    def __post_init__(self) -> None:
        profiles.get(self.profile)
        if self.edition not in EDITIONS:
            raise ValueError(f"unknown edition {self.edition!r}: use one of {', '.join(EDITIONS)}")

    @property
    def folder(self) -> Path:
        """Everything that this build makes lies here."""
        return paths.BUILD / (self.profile if self.edition == "student" else f"{self.profile}-{self.edition}")

    @property
    def data(self) -> Path:
        """Manifest of the data that this build shows."""
        return self.folder / "data.json"

    def data_kinds(self) -> dict[str, str]:
        """Return the kind (``real``, ``simulated``) of each data set in the manifest that may be either."""
        manifest = json.loads(self.data.read_text(encoding="utf-8"))
        return {name: entry["kind"] for name, entry in manifest.items() if "kind" in entry}

    @property
    def chapters(self) -> Path:
        """Executed notebooks and their execution records."""
        return self.folder / "chapters"

    @property
    def failed(self) -> Path:
        """Notebooks whose execution failed, each with a sentence that says where and why."""
        return self.folder / "failed"

    @property
    def temporary(self) -> Path:
        """What a running step has not finished; a build begins by removing what a killed one left."""
        return self.folder / "temporary"

    @property
    def trials(self) -> Path:
        """For each study a file with the seconds of its trials; their results lie in ``results/``."""
        return self.folder / "trials"

    @property
    def progress(self) -> Path:
        """What the steps of the running build say of themselves; see `medxai.book.progress`."""
        return self.folder / "progress.jsonl"

    @property
    def log(self) -> Path:
        """What Snakemake and the steps print."""
        return self.folder / "build.log"

    @property
    def source(self) -> Path:
        """The staged source that Sphinx reads."""
        return self.folder / "source"

    @property
    def html(self) -> Path:
        """The finished site."""
        return self.folder / "html"

    @property
    def site(self) -> Path:
        """Written last: says how many pages the finished site has."""
        return self.folder / "site.json"
