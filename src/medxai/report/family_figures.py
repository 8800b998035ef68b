"""Tables of the sweep over families of networks: counts, what stopped which method, and a line for each network.

All take the lines of `medxai.studies.libraries.swept`.
"""

from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from medxai.attribution import METHODS
from medxai.report.library_figures import MARKS
from medxai.report.plots import table


def counts(lines: pd.DataFrame) -> HTML:
    """Return how many cells are right, wrong and refused, by what mixes distant pixels and by the kin of the method."""

    def marked(verdicts: pd.Series) -> str:
        number = verdicts.value_counts()
        return ", ".join(f"{number[word]}\u00a0{mark}" for word, mark in MARKS.items() if word in number)

    networks = lines.groupby("kind", sort=False)["network"].nunique()
    cells = lines.groupby(["kind", "family"], sort=False)["verdict"].agg(marked).unstack()
    cells.insert(0, "networks", networks)
    return table(cells.rename_axis("mixes by"), "✓ right, ✗ wrong, – refused, in cells: a network and a method each")


def refusals(lines: pd.DataFrame) -> HTML:
    """Return what was said where no map came back, the commonest first: cells, networks and methods."""
    found = lines[lines["verdict"] == "refused"].groupby("why")
    said = pd.DataFrame(
        {
            "cells": found.size(),
            "networks": found["network"].nunique(),
            "methods": found["method"].agg(lambda some: _titles(some.unique())),
        }
    )
    said = said.sort_values("cells", ascending=False, kind="stable")
    return table(said.rename_axis("what was said"), "Why networks were refused; the layer is left out", form=".0f")


def by_network(lines: pd.DataFrame) -> HTML:
    """Return a line for each network: how many maps are right, and which methods refuse it."""
    rows = {}
    for name, mine in lines.groupby("network", sort=False):
        of = mine.groupby("verdict")["method"].agg(list)
        wrong = {"wrong": _titles(of["wrong"])} if "wrong" in of else {}
        rows[name] = {
            "mixes by": mine["kind"].iloc[0],
            "right": str(len(of.get("right", []))),
            **wrong,
            "refused": _titles(of.get("refused", [])) or "none",
        }
    caption = f"Each of {len(rows)} networks, and our {lines['method'].nunique()} methods"
    return table(pd.DataFrame(rows).T.rename_axis("network"), caption)


def _titles(methods: Sequence[str]) -> str:
    return ", ".join(METHODS[name].title for name in methods)
