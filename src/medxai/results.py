"""Results as tidy tables: those that papers print, and our own full-size ones, the *reference*.

*Tidy* is one line per number, with the columns ``row`` (as printed: ``Plaque``), ``metric`` (``f1``, ``f1_std``,
``cohens_kappa`` ...), ``value`` and, where there is an interval, ``low`` and ``high``.

The reference of a study is made in sittings. ``data/reference/<study>/trials.json`` is the plan: the trials that make
it whole, each with all that it depends on. A finished trial is a folder beside it: its tables, and ``provenance.json``.
One whose provenance does not agree with the plan is out of date: it stays until its successor is finished, but is not
read.
"""

import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from medxai import files, paths
from medxai.errors import DataError

TIDY = ["row", "metric", "value", "low", "high"]
Record = dict[str, pd.DataFrame]
"""Tables by name."""


def tidy(table: pd.DataFrame, low: pd.DataFrame | None = None, high: pd.DataFrame | None = None) -> pd.DataFrame:
    """Turn a table into tidy form.

    Parameters
    ----------
    table
        One line per row of print, one column per metric, named as in print or as `metric_name` names it.
    low, high
        Ends of its intervals, with the same lines and columns or fewer; spreads (``_std``) get none.
    """
    long = _melted(table, "value")
    for name, bound in (("low", low), ("high", high)):
        if bound is not None:
            long = long.merge(_melted(bound, name), how="left")
            long.loc[long["metric"].str.endswith("_std"), name] = np.nan
    return long.reindex(columns=TIDY)


def _melted(table: pd.DataFrame, value: str) -> pd.DataFrame:
    long = table.rename(columns=metric_name).rename_axis("row").reset_index()
    return long.melt("row", var_name="metric", value_name=value)


def metric_name(column: str) -> str:
    """Return the metric of a published column: ``f1_score_mean`` is ``f1``, ``Viral warts`` is ``viral_warts``."""
    return column.removesuffix("_mean").replace("f1_score", "f1").lower().replace(" ", "_")


def published(name: str) -> pd.DataFrame:
    """Read a published table of ``data/published``.

    Parameters
    ----------
    name
        File name without ending, such as ``dermx_table_a09_interrater_presence_full``.

    Returns
    -------
    DataFrame
        Tidy, with the extra column ``printed`` (the number as text, digits as in print). A column pair
        ``f1_score_mean``, ``f1_score_std`` becomes the metrics ``f1`` and ``f1_std``. ``attrs["rows"]`` says what the
        rows are: ``characteristic``.

    Raises
    ------
    DataError
        If there is no such table.
    """
    path = paths.published(name)
    if not path.exists():
        raise DataError(f"published table is {name!r}: expected one that data/published/INDEX.csv lists")
    wide = pd.read_csv(path, dtype=str).drop(columns="group", errors="ignore")
    wide = wide.set_index(wide.columns[0])
    table = _melted(wide, "value").dropna(subset="value").rename(columns={"value": "printed"})
    table = table.assign(value=table["printed"].astype(float))
    table.attrs["rows"] = wide.index.name
    return table


def benchmark(name: str) -> dict:
    """Return a timing as the program of this name in ``benchmarks`` wrote it, with the machine it was made on."""
    return json.loads(paths.benchmark(name).read_text(encoding="utf-8"))


def folder_of(study: str) -> Path:
    """Return the folder of a study's reference, whether it is there or not."""
    return paths.REFERENCE / study


def reference(study: str, table: str) -> pd.DataFrame | None:
    """Read a table of a study's reference: that of each trial which has it, one below the other, in the study's order.

    Returns
    -------
    DataFrame or None
        ``attrs["trials"]`` says how many of the study's trials are there, and how many it has. ``None`` if no trial
        that is up to date has the table.
    """
    found = [folder_of(study) / trial / f"{table}.csv" for trial in provenance(study)]
    parts = [pd.read_csv(path) for path in found if path.exists()]
    if not parts:
        return None
    whole = joined(parts)
    whole.attrs["trials"] = progress(study)
    return whole


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of the same columns one below the other; a single one stays as it is."""
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def in_front(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return a table with more columns in front of its own, each of one value."""
    return pd.concat([pd.DataFrame(values, table.index), table], axis=1)


