"""The tables of the page *A course of eight weeks*: what each chapter asks of readers and of their machines."""

from collections.abc import Iterable
from dataclasses import asdict

import nbformat

from medxai import profiles, results
from medxai.book import exercises, pages
from medxai.book.target import Target
from medxai.book.templates import render

MINUTE, HOUR = 60, 3600


def tables(target: Target, records: Iterable[dict], budgets: dict[str, float]) -> str:
    """Return both tables as MyST: length, exercises, time and memory of each chapter; the sizes of each profile.

    Parameters
    ----------
    target
        The build whose chapters are shown.
    records
        Their execution records, as `medxai.book.pages.records` returns them.
    budgets
        Seconds by chapter.
    """
    rows = [chapter(target, record, budgets) for record in records]
    kinds = [asdict(profile) for profile in profiles.PROFILES.values()]
    sizes = [(name, [kind[name] for kind in kinds]) for name in kinds[0] if name != "name"]
    names = [kind["name"] for kind in kinds]
    return render("course", rows=rows, profile=target.profile, profiles=names, sizes=sizes)


def chapter(target: Target, record: dict, budgets: dict[str, float]) -> dict:
    """Return one row: words to the nearest hundred, exercises, times as texts, gigabytes, trials of the reference."""
    name = record["chapter"]
    executed = target.chapters / f"{name}.ipynb"
    there, whole = (sum(numbers) for numbers in zip((0, 0), *map(results.progress, record["studies"]), strict=True))
    made = [trial for study in record["studies"] for trial in results.provenance(study).values()]
    seconds = sum(trial["seconds"] for trial in made)
    return {
        "name": name,
        "words": round(len(pages.text(executed).split()), -2),
        "exercises": len(exercises.cells(nbformat.read(executed, as_version=4))),
        "budget": told(budgets[name]) if name in budgets else "no budget",
        "here": told(record["seconds"] + sum(record["trials"].values())),
        "memory": record["peak_memory_mb"] / 1000,
        "reference": told(seconds) if there else "none",
        "there": there,
        "whole": whole,
    }


def told(seconds: float) -> str:
    """Return a time in the unit in which one would say it."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.0f} h"
