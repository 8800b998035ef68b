"""Tables and sheets of the chapter on image quality, beside what `plots` draws."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medxai import results
from medxai.data.photo_quality import REASONS, QualityPhotos
from medxai.experiment.quality_retakes import ADVICE
from medxai.experiment.quality_scores import EXPLANATIONS, LABELS, Answers, fine, is_local, over_runs
from medxai.report import plots

MAPS = {"network": "map of the reason", "middle": "▸ middle", "rim": "▸ rim", "noise": "▸ noise"}
"""``▸`` marks controls, which know nothing of the photograph."""


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return which share of all photographs each row of a table on raters has: row, value; without its mean."""
    counts = table[table["metric"].isin(["train_image_count", "test_image_count"]) & (table["row"] != "Mean")]
    return counts.groupby("row", sort=False)["value"].sum().reset_index()


def against_print(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return shares of classes and reasons, printed and simulated: row, value, by."""
    parts, photos = [], {}
    for source in ("as printed", "simulated raters"):
        for name in (LABELS, EXPLANATIONS):
            found = shares(results.published(name) if source == "as printed" else tables[name])
            photos.setdefault(source, found["value"].sum())  # classes come first, and exclude each other
            parts.append(found.assign(value=found["value"] / photos[source], by=source))
    return pd.concat(parts, ignore_index=True)


def of_network(table: pd.DataFrame | None, network: str) -> pd.DataFrame | None:
    """Return a table of one network, averaged over its runs; ``None`` if there is nothing of it."""
    own = None if table is None else table[table["network"] == network]
    if own is None or own.empty:
        return None
    found = over_runs(own)
    found.attrs = table.attrs
    return found


def averaged(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average value, low and high over runs: an interval over photographs, of a typical run."""
    return table.groupby(by, sort=False)[["value", "low", "high"]].mean().reset_index()


def maps_of_reasons(photos: QualityPhotos, answers: Answers, note: str) -> Figure:
    """Draw for each reason whose faults are somewhere: a photograph, where the fault is, and where it is seen."""
    pictures, titles, rows = [], [], []
    for column, reason in enumerate(REASONS):
        known = is_local(photos, column)
        if not known.any():
            continue
        row = int(np.argmax(np.where(known, photos.faults[:, column], -1)))
        seen = fine(answers.maps[row : row + 1, column])[0]
        truth = photos.maps[row, column].astype(float)
        pictures += [photos.pictures[row], truth / truth.max(), seen / max(seen.max(), 1e-9)]
        rows.append(reason.replace(" ", "\n", 1))
        titles += ["", "", f"{answers.reasons[row, column]:.0%}"]
    for place, title in enumerate(("photograph", "where the fault is", "where it is seen")):
        titles[place] = f"{title} {titles[place]}".strip()
    return plots.picture_sheet(pictures, titles, columns=3, rows=rows, kind="simulated", note=note)


def retakes(table: pd.DataFrame, note: str) -> Figure:
    """Draw the share of poor photographs after each retake, a curve for each kind of advice."""
    poor = averaged(table[table["metric"] == "poor"], ["advice", "retakes"])
    poor = poor.sort_values("advice", key=lambda names: names.map(ADVICE.index), kind="stable")
    poor = poor.drop(columns=["low", "high"])  # four bands one over the other hide each other; the table has them
    labels = {"x": "retakes", "xlabel": "retakes", "ylabel": "share of poor photographs"}
    return plots.curves(poor, **labels, series="advice", markers=True, ylimits=(0, None), kind="simulated", note=note)
