"""Figures and tables of the attribution chapter, drawn from what the chapter and its study have computed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from medxai.attribution import METHODS
from medxai.report import plots

SIGNED, UNSIGNED = "red for the class, blue against, white zero", "dark zero, yellow much"
LOOKS_AWAY = 0.8
"""Rank correlation of the maps of two classes above which a method hardly depends on the class: our line."""


def wide(table: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Return a tidy table as one row per method, and one column per metric or the bounds of one metric."""
    if metric:
        return table[table["metric"] == metric].set_index("row")[["value", "low", "high"]]
    return table.pivot(index="row", columns="metric", values="value").loc[table["row"].drop_duplicates()]


def titled(tables: Mapping[str, pd.DataFrame | None], metric: str = "absolute_rank_correlation") -> pd.DataFrame:
    """Join the lines of one metric; methods with their titles, names of the tables in the column ``of``."""
    found = [table.assign(of=name) for name, table in tables.items() if table is not None]
    lines = pd.concat(found).query("metric == @metric")
    return lines.assign(row=[METHODS[name].title.replace(" at the ", "\nat the ") for name in lines["row"]])


def pair(picture: np.ndarray, truth: np.ndarray, maps: np.ndarray, classes: Sequence[str], method: str) -> Figure:
    """Show a picture and a method's maps (2, h, w) of it for two classes, all with the true outline."""
    signed = METHODS[method].signed or bool(maps.min() < 0)
    titles, note = ["the painting", *(f"for {name.lower()}" for name in classes)], SIGNED if signed else UNSIGNED
    return plots.picture_sheet([picture, *maps], titles, kind="rendered", signed=signed, outlines=truth, note=note)


def alike(tables: Mapping[str, pd.DataFrame | None], order: str, band: tuple[float, float] | None, note: str) -> Figure:
    """Draw how alike two maps of each method are, most alike in the table `order` on top."""
    label, note = "rank correlation of two maps, without signs", f"mean and range over paintings; {note}"
    limits = {"lines": (0,), "limits": (-1.02, 1.02), "band": band}
    return plots.intervals(titled(tables), xlabel=label, kind="rendered", series="of", order=order, note=note, **limits)


def similarity(measured: pd.DataFrame) -> Figure:
    """Draw the rank correlations of all methods' maps by patches as a numbered matrix."""
    found = wide(measured, "patches")["value"]
    half = found.set_axis(found.index.str.split(expand=True)).unstack()
    names = [name for name in METHODS if name in half.index or name in half.columns]
    table = (
        half.combine_first(half.T)
        .reindex(index=names, columns=names)
        .fillna(pd.DataFrame(np.eye(len(names)), names, names))
    )
    table.index, table.columns = (
        [f"{METHODS[name].title}  {i}" for i, name in enumerate(names, 1)],
        range(1, len(names) + 1),
    )
    look = {"colours": "RdBu_r", "limits": (-1, 1), "bar": "rank correlation, by patches"}
    return plots.heat_map(table, kind="rendered", note="mean over paintings", **look)


def chance(measured: pd.DataFrame) -> Figure:
    """Draw how well maps of different seeds agree, against what they cost."""
    lines = measured.assign(row=[METHODS[name].title for name in measured["row"]])
    lines["images"] = lines["metric"].str.removeprefix("images_").astype(int)
    look = {"xlabel": "images through the network", "ylabel": "rank correlation of two seeds", "doubling": True}
    note = "by patches; mean and range, three seeds"
    return plots.curves(lines, x="images", kind="rendered", markers=True, note=note, **look)


def costs(measured: pd.DataFrame) -> HTML:
    """Return the table of all methods: cost measured on one image, sign, passes."""
    found = wide(measured).reindex(METHODS)
    lines = pd.DataFrame(
        {"images": found["images"].map("{:.0f}".format), "time": found["ratio"].map("×\u00a0{:.0f}".format)}
    )
    lines = lines.where(found["images"].notna())
    lines["signed"] = ["yes" if method.signed else "no" for method in METHODS.values()]
    lines["passes"] = [method.cost for method in METHODS.values()]
    lines.index = pd.Index([method.title for method in METHODS.values()], name="method")
    return plots.table(lines, "Costs of one image: images through the network, and time as a multiple of one pass")


def completeness(here: pd.DataFrame, reference: pd.DataFrame | None, sums_to: Mapping[str, str]) -> HTML:
    """Return the table of what maps sum to and should sum to, and of the share of it; `sums_to` says what that is."""
    found = wide(here)
    shares = found["share"] * np.nan if reference is None else wide(reference)["share"]
    lines = pd.DataFrame({"sum": found["sum"].map("{:.3f}".format), "should be": found["wanted"].map("{:.3f}".format)})
    lines["share, this build"] = found["share"].map("{:.1%}".format)
    lines["share, reference"] = shares.reindex(found.index).map("{:.1%}".format, na_action="ignore")
    lines["which is"] = {name: what for what, names in sums_to.items() for name in names.split()}
    lines.index = pd.Index([METHODS[name].title for name in lines.index], name="method")
    return plots.table(lines, "What the maps sum to, in units of the logit, and as a share of what it should be")
