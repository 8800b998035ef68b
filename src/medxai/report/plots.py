"""The five ways in which this book shows things, in one style: colour-blind safe, legible on a phone, marked by data.

`intervals`, `heat_map`, `curves`, `picture_sheet` and `table` draw what they are given and compute nothing. The first
three take tables: *tidy* ones have a line for each number, with the columns ``value`` and, where there is an interval,
``low`` and ``high``; names in other columns are shown as they are, in the order in which they first occur.
"""

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from medxai.report import saliency, tables
from medxai.report.findings import KINDS, DataKind

if TYPE_CHECKING:
    import seaborn.objects as so

BLUE, ORANGE, GREEN, RED, PURPLE, YELLOW, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#F0E442",
    "#56B4E9",
    "#000000",
)
"""The palette of Okabe and Ito (2008), safe for the common colour vision deficiencies."""

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "#777777", BLACK)
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES = (
    "-",
    *((0, dashes) for dashes in ((4, 1.5), (1.5, 1), (5, 1, 1, 1), (7, 2), (2, 2), (6, 1, 1, 1, 1, 1), (1, 2))),
)
"""Colour, marker and dash of the series of a figure, in turn: colour is never alone."""

WIDTH = 5.6
"""Inches, at 12 point: on a phone of 390 pixels the text is still of 8 point."""
LETTER = 0.085
"""Inches that a letter of a picture's title takes, about."""
TALLEST, CLOSEST = 7.8, 0.17
"""Inches: of a plot, so that axis and legend are seen at once, and of a line, below which names would touch."""


def use_style() -> None:
    """Set the book's figure style."""
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.6),
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 12,
            "axes.titlesize": 12,
            "legend.fontsize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#dddddd",
            "axes.axisbelow": True,
            "image.cmap": "viridis",
            "axes.prop_cycle": plt.cycler(color=COLOURS),
        }
    )


def mark_data(figure: Figure, kind: DataKind, note: str = "") -> Figure:
    """Write under a finished figure which kind of data it shows, and a `note` on them.

    The figure is closed in pyplot, so that a notebook shows it once: where it is the value of a cell.
    """
    sign, name = KINDS[kind]
    text = textwrap.fill(f"{sign} {name}{', ' * bool(note)}{note}", 70)
    figure.supxlabel(text, fontsize=9, color="#555555", x=0.99, ha="right")
    plt.close(figure)
    return figure


def fitted(height: float, lines: int, around: float) -> float:
    """Return the height in inches for some lines: what they would take, or less in a plot that is `TALLEST` already."""
    return min(height, max(TALLEST - around, CLOSEST * lines))


