"""The chapters' texts: what every notebook of the book keeps to."""

import subprocess

import pytest
from jupytext.cli import jupytext

from medxai import paths, studies
from medxai.book import chapters, editions, site

NAMES = chapters.names()


def git_files(pattern: str) -> list[str]:
    result = subprocess.run(["git", "-C", paths.ROOT, "ls-files", pattern], capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.parametrize("name", NAMES)
def test_text_survives_the_round_trip_through_a_notebook(name: str) -> None:
    assert jupytext(["--quiet", "--to", "ipynb", "--test", str(chapters.source(name))]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_the_only_parameter(name: str) -> None:
    tagged = [cell for cell in chapters.read(name).cells if "parameters" in cell.metadata.get("tags", ())]
    assert [cell.source for cell in tagged] == ['profile = "quick"']


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_marked_rightly(name: str) -> None:
    editions.student(chapters.read(name), name)


def test_no_executed_notebook_is_committed() -> None:
    assert git_files("*.ipynb") == []


def test_table_of_contents_has_every_chapter_once() -> None:
    listed = [name.removeprefix(site.CHAPTERS) for name in site.contents() if name.startswith(site.CHAPTERS)]
    assert listed == NAMES


def test_every_study_belongs_to_a_chapter() -> None:
    assert {studies.study(name).chapter for name in studies.STUDIES} <= set(NAMES)
