"""Small multiples of the robustness chapter, and what it takes from print."""

import numpy as np
import pandas as pd

from medxai.report import robustness_figures as figures
from medxai.robustness.corruptions import KINDS, VERSIONS
from medxai.studies.robustness import SETS


def test_every_set_has_a_printed_one_and_its_scores():
    assert list(figures.PRINTED) == list(SETS)
    printed = figures.printed_scores()
    assert list(dict.fromkeys(printed["row"])) == list(figures.PRINTED.values())
    assert len(printed) == 2 * len(SETS)
    assert printed.set_index(["row", "metric"]).loc[("RetinaMNIST", "auc"), "printed"] == "0.717"


def test_blocks_are_named_as_in_the_thesis():
    assert list(figures.LAYERS.values()) == ["1.1", "1.2", "2.1", "2.2", "3.1", "3.2", "4.1", "4.2"]


def test_a_panel_for_each_set_and_a_curve_for_each_version():
    names = [figures.CORRUPTIONS[kind] for kind in KINDS]
    lines = [
        (s, n, layer, 1.0, 0.5, 1.5) for s in "abc" for n in names[: 2 if s == "c" else 5] for layer in figures.LAYERS
    ]
    table = pd.DataFrame(lines, columns=["set", "version", "layer", "value", "low", "high"])
    table = table[(table["set"] != "a") | ~table["layer"].str.startswith("layer4")]  # as at 28 pixels
    figure = figures.by_layer(table, "set", "version", "RMSE", "simulated")
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", ""]
    assert [len(axes.lines) for axes in figure.axes] == [5, 5, 2, 0]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).sum() == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_points_are_larger_for_more_severe_versions():
    table = pd.DataFrame(VERSIONS, columns=["corruption", "severity"]).replace({"corruption": figures.CORRUPTIONS})
    table = table.assign(rmse=np.arange(25.0), delta_auc=0.1, layer="x")
    (axes,) = figures.points(table, "layer", "simulated", "note").axes
    assert len(axes.collections) == len(KINDS)
    assert (np.diff(axes.collections[0].get_sizes()) > 0).all()
    assert axes.collections[0].get_offsets()[:, 0].tolist() == [0, 1, 2, 3, 4]
