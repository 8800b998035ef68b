"""What students open: each notebook runs from top to bottom with its answers open, and is marked once filled in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from medxai import paths
from medxai.book import chapters, exercises, first_cell, student
from medxai.grading import marks

OPEN = "Not answered yet"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All student notebooks, as ``make student`` writes them."""
    folder = tmp_path_factory.mktemp("tree") / "student"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDXAI_DATA_KIND", "simulated")
        student.write(folder)
        yield folder


def read(tree: Path, chapter: str) -> nbformat.NotebookNode:
    return nbformat.read(tree / f"{chapter}.ipynb", as_version=4)


def said(cell: nbformat.NotebookNode) -> str:
    """Return the text of what a cell shows."""
    return "".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs)


def solve(notebook: nbformat.NotebookNode, chapter: str) -> nbformat.NotebookNode:
    """Fill in the solutions where the answers are left open."""
    solved = {exercise.open: exercise.solved for exercise in exercises.in_chapter(chapter)}
    for cell in notebook.cells:
        cell.source = solved.get(cell.source, cell.source)
    return notebook


def states(folder: Path, notebook: nbformat.NotebookNode, chapter: str) -> list[str]:
    """Return what a marker finds in a notebook."""
    folder.mkdir()
    nbformat.write(notebook, folder / f"{chapter}.ipynb")
    return [mark.state for mark in marks.grade(folder, folder / "marks.csv", trusted=True, seconds=300, tell=str)]


@pytest.mark.parametrize("chapter", chapters.names())
def test_a_marker_finds_every_exercise(tree: Path, chapter: str) -> None:
    found = exercises.cells(read(tree, chapter))
    for exercise in exercises.in_chapter(chapter):
        cells = found[exercise.name.rpartition("-")[2]]
        assert [cell.source for cell in cells] == [exercise.first, exercise.open]
    assert len(found) == len(exercises.in_chapter(chapter))


def marked_open_and_filled_in(tree: Path, folder: Path, chapter: str) -> None:
    number = len(exercises.in_chapter(chapter))
    assert states(folder / "open", read(tree, chapter), chapter) == ["unanswered"] * number
    assert states(folder / "filled", solve(read(tree, chapter), chapter), chapter) == ["right"] * number


def test_a_filled_notebook_is_marked(tree: Path, tmp_path: Path) -> None:
    marked_open_and_filled_in(tree, tmp_path, "02_libraries")


@pytest.mark.weekly
@pytest.mark.parametrize("chapter", chapters.names())
def test_every_filled_notebook_is_marked(tree: Path, tmp_path: Path, chapter: str) -> None:
    marked_open_and_filled_in(tree, tmp_path, chapter)


@pytest.mark.weekly
@pytest.mark.parametrize("chapter", chapters.names())
def test_a_notebook_runs_with_its_answers_open(tree: Path, tmp_path: Path, chapter: str) -> None:
    """In a kernel of Jupyter's own, and in a folder that holds nothing else."""
    notebook = read(tree, chapter)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = 'profile = "smoke"'
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    asking = {exercise.open for exercise in exercises.in_chapter(chapter)}
    answers = [cell for cell in notebook.cells if cell.source in asking or "quiz.check(" in cell.source]
    assert len(answers) >= len(asking)
    for cell in answers:
        assert OPEN in said(cell), cell.source


@pytest.mark.weekly
def test_what_the_first_cell_fetches_is_enough_for_every_exercise(tmp_path: Path) -> None:
    """On Colab: without the package, and with a checkout that lacks the solutions."""
    installing = '[sys.executable, "-m", "pip", "install", "--quiet", "--editable", "medxai-book"]'
    source = first_cell.cell().source.replace(first_cell.repository(), paths.ROOT.as_uri())
    assert installing in source
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    fetching = [sys.executable, "-S", "-c", source.replace(installing, '["true"]')]  # -S: no package is installed
    subprocess.run(fetching, cwd=tmp_path, env=environment, check=True)
    assert not (tmp_path / "medxai-book/notebooks").exists()
    cells = [(exercise.first, exercise.solved) for exercise in exercises.every()]
    answering = """
import json, sys
import medxai
from exercises import result
print(medxai.__file__)
for first, solved in json.load(sys.stdin):
    namespace = {}
    exec(first, namespace)
    print(result(solved, namespace).state)
"""
    search = os.pathsep.join((str(tmp_path / "medxai-book/src"), str(paths.ROOT / "tests")))
    environment |= {"PYTHONPATH": search, "MEDXAI_DATA": str(tmp_path / "none")}
    ran = subprocess.run(
        [sys.executable, "-c", answering], cwd=tmp_path, env=environment, input=json.dumps(cells), text=True, stdout=-1
    )
    assert ran.stdout.split() == [str(tmp_path / "medxai-book/src/medxai/__init__.py"), *["right"] * len(cells)]
