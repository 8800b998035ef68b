"""Directive ``{quiz} NAME``: questions of ``book/quizzes/NAME.yml`` as radio buttons, each with its explanation.

The text lives in a node of its own and not in Text nodes, so that neither the search index nor ``_sources`` has it.
"""

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from medxai.checks.quiz import QUIZZES, load


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
