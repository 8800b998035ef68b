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


def cell(digits: float) -> str:
    """Return a cell of the matrix: a mark that needs no colour, and the digits."""
    marks = {"right": f"✓ {digits:.0f}", "wrong": f"✗ {digits:.1f}", "refused": "–"}
    return marks[verdict(digits)]


def matrix(found: pd.DataFrame, library: str) -> HTML:
    """Return the table of one library: methods by networks.

    Parameters
    ----------
    found
        From `medxai.studies.libraries.matrix`.
    library
        A key of `medxai.studies.libraries.CLAIMS`.
    """
    lines = found.loc[library].map(cell)
    lines.index = pd.Index([METHODS[name].title for name in lines.index], name="method")
    caption = f"{library}: ✓ right and to how many digits, ✗ wrong, – refused or failed"
    return text_table(lines.rename(columns=lambda name: name.replace("_", " ")), caption)


def counts(found: pd.DataFrame) -> pd.DataFrame:
    """Count right, wrong and refused networks: index (library, method)."""
    return found.map(verdict).apply(lambda row: row.value_counts(), axis=1).fillna(0).astype(int)


def summary(found: pd.DataFrame) -> HTML:
    """Return the table of libraries side by side, for the methods that some other library has, too."""
    number = counts(found).reindex(columns=["right", "wrong", "refused"], fill_value=0)
    libraries = [name for name in CLAIMS if name in number.index.get_level_values(0)]
    methods = [name for name in found.loc["medxai"].index if (number.xs(name, level=1).index != "medxai").any()]

    def text(library: str, method: str) -> str:
        if (library, method) not in number.index:
            return ""
        return ", ".join(f"{value} {word}" for word, value in number.loc[(library, method)].items() if value)

    lines = pd.DataFrame({library: [text(library, method) for method in methods] for library in libraries})
    lines.index = pd.Index([METHODS[name].title for name in methods], name="method")
    return text_table(lines, f"On how many of {found.shape[1]} networks a map is right, wrong, or refused")


def reasons(tables: Record, libraries: tuple[str, ...]) -> HTML:
    """Return the table of what the libraries said where they gave no map, each sentence once."""
    lines = pd.concat([table.assign(network=name) for name, table in tables.items() if name != "versions"])
    lines[["library", "method"]] = lines["row"].str.split(": ", expand=True).to_numpy()
    lines = lines[lines["value"].isna() & lines["library"].isin(libraries)]
    grouped = lines.groupby(["library", "reason"], sort=False).agg(
        methods=("method", lambda some: ", ".join(METHODS[name].title for name in dict.fromkeys(some))),
        networks=("network", lambda some: ", ".join(dict.fromkeys(some))),
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
