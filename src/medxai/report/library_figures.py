"""Tables and figures of the page on libraries: whose map is right where, and how a wrong one looks."""

import math
from collections.abc import Mapping

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from torch import Tensor

from medxai.attribution import METHODS
from medxai.report import plots, saliency
from medxai.report.tables import text_table
from medxai.studies.libraries import CLAIMS, RIGHT
from medxai.studies.store import Record


def verdict(digits: float) -> str:
    """Return ``right``, ``wrong`` or, where nothing came back, ``refused``."""
    return "refused" if math.isnan(digits) else "right" if digits >= RIGHT else "wrong"


MARKS = {"right": "✓", "wrong": "✗", "refused": "–"}


def cell(digits: float) -> str:
    """Return a cell of the matrix: a mark that needs no colour, and the digits."""
    formats = {"right": f"✓ {digits:.0f}", "wrong": f"✗ {digits:.1f}", "refused": "–"}
    return formats[verdict(digits)]


def matrix(found: pd.DataFrame, *libraries: str) -> HTML:
    """Return the table of some libraries: methods by networks.

    Parameters
    ----------
    found
        From `medxai.studies.libraries.matrix`.
    libraries
        Keys of `medxai.studies.libraries.CLAIMS`.
    """
    lines = found.loc[list(libraries)].map(cell)
    prefix = "{}: " if len(libraries) > 1 else ""
    names = [prefix.format(library) + METHODS[method].title for library, method in lines.index]
    lines.index = pd.Index(names, name="method")
    caption = "✓ right, and to how many digits; ✗ wrong; – refused or failed"
    return text_table(lines.rename(columns=lambda name: name.replace("_", " ")), caption, kind="matrix")


def beside(reference: pd.DataFrame, here: pd.DataFrame, library: str) -> HTML:
    """Return the table of one library on the networks of this build: digits of the reference run and of this build."""
    columns = {}
    for name in here:
        label = name.replace("_", " ")
        columns[f"{label}, reference"] = reference.loc[library][name].map(cell)
        columns[f"{label}, this build"] = here.loc[library][name].map(cell)
    lines = pd.DataFrame(columns)
    lines.index = pd.Index([METHODS[name].title for name in lines.index], name="method")
    return text_table(lines, f"{library}, right to how many digits", kind="words")


def counts(found: pd.DataFrame) -> pd.DataFrame:
    """Count right, wrong and refused networks: index (library, method)."""
    number = found.map(verdict).apply(lambda row: row.value_counts(), axis=1)
    return number.reindex(columns=list(MARKS)).fillna(0).astype(int)


def summary(found: pd.DataFrame) -> HTML:
    """Return the table of libraries side by side, for the methods that some other library has, too."""
    number = counts(found)
    libraries = [name for name in CLAIMS if name in number.index.get_level_values(0)]
    methods = [name for name in found.loc["medxai"].index if (number.xs(name, level=1).index != "medxai").any()]

    def text(library: str, method: str) -> str:
        if (library, method) not in number.index:
            return ""
        return ", ".join(
            f"{value}\u00a0{MARKS[word]}" for word, value in number.loc[(library, method)].items() if value
        )

    lines = pd.DataFrame({library: [text(library, method) for method in methods] for library in libraries})
    lines.index = pd.Index([METHODS[name].title for name in methods], name="method")
    return text_table(lines, f"Of {found.shape[1]} networks: ✓ right, ✗ wrong, – refused or failed")


def right_finding(found: pd.DataFrame) -> tuple[str, Figure, str]:
    """Say on how many networks the maps are right, ours and the libraries'."""
    number, networks = counts(found).sort_index(sort_remaining=False), found.shape[1]
    ours, theirs = number.loc["medxai"], number.drop("medxai", level=0)
    labels = [f"{library}: {METHODS[method].title}" for library, method in theirs.index]
    figure, axes = plt.subplots(figsize=(5.6, 0.27 * len(theirs) + 1.0))
    plots.bars(axes, theirs.set_axis(labels), xlabel=f"of {networks} networks")
    axes.set_xticks([0, networks // 2, networks])
    here, there = ours.sum(), theirs.sum()
    sentence = (
        f"Of {len(ours)} methods on {networks} networks, ours are right in {here['right']} of {here.sum()} cells and "
        f"refuse {here['refused']} with a reason; four popular libraries return a wrong map, without a word, in "
        f"{there['wrong']} of {there.sum()} cells."
    )
    alt = (
        "Stacked bars, one for each method of each library: on how many networks it is right, wrong or refused. Much "
        "of the bars of captum's and zennit's propagation methods and of torchcam's Grad-CAM++ is wrong."
    )
    return sentence, plots.mark_data(figure, "simulated", "random networks; reference run"), alt


def reasons(tables: Record, *libraries: str) -> HTML:
    """Return the table of what the libraries said where they gave no map, each sentence once."""
    lines = pd.concat([table.assign(network=name) for name, table in tables.items()])
    lines[["library", "method"]] = lines["row"].str.split(": ", expand=True).to_numpy()
    lines = lines[lines["value"].isna() & lines["library"].isin(libraries)]
    grouped = lines.groupby(["library", "reason"]).agg(
        methods=("method", lambda some: ", ".join(METHODS[name].title for name in dict.fromkeys(some))),
        networks=("network", lambda some: ", ".join(dict.fromkeys(name.replace("_", " ") for name in some))),
    )
    grouped = grouped.reset_index("reason").rename_axis("library")
    return text_table(grouped[["methods", "networks", "reason"]], "What was said where no map came back")


def side_by_side(picture: np.ndarray, maps: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Draw for each method the picture and its maps, each on its own scale.

    Parameters
    ----------
    picture
        (h, w, 3), uint8.
    maps
        Method to title to map (1, c, h, w); channels are summed.
    """
    columns = 1 + max(len(some) for some in maps.values())
    figure, panels = plt.subplots(len(maps), columns, figsize=(5.6, 2.05 * len(maps) + 0.3), squeeze=False)
    for (method, some), axes in zip(maps.items(), panels, strict=True):
        axes[0].imshow(picture)
        axes[0].set_title(METHODS[method].title, fontsize=9)
        for (title, values), one in zip(some.items(), axes[1:], strict=True):
            signed = METHODS[method].signed
            one.imshow(saliency.colours(signed)[saliency.levels(values[0].sum(0).numpy(), signed)])
            one.set_title(title, fontsize=9)
    for axes in panels.flat:
        axes.set_axis_off()
    return plots.mark_data(figure, "rendered", "a network with random weights")


def small(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture at another size."""
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
