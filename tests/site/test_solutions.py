"""The published site has no solution in it, and the instructor's edition has only right ones."""

import os
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from medxai import paths
from medxai.book import chapters, editions, workers
from medxai.book.build import command, settle_data
from medxai.book.target import Target


def states(executed: Path) -> list[str]:
    """Return what each exercise check of an executed chapter said."""
    shown = [
        output.get("data", {}).get("text/html", "")
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", ())
    ]
    return re.findall(r'class="exercise-check (\w+)"', "".join(shown))


def test_nothing_of_a_solution_is_published(built_site: Path) -> None:
    assert all(editions.solution_lines(chapters.read(name), name) for name in chapters.names())
    assert editions.leaks(chapters.names(), built_site) == []


@pytest.mark.parametrize("name", chapters.names())
def test_exercises_of_the_published_chapter_are_open(built_site: Path, name: str) -> None:
    found = states(Target("smoke").chapters / f"{name}.ipynb")
    assert len(found) >= 3
    assert set(found) == {"unanswered"}


@pytest.fixture(scope="module")
def instructors() -> Target:
    """The instructor's edition of all chapters, executed as a build does it, without the site."""
    target = Target("smoke", "instructor")
    kind = settle_data(target, "simulated")
    wanted = [str((target.chapters / f"{name}.ipynb").relative_to(paths.ROOT)) for name in chapters.names()]
    python, *rest = command(target, chapters.names())
    environment = os.environ | workers.ENVIRONMENT | {"MEDXAI_DATA_KIND": kind}
    result = subprocess.run(
        [python, *rest[:2], *wanted, *rest[2:]], cwd=paths.ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return target


@pytest.mark.parametrize("name", chapters.names())
def test_every_solution_is_right(instructors: Target, name: str) -> None:
    found = states(instructors.chapters / f"{name}.ipynb")
    assert len(found) >= 3
    assert set(found) == {"right"}