def intervals(
    values: pd.DataFrame,
    *,
    xlabel: str,
    kind: DataKind,
    rows: str = "row",
    series: str | None = None,
    panels: str | None = None,
    order: str | None = None,
    printed: str | None = None,
    lines: Sequence[float] = (),
    band: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
    note: str = "",
) -> Figure:
    """Draw numbers with their intervals, a line for each row of a tidy table, largest on top if asked.

    Parameters
    ----------
    values
        Tidy. A name of a row that begins with ``▸`` is set in bold.
    xlabel
        Quantity with its unit or range.
    kind, note
        Kind of data, and a word on it, written below.
    rows, series, panels
        Columns with the names of the rows, of the series (colour and marker, with a legend), of the panels side by
        side; more than three go in pairs. Without `series`, all dots are alike.
    order
        Series by whose numbers the rows are sorted; ``""`` if there are no series; ``None``: as they come.
    printed
        Series that is drawn as black ticks across its rows: what a paper prints.
    lines, band, limits
        Where to draw vertical grey lines, what to shade, what to show of the axis.
    """
    import seaborn.objects as so  # here and below: importing it takes a second

    values = values.dropna(subset="value").reset_index(drop=True)  # seaborn joins by the index
    names = list(dict.fromkeys(values[rows]))
    if order is not None:
        sizes = (values[values[series] == order] if order else values).groupby(rows)["value"].mean().reindex(names)
        names = list(sizes.sort_values(ascending=False, kind="stable").index)
    ours = values if printed is None else values[values[series] != printed]
    looks = ("color", "marker") if series else ()
    dodge = (so.Dodge(by=["color"]),) if series else ()
    across = values[panels].nunique() if panels else 1
    below, across = (-(-across // 2), 2) if across > 3 else (1, across)
    plot = so.Plot(ours, y=rows, x="value", **dict.fromkeys(looks, series)).facet(panels, wrap=across)
    if {"low", "high"} <= set(ours):
        plot = plot.add(so.Range(linewidth=1.6, alpha=0.8), *dodge, xmin="low", xmax="high", legend=False)
    plot = plot.add(so.Dot(pointsize=6.5, edgecolor="white", edgewidth=0.8), *dodge, legend=False)
    xlabel = textwrap.fill(xlabel, 28 if below > 1 else 14) if panels else xlabel
    plot = plot.scale(y=so.Nominal(order=names)).label(x=xlabel, y="").limit(x=limits or (None, None))
    levels = list(dict.fromkeys(ours[series])) if series else []
    written = sum(name.count("\n") + 1 for name in names)
    wanted = 0.22 * written + (0.1 + 0.06 * max(0, len(levels) - 2)) * len(names)
    figure, handles = _drawn(plot, levels, looks, 1.4 + fitted(below * wanted, below * written, 1.4))
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(3 if panels else 6))
        for place in lines:
            axes.axvline(place, color="#999999", lw=0.8, zorder=0)
        if band is not None:
            axes.axvspan(*band, color="#cccccc", alpha=0.6, lw=0, zorder=0)
        axes.grid(axis="y", visible=False)
        for label in axes.get_yticklabels():
            label.set_fontweight("bold" if label.get_text().startswith("▸") else "normal")
    if printed is not None:
        ticks = values[values[series] == printed]
        places = [names.index(name) for name in ticks[rows]]
        handles += figure.axes[0].plot(ticks["value"], places, "|", color=BLACK, ms=12, mew=1.8, label=printed)
    return _with_legend(figure, handles, kind, note)


def curves(
    values: pd.DataFrame,
    *,
    x: str,
    xlabel: str,
    ylabel: str,
    kind: DataKind,
    series: str = "row",
    panels: str | None = None,
    points: pd.DataFrame | None = None,
    markers: bool = False,
    lines: Sequence[float] = (),
    xlimits: tuple[float, float] | None = None,
    ylimits: tuple[float, float] | None = None,
    doubling: bool = False,
    height: float = 4.2,
    note: str = "",
) -> Figure:
    """Draw curves through numbers in the order of the table, with bands where there are intervals.

    Parameters
    ----------
    values
        Tidy, with a number in column `x`.
    x, xlabel, ylabel
        What runs along the curve, and both quantities with their units or ranges.
    kind, note
        Kind of data, and a word on it, written below.
    series, panels
        Columns with the names of the curves (colour and dash, with a legend) and of the panels side by side.
    points
        With the columns `x`, ``value`` and, the same name throughout, `series`: black stars beside the curves.
    markers
        Whether each number gets a marker, and curves are told apart by these instead of by dashes.
    lines, xlimits, ylimits
        Where to draw horizontal grey lines, what to show of the axes.
    doubling
        Whether equal steps along `x` are doublings.
    height
        Of the figure, in inches.
    """
    import seaborn.objects as so

    values = values.reset_index(drop=True)  # seaborn joins by the index
    looks = ("color", "marker") if markers else ("color", "linestyle")
    plot = so.Plot(values, x=x, y="value", **dict.fromkeys(looks, series)).facet(panels)
    plot = plot.add(so.Path(pointsize=6.5 * markers, linewidth=2, edgecolor="white", edgewidth=0.8), legend=False)
    if {"low", "high"} <= set(values):
        plot = plot.add(so.Band(alpha=0.15), ymin="low", ymax="high", legend=False)
    plot = plot.label(x=xlabel, y=ylabel).limit(x=xlimits or (None, None), y=ylimits or (None, None))
    figure, handles = _drawn(plot, list(dict.fromkeys(values[series])), looks, height)
    for axes in figure.axes:
        for place in lines:
            axes.axhline(place, color="#999999", lw=0.8, zorder=0)
        if values[x].dtype.kind == "i":
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if doubling:
            axes.set_xscale("log", base=2)
            axes.set_xticks(steps := sorted(values[x].unique()), [f"{step:g}" for step in steps])
            axes.set_xlim(steps[0] / 1.2, steps[-1] * 1.2)
    if points is not None:
        stars = {"color": BLACK, "ms": 12, "mec": "white", "label": points[series].iloc[0]}
        handles += figure.axes[0].plot(points[x], points["value"], "*", **stars)
    return _with_legend(figure, handles, kind, note)


def _drawn(plot: "so.Plot", names: list[str], looks: Sequence[str], height: float) -> tuple[Figure, list[Line2D]]:
    """Draw a plot of seaborn in the book's style, with a look for each name; return the handles of a legend, too."""
    import seaborn.objects as so

    known = {"color": COLOURS, "marker": MARKERS, "linestyle": DASHES}
    each = [{look: known[look][place % len(COLOURS)] for look in looks} for place in range(len(names))]
    scales = {look: so.Nominal([one[look] for one in each], order=names) for look in looks}
    parts = ("axes", "font", "grid", "lines", "xtick", "ytick")
    style = {name: value for name, value in plt.rcParams.items() if name.startswith(parts)}
    figure = plt.figure(figsize=(WIDTH, height))
    plot.scale(**scales).theme(style).on(figure).plot()
    handles = [Line2D([], [], label=names[i], lw=2, mec="white", ms=7, **look) for i, look in enumerate(each)]
    return figure, handles


def _with_legend(figure: Figure, handles: list[Line2D], kind: DataKind, note: str) -> Figure:
    if handles:
        columns = 1 if max(len(handle.get_label()) for handle in handles) > 30 else 2  # two are wider than the figure
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)
        figure.set_figheight(figure.get_figheight() + 0.22 * (-(-len(handles) // columns) - 1))
    return mark_data(figure, kind, note)


def heat_map(
    numbers: pd.DataFrame,
    *,
    kind: DataKind,
    form: str = "",
    xlabel: str = "",
    ylabel: str = "",
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
    bar: str = "",
    note: str = "",
) -> Figure:
    """Draw a table as coloured cells; a cell without a number stays white.

    Parameters
    ----------
    numbers
        A row and a column for each line and column of cells; names that begin with ``▸`` are set in bold.
    kind, note
        Kind of data, and a word on it, written below.
    form
        How numbers are written into the cells, such as ``.0f``; not at all if empty.
    xlabel, ylabel
        What columns and rows are.
    limits
        Numbers that get the first and the last colour; the least and the largest one if ``None``.
    colours
        Of matplotlib: ``viridis`` (bright is large), ``viridis_r`` (bright is small), ``RdBu_r`` (around zero).
    bar
        What the colours say, with its unit or range, for a bar below; without it there is none.
    """
    import seaborn as sns

    rows, columns = numbers.shape
    small = 9 if rows > 16 or columns > 12 else 11
    on_side = max(len(str(name)) for name in numbers.columns) * small > 560 / columns
    top = 0.07 * max(len(str(name)) for name in numbers.columns) if on_side else 0.2
    around = 1.1 + top + 0.7 * bool(bar)
    wanted = (0.25 if small == 9 else 0.4) * rows
    figure, axes = plt.subplots(figsize=(WIDTH, around + fitted(wanted, rows, around)))
    options = {"vmin": limits and limits[0], "vmax": limits and limits[1], "cmap": colours, "cbar": bool(bar)}
    legend = {"label": bar, "location": "bottom", "shrink": 0.8, "aspect": 30, "pad": 0.01}
    text = {"annot": bool(form), "fmt": f"z{form}", "annot_kws": {"fontsize": small - 1}}
    sns.heatmap(numbers.astype(float), ax=axes, cbar_kws=legend, **options, **text)
    axes.set_xticks(np.arange(columns) + 0.5, numbers.columns, rotation=90 if on_side else 0, fontsize=small)
    axes.set_yticks(np.arange(rows) + 0.5, numbers.index, rotation=0, fontsize=small)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(visible=False)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("▸") else "normal")
    return mark_data(figure, kind, note)


def picture_sheet(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    kind: DataKind,
    columns: int = 3,
    signed: bool | Sequence[bool] | None = None,
    outlines: np.ndarray | Sequence[np.ndarray | None] | None = None,
    rows: Sequence[str] = (),
    bar: str = "",
    note: str = "",
) -> Figure:
    """Draw pictures and maps in rows, each with its title.

    Parameters
    ----------
    pictures
        uint8 (h, w, 3), shown as they are; or float (h, w), see `signed`.
    titles
        One for each; empty for none. What is wider than its picture is broken into lines.
    kind, note
        Kind of data, and a word on it, written below.
    columns
        Pictures in a row.
    signed
        Of all maps, or of each picture: ``True``, red above zero and blue below; ``False``, dark zero and yellow much;
        both scaled for each map by itself. ``None``: maps are shares, from 0 (dark) to 1 (yellow).
    outlines
        One for all, or one for each (``None`` for none): bool or shares (h, w), outlined where they cross one half.
    rows
        Names of the rows, written on their left.
    bar
        What shares are of, for a bar below; without it there is none.
    """
    letters = int(WIDTH / columns / LETTER)
    titles = ["\n".join(textwrap.fill(line, letters) for line in title.split("\n")) for title in titles]
    parts = [slice(start, start + columns) for start in range(0, len(pictures), columns)]
    heights = [WIDTH / columns * max(one.shape[0] / one.shape[1] for one in pictures[part]) for part in parts]
    above = [0.08 + 0.2 * max(title.count("\n") + 1 if title else 0 for title in titles[part]) for part in parts]
    size = (WIDTH, sum(heights) + sum(above) + 0.3 + 0.9 * bool(bar))
    figure, panels = plt.subplots(len(parts), columns, figsize=size, squeeze=False, height_ratios=heights)
    alike = outlines is None or (isinstance(outlines, np.ndarray) and outlines.ndim == 2)
    each = zip(
        pictures,
        titles,
        signed if isinstance(signed, Sequence) else [signed] * len(pictures),
        [outlines] * len(pictures) if alike else outlines,
        strict=True,
    )
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, (picture, title, sign, outline) in zip(panels.flat, each, strict=False):
        plain = picture.ndim == 2
        if plain and sign is not None:
            picture = saliency.colours(sign)[saliency.levels(picture, sign)]
        shown = axes.imshow(picture, vmin=0, vmax=1)
        axes.set_title(title, fontsize=10)
        if outline is not None and np.any(outline >= 0.5) and np.any(outline < 0.5):
            dark = plain and not sign
            axes.contour(np.asarray(outline, float), [0.5], colors="white" if dark else "black", linewidths=1.0)
    for axes, name in zip(panels[:, 0], rows, strict=bool(rows)):
        axes.annotate(name, (-0.04, 0.5), xycoords="axes fraction", rotation=90, ha="right", va="center", fontsize=10)
    if bar:
        figure.colorbar(
            shown, ax=panels, label=bar, location="bottom", shrink=0.8, aspect=30, ticks=np.linspace(0, 1, 5)
        )
    return mark_data(figure, kind, note)


def table(lines: pd.DataFrame, caption: str, *, form: str = "", style: str = "words") -> HTML:
    """Return a table with its caption; the index is the header of each row, its name the corner.

    Parameters
    ----------
    lines
        Texts, shown as they are, and numbers; NaN and None are dashes.
    form
        How numbers are written, such as ``.2f``; a column of counts has no decimals.
    style
        ``words``, or ``matrix`` for short cells below headings on their side.
    """

    def texts(column: pd.Series) -> pd.Series:
        counts = tables.are_counts(value for value in column if not isinstance(value, str))
        return column.map(lambda value: value if isinstance(value, str) else _cell(value, form, counts))

    header = lines.apply(texts).rename_axis(index=None, columns=lines.index.name)  # one row of headers
    start, rest = header.to_html(border=0, justify="left", classes=style).split(">", 1)
    return HTML(f'<div class="table-scroll">{start}><caption>{html.escape(caption)}</caption>{rest}</div>')


def _cell(value: float | None, form: str, counts: bool) -> str:
    return "–" if pd.isna(value) else tables.written(value, form, counts)
