"""The notebooks that readers download from the built site are plain Markdown and say what the pages say."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from medxai.book import chapters, cross_references, toc


def page(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def squeezed(text: str) -> str:
    """Return `text` without white space and marks of emphasis, with simple quotation marks and round brackets."""
    return re.sub(r"[\s*`>#]", "", text).translate(str.maketrans("[]’‘“”", "()''\"\"")).replace("…", "...")


@pytest.mark.parametrize("name", chapters.names())
def test_paragraphs_say_what_the_page_says(built_site: Path, name: str) -> None:
    """Sphinx and its extensions wrote the page: numbers, citations and references come out alike, formulas apart."""
    notebook = nbformat.read(built_site / "_sources" / f"{toc.CHAPTERS}{name}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.search(r"\{[a-z:]+\}`|^`{3,}\{|^\([\w-]+\)=|\[not computed\]", text, re.MULTILINE)
    said = squeezed(re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)\[([^\[\]]*)\]\([^()\s]*\)", r"\1", text)))
    shown = page(built_site, f"{toc.CHAPTERS}{name}").select(
        "p:has(.pasted-text), p:has(.bibtex-citation), p:has(.std)"
    )
    # Formulas are written otherwise there, and several works in one bracket in another order.
    compared = [one for one in shown if not one.select(".math, .bibtex-citation a + a")]
    assert compared
    for number in (tag for one in compared for tag in one.select(".caption-number")):
        number.decompose()
    assert [one.get_text() for one in compared if squeezed(one.get_text()) not in said] == []


def test_places_are_those_of_sphinx(built_site: Path) -> None:
    """Every figure, equation, section and term that a notebook may lead to is on its page, with its number."""
    book = cross_references.read()
    pages = {name: page(built_site, name) for name in book.pages}
    for places in (book.figures, book.equations, book.sections, book.terms):
        assert places
        for place in places.values():
            assert pages[place.document].find(id=place.anchor), f"{place.document}#{place.anchor}"
    for place in book.figures.values():
        caption = pages[place.document].find(id=place.anchor).select_one(".caption-number")
        assert caption.get_text().strip() == f"Fig. {place.number}"
    for place in book.equations.values():
        number = pages[place.document].find(id=place.anchor).select_one(".eqno")
        assert number.get_text().startswith(f"({place.number})")
    for name, place in book.pages.items():
        assert squeezed(pages[name].find("h1").get_text()).endswith(squeezed(place.title)), name
    shown = [tag.get_text().strip() for name in pages for tag in pages[name].select(".exercise .caption-number")]
    assert shown == [f"Exercise {place.number}" for place in book.exercises.values()]
