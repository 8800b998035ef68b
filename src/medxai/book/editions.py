"""Two editions from one text: the instructor's has the solutions, the student's (which is published) has not.

An author marks a solution in one of two ways: a cell tagged ``solution`` is removed whole; in a code cell the lines
from ``### BEGIN SOLUTION`` to ``### END SOLUTION`` become one line, `STUB`, which inside a function is also its body.
Solutions leave the text before it is executed, so that neither the site's sources nor its search index can hold them.
"""

import copy
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from medxai import paths
from medxai.book import chapters
from medxai.errors import DataError

BEGIN, END, TAG = "### BEGIN SOLUTION", "### END SOLUTION", "solution"
MARK = re.compile(r"\s*#+\s*(BEGIN|END)\s+SOLUTION", re.IGNORECASE)
"""A line that is, or was meant to be, a mark; only the exact marks are accepted, so that no typing error leaks."""

STUB = "# your answer here"
SHORTEST_LEAK = 20
UNMARKED = str.maketrans("", "", "*`'\"“”‘’")


def student(notebook: NotebookNode, name: str) -> NotebookNode:
    """Return a copy of the chapter `name` without its solutions.

    Raises
    ------
    DataError
        If a BEGIN has no END, an END no BEGIN, one begins inside another, or a mark is misspelled.
    """
    notebook = copy.deepcopy(notebook)
    notebook.cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = _split(cell, name)[0]
    return notebook


def solution_lines(notebook: NotebookNode, name: str) -> list[str]:
    """Return the lines that the student edition leaves out, stripped of white space."""
    lines = []
    for cell in notebook.cells:
        tagged = TAG in cell.metadata.get("tags", ())
        hidden = cell.source.splitlines() if tagged else _split(cell, name)[1] if cell.cell_type == "code" else []
        lines += [line.strip() for line in hidden]
    return lines


def _split(cell: NotebookNode, name: str) -> tuple[str, list[str]]:
    """Return the source of a code cell without its solutions, and the lines of the solutions."""
    public, hidden, inside = [], [], False
    for line in cell.source.splitlines():
        if MARK.match(line):
            mark = line.strip()
            if mark != (END if inside else BEGIN):
                expected = f"{END!r} closes it first" if inside else f"a solution begins with {BEGIN!r}"
                raise DataError(f"chapter {name}, {chapters.place(cell)}: found {mark!r}, but {expected}")
            if not inside:
                indented = line[0].isspace()
                public.append(line.replace(BEGIN, f"...  {STUB}" if indented else STUB))
            inside = not inside
        else:
            (hidden if inside else public).append(line)
    if inside:
        raise DataError(f"chapter {name}, {chapters.place(cell)}: {BEGIN!r} without {END!r} after it")
    return "\n".join(public), hidden


def leaks(names: Iterable[str], folder: Path, notebooks: Path = paths.NOTEBOOKS) -> list[str]:
    """Return what of the solutions of some chapters can be read in the files of `folder`.

    A line counts if it is longer than 20 characters and does not stand in any chapter's public text anyway. The files
    are searched as a reader sees them: markup taken off, character references and JSON escapes resolved.

    Returns
    -------
    list of str
        ``file: line`` for each leak; empty is good.
    """
    whole = {name: chapters.read(name, notebooks) for name in chapters.names(notebooks)}
    public = "\n".join(_squeeze(cell.source) for name, one in whole.items() for cell in student(one, name).cells)
    lines = {_squeeze(line) for name in names for line in solution_lines(whole[name], name)}
    secret = sorted(line for line in lines if len(line) > SHORTEST_LEAK and line not in public)
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".js", ".ipynb", ".json", ".md", ".py", ".txt"}:
            text = _squeeze(_readable(path))
            found += [f"{path.relative_to(folder)}: {line}" for line in secret if line in text]
    return found


def _readable(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".html":
        return html.unescape(re.sub(r"<[^>]*>", "", text))
    if path.suffix in {".ipynb", ".json"}:
        return "\n".join(_strings(json.loads(text)))
    return text


def _strings(value: object) -> Iterable[str]:
    """Yield every text in a JSON value; a list of lines, as notebooks have them, counts as one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield "".join(value)
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _squeeze(text: str) -> str:
    """Return `text` without what rendering changes: white space as single spaces, no quotation marks, no emphasis."""
    return " ".join(text.translate(UNMARKED).split())
