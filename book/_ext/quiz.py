"""Directive ``{quiz} NAME``: questions of ``book/quizzes/NAME.yml`` as radio buttons, each with its explanation.

The text lives in a node of its own and not in Text nodes, so that neither the search index nor ``_sources`` has it.
"""

import re
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

QUIZZES = Path(__file__).resolve().parents[1] / "quizzes"


class QuizNode(nodes.General, nodes.Element):
    """A whole quiz; its attributes are ``name`` and ``questions``."""


class QuizDirective(SphinxDirective):
    """Read a quiz; a bad one is an error that names the file and the question."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(QUIZZES / f"{name}.yml"))
        try:
            return [QuizNode(name=name, questions=load(QUIZZES / f"{name}.yml"))]
        except (OSError, ValueError) as problem:
            raise self.error(f"quiz: {problem}") from problem


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


def inline(text: str) -> str:
    """Return plain text with `code` and *emphasis* as HTML."""
    marks = re.compile(r"`(?P<code>[^`]+)`|\*(?P<em>[^*\s][^*]*)\*")
    return marks.sub(lambda mark: f"<{mark.lastgroup}>{mark[mark.lastgroup]}</{mark.lastgroup}>", escape(text.strip()))


def verdict(option: dict[str, Any]) -> str:
    """Return the feedback on an option as HTML: icon, word and explanation."""
    icon, word = ("✓", "Right.") if option.get("right") else ("✗", "Not right.")
    return f'<span aria-hidden="true">{icon}</span> <strong>{word}</strong> {inline(option["why"])}'


def question_html(name: str, number: int, question: dict[str, Any]) -> str:
    """Return one question as a form; ``quiz.js`` shows the button and the template of the chosen option."""
    options = question["options"]
    choices = "".join(
        f'<label><input type="radio" name="{name}-{number}" value="{value}">'
        f"<span>{inline(option['text'])}</span></label>"
        for value, option in enumerate(options)
    )
    feedback = "".join(
        f'<template data-right="{str(bool(option.get("right"))).lower()}">{verdict(option)}</template>'
        for option in options
    )
    answers = "".join(f"<li>{inline(option['text'])}<br>{verdict(option)}</li>" for option in options)
    return (
        f'<form class="quiz"><fieldset><legend>{number}. {inline(question["prompt"])}</legend>{choices}'
        f'<button type="submit" hidden>Check</button><p role="status" aria-live="polite"></p>{feedback}'
        f"<noscript><details><summary>Answers</summary><ul>{answers}</ul></details></noscript></fieldset></form>\n"
    )


def visit_quiz(translator: Any, node: QuizNode) -> None:
    """Write the quiz."""
    name = escape(node["name"])
    translator.body += [question_html(name, *numbered) for numbered in enumerate(node["questions"], start=1)]
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and its script."""
    app.add_node(QuizNode, html=(visit_quiz, None))
    app.add_directive("quiz", QuizDirective)
    app.add_js_file("quiz.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
