"""Every printed cell of the DermX paper's dermatologist tables, from the real annotations."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from medxai import paths
from medxai.data import dermxdb
from medxai.evaluation import agreement, published

pytestmark = pytest.mark.real_data

A09, A10 = "dermx_table_a09_interrater_presence_full", "dermx_table_a10_interrater_localization_full"
SCORES_A10 = ("iou", "sensitivity", "specificity")


@pytest.fixture
def db(real_dermxdb: dermxdb.DermXDB) -> dermxdb.DermXDB:
    return real_dermxdb


@pytest.fixture
def overlaps(real_overlaps: pd.DataFrame) -> pd.DataFrame:
    return real_overlaps


def printed(name: str) -> pd.DataFrame:
    return pd.read_csv(paths.CARRIED / "published" / f"{name}.csv", dtype=str, index_col=0)


def compare(table: pd.DataFrame, name: str) -> tuple[int, list[str]]:
    """Number of cells, and those that differ when printed with the digits of the paper.

    Python's formatting: the exact binary value is rounded to nearest, a tie half to even. The paper drops a trailing
    zero here and there ("41.5" among two-digit numbers), so a number with a point has at least two digits.
    """
    cells = printed(name)
    different = []
    for row, column in ((row, column) for row in table.index for column in table.columns):
        cell, value = cells.loc[row, column], table.loc[row, column]
        digits = max(2, len(cell.split(".")[1])) if "." in cell else 0
        if float(f"{value:.{digits}f}") != float(cell):
            different.append(f"{name} {row} {column}: {value:.4f} against {cell}")
    return table.size, different


def test_all_531_printed_cells(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    tables = published.dermatologist_tables(db, overlaps)
    results = [compare(table, name) for name, table in tables.items()]
    assert [cell for _, different in results for cell in different] == []
    assert sum(cells for cells, _ in results) == 531
    for name, table in tables.items():  # no printed row is left out
        assert set(table.index) == set(printed(name).index)


def _equal_cells(table: pd.DataFrame, name: str, columns: dict[str, str]) -> int:
    """Count the cells that agree with the paper, `columns` of the table by score name of the paper."""
    renamed = {f"{ours}{end}": f"{theirs}{end or '_mean'}" for ours, theirs in columns.items() for end in ("", "_std")}
    cells, different = compare(table[list(renamed)].rename(columns=renamed), name)
    return cells - len(different)


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        ({}, 128),
        ({"use": "diagnosed"}, 34),
        ({"use": "marked"}, 104),
        ({"undefined": "skip"}, 117),
    ],
)
def test_each_convention_moves_table_a09(db: dermxdb.DermXDB, change: dict, cells: int) -> None:
    names = {"f1": "f1_score", **{name: name for name in ("sensitivity", "specificity", "cohens_kappa")}}
    assert _equal_cells(agreement.presence(db.select("paper"), **change), A09, names) == cells


def test_table_a09_on_the_benchmarks_images(db: dermxdb.DermXDB) -> None:
    names = {"f1": "f1_score", **{name: name for name in ("sensitivity", "specificity", "cohens_kappa")}}
    assert _equal_cells(agreement.presence(db.select("benchmark")), A09, names) == 97


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        ({}, 96),
        ({"use": "correct"}, 93),
        ({"ddof": 0}, 95),
        ({"use": "all"}, 65),
        ({"use": "diagnosed"}, 71),
        ({"use": "target"}, 82),
        ({"pool": "image"}, 11),
        ({"pool": "rater pair"}, 22),
        ({"ordered": False}, 40),
        ({"empty": "zero"}, 7),
    ],
)
def test_each_convention_moves_table_a10(db: dermxdb.DermXDB, overlaps: pd.DataFrame, change: dict, cells: int) -> None:
    table = agreement.localisation(overlaps, db.select("paper"), **change)
    assert _equal_cells(table, A10, {"iou": "f1_score", **{name: name for name in SCORES_A10[1:]}}) == cells


def test_the_printed_dice_is_the_iou(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    table = agreement.localisation(overlaps, db.select("paper"))
    assert table["pairs"].sum() == 2 * 15364
    _, different = compare(table[["dice"]].rename(columns={"dice": "f1_score_mean"}), A10)
    assert len(different) == 16  # not one of the means is the Dice coefficient
    above = (table["dice"] - table["iou"]).round(2)
    assert above.between(0.09, 0.16).all()
    assert table["dice"].mean() == pytest.approx(0.53, abs=0.005)


def test_other_counts_of_table_5_and_a11(db: dermxdb.DermXDB) -> None:
    evaluations = db.select("paper")
    order = [*sorted(dermxdb.MODELLED)]
    correct = agreement.samples(evaluations, use="correct")["samples"][order]
    assert correct.tolist() == [95, 54, 109, 275, 245, 342, 105, 267, 114, 77]
    listed = agreement.samples(evaluations, use="correct_listed")["samples"][order]
    assert listed.tolist() == [96, 55, 111, 279, 251, 347, 106, 275, 116, 83]
    prevalence = agreement.prevalence(evaluations, use="correct")
    prevalence.columns = [column.lower().replace(" ", "_") for column in prevalence.columns]
    cells, different = compare(prevalence, "dermx_table_a11_characteristic_prevalence")
    assert cells - len(different) == 51


def test_the_ten_modelled_characteristics_pass_the_papers_rule_and_so_does_one_more(db: dermxdb.DermXDB) -> None:
    evaluations = db.select("paper")
    assert sorted(agreement.modelled(evaluations)) == sorted(dermxdb.MODELLED)
    as_printed = agreement.modelled(evaluations, without=())
    assert set(as_printed) - set(dermxdb.MODELLED) == {"Thrombosed capillaries"}  # erratum D18
    assert "Leukotrichia" in agreement.modelled(evaluations, least_samples=9)
    assert {"Macule", "Nodule", "Cyst"} <= set(agreement.modelled(evaluations, least_f1=0.1))


def test_intra_rater_reliability(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    twice = db.select("second_round", round=None)
    diagnosis = agreement.repeated_diagnosis(twice)
    assert diagnosis.loc["intra", "pairs"] == 448
    assert diagnosis.loc["intra", "same_diagnosis"] == pytest.approx(0.873, abs=0.0005)
    table = agreement.intra_rater(overlaps, twice, terms=dermxdb.LOCALISED)
    pairs = table["mask_pairs_intra"]
    assert pairs.sum() == 671
    assert np.nansum(table["iou_intra"] * pairs) / pairs.sum() == pytest.approx(0.554, abs=0.0005)
    presence = table.loc[list(dermxdb.MODELLED), "f1_intra"]
    assert (presence.min().round(2), presence.max().round(2)) == (0.65, 0.91)
    # A rater agrees with himself better than with others, on every characteristic of the ten and both ways.
    assert (table.loc[list(dermxdb.MODELLED), ["f1_share", "iou_share"]] < 1).to_numpy().all()


def test_bootstrap_holds_the_published_values(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    from medxai.evaluation import bootstrap

    evaluations = db.select("paper")
    table = agreement.localisation(overlaps, evaluations)
    statistic = partial(agreement.localisation, overlaps, evaluations)
    low, high = bootstrap.interval(statistic, 554, resamples=200, seed=0)
    common = table["pairs"] > 100
    inside = (low["iou"] < table["iou"]) & (table["iou"] < high["iou"])
    assert inside[common].all()
    assert (high["iou"] - low["iou"])[common].max() < 0.2