def progress(study: str) -> tuple[int, int]:
    """Return how many trials of a study's reference are there and up to date, and how many make it whole."""
    known = plan(study)
    return (len(finished(study, known)), len(known["trials"])) if known else (0, 0)


def provenance(study: str) -> dict[str, dict]:
    """Return by trial, in the study's order, how the reference was made: command, commit, date, data, versions ..."""
    known = plan(study)
    return finished(study, known) if known else {}


def plan(study: str) -> dict | None:
    """Read what makes a study's reference whole, as `write_trial` takes it; ``None`` before the first trial."""
    path = folder_of(study) / "trials.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def finished(study: str, plan: dict) -> dict[str, dict]:
    """Return the provenance of each trial that is there and up to date with a plan, in the order of the plan."""
    return {trial: made for trial, made in there(study, plan["trials"]).items() if not outdated(made, plan)}


def there(study: str, trials: Iterable[str]) -> dict[str, dict]:
    """Return the provenance of each of some trials that is there, up to date or not."""
    places = {trial: folder_of(study) / trial / "provenance.json" for trial in trials}
    return {trial: json.loads(path.read_text(encoding="utf-8")) for trial, path in places.items() if path.exists()}


def outdated(made: dict, plan: dict) -> list[str]:
    """Return in what a trial's provenance differs from a plan, as sentences; none if the trial is up to date.

    Of the profile only the sizes count that the trial read.
    """
    trial = plan["trials"][made["trial"]]
    digests = {name: data["sha256"] for name, data in made["data"].items()}
    pairs = [("version", made["version"], plan["version"]), ("profile", made["profile"], plan["profile"]["name"])]
    pairs += [("arguments", made["arguments"], trial["arguments"])]
    pairs += [
        (f"digest of {name}", digests.get(name), trial["data"].get(name)) for name in {**digests, **trial["data"]}
    ]
    pairs += [(name, value, plan["profile"].get(name)) for name, value in made["sizes"].items()]
    return [f"{name} is {str(value)[:12]}: expected {str(now)[:12]}" for name, value, now in pairs if value != now]


def write_trial(study: str, trial: str, tables: Record, made: dict, plan: dict, digits: int = 4) -> Path:
    """Write a finished trial into the reference of its study, in place of an older one; return its folder.

    It is written beside its place and then renamed: a process that is killed leaves the whole trial or nothing of it.

    Parameters
    ----------
    study, trial
        Names of the folders.
    tables
        By file name without ending; those without a line are left out.
    made
        Its provenance: ``trial``; ``version``, ``profile`` (its name), ``arguments`` and ``data``, as in the plan but
        each digest with its ``kind`` as ``{"kind": ..., "sha256": ...}``; ``sizes``, those of the profile that it read;
        ``seconds``; and what else a reader wants to know.
    plan
        Of the whole study: its ``version``, the sizes of the ``profile`` by name, and for each of the ``trials`` its
        ``arguments`` and the digests of its ``data`` by name.
    digits
        Significant digits to keep.
    """
    target = folder_of(study) / trial
    part, old = (target.with_name(f".{trial}.{name}.part") for name in ("new", "old"))
    for leftover in (part, old):  # of a process that was killed while it wrote
        shutil.rmtree(leftover, ignore_errors=True)
    for name, table in tables.items():
        if table.empty:  # such as raters where there are none; its columns need not be those of the other trials
            continue
        files.write(part / f"{name}.csv", rounded(table, digits).to_csv(index=False, lineterminator="\n"))
    files.write(part / "provenance.json", files.dump(made))
    write_plan(study, plan)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def write_plan(study: str, plan: dict) -> None:
    """Write what makes a study's reference whole; where all of that is there, remove what is not part of it."""
    folder = folder_of(study)
    files.write_if_changed(folder / "trials.json", files.dump(plan))
    if len(finished(study, plan)) == len(plan["trials"]):
        for other in folder.iterdir():
            if other.is_dir() and other.name not in plan["trials"]:
                shutil.rmtree(other)


def rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Round floating-point columns to some significant digits, but nothing in front of the decimal point."""

    def number(value: float) -> float:
        whole = not math.isfinite(value) or abs(value) >= 10**digits
        return float(np.round(value)) if whole else float(f"{value:.{digits}g}")

    floats = table.select_dtypes("floating")
    return table.assign(**{name: floats[name].map(number) for name in floats})
