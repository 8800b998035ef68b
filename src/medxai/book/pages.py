"""Pages and announcements that the build writes itself: execution status, what we found, which data this is."""

import base64
import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from medxai import paths

FINDING = "application/vnd.medxai.finding+json"
"""Key under which `medxai.report.finding` puts its note in the metadata of the figure that it displays."""

BUDGET = paths.ROOT / "budget.csv"
TOLERATED = 1.5
"""A chapter may take this many times its budget before continuous integration warns."""


@dataclass(frozen=True)
class Finding:
    """One computed sentence of a chapter, the figure that shows it, and the place to read on."""

    chapter: str
    label: str
    sentence: str
    alt: str
    anchor: str
    png: bytes


def budget(path: Path = BUDGET) -> dict[str, float]:
    """Return the seconds that each chapter may take at profile ``quick`` on two CPU cores."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["chapter"]: float(row["seconds"]) for row in csv.DictReader(file)}


def ratio(record: dict, budgets: dict[str, float]) -> float | None:
    """Return seconds taken / seconds budgeted; budgets are for the profile ``quick`` alone."""
    allowed = budgets.get(record["chapter"])
    return record["seconds"] / allowed if allowed and record["profile"] == "quick" else None


def overruns(records: list[dict], budgets: dict[str, float]) -> list[str]:
    """Return one sentence for each chapter that took more than 1.5 times its budget."""
    return [
        f"chapter {record['chapter']} took {record['seconds']:.0f} s, {share:.1f} times its budget"
        for record in records
        if (share := ratio(record, budgets)) is not None and share > TOLERATED
    ]


def execution(records: list[dict], budgets: dict[str, float]) -> str:
    """Return the page that says how, when and with what each chapter was executed, as MyST.

    Parameters
    ----------
    records
        Execution records, as `medxai.book.execute` writes them, in reading order.
    budgets
        Seconds by chapter.
    """
    lines = [
        "# How this site was made",
        "",
        "Every chapter is a notebook that was executed from top to bottom when this site was built. Times are those of",
        "the notebook alone; tables that a chapter had computed before are read back, not computed again. Memory is",
        "the largest that the notebook's process held. Budgets are for the profile `quick` on two cores; maintainers",
        f"are warned when a chapter takes more than {TOLERATED} times its budget.",
        "",
        "```{list-table} Execution of the chapters",
        ":header-rows: 1",
        ":name: table-execution",
        "",
        *_row("Chapter", "Profile", "Data", "Time", "Budget", "Memory", "Finished (UTC)", "Commit"),
    ]
    for record in records:
        share, allowed = ratio(record, budgets), budgets.get(record["chapter"])
        used = f"{allowed:.0f} s, {share:.0%} used" if share is not None else "for `quick` only"
        lines += _row(
            f"{{doc}}`chapters/{record['chapter']}`",
            f"`{record['profile']}`",
            kinds(record["data"]),
            f"{record['seconds']:.1f} s",
            used,
            f"{record['peak_memory_mb']} MB",
            record["finished"].removesuffix("+00:00").replace("T", " "),
            f"`{record['commit']}`",
        )
    lines += ["```", "", "A commit followed by `+` had changes that were not committed.", "", "## Slowest cells", ""]
    for record in records:
        slow = "; ".join(f"{_verbatim(cell['cell'])} {cell['seconds']:.1f} s" for cell in record["slowest"])
        lines.append(f"- `{record['chapter']}`: {slow or 'none took measurable time'}.")
    lines += ["", "## Versions", ""]
    for record in records:
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        lines.append(f"- `{record['chapter']}`: {versions}.")
    return "\n".join(lines) + "\n"


def kinds(data: dict[str, str]) -> str:
    """Return the kinds of data in words: ``simulated dermxdb``."""
    return ", ".join(f"{kind} {name}" for name, kind in data.items())


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
    if not found:
        return "The chapters of this build report no finding.\n"
    cards = []
    for finding in found:
        cards.append(
            f"````{{grid-item}}\n:columns: 12 12 5 5\n\n"
            f"{_plain(finding.sentence)} {{ref}}`Read on <{finding.anchor}>`.\n"
            f"````\n\n"
            f"````{{grid-item}}\n:columns: 12 12 7 7\n\n"
            f"```{{figure}} /book/_generated/{finding.label}.png\n"
            f":alt: {_one_line(finding.alt)}\n"
            f":width: 100%\n"
            f":target: chapters/{finding.chapter}.html#{finding.anchor}\n"
            f"```\n"
            f"````\n"
        )
    return "`````{grid}\n:gutter: 3\n\n" + "\n".join(cards) + "`````\n"


def _row(*cells: str) -> list[str]:
    return [f"{'* -' if index == 0 else '  -'} {cell}" for index, cell in enumerate(cells)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Return `text` so that MyST shows it as it is."""
    return re.sub(r"([\\`*_{}$<>\[\]])", r"\\\1", _one_line(text))


def _verbatim(text: str) -> str:
    """Return `text` as inline code, whatever back quotes it holds."""
    return f"``` {_one_line(text)} ```" if "`" in text else f"`{text}`"


def records(folder: Path, chapters: list[str]) -> list[dict]:
    """Return the execution records of `chapters`."""
    return [json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in chapters]
