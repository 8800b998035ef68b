"""The table of marks: a row for each notebook that was handed in and each exercise of its chapter."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import nbformat

from medxai import files, paths
from medxai.book import chapters, exercises
from medxai.book.exercises import Exercise
from medxai.checks import ROUNDED, Check, Result
from medxai.errors import DataError, printable
from medxai.grading import sandbox

TABLE = "marks.csv"
SECONDS, LONGEST = 60.0, 86400.0
"""For each exercise, unless others are given, and at most."""
LONGEST_TEXT = 500
"""Letters in a cell of the table."""
LARGEST = 64 * 2**20
"""Bytes of a notebook; those of this book, with their figures, have a tenth."""


@dataclass(frozen=True)
class Mark:
    """One row. `points` is 1 or 0, or nothing where a person has to look."""

    notebook: str
    exercise: str
    state: str
    """That of the check; ``stopped`` if there was no answer to check, ``missing`` if there was no such exercise."""
    points: int | None
    wrong_idea: str = ""
    """What the check says of the mistake, if it is one that it knows."""
    failed: str = ""
    """Why there is no answer, or none that can be checked."""


@dataclass(frozen=True)
class Key:
    """What it takes to mark an exercise: the check, and the data for which it judges."""

    exercise: Exercise
    check: Check
    data: tuple[tuple, ...]


def grade(
    folder: Path,
    table: Path,
    *,
    seconds: float = SECONDS,
    trusted: bool = False,
    tell: Callable[[str], object] = print,
) -> list[Mark]:
    """Mark all notebooks below `folder` and write the rows to `table`.

    Parameters
    ----------
    folder
        Holds notebooks at any depth. What a name holds says of which chapter a notebook is: ``anna_01_dataset.ipynb``.
    table
        A CSV file that is not there yet: somebody may have written into an earlier one.
    seconds
        For each exercise of each notebook.
    trusted
        Run without a sandbox.
    tell
        Is told how each notebook fared.

    Raises
    ------
    DataError
        If there is no notebook, no sandbox, no time, or a table already.
    """
    if not 0 < seconds <= LONGEST:
        raise DataError(f"the time limit is {seconds:g} s: expected more than 0 and at most {LONGEST:g}")
    found = sorted(notebooks(folder))
    if not found:
        raise DataError(f"{paths.shown(folder)} is no folder that holds a notebook (.ipynb)")
    if table.exists():
        raise DataError(f"{paths.shown(table)} is there already: move it away, or name another with --output")
    files.check_place(table)
    walls = [] if trusted else sandbox.walls()
    handed_in = {path: _read(path) for path in found}  # all of them before the first runs
    asked = sorted({_chapter(path) for path in found} - {None})
    keys = {chapter: [key(exercise) for exercise in exercises.in_chapter(chapter)] for chapter in asked}
    marks = []
    for path, cells in handed_in.items():
        name = printable(paths.shown(path.relative_to(folder)))
        rows = [*_marked(name, cells, keys.get(_chapter(path), []), seconds, walls)]
        tell(f"{name}: {sum(row.state == 'right' for row in rows)} of {len(rows)} right")
        marks += rows
    files.write(table, written(marks))
    return marks


def notebooks(folder: Path) -> Iterator[Path]:
    """Yield the notebooks below a folder, but no links, which may lead to those of others, and nothing hidden."""
    for path in folder.rglob("*.ipynb"):
        below = path.relative_to(folder)
        links = any((folder / part).is_symlink() for part in (below, *below.parents[:-1]))
        if path.is_file() and not links and not any(part.startswith(".") for part in below.parts):
            yield path


def written(marks: Sequence[Mark]) -> str:
    """Return the table as CSV in which a spreadsheet finds text, never formulas."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Mark)], lineterminator="\n")
    table.writeheader()
    for mark in marks:
        table.writerow({name: _cell(value) for name, value in asdict(mark).items()})
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    shown = printable(value)[:LONGEST_TEXT]
    return f"'{shown}" if shown[:1] in tuple("=+-@") else shown


def _chapter(path: Path) -> str | None:
    """Return the chapter of which a notebook is by its name; the longest, should there be several."""
    return max((name for name in chapters.names() if name in path.stem), key=len, default=None)


def _read(path: Path) -> dict[str, list[str]] | str:
    """Return the sources of the code cells under each exercise of a notebook by number, or why it cannot be read."""
    try:
        if path.stat().st_size > LARGEST:
            return f"It is larger than {LARGEST // 2**20} MB."
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        return {number: [str(cell.source) for cell in cells] for number, cells in exercises.cells(notebook).items()}
    except Exception as error:  # whatever nbformat stumbles over in a file that anybody may have made
        return f"It is no notebook ({type(error).__name__}): expected a file that Jupyter has saved."


def key(exercise: Exercise) -> Key:
    """Return the key of an exercise; its first cell runs here, on the data that students get, too."""
    os.environ |= sandbox.ENVIRONMENT
    namespace: dict[str, object] = {}
    exec(exercise.first, namespace)
    check, data = exercises.check_and_arguments(exercise.open, namespace)
    return Key(exercise, check, (data, check.example()) if check.is_function else (data,))


def _marked(
    name: str, cells: dict[str, list[str]] | str, keys: list[Key], seconds: float, walls: Sequence[str]
) -> Iterator[Mark]:
    """Yield the marks of one notebook."""
    if not keys:
        known = ", ".join(chapters.names())
        yield Mark(name, "", "unreadable", None, failed=f"Its name says no chapter: expected one of {known} in it.")
        return
    for key in keys:
        number = key.exercise.name.rpartition("-")[2]
        if isinstance(cells, str):
            yield Mark(name, key.exercise.name, "unreadable", None, failed=cells)
        elif number not in cells:
            told = f"It has no heading 'Exercise {number}'."
            yield Mark(name, key.exercise.name, "missing", None, failed=told)
        else:
            yield mark(name, key, sandbox.run(task(key, cells[number]), seconds, walls))


def task(key: Key, cells: list[str]) -> dict:
    """Return what the process in the sandbox is asked: first the exercise's own first cell, whatever became of it."""
    exercise = key.exercise
    own = [cell for cell in cells if cell.strip() != exercise.first.strip()]
    asked = {"cells": [exercise.first, *own], "answer": exercises.answer_name(exercise)}
    return {**asked, "is_function": key.check.is_function, "first": exercise.first, "open": exercise.open}


def mark(name: str, key: Key, report: dict) -> Mark:
    """Judge the values that came out of the sandbox."""
    if "failed" in report:
        return Mark(name, key.exercise.name, "stopped", 0, failed=report["failed"])
    values = report["values"]
    if len(values) != len(key.data):
        return Mark(name, key.exercise.name, "stopped", 0, failed="The answer is no plain data.")
    results = [key.check.judge(value, *data) for value, data in zip(values, key.data, strict=True)]
    result = next((result for result in results if result.state != "right"), results[0])
    return Mark(
        name,
        key.exercise.name,
        result.state,
        int(result.state == "right"),
        wrong_idea=result.message if _is_known(result, key.check) else "",
        failed=result.message if result.state == "malformed" else "",
    )


def _is_known(result: Result, check: Check) -> bool:
    return result.state == "wrong" and result.message in {ROUNDED, *(mistake.why for mistake in check.mistakes)}
