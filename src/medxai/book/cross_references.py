"""Where everything is in the book, as Sphinx names and numbers it: pages, sections, figures, equations, terms."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import nbformat
import yaml
from docutils.nodes import make_id
from markdown_it.token import Token
from nbformat import NotebookNode

from medxai import paths
from medxai.book import chapters, editions, first_cell, myst, toc
from medxai.book.templates import escape
from medxai.errors import DataError


@dataclass(frozen=True)
class Place:
    """Something that one can refer to: a page or section has a title, a figure, equation or exercise a number."""

    document: str
    anchor: str = ""
    title: str = ""
    number: str = ""


@dataclass
class Book:
    """All places of the book by kind and name, and the public address at which its pages are, if it is known.

    Attributes
    ----------
    address
        Ends with a slash.
    pages, sections, figures, equations, exercises, terms
        By name of the document, label, or the term in lower case.
    """

    address: str | None
    pages: dict[str, Place] = field(default_factory=dict)
    sections: dict[str, Place] = field(default_factory=dict)
    figures: dict[str, Place] = field(default_factory=dict)
    equations: dict[str, Place] = field(default_factory=dict)
    exercises: dict[str, Place] = field(default_factory=dict)
    terms: dict[str, Place] = field(default_factory=dict)

    def find(self, kind: str, name: str) -> Place:
        """Return the place of that kind and name.

        Raises
        ------
        DataError
            If there is none.
        """
        places: dict[str, Place] = getattr(self, kind)
        if name not in places:
            raise DataError(f"nothing of the book's {kind} is called {name!r}")
        return places[name]

    def page(self, name: str, seen_from: str) -> Place:
        """Return the page that `name` means on the page `seen_from`: ``/book/data``, ``../data`` or ``01_dataset``."""
        folder = PurePosixPath(seen_from).parent
        return self.find("pages", os.path.normpath(folder / name).lstrip("/"))

    def link(self, text: str, place: Place) -> str:
        """Return Markdown that says `text` and leads to `place`: by a link, or in words where no address is known."""
        if self.address:
            anchor = f"#{place.anchor}" if place.anchor else ""
            return f"[{escape(text)}]({self.address}{place.document}.html{anchor})"
        return escape(text) if place.title in ("", text) else f"{escape(text)} (see *{escape(place.title)}*)"


def public_address() -> str | None:
    """Return where the site is published: ``html: baseurl`` of ``_config.yml``, else the repository's GitHub Pages."""
    config = yaml.safe_load(paths.SITE_CONFIG.read_text(encoding="utf-8"))
    if given := config.get("html", {}).get("baseurl"):
        return given.rstrip("/") + "/"
    repository = urlsplit(first_cell.repository())
    if repository.netloc != "github.com":
        return None
    owner, name = repository.path.strip("/").split("/")
    own_page = name.lower() == f"{owner}.github.io".lower()
    return f"https://{owner.lower()}.github.io/" + ("" if own_page else f"{name}/")


def read() -> Book:
    """Return the whole book; its numbers are those of a build of all chapters."""
    found, counted, numbers = Book(public_address()), Counter(), toc.numbers()
    for document in toc.contents():
        _read(document, f"{numbers[document]}." if document in numbers else "", found, counted)
    return found


def _read(document: str, prefix: str, found: Book, counted: Counter) -> None:
    """Add what a document holds; what has a number is counted by kind and chapter, all unnumbered pages as one."""

    def place(kind: str, anchor: str) -> Place:
        counted[kind, prefix] += 1
        return Place(document, make_id(anchor), number=f"{prefix}{counted[kind, prefix]}")

    for cell in _cells(document):
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "caption" in figure:
            found.figures[figure["name"]] = place("figure", figure["name"])
        labels = []
        for token, title in _with_titles(cell.source if cell.cell_type == "markdown" else ""):
            directive = myst.directive(token)
            if token.type == "myst_target":
                labels.append(token.content)
                continue
            if title:
                found.pages.setdefault(document, Place(document, title=title))
            if token.type == "math_block_label":
                found.equations[token.info] = place("equation", f"equation-{token.info}")
            elif directive and directive.name == "exercise":
                found.exercises[directive.options.get("label")] = place("exercise", "")
            elif directive and directive.name == "glossary":
                found.terms |= _terms(document, directive.body)
            found.sections |= {label: Place(document, make_id(label), title) for label in labels}
            labels = []


def _cells(document: str) -> list[NotebookNode]:
    """Return the cells of a chapter as students get it, or a page as one cell."""
    if document.startswith(toc.CHAPTERS):
        name = document.removeprefix(toc.CHAPTERS)
        return editions.student(chapters.read(name), name).cells
    page = paths.ROOT / f"{document}.md"
    template = Path(__file__).with_name(f"{page.stem}.md.j2")  # of a page that the build writes
    return [nbformat.v4.new_markdown_cell((page if page.exists() else template).read_text(encoding="utf-8"))]


def _with_titles(text: str) -> Iterator[tuple[Token, str]]:
    """Yield the tokens of a text, the one that opens a heading together with what the heading says."""
    found = list(myst.tokens(text))
    for token, following in itertools.zip_longest(found, found[1:]):
        yield token, myst.words(following) if token.type == "heading_open" else ""


def _terms(document: str, body: str) -> dict[str, Place]:
    """Return the terms of a glossary, in which a line that is not indented is a term."""
    terms = [line for line in body.split("\n") if line.strip() and not line[0].isspace()]
    return {term.lower(): Place(document, re.sub(r"[^a-zA-Z0-9._]+", "-", f"term-{term}").strip("-")) for term in terms}
