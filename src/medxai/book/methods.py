"""The two tables of the page *A map of methods*, as MyST, each under a form that filters it.

What the review printed comes from ``data/published``, what it did not from ``data/methods.csv`` (which method of this
book a row is, and the methods that the review's table lacks) and ``data/review_references.csv`` (who is behind the
review's reference numbers, and of an application that this book does not run, why not, as MyST).
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from medxai import paths
from medxai.book.templates import render
from medxai.errors import DataError

METHODS, REFERENCES = paths.METHODS, paths.REVIEW_REFERENCES
TABLE_1 = paths.PUBLISHED / "review_table_1_attribution_methods.csv"
TABLE_2 = paths.PUBLISHED / "review_table_2_applications.csv"
SOURCES = (METHODS, REFERENCES, TABLE_1, TABLE_2)
"""Files that the page depends on."""

REVIEWED, ADDED = "review", "added here"


def labels(texts: Iterable[str]) -> set[str]:
    """Return the labels ``(method-NAME)=`` and ``(measure-NAME)=`` that MyST `texts` define, to which tables link."""
    return {label for text in texts for label in re.findall(r"^\(((?:method|measure)-\w+)\)=", text, re.MULTILINE)}


def citations() -> set[str]:
    """Return the keys of the bibliography that the two tables cite."""
    return {row["citation"] for file in (METHODS, REFERENCES) for row in _read(file)} - {""}


def methods() -> list[dict[str, str]]:
    """Return the methods, those of the review's table in its order, each joined with its printed row.

    Returns
    -------
    list of dict
        Columns of ``data/methods.csv``, gaps filled from the review, the review's ``reference`` number if it has one,
        and ``origin``: `REVIEWED` or `ADDED`.

    Raises
    ------
    DataError
        If a row of the review's table has no method, or a method that the table lacks is not described.
    """
    printed = {row["method"]: row for row in _read(TABLE_1)}
    keys = {row["number"]: row["citation"] for row in _read(REFERENCES)}
    found = []
    for method in _read(METHODS):
        row = printed.pop(method["title"], {"reference": ""})
        joined = method | {name: text for name, text in row.items() if text}
        joined["citation"] = method["citation"] or keys.get(row["reference"], "")
        if missing := [name for name in ("description", "notes", "citation") if not joined[name]]:
            raise DataError(f"{METHODS}: {method['name']} has no {' and no '.join(missing)}")
        found.append({"reference": "", **joined, "origin": REVIEWED if "method" in joined else ADDED})
    if printed:
        raise DataError(f"{METHODS}: no method has the title of a row of {TABLE_1.name}: {', '.join(printed)}")
    return found


def attribution(known: set[str]) -> str:
    """Return the table of methods as MyST, linked to those of their sections whose labels are `known`."""
    return render("methods", methods=methods(), known=known)


def applications(known: set[str]) -> str:
    """Return the table of medical applications as MyST, linked to those sections of methods whose labels are `known`.

    Raises
    ------
    DataError
        If a study's reference number is not in ``data/review_references.csv``, or is there without a method of this
        book and without a reason.
    """
    references = {row["number"]: row for row in _read(REFERENCES)}
    by_name = {method["name"]: method for method in methods()}
    studies = []
    for study in _read(TABLE_2):
        if study["reference"] not in references:
            raise DataError(f"{REFERENCES}: no line for reference {study['reference']} of {TABLE_2.name}")
        reference = references[study["reference"]]
        if not (reference["methods"] or reference["why_not"]):
            raise DataError(f"{REFERENCES}: reference {study['reference']} needs methods of this book, or why_not")
        used = [by_name[name] for name in reference["methods"].split()]
        studies.append(study | reference | {"methods": used, "why_not": _linked(reference["why_not"], known)})
    return render("applications", studies=studies, known=known)


def _linked(text: str, known: set[str]) -> str:
    """Return MyST whose references lead to `known` labels; others are their words."""
    return re.sub(r"{ref}`([^<`]+) <([\w-]+)>`", lambda found: found[found[2] not in known], text)


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
