"""Reference results: small tables of our own full-size runs, committed with how they were made."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pandas as pd

from medxai import paths, provenance
from medxai.profiles import Profile

PACKAGES = ("numpy", "pandas", "opencv-python-headless", "scipy", "scikit-learn", "torch", "torchvision")


class Data(Protocol):
    """What a study needs of its data: ``real``, ``simulated`` or ``absent``, and a digest of all that they hold."""

    kind: str
    digest: str


def write(
    study: str,
    tables: dict[str, pd.DataFrame],
    profile: Profile,
    *,
    command: str,
    seed: int,
    data: dict[str, Data],
    folder: Path | None = None,
) -> Path:
    """Write tidy tables as CSV with ``provenance.json`` beside them.

    Numbers are rounded to 6 decimals, so that a change in the last bits of a library does not change the files.

    Parameters
    ----------
    study
        Name of the study: the folder's name.
    tables
        Tidy tables by file name without ending.
    profile, command, seed, data
        How they were made.
    folder
        Where to put the study's folder; ``data/reference`` of the checkout by default.
    """
    target = (folder or paths.CARRIED / "reference") / study
    target.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        _replace(target / f"{name}.csv", table.round(6).to_csv(index=False, lineterminator="\n"))
    record = {
        "command": command,
        "commit": provenance.commit(but="data/reference"),
        "date": datetime.now(UTC).date().isoformat(),
        "profile": profile.name,
        "seed": seed,
        "data": {name: {"kind": d.kind, "sha256": d.digest} for name, d in data.items()},
        "hardware": f"{provenance.processor()}, {os.cpu_count()} cores",
        "versions": provenance.versions(PACKAGES),
    }
    _replace(target / "provenance.json", json.dumps(record, indent=2) + "\n")
    return target


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
