"""What one build makes, and where: a profile and an edition name a folder under ``_build/``."""

import json

from medxai import paths, profiles

EDITIONS = ("student", "instructor")


class Target:
    """One build: the published site is the student edition, which has no solutions.

    Attributes
    ----------
    folder
        Everything that this build makes lies here.
    data
        Manifest of the data that it shows.
    trials
        For each study a file with the seconds of its trials; their results lie in ``results/``.
    chapters
        Executed notebooks and their execution records.
    failed
        Notebooks whose execution failed.
    temporary
        What a running step has not finished; a build begins by removing what a killed one left.
    progress, log
        What the steps say of themselves (see `medxai.book.progress`), and what they print.
    source, html
        The staged source that Sphinx reads, and the finished site.
    site
        Written last: says how many pages the finished site has.

    Raises
    ------
    ValueError
        If there is no such profile or edition.
    """

    def __init__(self, profile: str, edition: str = "student") -> None:
        profiles.get(profile)
        if edition not in EDITIONS:
            raise ValueError(f"unknown edition {edition!r}: use one of {', '.join(EDITIONS)}")
        self.profile, self.edition = profile, edition
        self.folder = paths.BUILD / (profile if edition == "student" else f"{profile}-{edition}")
        self.data, self.site = self.folder / "data.json", self.folder / "site.json"
        self.trials, self.chapters = self.folder / "trials", self.folder / "chapters"
        self.failed, self.temporary = self.folder / "failed", self.folder / "temporary"
        self.progress, self.log = self.folder / "progress.jsonl", self.folder / "build.log"
        self.source, self.html = self.folder / "source", self.folder / "html"

    def data_kinds(self) -> dict[str, str]:
        """Return the kind (``real``, ``simulated``) of each data set in the manifest that may be either."""
        manifest = json.loads(self.data.read_text(encoding="utf-8"))
        return {name: entry["kind"] for name, entry in manifest.items() if "kind" in entry}
