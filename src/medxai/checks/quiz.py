"""Quizzes: the questions of ``book/quizzes/NAME.yml``, and the marking of answers in a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

from medxai import paths
from medxai.checks import Result

QUIZZES = paths.PAGES / "quizzes"


def load(path: Path) -> list[dict[str, Any]]:
    """Return the questions of a quiz: ``prompt`` and ``options``, each with ``text``, ``right`` and ``why``.

    Raises
    ------
    ValueError
        If a question has not exactly one right option, or an option no text or explanation; names file and question.
    OSError
        If the file cannot be read.
    """
    try:
        questions = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as problem:
        raise ValueError(f"{path.name} is not YAML: {problem}") from None
    if not isinstance(questions, list) or not questions:
        raise ValueError(f"{path.name}: a list of questions is expected, each with 'prompt' and 'options'")
    for number, question in enumerate(questions, start=1):
        if problem := fault(question):
            raise ValueError(f"{path.name}, question {number}: {problem}")
    return questions


def fault(question: Any) -> str | None:
    """Say what is wrong with a question, or return None."""
    if (
        not isinstance(question, dict)
        or set(question) != {"prompt", "options"}
        or not isinstance(question["prompt"], str)
    ):
        return "a mapping with a text 'prompt' and 'options' is expected"
    options = question["options"]
    if not isinstance(options, list) or len(options) < 2:
        return "at least two options are expected"
    for option in options:
        if not isinstance(option, dict) or not {"text", "why"} <= set(option) <= {"text", "why", "right"}:
            return f"an option has 'text', 'why' and perhaps 'right: true', not {option!r}"
        if not isinstance(option["text"], str):
            return f"option {option['text']!r} is not text: put it in quotes"
        if not isinstance(option["why"], str) or not option["why"].strip():
            return f"option {option['text']!r} has no explanation"
    right = sum(option.get("right") is True for option in options)
    return None if right == 1 else f"exactly one option must have 'right: true', {right} have"


def lettered(question: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of a question by their letters: A, B, C ..."""
    return dict(zip(ascii_uppercase, question["options"], strict=False))


@dataclass(frozen=True)
class Marks:
    """What `check` says of each question, in their order; shown as HTML or text."""

    results: tuple[Result, ...]

    def __repr__(self) -> str:
        return "\n".join(f"{number}. {result}" for number, result in enumerate(self.results, start=1))

    def _repr_html_(self) -> str:
        return "<ol>" + "".join(f"<li>{result._repr_html_()}</li>" for result in self.results) + "</ol>"


def check(name: str, answers: Mapping[int, str]) -> Marks:
    """Say of each answer to the quiz `name` whether it is right, and why; never which other one is.

    Parameters
    ----------
    name
        ``dataset`` for ``book/quizzes/dataset.yml``.
    answers
        A letter for the number of each question, counted from 1; three dots, or no entry, for one that is left open.

    Raises
    ------
    OSError
        If there is no such quiz. Whatever the answers are, it does not raise.
    """
    questions = load(QUIZZES / f"{name}.yml")
    if not isinstance(answers, Mapping) or not set(answers) <= set(range(1, len(questions) + 1)):
        expected = f"A letter is expected for each number from 1 to {len(questions)}, as in {{1: 'A', 2: 'B'}}."
        return Marks((Result("malformed", expected),))
    return Marks(tuple(_judge(question, answers.get(number, ...)) for number, question in enumerate(questions, 1)))


def _judge(question: Mapping[str, Any], answer: Any) -> Result:
    if answer is None or answer is ...:
        return Result("unanswered", "Put a letter in quotes in place of the three dots and run the cell again.")
    options = lettered(question)
    option = options.get(answer.strip().upper()) if isinstance(answer, str) else None
    if option is None:
        return Result("malformed", f"One of the letters {', '.join(options)} is expected, in quotes.")
    return Result("right" if option.get("right") else "wrong", option["why"].strip())
