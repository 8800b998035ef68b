"""Published, reference and rebuilt numbers side by side; findings; figures."""

import math

import myst_nb
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt

from medxai import paths, report
from medxai.errors import DataError
from medxai.report import findings
from medxai.report.findings import FINDING
from medxai.report.tables import equal_as_printed

A09 = "dermx_table_a09_interrater_presence_full"


def tidy(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row", "metric", "value", "low", "high"])


@pytest.mark.parametrize(
    ("value", "printed", "equal"),
    [
        (0.674, "0.67", True),
        (0.675, "0.67", True),  # a tie may round either way
        (0.675, "0.68", True),
        (0.6751, "0.67", False),
        (41.54, "41.5", True),
        (54.4, "54", True),
        (54.6, "54", False),
        (math.nan, "0.00", False),
    ],
)
def test_a_number_equals_print_at_the_printed_digits(value, printed, equal):
    assert equal_as_printed(value, printed) is equal


def test_a_published_table_keeps_the_digits_of_print():
    table = report.published(A09).set_index(["row", "metric"])
    assert table.loc[("Closed comedo", "average_selection"), "printed"] == "41.5"
    assert table.loc[("Plaque", "f1"), "value"] == 0.78
    assert table.loc[("Plaque", "f1_std"), "value"] == 0.06
    assert "group" not in table.index.get_level_values("metric")


def test_an_unknown_published_table_is_told():
    with pytest.raises(
        DataError, match=r"published table is 'dermx_table_99': expected one that data/published/INDEX\.csv lists"
    ):
        report.published("dermx_table_99")


def test_every_published_table_can_be_read():
    index = pd.read_csv(paths.CARRIED / "published" / "INDEX.csv")
    folder = paths.CARRIED / "published"
    assert set(index["file"]) == {path.name for path in folder.glob("*.csv")} - {"INDEX.csv"}


def compared(reference: pd.DataFrame | None = None) -> report.Comparison:
    mine = [("Plaque", "f1", 0.781, 0.75, 0.81), ("Plaque", "f1_std", 0.06, np.nan, np.nan)]
    mine = tidy(*mine, ("Scale", "f1", np.nan, np.nan, np.nan))
    return report.compare(report.published(A09), reference, mine, metrics=("f1",), caption="Table A.9 <presence>")


def test_a_comparison_counts_the_printed_cells_that_come_back():
    assert compared().equal("this_build") == (2, 4)
    assert compared(tidy(("Plaque", "f1", 0.79, 0, 1))).equal("reference") == (0, 4)
    assert compared(tidy(("Plaque", "f1", 0.78, 0, 1))).equal("reference") == (1, 4)


def test_a_comparison_is_an_accessible_table():
    table = BeautifulSoup(compared()._repr_html_(), "html.parser")
    assert table.caption.text == "Table A.9 <presence>"
    rows = {row.th.text: [cell.get_text(" ") for cell in row.find_all("td")] for row in table.tbody.find_all("tr")}
    assert rows["Plaque"] == ["0.78 ± 0.06", "–", "0.78 ± 0.06 [0.75, 0.81]"]
    assert rows["Scale"] == ["0.89 ± 0.03", "–", "–"]
    assert "Papule" not in rows  # this build does not rebuild it
    assert all(head["scope"] in {"row", "col", "colgroup"} for head in table.find_all("th"))


def test_a_table_of_our_own_has_no_published_column():
    table = tidy(("Plaque", "iou", 0.5, 0.4, 0.6), ("Scale", "iou", np.nan, np.nan, np.nan))
    shown = report.compare(None, table.head(1), table, metrics=("iou",), caption="ours", rows="what is drawn")
    found = BeautifulSoup(shown._repr_html_(), "html.parser")
    assert [head.text for head in found.thead.find_all("th")] == ["IoU", "what is drawn", "reference", "this build"]
    rows = {row.th.text: [cell.get_text(" ") for cell in row.find_all("td")] for row in found.tbody.find_all("tr")}
    assert rows == {"Plaque": ["0.50 [0.40, 0.60]"] * 2, "Scale": ["–", "–"]}
    assert shown.equal("reference") == (0, 0)


def test_the_head_of_the_rows_is_what_print_calls_them():
    assert BeautifulSoup(compared()._repr_html_(), "html.parser").thead.find_all("th")[1].text == "characteristic"


def test_sources_of_many_metrics_stand_below_one_another():
    metrics = ("f1", "iou", "cohens_kappa", "images")
    numbers = {"f1": 0.5, "iou": 0.25, "cohens_kappa": -0.001, "images": 20.0}
    table = tidy(*((row, name, numbers[name], np.nan, np.nan) for row in ("Plaque", "Scale") for name in metrics))
    there = tidy(("Scale", "images", 21, 19, 23))
    shown = report.compare(None, there, table, metrics=metrics, caption="ours", rows="characteristic")
    found = BeautifulSoup(shown._repr_html_(), "html.parser")
    heads = [head.text for head in found.thead.find_all("th")]
    assert heads == ["characteristic", "source", "F1", "IoU", "Cohen's kappa", "images"]
    plaque, scale = (
        [[cell.get_text(" ") for cell in line.find_all(["th", "td"])] for line in group.find_all("tr")]
        for group in found.find_all("tbody")
    )
    assert plaque == [["Plaque", "reference", *"––––"], ["this build", "0.50", "0.25", "0.00", "20"]]
    assert scale == [
        ["Scale", "reference", *"–––", "21 [19, 23]"],
        ["this build", "0.50", "0.25", "0.00", "20"],
    ]
    assert [head["rowspan"] for head in found.select("th[scope=rowgroup]")] == ["2", "2"]


def test_an_unknown_metric_is_told():
    with pytest.raises(ValueError, match=r"metrics are \['recall'\]: expected some of \['average_selection'"):
        report.compare(report.published(A09), None, tidy(), metrics=("recall",), caption="")


def test_a_finding_is_handed_on_with_its_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(findings, "display", lambda data, metadata=None, raw=False: shown.append((data, metadata)))
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    report.finding("finding-x", "Two is 2.", figure, "A line that rises.")
    (text, _), (picture, metadata) = shown
    assert "Two is 2." in text.data
    assert metadata[FINDING] == {
        "label": "finding-x",
        "anchor": "finding-x",
        "sentence": "Two is 2.",
        "alt": "A line that rises.",
    }
    assert picture["image/png"].startswith("iVBOR")


@pytest.mark.parametrize("value", [3, 0.25, np.float64(0.25), np.int64(3), "Plaque"])
def test_glue_is_that_of_myst_nb(monkeypatch, value):
    shown = []

    def display(data, metadata=None, raw=False):
        shown.append((data, metadata, raw))

    monkeypatch.setattr(findings, "display", display)
    monkeypatch.setattr("myst_nb.ext.glue.ipy_display", display)
    report.glue("name", value)
    myst_nb.glue("name", value.item() if hasattr(value, "item") else value, display=False)
    ours, theirs = shown
    assert ours == theirs


def test_a_badge_names_the_kind_of_data_in_words():
    assert "simulated data" in report.badge("simulated", "72 images").data
    assert "&lt;b&gt;" in report.badge("real", "<b>").data


def test_what_comes_later_is_said_and_escaped():
    assert "Not in this build</b> a &lt; b" in report.later("a < b").data


def test_missing_data_are_named_for_readers_and_not_with_messages_of_the_build():
    assert report.missing({}).data == ""
    line = report.missing({"busi": "<urlopen error>", "w<": "no route"}).data
    assert "breast ultrasound (BUSI), w&lt;." in line
    assert "urlopen" not in line
