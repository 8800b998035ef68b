"""Published, reference and rebuilt numbers side by side.

All three are *tidy*: one line per number with the columns ``row`` (as printed: ``Plaque``), ``metric`` (``f1``,
``f1_std``, ``cohens_kappa`` ...), ``value`` and, where there is an interval, ``low`` and ``high``.
"""

import html
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from medxai import paths
from medxai.errors import DataError

TIDY = ["row", "metric", "value", "low", "high"]


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
        ``f1_score_mean``, ``f1_score_std`` becomes the metrics ``f1`` and ``f1_std``.

    Raises
    ------
    DataError
        If there is no such table.
    """
    path = paths.CARRIED / "published" / f"{name}.csv"
    if not path.exists():
        raise DataError(f"no published table {name!r} in {path.parent.name}/: see INDEX.csv there for the names")
    wide = pd.read_csv(path, dtype=str).drop(columns="group", errors="ignore")
    wide = wide.set_index(wide.columns[0])
    table = _melted(wide, "value").dropna(subset="value").rename(columns={"value": "printed"})
    return table.assign(value=table["printed"].astype(float))


def reference(study: str, name: str, folder: Path | None = None) -> pd.DataFrame | None:
    """Read a table of our own full-size runs, ``data/reference/<study>/<name>.csv``; ``None`` where there is none."""
    path = (folder or paths.CARRIED / "reference") / study / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None


def provenance(study: str) -> dict:
    """Read how the reference results of a study were made: command, commit, date, data, hardware, versions."""
    return json.loads((paths.CARRIED / "reference" / study / "provenance.json").read_text(encoding="utf-8"))


def equal_as_printed(value: float, printed: str) -> bool:
    """Tell whether `value` rounds to the number as `printed` (a tie may round either way)."""
    decimals = len(printed.partition(".")[2])
    return math.isfinite(value) and abs(value - float(printed)) <= 0.5 * 10**-decimals + 1e-9


@dataclass(frozen=True)
class Comparison:
    """Numbers of one table from three sources; shows itself as an HTML table.

    Attributes
    ----------
    cells
        One line per number: row, metric, printed (as text), and for ``reference`` and ``this_build`` the value
        with its ``<source>_low`` and ``<source>_high``.
    metrics
        The metrics to show, in order; each takes its spread from ``<metric>_std`` where there is one.
    caption
        What the table shows.
    """

    cells: pd.DataFrame
    metrics: tuple[str, ...]
    caption: str

    def equal(self, source: str) -> tuple[int, int]:
        """Count the printed cells that `source` ('reference' or 'this_build') equals at the printed digits, and all."""
        printed = self.cells.dropna(subset="printed")
        hits = [equal_as_printed(value, text) for value, text in zip(printed[source], printed["printed"], strict=True)]
        return sum(hits), len(hits)

    def _repr_html_(self) -> str:
        return _html(self)


def compare(
    published: pd.DataFrame | None,
    reference: pd.DataFrame | None,
    this_build: pd.DataFrame,
    *,
    metrics: tuple[str, ...],
    caption: str,
) -> Comparison:
    """Join the sources of one table on row and metric, in the order of print, or of this build if nothing is printed.

    Rows of print that this build does not rebuild (networks in a table that also has dermatologists) are left out.

    Parameters
    ----------
    published
        From :func:`published`; ``None`` for a table of our own, which has no such column.
    reference
        From :func:`reference`; ``None`` where there is none yet: the column is then empty.
    this_build
        Tidy table computed in this build.
    metrics
        Which metrics to show, such as ``("f1", "cohens_kappa")``.
    caption
        Shown above the table; names the published table.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a metric is in neither the published table nor this build.
    """
    base = this_build.assign(printed=None) if published is None else published
    known = set(base["metric"]) | set(this_build["metric"])
    if unknown := set(metrics) - known:
        raise ValueError(f"unknown metric {sorted(unknown)}: the table has {sorted(known)}")
    wanted = {name for metric in metrics for name in (metric, f"{metric}_std")}
    cells = base[base["metric"].isin(wanted) & base["row"].isin(this_build["row"])][["row", "metric", "printed"]]
    for name, source in (("reference", reference), ("this_build", this_build)):
        source = (pd.DataFrame(columns=TIDY) if source is None else source).reindex(columns=TIDY)
        source = source.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
        cells = cells.merge(source, on=["row", "metric"], how="left")
    return Comparison(cells, tuple(metrics), caption)


def reproduced(study: str, tables: dict[str, pd.DataFrame], names: Iterable[str]) -> pd.DataFrame:
    """Count for each published table the printed cells that come back at the printed digits.

    Parameters
    ----------
    study
        Where the reference results are.
    tables
        Tidy tables of this build by name.
    names
        The published tables to count; only the rows and metrics that this study rebuilds count.

    Returns
    -------
    DataFrame
        Index: tables and All; columns printed cells, equal in reference, equal in this build.
    """
    rows = {}
    for name in names:
        metrics = tuple(tables[name]["metric"].unique())
        both = compare(published(name), reference(study, name), tables[name], metrics=metrics, caption="")
        (in_reference, cells), (here, _) = both.equal("reference"), both.equal("this_build")
        rows[name] = [cells, in_reference, here]
    counts = pd.DataFrame(rows, index=["printed cells", "equal in reference", "equal in this build"]).T
    return pd.concat([counts, counts.sum().to_frame("All").T])


def text_table(lines: pd.DataFrame, caption: str, kind: str = "words") -> HTML:
    """Return a table of texts with its caption; the index is the header of each row.

    Parameters
    ----------
    kind
        Class of the style: ``words``, or ``matrix`` for short cells below headings on their side.
    """
    header = lines.rename_axis(index=None, columns=lines.index.name)  # one row of headers, the corner names the index
    start, rest = header.to_html(border=0, justify="left", classes=kind).split(">", 1)
    scroll = 'style="overflow-x: auto" tabindex="0" role="region"'
    label = html.escape(caption, quote=True)
    return HTML(f'<div {scroll} aria-label="{label}">{start}><caption>{label}</caption>{rest}</div>')


NAMES = {"f1": "F1", "iou": "IoU", "dice": "Dice", "cohens": "Cohen's", "auc": "AUC"}
"""How parts of a metric's name are written; the others as they are."""


