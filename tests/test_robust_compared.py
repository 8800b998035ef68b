"""Tables of the robustness study: by hand, by scikit-learn and by scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from medxai.evaluation import bootstrap
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.experiment import robust_compared
from medxai.experiment.robust_network import ALL_VERSIONS
from medxai.robustness.corruptions import VERSIONS
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS

GENERATOR = np.random.default_rng(0)
N, CLASSES = 30, 3
LABELS = np.arange(N) % CLASSES
PROBABILITIES = GENERATOR.random((26, N, CLASSES)) + 0.4 * (LABELS[:, None] == np.arange(CLASSES))
GROUPS = np.arange(N)
WEIGHTS = bootstrap.resampled(GROUPS, 40, 0)
ROWS = np.arange(1, N, 2)


def made(rmse=None, layers=("first", "last"), rows=ROWS) -> pd.DataFrame:
    """A table as the engine's; the first images are wrong before, and every fifth version is wrong."""
    lines = []
    for i, image in enumerate(rows):
        for v, (kind, severity) in enumerate([*ALL_VERSIONS, (ANOTHER_IMAGE, 0), (RANDOM_WEIGHTS, 0)]):
            for layer in layers:
                right_before = i >= 3
                right = right_before and (v % 5 != 4 or i % 2 == 0)
                value = GENERATOR.random() * 100 if rmse is None else rmse(image, v, layer)
                lines.append(
                    (image, LABELS[image], kind, severity, layer, right, right_before, value, value / 2, 1 - v / 50)
                )
    columns = ["image", "label", "corruption", "severity", "layer", "right", "right_before", "rmse"]
    return pd.DataFrame(lines, columns=[*columns, "rmse_shift_corrected", "confidence"])


def test_images_of_a_group_are_drawn_together():
    groups = np.array([7, 3, 7, 9, 3])
    found = bootstrap.resampled(groups, 25, 1)
    assert found.shape == (26, 5)
    assert (found[0] == 1).all()
    assert (found[:, 0] == found[:, 2]).all()
    assert (found[:, 1] == found[:, 4]).all()
    assert (found[1:, [0, 1, 3]].sum(1) == 3).all()
    assert found[1:].std() > 0


def test_scores_are_scikit_learns():
    near = LABELS == 1
    near[:4] = True
    areas = robust_compared.areas(LABELS, PROBABILITIES, WEIGHTS)
    table = robust_compared.scores(LABELS, PROBABILITIES, areas, near, WEIGHTS)
    keys = ["subset", "corruption", "severity", "class", "metric"]
    found = table.set_index(keys).sort_index()
    auc = [[roc_auc_score(c == LABELS, some[:, c]) for c in range(CLASSES)] for some in PROBABILITIES]
    right = PROBABILITIES.argmax(2) == LABELS
    for v, version in enumerate(ALL_VERSIONS):
        for c in range(CLASSES):
            own = found.loc[("all", *version, str(c))]["value"]
            assert own["auc"] == pytest.approx(auc[v][c])
            assert own["accuracy"] == pytest.approx(right[v, c == LABELS].mean())
            if v:
                assert own["delta_auc"] == pytest.approx(auc[0][c] - auc[v][c])
        own = found.loc[("all", *version, "all")]
        assert own["value"]["auc"] == pytest.approx(np.mean(auc[v]))
        assert (own["images"] == N).all()
    assert not found.index.duplicated().any()
    assert ("all", ORIGINAL, 0, "all", "delta_auc") not in found.index
    without = found.loc[("without near copies", ORIGINAL, 0, "all")]
    assert without["value"]["accuracy"] == pytest.approx(right[0, ~near].mean())
    assert np.isnan(without["value"]["auc"])  # the class 1 is not there
    assert without["images"].tolist() == [(~near).sum()] * 2
    assert found.loc[("near copies", ORIGINAL, 0, "all", "accuracy"), "value"] == pytest.approx(right[0, near].mean())
    known = found.dropna()
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).mean() > 0.95


def test_the_interval_of_a_difference_is_of_pairs():
    """A version that is the original under another name costs nothing, in every resample."""
    same = PROBABILITIES.copy()
    same[1] = same[0]
    areas = robust_compared.areas(LABELS, same, WEIGHTS)
    table = robust_compared.scores(LABELS, same, areas, LABELS < 0, WEIGHTS)
    lines = table[
        (table["metric"] == "delta_auc") & (table["corruption"] == "gaussian_noise") & (table["severity"] == 1)
    ]
    assert (lines[["value", "low", "high"]] == 0).all(axis=None)


