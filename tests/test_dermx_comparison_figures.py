"""Tables and figures of networks against each other show the numbers that they are given."""

import re

import numpy as np
import pandas as pd

from medxai.experiment.dermx_compared import QUANTITIES
from medxai.report import dermx_comparison_figures as figures
from medxai.studies.dermx import CONTROLS, LOSSES


def test_every_loss_has_a_title() -> None:
    assert list(figures.LOSSES) == list(LOSSES)


def test_what_guides_is_told_apart() -> None:
    titles = figures.guides(["dice 3", *CONTROLS])
    assert titles[:2] == ["experts' maps", "another image's maps"]
    assert len(set(titles)) == len(CONTROLS) + 1


def test_fronts_have_a_curve_for_each_loss_and_a_point_without() -> None:
    names = ["DermX", "dice 1", "dice 3", "l1 1", "l1 3", "other"]
    means = pd.DataFrame(np.linspace(0.1, 0.9, 18).reshape(6, 3), names, list(QUANTITIES))
    figure = figures.fronts(means, ["dice 1", "dice 3", "l1 1", "l1 3", "energy 1"], "DermX", "rendered", "")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [figures.NONE, "Dice", "L1"]
    first, second = figure.axes
    curves = [line.get_xydata() for line in first.lines if len(line.get_xdata())]
    assert sorted(len(curve) for curve in curves) == [1, 2, 2]
    at = means.loc[["dice 1", "dice 3"], ["localisation F1", "diagnosis F1"]].to_numpy()
    assert any(np.array_equal(curve, at) for curve in curves)
    assert (first.get_title(), second.get_title()) == QUANTITIES[:2]


def test_differences_carry_their_sign_and_interval() -> None:
    lines = [("b", "a", QUANTITIES[0], 0.034, -0.011, 0.08), ("b", "a", QUANTITIES[1], -0.2, -0.3, -0.1)]
    lines += [("c", "a", QUANTITIES[0], 0.001, np.nan, np.nan)]
    table = pd.DataFrame(lines, columns=["model", "against", "quantity", "value", "low", "high"])
    html = figures.gaps(table, "caption").data
    assert re.findall(r"<t[hd]>(.+?)</t[hd]>", html) == [
        *("networks", *QUANTITIES[:2]),
        *("b − a", "+0.03 (−0.01 to +0.08)", "−0.20 (−0.30 to −0.10)"),
        *("c − a", "+0.00 (– to –)", "–"),
    ]
    assert "No trials of these networks yet" in figures.gaps(table.head(0), "caption").data


def test_precision_stands_beside_print() -> None:
    lines = [("DermX (reference)", "right", np.nan, 0.9, 0.3, 40), ("DermX+ (this build)", "wrong", 0.2, 0.5, 0.4, 6)]
    columns = ["recipe", "diagnosis", "cutoff", "precision", "chance", "images"]
    facts = {"correct diagnosis, DermX": "0.88", "wrong diagnosis, DermX+": "0.86"}
    printed = pd.DataFrame({"value": facts}).rename(lambda name: f"explanation precision, {name}")
    html = figures.precision(pd.DataFrame(lines, columns=columns), printed).data
    assert "<td>0.88</td>" in html
    assert "<td>0.86</td>" in html
    assert "wrong, expected from 20%" in html
