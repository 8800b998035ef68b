"""Published, reference and rebuilt numbers side by side, and the line about a reference."""

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral

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
    rows
        What its rows are: ``characteristic``.
    trials
        How many trials of the reference there are, and how many make it whole; ``None`` where that is not known.
    """

    cells: pd.DataFrame
    metrics: tuple[str, ...]
    caption: str
    rows: str
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
    rows: str = "",
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
    rows
        What its rows are, for the head of their column; what print calls them if empty.

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
    trials = None if reference is None else reference.attrs.get("trials")
    return Comparison(cells, tuple(metrics), caption, rows or base.attrs.get("rows", ""), trials)


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


NUMBERS = ["printed", *(f"{source}{end}" for source in ("reference", "this_build") for end in ("", "_low", "_high"))]
"""Columns of a comparison's cells that hold numbers."""

WIDEST, FEW = 5, 3
"""Columns of numbers that fit beside one another on a page, and columns that fit with their intervals on the same line.
Of more than the first, the sources stand below one another."""


def with_interval(lines: pd.DataFrame) -> list[str]:
    """Write each value with its interval, such as 0.71 [0.62, 0.80]; columns value, low, high; NaN is a dash."""
    numbers = lines[["value", "low", "high"]].to_numpy(dtype=float)
    return ["–" if value != value else f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in numbers]


def are_counts(numbers: Iterable[float]) -> bool:
    """Tell whether numbers count something: all are whole, and if they are not integers, they are not all 0 and 1."""
    known = [number for number in numbers if not pd.isna(number)]
    integers = all(isinstance(number, Integral) for number in known)
    return bool(known) and all(number % 1 == 0 for number in known) and (integers or max(known) > 1)


def written(number: float, form: str, counts: bool) -> str:
    """Return a number in a form such as ``.2f`` or ``+.2f``, a count without decimals; zero is never negative."""
    sign = "+" if form.startswith("+") else ""  # stands before the z
    return f"{number:.0f}" if counts else f"{float(number):{sign}z{form.removeprefix(sign)}}"


def _cell(line: pd.Series | None, spread: pd.Series | None, source: str, counts: bool) -> str:
    """Return ``0.67 ± 0.07`` with its interval below; an undefined or absent number is a dash."""
    if line is None or pd.isna(line[source]):
        return "–"
    text = written(line[source], ".2f", counts)
    if spread is not None and pd.notna(spread[source]):
        text += f" ± {written(spread[source], '.2f', counts)}"
    if pd.notna(line[f"{source}_low"]):
        low, high = (written(line[f"{source}_{end}"], ".2f", counts) for end in ("low", "high"))
        text += f"<br><small>[{low}, {high}]</small>"
    return text


def _printed(line: pd.Series | None, spread: pd.Series | None) -> str:
    """Return a number as printed, with its spread."""
    if line is None or pd.isna(line["printed"]):
        return "–"
    return line["printed"] if spread is None else f"{line['printed']} ± {spread['printed']}"


def _texts(comparison: Comparison, source: str) -> dict[tuple[str, str], str]:
    """Return what stands in each cell of a source, by metric and row."""
    cells = comparison.cells.set_index(["metric", "row"])
    texts = {}
    for metric in comparison.metrics:
        numbers = comparison.cells.loc[comparison.cells["metric"] == metric, NUMBERS].astype(float)
        counts = are_counts(numbers.to_numpy().ravel())
        for row in dict.fromkeys(comparison.cells["row"]):
            pair = [
                cells.loc[key] if (key := (name, row)) in cells.index else None for name in (metric, f"{metric}_std")
            ]
            texts[metric, row] = _printed(*pair) if source == "printed" else _cell(*pair, source, counts)
    return texts


def _html(comparison: Comparison) -> str:
    """Write the comparison as an accessible table: sources side by side or, of many metrics, below one another."""
    labels = {"printed": "published", "reference": _reference_head(comparison.trials), "this_build": "this build"}
    if comparison.cells["printed"].isna().all():
        del labels["printed"]
    texts = {label: _texts(comparison, source) for source, label in labels.items()}
    rows = dict.fromkeys(comparison.cells["row"])
    titles = [" ".join(NAMES.get(part, part) for part in metric.split("_")) for metric in comparison.metrics]
    write, style = (_stacked, " stacked") if len(labels) * len(titles) > WIDEST else (_beside, "")
    style += " few" * (len(titles) <= FEW)
    return (
        f'<div class="table-scroll"><table class="compare{style}"><caption>{html.escape(comparison.caption)}</caption>'
        f"{write(texts, comparison, list(rows), [html.escape(title) for title in titles])}</table></div>"
    )


Texts = dict[str, dict[tuple[str, str], str]]


def _beside(texts: Texts, comparison: Comparison, rows: list[str], titles: list[str]) -> str:
    """Return head and body with a group of columns for each metric, a column for each source."""
    groups = "".join(f'<th scope="colgroup" colspan="{len(texts)}">{title}</th>' for title in titles)
    heads = "".join(f'<th scope="col">{source}</th>' for source in texts) * len(titles)
    body = ""
    for row in rows:
        body += f'<tr><th scope="row">{html.escape(row)}</th>'
        for metric in comparison.metrics:
            first, *others = (cells[metric, row] for cells in texts.values())
            body += f'<td class="first">{first}</td>' + "".join(f"<td>{cell}</td>" for cell in others)
        body += "</tr>"
    return f"<thead><tr><td></td>{groups}</tr><tr>{_head(comparison.rows)}{heads}</tr></thead><tbody>{body}</tbody>"


def _stacked(texts: Texts, comparison: Comparison, rows: list[str], titles: list[str]) -> str:
    """Return head and body with a column for each metric, a group of lines for each row, a line for each source."""
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = ""
    for row in rows:
        head = f'<th scope="rowgroup" rowspan="{len(texts)}">{html.escape(row)}</th>'
        body += "<tbody>"
        for source, cells in texts.items():
            line = "".join(f"<td>{cells[metric, row]}</td>" for metric in comparison.metrics)
            body += f'<tr>{head}<th scope="row">{source}</th>{line}</tr>'
            head = ""
        body += "</tbody>"
    return f'<thead><tr>{_head(comparison.rows)}<th scope="col">source</th>{heads}</tr></thead>{body}'


def _head(rows: str) -> str:
    """Return the corner above the names of the rows; an empty header says nothing to a screen reader."""
    return f'<th scope="col">{html.escape(rows)}</th>' if rows else "<td></td>"