def test_bands_are_means_of_the_images_of_an_outcome():
    table = made()
    options = {"resamples": 30, "seed": 0}
    found = robust_compared.bands(table, "rmse", GROUPS, outcome=("all", "right", "wrong", "lost"), **options)
    assert not found.duplicated(["outcome", "corruption", "severity", "layer"]).any()
    chosen = {
        "all": table["rmse"] > -1,
        "right": table["right_before"],
        "wrong": ~table["right_before"],
        "lost": table["right_before"] & ~table["right"],
    }
    for line in found.itertuples():
        own = table[chosen[line.outcome]].query(
            "corruption == @line.corruption and severity == @line.severity and layer == @line.layer"
        )
        assert line.value == pytest.approx(own["rmse"].mean())
        assert line.images == len(own)
        assert np.isnan(line.low) or line.low <= line.value <= line.high
    lost = found[found["outcome"] == "lost"]
    assert len(lost) > 0
    assert not lost["corruption"].isin([ORIGINAL, ANOTHER_IMAGE, RANDOM_WEIGHTS]).any()
    assert len(found[found["outcome"] == "wrong"]) == 28 * 2


def test_bands_by_class_are_those_of_its_images():
    table, options = made(), {"outcome": ("right", "wrong"), "resamples": 10, "seed": 0}
    found = robust_compared.bands_by_class(table, "rmse", GROUPS, **options)
    assert found.columns[0] == "class"
    assert set(found["class"]) == {"0", "1", "2"}
    own = robust_compared.bands(table[table["label"] == 2], "rmse", GROUPS, **options)
    pd.testing.assert_frame_equal(found[found["class"] == "2"].drop(columns="class").reset_index(drop=True), own)


def test_undefined_maps_have_no_line():
    table = made()
    table.loc[table["layer"] == "last", "rmse"] = np.nan
    found = robust_compared.bands(table, "rmse", GROUPS, outcome=("all",), resamples=10, seed=0)
    assert set(found["layer"]) == {"first"}
    nothing = robust_compared.bands(
        table[table["layer"] == "last"], "rmse", GROUPS, outcome=("all",), resamples=10, seed=0
    )
    assert len(nothing) == 0
    assert "value" in nothing


def test_motion_blur_has_a_line_more():
    table = made()
    found = robust_compared.with_corrected(table)
    extra = found[found["corruption"] == robust_compared.CORRECTED]
    moved = table[table["corruption"] == "motion_blur"]
    assert extra["rmse"].tolist() == moved["rmse_shift_corrected"].tolist()
    assert len(found) == len(table) + len(moved)


def test_classes_that_do_not_overlap_are_separate():
    labels = np.repeat([0, 1, 2], 5)
    values = np.stack([10.0 * labels + np.arange(15) % 5, -labels, np.ones(15), np.full(15, np.nan)], axis=1)
    found = robust_compared.separations(values, labels, np.ones((1, 15)))[0]
    assert found[:3].tolist() == [1, 1, 0]
    assert np.isnan(found[3])
    assert np.isnan(robust_compared.separations(values[:5], labels[:5], np.ones((1, 5)))).all()  # one class


def test_separations_are_means_over_pairs():
    labels, values = GENERATOR.integers(0, 3, 24), GENERATOR.random((24, 2))
    values[labels == 1] += 0.3
    pairs = [(0, 1), (0, 2), (1, 2)]
    for v in (0, 1):
        each = []
        for one, other in pairs:
            own = np.isin(labels, (one, other))
            each.append(abs(2 * roc_auc_score(labels[own] == one, values[own, v]) - 1))
        found = robust_compared.separations(values, labels, np.ones((1, 24)))[0, v]
        assert found == pytest.approx(np.mean(each))


def test_separability_has_all_versions_and_one_correlation_a_layer():
    table = made(lambda image, v, layer: v + (v * LABELS[image] if layer == "last" else GENERATOR.random()))
    found = robust_compared.separability(table, LABELS, WEIGHTS)
    assert len(found) == 2 * 2 * 26
    last = found[(found["layer"] == "last") & (found["severity"] > 0)]
    assert (last["value"] == 1).all()  # values of a version depend on the class alone
    correlations = found[found["severity"] == 0].set_index(["outcome", "layer"])["value"]
    assert np.isnan(correlations["all", "last"])  # as separation is the same everywhere
    assert np.isfinite(correlations["all", "first"])


@pytest.mark.parametrize("sign", [1, -1])
def test_maps_that_move_as_the_area_falls(sign):
    areas = robust_compared.areas(LABELS, PROBABILITIES, WEIGHTS)
    fall = areas[0, 0, 0] - areas[0, :, 0]
    table = made(lambda image, v, layer: 50 + sign * 10 * fall[v] if v < 26 else 0)
    found = robust_compared.relation(table, LABELS, areas, WEIGHTS).set_index(["outcome", "class", "layer", "severity"])
    for severity in range(6):
        assert found.loc[("all", "all", "first", severity), "value"] == pytest.approx(sign)
    assert found.loc[("all", "all", "first", 0), "versions"] == 25
    assert found.loc[("right", "all", "last", 3), "versions"] == 5


