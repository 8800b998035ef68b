"""The published site has no solution in it, and the instructor's edition has only right ones."""

import re
from pathlib import Path

import nbformat
import pytest

from medxai.book import chapters, editions
from medxai.book.build import settle_data
from medxai.book.execute import execute
from medxai.book.target import Target


def states(executed: Path) -> list[str]:
    """Return what each exercise check of an executed chapter said."""
    shown = [
        output.get("data", {}).get("text/html", "")
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", ())
    ]
    return re.findall(r'class="exercise-check (\w+)"', "".join(shown))


@pytest.mark.parametrize("name", chapters.names())
def test_nothing_of_a_solution_is_published(built_site: Path, name: str) -> None:
    assert len(editions.solution_lines(chapters.read(name), name)) > 0
    assert editions.leaks(name, built_site) == []


@pytest.mark.parametrize("name", chapters.names())
def test_exercises_of_the_published_chapter_are_open(built_site: Path, name: str) -> None:
    found = states(Target("smoke").chapters / f"{name}.ipynb")
    assert len(found) >= 3
    assert set(found) == {"unanswered"}


@pytest.mark.parametrize("name", chapters.names())
def test_every_solution_is_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("smoke", "instructor")
    monkeypatch.setenv("MEDXAI_DATA_KIND", settle_data(target, "simulated"))
    found = states(execute(name, target))
    assert len(found) >= 3
    assert set(found) == {"right"}
