"""The table of contents: which documents the book has, in which order, and which of them are numbered."""

from collections.abc import Iterable
from pathlib import Path

from sphinx_external_toc.api import SiteMap
from sphinx_external_toc.parsing import parse_toc_yaml

from medxai import paths

CHAPTERS = "book/chapters/"
"""Where the documents of the chapters are staged."""


def contents(left_out: Iterable[str] = (), file: Path = paths.TABLE_OF_CONTENTS) -> SiteMap:
    """Return the table of contents without the documents `left_out` and the parts that become empty.

    It is a mapping from document names, in reading order.
    """
    found = parse_toc_yaml(file)
    for name in left_out:
        del found[name]
    for document in found.values():
        for part in document.subtrees:
            part.items = [item for item in part.items if item in found]
        document.subtrees = [part for part in document.subtrees if part.items]
    return found


def numbers() -> dict[str, int]:
    """Return the documents that have a number, such as the chapters, with it: parts that follow go on counting."""
    parts = [part for document in contents().values() for part in document.subtrees if part.numbered]
    return {str(item): number for number, item in enumerate((item for part in parts for item in part.items), start=1)}