def _cell(line: pd.Series | None, spread: pd.Series | None, source: str) -> str:
    """Return ``0.67 ± 0.07`` with its interval below; an undefined or absent number is a dash."""
    if line is None or pd.isna(line[source]):
        return "–"
    text = f"{line[source]:.2f}"
    if spread is not None and pd.notna(spread[source]):
        text += f" ± {spread[source]:.2f}"
    if pd.notna(line[f"{source}_low"]):
        text += f"<br><small>[{line[f'{source}_low']:.2f}, {line[f'{source}_high']:.2f}]</small>"
    return text


def _printed(line: pd.Series | None, spread: pd.Series | None) -> str:
    """Return a number as printed, with its spread."""
    if line is None or pd.isna(line["printed"]):
        return "–"
    return line["printed"] if spread is None else f"{line['printed']} ± {spread['printed']}"


def _html(comparison: Comparison) -> str:
    """Write the comparison as an accessible table: caption, column groups, row headers."""
    cells = comparison.cells.set_index(["metric", "row"])
    sources = ["reference", "this_build"]
    if cells["printed"].notna().any():
        sources.insert(0, "printed")

    def line(metric: str, row: str) -> list[str]:
        pair = [cells.loc[key] if (key := (name, row)) in cells.index else None for name in (metric, f"{metric}_std")]
        return [_printed(*pair) if source == "printed" else _cell(*pair, source) for source in sources]

    titles = [" ".join(NAMES.get(part, part) for part in metric.split("_")) for metric in comparison.metrics]
    groups = [f'<th scope="colgroup" colspan="{len(sources)}">{html.escape(title)}</th>' for title in titles]
    labels = {"printed": "published", "reference": "reference", "this_build": "this build"}
    heads = [f'<th scope="col">{labels[source]}</th>' for source in sources] * len(titles)
    body = [
        f'<tr><th scope="row">{html.escape(row)}</th>'
        + "".join(
            f'<td class="first">{first}</td>' + "".join(f"<td>{cell}</td>" for cell in others)
            for first, *others in (line(metric, row) for metric in comparison.metrics)
        )
        + "</tr>"
        for row in dict.fromkeys(comparison.cells["row"])
    ]
    return (
        f'<div class="table-scroll"><table class="compare"><caption>{html.escape(comparison.caption)}</caption>'
        f'<thead><tr><td></td>{"".join(groups)}</tr><tr><th scope="col">term</th>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
