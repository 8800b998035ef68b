"""Pages and announcements that the build writes itself: execution status, what we found, which data this is."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import nbformat

from medxai.book import times
from medxai.book.target import Target
from medxai.book.templates import render

FINDING = "application/vnd.medxai.finding+json"
"""Key under which `medxai.report.finding` puts its note in the metadata of the figure that it displays."""
COVER = "finding-cover"
"""Label of the finding whose picture opens the front page."""
LEADING = ("finding-ceiling", "finding-controls", "finding-no-notice")
"""Labels of those that the front page shows first; the others are folded behind them."""


@dataclass(frozen=True)
class Finding:
    """One computed sentence of a chapter, the figure that shows it, and the place to read on."""

    chapter: str
    label: str
    sentence: str
    alt: str
    anchor: str
    png: bytes


def records(target: Target, chapters: list[str]) -> list[dict]:
    """Return the execution records of `chapters`, each with its studies and the seconds of their trials by name."""
    found = [json.loads((target.chapters / f"{name}.json").read_text(encoding="utf-8")) for name in chapters]
    studies = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(target.trials.glob("*.json"))}
    for record in found:
        own = {name: study for name, study in studies.items() if study["chapter"] == record["chapter"]}
        record["studies"] = list(own)
        record["trials"] = {name: seconds for study in own.values() for name, seconds in study["trials"].items()}
        record["importing"] += sum(study["importing"] for study in own.values())
    return found


def execution(records: list[dict], budgets: dict[str, float]) -> str:
    """Return the page that says how, when and with what each chapter was executed, as MyST.

    Parameters
    ----------
    records
        As `records` returns them, in reading order.
    budgets
        Seconds by chapter.
    """
    shared = max((record["imported_before"] for record in records), default=0.0)
    known = {"records": records, "budgets": budgets, "ratio": times.ratio, "tolerated": times.TOLERATED}
    return render("execution", shared=shared, **known)


def announcement(profile: str, data: dict[str, str]) -> str:
    """Return the sentence that stands above every page and says which data this build shows."""
    names = {"real": "the real DermXDB annotations", "simulated": "simulated annotations, drawn by a program"}
    return f"This build shows {names[data['dermxdb']]} (profile {profile})."


def findings(executed: Path) -> list[Finding]:
    """Return the findings that the chapter at `executed` displays, in its order."""
    found = []
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            note = output.get("metadata", {}).get(FINDING)
            if note:
                png = base64.b64decode(output["data"]["image/png"])
                found.append(Finding(chapter=executed.stem, png=png, **note))
    return found


def text(executed: Path) -> str:
    """Return the Markdown of the chapter at `executed`, its cells separated by empty lines."""
    cells = nbformat.read(executed, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def front(found: list[Finding]) -> str:
    """Return the part of the front page that shows the findings, as MyST; figures are at ``/book/_generated``."""
    by_label = {finding.label: finding for finding in found}
    cover = by_label.pop(COVER, None)
    leading = [by_label.pop(label) for label in LEADING if label in by_label]
    return render("front", cover=cover, leading=leading, others=list(by_label.values()))
