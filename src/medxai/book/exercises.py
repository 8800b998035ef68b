"""The exercises of the chapters: where they stand, what each gives and what it asks.

An exercise is a heading ``Exercise n`` and the code cells under it. The first makes what it needs; the second holds the
answer, and its last line gives that to a check, together with the exercise's data.
"""

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbformat import NotebookNode

from medxai.book import chapters, editions

if TYPE_CHECKING:
    from medxai.checks import Check  # which loads pandas

Namespace = dict[str, object]

HEADING = re.compile(r"^(?:#{2,3} Exercise (\d+)|## )", re.MULTILINE)
"""Where an exercise begins, or the last one ends; a student may have put smaller headings into it."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what its first cell makes, the answer that is left open, and the solution."""

    name: str
    """Chapter and number, as ``02_attribution-3``."""
    first: str
    open: str
    solved: str


def cells(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Return the code cells under each heading ``Exercise n``, up to the next one or a new section, by the number."""
    found, number = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "code" and number:
            found[number].append(cell)
        elif cell.cell_type == "markdown" and (headings := HEADING.findall(cell.source)):
            number = headings[-1]
            found |= {number: found.get(number, [])} if number else {}
    return found


def in_chapter(chapter: str) -> list[Exercise]:
    """Return the exercises of a chapter.

    Raises
    ------
    ValueError
        If one has not two code cells.
    """
    whole = chapters.read(chapter)
    stripped = {cell.id: cell.source for cell in editions.student(whole, chapter).cells}
    found = []
    for number, pair in cells(whole).items():
        if len(pair) != 2:
            raise ValueError(f"{chapter}, exercise {number}: expected a first cell and an answer, found {len(pair)}")
        first, answer = pair
        found.append(Exercise(f"{chapter}-{number}", stripped[first.id], stripped[answer.id], answer.source))
    return found


def every() -> list[Exercise]:
    """Return the exercises of all chapters."""
    return [exercise for chapter in chapters.names() for exercise in in_chapter(chapter)]


def answer_name(exercise: Exercise) -> str:
    """Return the name of the variable, or of the function, that is the answer."""
    return ast.unparse(_call(exercise.open).args[0])


def check_and_arguments(cell: str, namespace: Namespace) -> "tuple[Check, tuple]":
    """Return the check that the last line of a cell calls, and the exercise's data that it gets."""
    call = _call(cell)
    parts = (ast.Expression(part) for part in (call.func, *call.args[1:]))
    check, *arguments = (eval(compile(part, "<exercise>", "eval"), namespace) for part in parts)
    return check, tuple(arguments)


def _call(cell: str) -> ast.Call:
    return ast.parse(cell).body[-1].value
