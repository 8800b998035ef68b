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
Signed = bool | Sequence[bool]
TITLES = {name: method.title.replace(" at the last convolution", ", last layer") for name, method in METHODS.items()}


def wide(table: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Return a tidy table as one row per method, and one column per metric or the bounds of one metric."""
    if metric:
        return table[table["metric"] == metric].set_index("row")[["value", "low", "high"]]
    return table.pivot(index="row", columns="metric", values="value").loc[table["row"].drop_duplicates()]


def sheet(
    shown: Mapping[str, np.ndarray], truth: np.ndarray | None = None, columns: int = 3, signed: Signed = True
) -> Figure:
    """Show pictures and maps by their titles, with the true outline if there is one."""
    look = {"columns": columns, "signed": signed, "outlines": truth, "note": SIGNED if signed else UNSIGNED}
    return plots.picture_sheet(list(shown.values()), list(shown), kind="rendered", **look)


def pair(picture: np.ndarray, truth: np.ndarray, maps: np.ndarray, classes: Sequence[str], method: str) -> Figure:
    """Show a picture and a method's maps (2, h, w) of it for two classes, all with the true outline."""
    titled = {f"for {name.lower()}": one for name, one in zip(classes, maps, strict=True)}
    return sheet({"the painting": picture, **titled}, truth, signed=METHODS[method].signed or bool(maps.min() < 0))


def alike(tables: Mapping[str, pd.DataFrame], note: str, band: tuple[float, float] | None = None) -> Figure:
    """Draw how alike two maps of each method are by some tables, most alike in the first one on top."""
    lines = pd.concat([table.assign(of=name) for name, table in tables.items()]).replace({"row": TITLES})
    note, look = f"mean and range over paintings; {note}", {"band": band, "lines": (0,), "limits": (-1.02, 1.02)}
    label, order = "rank correlation of two maps, without signs", next(iter(tables))
    return plots.intervals(lines, xlabel=label, kind="rendered", series="of", order=order, note=note, **look)


def similarity(measured: pd.DataFrame) -> Figure:
    """Draw the rank correlations of all methods' maps by patches as a numbered matrix, every other number written."""
    found = wide(measured, "patches")["value"]
    half = found.set_axis(found.index.str.split(expand=True)).unstack()
    names = [name for name in METHODS if name in half.index or name in half.columns]
    table = half.combine_first(half.T).reindex(index=names, columns=names)
    table = table.where(~np.eye(len(names), dtype=bool), 1.0)
    table.index = [f"{TITLES[name]}  {i}" for i, name in enumerate(names, 1)]
    table.columns = [str(i) if i % 2 else "" for i in range(1, len(names) + 1)]
    look = {"colours": "RdBu_r", "limits": (-1, 1), "bar": "rank correlation, by patches"}
    return plots.heat_map(table, kind="rendered", note="mean over paintings", **look)


def chance(measured: pd.DataFrame) -> Figure:
    """Draw how well maps of different seeds agree, against what they cost."""
    lines = measured.assign(images=measured["metric"].str.removeprefix("images_").astype(int)).replace({"row": TITLES})
    lines = lines.sort_values("images", kind="stable")
    look = {"xlabel": "images through the network", "ylabel": "rank correlation of two seeds", "doubling": True}
    note = "by patches; mean and range over pairs of seeds"
    return plots.curves(lines, x="images", kind="rendered", markers=True, note=note, **look)


def costs(measured: pd.DataFrame) -> HTML:
    """Return the table of all methods: cost measured on one image, sign, passes."""
    found, methods = wide(measured).reindex(METHODS), METHODS.values()
    lines = pd.DataFrame({"images": found["images"].map("{:.0f}".format)}).where(found.notna()["images"])
    lines["time"] = found["ratio"].map("×\u00a0{:.0f}".format, na_action="ignore")
    lines["signed"] = ["yes" if method.signed else "no" for method in methods]
    lines["passes"] = [method.cost for method in methods]
    lines.index = pd.Index([method.title for method in methods], name="method")
    return plots.table(lines, "Costs of one image: images through the network, and time as a multiple of one pass")


def completeness(here: pd.DataFrame, reference: pd.DataFrame | None, sums_to: Mapping[str, str]) -> HTML:
    """Return the table of what maps sum to and should sum to, and of the share of it; `sums_to` says what that is."""
    found = wide(here)
    lines = pd.DataFrame({"sum": found["sum"].map("{:.3f}".format), "should be": found["wanted"].map("{:.3f}".format)})
    lines["share, this build"] = found["share"].map("{:.1%}".format)
    if reference is not None:
        lines["share, reference"] = wide(reference)["share"].map("{:.1%}".format)
    lines["which is"] = {name: what for what, names in sums_to.items() for name in names.split()}
    lines.index = pd.Index([METHODS[name].title for name in lines.index], name="method")
    return plots.table(lines, "What the maps sum to, in units of the logit, and as a share of what it should be")
