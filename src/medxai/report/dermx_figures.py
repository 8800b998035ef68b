"""Figures and tables of the DermX chapter that need more than one call of `medxai.report.plots`."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from medxai.report import plots


def training(history: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    """Draw how training went: a panel for each metric, a curve for each network, held-out images."""
    lines = history[history["metric"].isin(metrics) & (history["split"] == "held out")]
    names = {"xlabel": "epoch", "ylabel": "held-out images"}
    return plots.curves(lines, x="epoch", series="recipe", panels="metric", kind="rendered", markers=True, **names)