def test_the_relation_is_scipys():
    areas, table = robust_compared.areas(LABELS, PROBABILITIES, WEIGHTS), made()
    found = robust_compared.relation(table, LABELS, areas, WEIGHTS)
    assert len(found) == 2 * 2 * (6 + 3)
    for line in found.itertuples():
        part = table[table["right_before"] | (line.outcome == "all")].query("layer == @line.layer")
        part = part[(part["label"].astype(str) == line[2]) | (line[2] == "all")]
        moved = part.groupby(["corruption", "severity"])["rmse"].mean()
        c = 0 if line[2] == "all" else int(line[2]) + 1
        chosen = [v for v in VERSIONS if line.severity in (0, v[1])]
        lost = [areas[0, 0, c] - areas[0, ALL_VERSIONS.index(v), c] for v in chosen]
        assert line.value == pytest.approx(spearmanr([moved[v] for v in chosen], lost).statistic)
        assert line.low <= line.high


def test_correlations_of_rows_are_scipys():
    one, other = GENERATOR.integers(0, 5, (2, 4, 9)).astype(float)
    one[0, 2] = other[1, [3, 4]] = np.nan
    one[3] = 1
    found = paired_rank_correlations(one, other)
    for row in range(3):
        expected = spearmanr(one[row], other[row], nan_policy="omit").statistic
        assert found[row] == pytest.approx(expected)
    assert np.isnan(found[3])


def test_flags_are_scikit_learns():
    table = made()
    found = robust_compared.flags(table, WEIGHTS).set_index(["severity", "layer"])
    assert len(found) == 5 * 3
    for severity, layer in found.index:
        own = table[table["right_before"] & (table["severity"] == severity)]
        own = own[own["layer"] == ("first" if layer == "confidence" else layer)]
        score = -own["confidence"] if layer == "confidence" else own["rmse"]
        line = found.loc[(severity, layer)]
        assert (line["versions"], line["lost"]) == (len(own), (~own["right"]).sum())
        if line["lost"]:
            assert line["value"] == pytest.approx(roc_auc_score(~own["right"], score))
        else:
            assert np.isnan(line["value"])
    assert found["lost"].sum() > 0


def test_nothing_to_flag_without_a_right_answer():
    table = made()
    assert len(robust_compared.flags(table.assign(right_before=False), WEIGHTS)) == 0


def test_choosing_by_the_test_images():
    """Validation is best in epoch 2; the accuracy of the test images in epoch 3."""
    values = {
        ("val", "loss"): [3, 1, 2],
        ("val", "auc"): [0.5, 0.6, 0.6],
        ("test", "loss"): [1, 2, 3],
        ("test", "auc"): [0.7, 0.8, 0.75],
        ("test", "accuracy"): [0.4, 0.5, 0.9],
    }
    lines = [(epoch, *key, value) for key, some in values.items() for epoch, value in enumerate(some, 1)]
    history = pd.DataFrame(lines, columns=["epoch", "split", "metric", "value"])
    found = robust_compared.choosing(history)
    assert found["epoch"].tolist() == [2, 2, 1, 2, 3, 3]
    assert found["auc"].tolist() == [0.8, 0.8, 0.7, 0.8, 0.75, 0.75]
    assert found["accuracy"].tolist() == [0.5, 0.5, 0.4, 0.5, 0.9, 0.9]


def test_an_undefined_score_chooses_nothing():
    """As the AUC of validation images of one class."""
    values = {
        ("val", "loss"): 1.0,
        ("val", "auc"): np.nan,
        ("test", "loss"): 1,
        ("test", "auc"): 0.6,
        ("test", "accuracy"): 1,
    }
    history = pd.DataFrame(
        [(1, *key, value) for key, value in values.items()], columns=["epoch", "split", "metric", "value"]
    )
    found = robust_compared.choosing(history).set_index(["split", "metric"])
    assert found.loc[("val", "auc")].isna().all()
    assert found["auc"].dropna().tolist() == [0.6] * 5


def test_test_images_of_one_class_have_an_accuracy_and_no_area():
    areas = robust_compared.areas(LABELS * 0, PROBABILITIES, WEIGHTS)
    table = robust_compared.scores(LABELS * 0, PROBABILITIES, areas, LABELS < 0, WEIGHTS)
    undefined = table["metric"] != "accuracy"
    assert table.loc[undefined, ["value", "low", "high"]].isna().all(axis=None)
    every = table.query("metric == 'accuracy' and `class` == 'all' and subset == 'all'")["value"].to_numpy()
    np.testing.assert_allclose(every, (PROBABILITIES.argmax(2) == 0).mean(1))
    assert robust_compared.relation(made(), LABELS * 0, areas, WEIGHTS)["value"].isna().all()
