"""The tables of the page *A course of eight weeks*: they say what a build and the references say, and nothing else."""

from pathlib import Path

import nbformat
import pytest

from medxai import paths, profiles, results
from medxai.book import course
from medxai.book.target import Target

RECORD = {"chapter": "01_other", "studies": ["dataset"], "seconds": 50.0, "trials": {"a": 40.4}, "peak_memory_mb": 1234}
"""Of a chapter that is called otherwise than its study."""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A build of one chapter with 151 words and two exercises, and a reference of two trials, one of them there."""
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    monkeypatch.setattr(results, "progress", lambda study: {"dataset": (1, 2)}.get(study, (0, 0)))
    monkeypatch.setattr(results, "provenance", lambda study: {"b": {"seconds": 9000.0}} if study == "dataset" else {})
    target = Target("quick")
    target.chapters.mkdir(parents=True)
    sources = ["word " * 145, "### Exercise 1: x", "### Exercise 2: y"]
    cells = [nbformat.v4.new_markdown_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), target.chapters / "01_other.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), target.chapters / "02_new.ipynb")
    return target


def test_a_chapter_is_told_as_it_was_executed(target: Target) -> None:
    page = course.tables(target, [RECORD], {"01_other": 150.0})
    row = ["200", "2", "2 min", "90 s, 1.2 GB", "2 h for 1 of 2 trials"]
    assert "\n  - ".join(["* - {doc}`/book/chapters/01_other`", *row]) + "\n" in page
    assert "  - This build, `quick`\n" in page


def test_a_chapter_without_budget_or_reference_says_so(target: Target) -> None:
    page = course.tables(target, [RECORD | {"chapter": "02_new", "studies": []}], {"01_other": 150.0})
    assert "  - no budget\n  - 90 s, 1.2 GB\n  - none\n" in page


def test_every_size_of_every_profile_is_there(target: Target) -> None:
    page = course.tables(target, [RECORD], {})
    assert "| Size | `smoke` | `quick` | `full` |" in page
    for name in profiles.SIZES - {"name"}:
        values = [getattr(profile, name) for profile in profiles.PROFILES.values()]
        assert f"| `{name}` | {' | '.join('all' if value is None else str(value) for value in values)} |" in page


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119, "119 s"), (150, "2 min"), (7000, "117 min"), (17300, "5 h")]
)
def test_a_time_is_told_in_its_unit(seconds: float, said: str) -> None:
    assert course.told(seconds) == said
