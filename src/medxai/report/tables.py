"""Published, reference and rebuilt numbers side by side, and the line about a reference."""

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from IPython.display import HTML

from medxai import results
from medxai.results import TIDY, published, reference


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
    trials
        How many trials of the reference there are, and how many make it whole; ``None`` where that is not known.
    """

    cells: pd.DataFrame
    metrics: tuple[str, ...]
    caption: str
    trials: tuple[int, int] | None = None

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
        From `medxai.results.published`; ``None`` for a table of our own, which has no such column.
    reference
        From `medxai.results.reference`; the head of its column says how many trials there are, unless all are.
        ``None`` where there is none yet: the column is then empty.
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
        raise ValueError(f"metrics are {sorted(unknown)}: expected some of {sorted(known)}")
    wanted = {name for metric in metrics for name in (metric, f"{metric}_std")}
    cells = base[base["metric"].isin(wanted) & base["row"].isin(this_build["row"])][["row", "metric", "printed"]]
    for name, source in (("reference", reference), ("this_build", this_build)):
        source = (pd.DataFrame(columns=TIDY) if source is None else source).reindex(columns=TIDY)
        source = source.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
        cells = cells.merge(source, on=["row", "metric"], how="left")
    return Comparison(cells, tuple(metrics), caption, None if reference is None else reference.attrs.get("trials"))


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


def reference_note(study: str) -> HTML:
    """Return the line that says how much of a study's reference there is, and how it was made."""
    done, whole = results.progress(study)
    if not done:
        return HTML('<p class="data-kind reference"><b>Reference run</b> not made yet.</p>')
    made = pd.DataFrame(results.provenance(study).values())
    dates, commits, hardware = (", ".join(sorted(made[name].unique())) for name in ("date", "commit", "hardware"))
    part = "" if done == whole else " The others are still to be run: where there are several parts, some are missing."
    text = f"{done} of {whole} trials, profile {made['profile'][0]}; {dates}, commit {commits}; {hardware}.{part}"
    return HTML(f'<p class="data-kind reference"><b>Reference run</b> {html.escape(text)}</p>')


def _reference_head(trials: tuple[int, int] | None) -> str:
    done, whole = trials or (0, 0)
    return "reference" if done == whole else f"reference, {done} of {whole} trials"


NAMES = {
    **{"f1": "F1", "iou": "IoU", "dice": "Dice", "cohens": "Cohen's", "auc": "AUC"},
    **{"dx": "Dx", "dxrn": "DxRN", "dxw": "DxW", "dermx": "DermX", "plus": "+"},
}
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
    labels = {"printed": "published", "reference": _reference_head(comparison.trials), "this_build": "this build"}
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
