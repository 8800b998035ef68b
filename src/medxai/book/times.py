"""How long the steps of a build take: last time, and by the budget."""

import csv
import json
from pathlib import Path

from medxai import paths
from medxai.files import dump, write

TOLERATED = 1.5
"""A chapter, with its trials, may take this many times its budget before continuous integration warns."""

SITE = 45.0
"""Seconds of the last step, staging and Sphinx, where it never ran."""


def budget(path: Path = paths.BUDGET) -> dict[str, float]:
    """Return the seconds that each chapter and its trials may take at profile ``quick`` on two CPU cores."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["chapter"]: float(row["seconds"]) for row in csv.DictReader(file)}


def ratio(record: dict, budgets: dict[str, float]) -> float | None:
    """Return seconds taken / seconds budgeted; budgets are for the profile ``quick`` alone."""
    allowed = budgets.get(record["chapter"])
    taken = record["seconds"] + sum(record["trials"].values())
    return taken / allowed if allowed and record["profile"] == "quick" else None


def overruns(records: list[dict], budgets: dict[str, float]) -> list[str]:
    """Return one sentence for each chapter that took more than 1.5 times its budget."""
    return [
        f"chapter {record['chapter']}, with its trials, took {share:.1f} times its budget"
        for record in records
        if (share := ratio(record, budgets)) is not None and share > TOLERATED
    ]


def keep(profile: str, job: str, seconds: float | dict[str, float]) -> None:
    """Remember how long a step took, or its parts by name."""
    write(_memory(profile, job), dump(seconds))


def kept(profile: str, job: str) -> float | dict[str, float] | None:
    """Return what `keep` was told last."""
    path = _memory(profile, job)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def expected(profile: str, job: str) -> float | None:
    """Return how long a step should take: as the last time, else by the budget, half of it for a chapter's trials."""
    last = kept(profile, job)
    if last is not None:
        return sum(last.values()) if isinstance(last, dict) else last
    if profile != "quick":
        return None
    name = job.rpartition(" ")[2]
    budgets = [seconds / 2 for chapter, seconds in budget().items() if chapter == name or chapter[3:] == name]
    return budgets[0] if budgets else SITE


def _memory(profile: str, job: str) -> Path:
    return paths.SECONDS / profile / f"{job.replace(' ', '_')}.json"
