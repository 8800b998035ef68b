"""What the build knows of each executed chapter is true: what it depends on, what it shows, what it took."""

import json
from pathlib import Path

import nbformat
import pytest

from medxai import paths
from medxai.book import chapters, closure
from medxai.book.target import Target


@pytest.mark.parametrize("name", chapters.names())
def test_a_chapter_is_due_when_any_module_changes_that_it_loads(built_site: Path, name: str) -> None:
    record = json.loads((Target("smoke").chapters / f"{name}.json").read_text())
    followed = {
        path.relative_to(paths.SOURCE).as_posix() for path in closure.modules(chapters.code(chapters.read(name)))
    }
    loaded = [module.replace(".", "/") for module in record["modules"]]
    assert len(loaded) > 5
    assert [one for one in loaded if not {f"{one}.py", f"{one}/__init__.py"} & followed] == []


@pytest.mark.parametrize("name", chapters.names())
def test_every_figure_of_a_chapter_is_a_picture(built_site: Path, name: str) -> None:
    notebook = nbformat.read(Target("smoke").chapters / f"{name}.ipynb", as_version=4)
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]
    figures = [one for one in data if one.get("text/plain", "").startswith("<Figure")]
    assert figures
    assert all("image/png" in one for one in figures)


@pytest.mark.parametrize("name", chapters.names())
def test_a_chapter_prints_no_warning(built_site: Path, name: str) -> None:
    """Of a map that has not converged the chapter itself speaks; what is left on stderr are bars of progress."""
    notebook = nbformat.read(Target("smoke").chapters / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert [text for text in said if not text.startswith("\r") and text.strip()] == []
