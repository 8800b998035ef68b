"""The chapters: paired-text notebooks ``notebooks/NN_name.md``."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from medxai import paths
from medxai.errors import DataError

if TYPE_CHECKING:
    from nbformat import NotebookNode


def names(folder: Path = paths.NOTEBOOKS) -> list[str]:
    """Return the names of the chapters (``01_dataset`` ...) in reading order."""
    return sorted(path.stem for path in folder.glob("[0-9][0-9]_*.md"))


def select(wanted: Iterable[str] | None, folder: Path = paths.NOTEBOOKS) -> list[str]:
    """Return `wanted` in reading order, or all chapters if it is empty or None.

    Raises
    ------
    ValueError
        If a wanted chapter does not exist.
    """
    known = names(folder)
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown chapter {', '.join(unknown)}: use one of {', '.join(known) or '(there are none)'}")
    return [name for name in known if not wanted or name in wanted]


def source(name: str, folder: Path = paths.NOTEBOOKS) -> Path:
    """Return the path of the chapter's text."""
    return folder / f"{name}.md"


def read(name: str, folder: Path = paths.NOTEBOOKS) -> "NotebookNode":
    """Return the chapter as a notebook without outputs.

    Cells get identifiers that count them as an author does (``code-3``: the third code cell of the text), so that two
    readings are equal and a message can name a cell although others were removed or added.

    Raises
    ------
    DataError
        If jupytext cannot read the text.
    """
    import jupytext  # takes half a second, which those who only want names need not wait for

    path = source(name, folder)
    try:
        notebook = jupytext.read(path)
    except Exception as error:
        raise DataError(f"chapter {name}: jupytext cannot read {path.name}: {error}") from error
    counts = {"code": 0, "markdown": 0, "raw": 0}
    for cell in notebook.cells:
        counts[cell.cell_type] += 1
        cell.id = f"{cell.cell_type}-{counts[cell.cell_type]}"
    return notebook


def place(cell: "NotebookNode") -> str:
    """Return where a cell stands, in words: kind, number and first line."""
    kind, _, number = cell.id.partition("-")
    first_line = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"{kind} cell {number} ({first_line})"


def code(notebook: "NotebookNode") -> list[str]:
    """Return the code cells as plain Python: lines of IPython magic are left out."""
    magic = re.compile(r"^\s*[%!].*$", re.MULTILINE)
    return [magic.sub("", cell.source) for cell in notebook.cells if cell.cell_type == "code"]
