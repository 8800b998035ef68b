"""The exercises of the chapters' texts, running one alone, and the wrong answers that checks are fed with."""

import ast
import re
from dataclasses import dataclass

import numpy as np

from medxai.book import chapters, editions
from medxai.checks import ROUNDED, Check, Result
from medxai.checks.compare import DIGITS

Namespace = dict[str, object]


@dataclass(frozen=True)
class Exercise:
    """One exercise: what its first cell makes, the answer that is left open, and the solution."""

    name: str
    """Chapter and number, as ``02_attribution-3``."""
    first: str
    open: str
    solved: str


def in_chapter(chapter: str) -> list[Exercise]:
    """Return the exercises of a chapter: the code cells from each heading ``Exercise n`` to the next heading."""
    whole, found = chapters.read(chapter), {}
    stripped = {cell.id: cell.source for cell in editions.student(whole, chapter).cells}
    number = None
    for cell in whole.cells:
        if cell.cell_type == "code" and number:
            found.setdefault(number, []).append((stripped[cell.id], cell.source))
        elif headings := re.findall(r"^#{2,3} (?:Exercise (\d+))?", cell.source, re.MULTILINE):
            number = headings[-1]
    cells = {f"{chapter}-{number}": pairs for number, pairs in found.items()}
    assert all(len(pairs) == 2 for pairs in cells.values()), f"{chapter}: an exercise has a first cell and an answer"
    return [Exercise(name, first[0], *answer) for name, (first, answer) in cells.items()]


def check_of(exercise: Exercise) -> str:
    """Return which check an exercise calls, as `medxai.checks.registered` names it."""
    (module,) = re.findall(r"^from medxai\.checks import (\w+) as checks$", exercise.first, re.MULTILINE)
    (check,) = re.findall(r"^checks\.(\w+)\(", exercise.open, re.MULTILINE)
    return f"{module}.{check}"


def every() -> list[Exercise]:
    """Return the exercises of all chapters."""
    return [exercise for chapter in chapters.names() for exercise in in_chapter(chapter)]


def result(cell: str, namespace: Namespace) -> Result:
    """Run a cell, and return what its last line, which calls the check, says."""
    *before, last = ast.parse(cell).body
    exec(compile(ast.Module(before, []), "<exercise>", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "<exercise>", "eval"), namespace)


def check_and_arguments(cell: str, namespace: Namespace) -> tuple[Check, tuple]:
    """Return the check that the last line of a cell calls, and the exercise's data that it gets."""
    call = ast.parse(cell).body[-1].value
    parts = (ast.Expression(part) for part in (call.func, *call.args[1:]))
    check, *arguments = (eval(compile(part, "<exercise>", "eval"), namespace) for part in parts)
    return check, tuple(arguments)


def called_right(check: Check, arguments: tuple) -> list[str]:
    """Return which wrong answers a check calls right: its named mistakes and others, unless they are right."""
    right = check.reference(*arguments)
    wrong = {mistake.why: mistake.value(*arguments) for mistake in check.mistakes} | unnamed(right)
    return [
        why
        for why, value in wrong.items()
        if not alike(value, right) and check(answer(check, value), *arguments).state == "right"
    ]


def unnamed(right: object) -> dict[str, object]:
    """Return wrong answers that no check needs to know by name."""
    if isinstance(right, list):
        return {"nothing": [], "one is missing": right[1:], "one too many": [*right, "another"]}
    right = np.asarray(right)
    numbers = {"zero": 0 * right, "sign": -right, "twice": 2 * right, "a hundredth": right / 100}
    numbers["mirrored"] = right[..., ::-1] if right.ndim else 1 - right
    if right.ndim == 2:
        numbers["transposed"] = right.T
    return numbers


def answer(check: Check, value: object) -> object:
    """Return a value as the check wants it: some want a function."""
    return (lambda *_: value) if check.is_function else value


def alike(one: object, other: object) -> bool:
    """Return whether two answers are the same but for the last digits of single precision."""
    if isinstance(other, list):
        return sorted(one) == sorted(other)
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=0, equal_nan=True)


def told_another_mistake(check: Check, right: object, arguments: tuple) -> list[Result]:
    """Return what a check says of the right answer with 1, 2 or 3 digits, unless that is right or rounded."""
    if isinstance(right, list) and isinstance(right[0], str):
        return []
    said = []
    for digits in (1, 2, 3):
        few = np.vectorize(lambda number, after=digits - 1: float(f"{number:.{after}e}"))(right)
        result = check(answer(check, few), *arguments)
        accepted = {Result("wrong", ROUNDED)} if digits < DIGITS else set()
        said += [result] if result.state != "right" and result not in accepted else []
    return said
