"""The works that the book cites: who, when, and where one finds them."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medxai import paths
from medxai.errors import DataError

if TYPE_CHECKING:
    from pybtex.database import Entry

FILE = paths.PAGES / "references.bib"
ARXIV = re.compile(r"arXiv:(?P<number>\S+)")


@dataclass(frozen=True)
class Work:
    """Authors and year as a citation gives them (``Jalaboi et al.``, ``2023a``), and an address, if there is one."""

    authors: str
    year: str
    address: str | None


@functools.cache
def works(file: Path = FILE) -> dict[str, Work]:
    """Return the works by their keys.

    Raises
    ------
    DataError
        If a work has no author or no year.
    """
    from pybtex.database import parse_file  # takes a quarter of a second

    found = {}
    for key, entry in parse_file(file).entries.items():
        people = entry.persons.get("author") or entry.persons.get("editor")
        if not people or "year" not in entry.fields:
            raise DataError(f"{file.name}: {key} has no {'year' if people else 'author'}, which a citation shows")
        names = [" ".join(map(str, (*one.rich_prelast_names, *one.rich_last_names))) for one in people]
        authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        found[key] = Work(authors, entry.fields["year"], _address(entry))
    return found


def _address(entry: "Entry") -> str | None:
    """Return the work's lasting address: its DOI, else arXiv, else what the entry gives."""
    fields = entry.fields
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    published = fields.get("howpublished", "")
    if number := ARXIV.search(published):
        return f"https://arxiv.org/abs/{number['number']}"
    return fields.get("url") or (published if published.startswith("https://") else None)
