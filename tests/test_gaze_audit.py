"""The gaze audit: printed logs and tables, equally good models, simulated gaze, and the study."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from medxai import paths, profiles
from medxai.evaluation import auc_tests, gaze_published
from medxai.evaluation.classification import one_against_rest
from medxai.experiment import equal_models, gaze_habit
from medxai.studies import gaze_audit

SIZES = gaze_published.SIZES


def test_printed_averages_are_those_of_the_printed_classes() -> None:
    log, static = gaze_published.training_log(), pd.read_csv(paths.published("gaze_static_log"))
    for table in (log, static):
        mean = table[list(gaze_published.CLASSES)].mean(axis=1)
        np.testing.assert_allclose(table["average"], mean, rtol=0, atol=1e-12)
    assert log.groupby("run")["epoch"].agg(list).map(len).tolist() == [20, 20]


@pytest.mark.parametrize("sizes", [SIZES, gaze_published.DROPPED])
def test_sizes_of_classes_are_the_only_ones_that_printed_areas_allow(sizes: tuple[int, ...]) -> None:
    images = sum(sizes)
    log = gaze_published.training_log().query("test_images == @images")
    allowed = [auc_tests.class_sizes(log[name], images) for name in gaze_published.CLASSES]
    fitting = [found for found in np.stack(np.meshgrid(*allowed), -1).reshape(-1, 3) if sum(found) == images]
    np.testing.assert_array_equal(fitting, [sizes])


def test_a_dropped_last_batch_of_16_is_what_the_two_logs_differ_by() -> None:
    assert sum(SIZES) - sum(SIZES) % 16 == sum(gaze_published.DROPPED)


def test_facts_name_their_place() -> None:
    facts = pd.read_csv(paths.published("gaze_code_facts"), dtype=str)
    assert facts.notna().all(axis=None)
    assert facts["commit"].map(lambda commit: bool(re.fullmatch(r"[0-9a-f]{40}", commit))).all()
    log = gaze_published.training_log()
    assert set(facts.query("fact == 'test images'")["found"]) == set(log["test_images"].astype(str))


def test_models_have_what_is_printed() -> None:
    found = gaze_published.models()
    assert len(found) == 2 + 2 + 8
    assert found["Temporal: image and temporal gaze"].average == 0.8068385832274722  # the log's "Best AUC"
    assert found["Temporal: image alone"].sizes == gaze_published.DROPPED
    assert found["Set 3: GBP"] == ((0.921, 0.962, 0.859), 0.913, gaze_published.THIRDS)


def test_p_values_by_hand() -> None:
    errors = dict.fromkeys(gaze_published.models(), 0.02)
    found = gaze_published.p_values(errors).set_index(["model", "class", "correlation"]).sort_index()
    row = found.loc[("Set 3: GBP", "Average", 0.5)]
    assert row["gain"] == pytest.approx(0.041)
    assert row["printed"] == 1.281e-06
    assert row["images"] == pytest.approx(2 * stats.norm.sf(0.041 / 0.02))  # two errors of 0.02, half shared
    spreads = np.array([0.966 - 0.860, 0.897 - 0.840]) / (2 * 1.959964)
    assert row["resamples"] == pytest.approx(
        2 * stats.t.sf(0.041 / np.sqrt((spreads**2).sum() / 30), _welch(spreads)), rel=1e-5
    )
    assert len(found) == 3 * 28


def _welch(spreads: np.ndarray) -> float:
    """Degrees of freedom of Welch's test of two times 30 observations."""
    squares = spreads**2 / 30
    return squares.sum() ** 2 / (squares**2 / 29).sum()


def test_simulated_models_are_as_good_and_as_alike_as_asked() -> None:
    labels, scores = equal_models.simulated(np.random.default_rng(0), 2, 0.8, (0.7, 0.8, 0.9), (4000, 4000, 4000))
    np.testing.assert_allclose(one_against_rest(labels, scores[0])[0], [0.8, 0.7, 0.8, 0.9], atol=0.015)
    rest = scores[:, labels != 1, 1]
    assert np.corrcoef(rest)[0, 1] == pytest.approx(0.8, abs=0.02)
    assert rest.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(
        equal_models.average_areas(labels[::97], scores[:, ::97]),
        [one_against_rest(labels[::97], one[::97])[0, 0] for one in scores],
    )


def test_uncorrelated_choice_buys_what_the_largest_of_normal_values_does() -> None:
    areas = (0.87,) * 3
    found = equal_models.bought_by_choosing((1, 2, 10), 0, areas, SIZES, 400).set_index("epochs")["value"]
    error = equal_models.error_of_average(areas, SIZES, 4000)
    assert found[1] == 0
    assert found[2] == pytest.approx(error / np.sqrt(np.pi), rel=0.1)
    assert found[10] == pytest.approx(1.5388 * error, rel=0.06)  # the mean of the largest of ten
    alike = equal_models.bought_by_choosing((10,), 0.95, areas, SIZES, 100)["value"][0]
    assert alike < found[10] / 2


def test_error_of_the_average_is_delongs() -> None:
    areas = (0.92, 0.9, 0.8)
    draw = np.random.default_rng(1)
    names = list(gaze_published.CLASSES)
    errors = [
        auc_tests.delong(labels, scores, names)["error"][auc_tests.MEAN]
        for labels, (scores,) in (equal_models.simulated(draw, 1, 0, areas, SIZES) for _ in range(100))
    ]
    assert np.mean(errors) == pytest.approx(equal_models.error_of_average(areas, SIZES, 4000), rel=0.06)


def test_more_resamples_find_more_that_is_not_there() -> None:
    found = equal_models.false_alarms((10, 300), 0.8, (0.87,) * 3, SIZES, 60).set_index("resamples")
    assert found["value"].loc[300] > found["high"].loc[0]
    assert found["value"].loc[300] > found["value"].loc[10]


def test_intervals_of_small_resamples_are_wider() -> None:
    held = equal_models.coverage((0.87,) * 3, SIZES, 40).set_index(["metric", "row"])
    assert (held.loc["holds the truth", "high"] > 0.9).all()
    width = held.loc["width", "value"]
    assert width["30 resamples of 55 to 60"] > 1.1 * width["DeLong"]
    assert width["stratified bootstrap"] == pytest.approx(width["DeLong"], rel=0.1)


def test_maps_that_know_the_habit_win_plain_scores_and_no_shuffled_one() -> None:
    table = gaze_habit.scored(gaze_habit.looked(24), 200).set_index(["metric", "row"])
    for row in ("▸ The outline of the lungs", "▸ The mean gaze"):
        assert table.loc[("NSS", row), "low"] > 0.5
        assert table.loc[("sNCC", row), "value"] == pytest.approx(0, abs=1e-12)
        assert table.loc[("sAUC", row), "value"] == pytest.approx(0.5, abs=1e-12)
        assert table.loc[("sNCC, to the mean", row), "high"] < 0
    assert table.loc[("sNCC", "The finding of the film"), "low"] > 0.1
    another = table.loc[("sNCC", "▸ Another film's finding")]
    assert another["low"] < 0.05


def test_study_gives_the_tables_of_its_chapter() -> None:
    smoke, names = profiles.get("smoke"), set()
    for trial in gaze_audit.STUDY.trials(smoke):
        tables = trial.compute(smoke, **dict(trial.arguments))
        names |= set(tables)
        assert all(len(table) for table in tables.values())
    assert names == {"published", "p_values", "choosing", "false_alarms", "coverage", "gaze"}
