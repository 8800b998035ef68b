"""Means, ranks, comparisons with controls and agreement of metrics, on tables whose answers can be written down."""

import numpy as np
import pandas as pd
import pytest

from medxai.evaluation import bootstrap, score_tables
from medxai.evaluation.metrics import METRICS


def table(values: dict[str, dict[str, np.ndarray]], groups: np.ndarray | None = None) -> pd.DataFrame:
    """Return scores: values by method and metric, one number for each image."""
    parts = []
    for method, metrics in values.items():
        images = np.arange(len(next(iter(metrics.values()))))
        parts.append(pd.DataFrame({"method": method, "image": images, **metrics}))
        parts[-1]["group"] = images if groups is None else groups
    return pd.concat(parts, ignore_index=True)


def of_means(values: dict[str, dict[str, float]], spread: float = 0.0, images: int = 30) -> pd.DataFrame:
    """Return scores with these means exactly; images differ alternately by `spread`."""
    signs = np.where(np.arange(images) % 2, 1.0, -1.0)
    return table(
        {name: {m: value + spread * signs for m, value in metrics.items()} for name, metrics in values.items()}
    )


def test_means_are_those_of_the_bootstrap_and_leave_out_what_is_missing():
    scores = table(
        {"cam": {"iou": np.array([0.1, 0.3, np.nan, 0.2]), "mass": np.ones(4)}}, groups=np.array([0, 0, 1, 2])
    )
    found = score_tables.means(scores, ["iou", "mass"]).set_index("metric")
    assert found["row"].tolist() == ["cam", "cam"]
    assert found["value"].tolist() == pytest.approx([0.2, 1])
    assert found["images"].tolist() == [3, 4]
    again = bootstrap.mean_intervals(
        pd.DataFrame({"x": [0.1, 0.3, np.nan, 0.2]}), groups=np.array([0, 0, 1, 2]), resamples=2000, seed=0
    )
    assert found.loc["iou", ["low", "high"]].tolist() == again.loc["x", ["low", "high"]].tolist()


def test_mean_and_spread_come_in_the_order_asked_for():
    scores = of_means({"cam": {"iou": 0.5}, "lime": {"iou": 0.2}, "all_zero": {"iou": 0.0}}, spread=0.1)
    found = score_tables.mean_and_spread(scores, ["iou"], ["lime", "cam"])
    assert found["row"].tolist() == ["lime", "lime", "cam", "cam"]
    assert found["metric"].tolist() == ["iou", "iou_std"] * 2
    assert found["value"].tolist() == pytest.approx([0.2, 0.1 * np.sqrt(30 / 29), 0.5, 0.1 * np.sqrt(30 / 29)])
    assert found["low"].notna().tolist() == [True, False] * 2


RANKED = {
    "cam": {"pixel_auc": 0.9, "deletion": 0.1, "infidelity": 0.5},
    "lime": {"pixel_auc": 0.7, "deletion": 0.2, "infidelity": 0.5},
    "gradient": {"pixel_auc": 0.5, "deletion": 0.4, "infidelity": 0.5},
    "saliency": {"pixel_auc": 0.4, "deletion": 0.3, "infidelity": 0.5},
    "sobel_edges": {"pixel_auc": 0.8, "deletion": np.nan, "infidelity": 0.5},
    "centre_gaussian": {"pixel_auc": 0.6, "deletion": 0.15, "infidelity": 0.5},
    "truth": {"pixel_auc": 1.0, "deletion": 0.0, "infidelity": 0.0},
}
"""Means by which cam is first, sobel_edges best of the controls in place, centre_gaussian in deletion."""


def test_the_best_has_rank_one_whichever_way_is_better():
    found = score_tables.ranks(of_means(RANKED), ["pixel_auc", "deletion", "infidelity"])
    assert found.loc[
        ["cam", "sobel_edges", "lime", "centre_gaussian", "gradient", "saliency"], "pixel_auc"
    ].tolist() == [*range(1, 7)]
    assert found.loc[["cam", "centre_gaussian", "lime", "saliency", "gradient"], "deletion"].tolist() == [*range(1, 6)]
    assert np.isnan(found.loc["sobel_edges", "deletion"])
    assert (found["infidelity"].dropna() == 3.5).all()
    assert "truth" not in found.index


def test_the_best_control_depends_on_the_metric():
    scores = of_means(RANKED)
    assert score_tables.best_control(scores, "pixel_auc") == "sobel_edges"
    assert score_tables.best_control(scores, "deletion") == "centre_gaussian"
    assert score_tables.best_control(scores[scores["method"] == "cam"], "pixel_auc") is None
    assert score_tables.compare(scores[scores["method"] == "cam"], "pixel_auc").empty


@pytest.fixture(scope="module")
def noisy() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    base = generator.random(30) / 4
    means = {"gradient": base + 0.3, "saliency": base, "cam": base - 0.3, "centre_gaussian": base}
    values = {
        name: value + (name in ("gradient", "saliency", "cam")) * generator.normal(0, 0.02, 30)
        for name, value in means.items()
    }
    values |= {"uniform_random": base - 0.2, "truth": base + 1}
    return table(
        {name: dict.fromkeys(("pixel_auc", "deletion", "infidelity"), value) for name, value in values.items()}
    )


def test_a_method_that_is_always_better_is_called_so(noisy):
    assert score_tables.best_control(noisy, "pixel_auc") == "centre_gaussian"
    assert score_tables.best_control(noisy, "deletion") == "uniform_random"
    found = score_tables.compare(noisy, "pixel_auc")
    assert found["verdict"].to_dict() == {"gradient": "better", "saliency": "open", "cam": "worse"}
    assert (found["control"] == "centre_gaussian").all()
    assert found.loc["gradient", "difference"] == pytest.approx(0.3, abs=0.02)
    assert score_tables.counted(found["verdict"]).to_dict() == {"better": 1, "open": 1, "worse": 1}
    for metric in ("deletion", "infidelity"):
        assert score_tables.compare(noisy, metric)["verdict"].tolist() == ["worse", "worse", "better"]
        lower = score_tables.compare(noisy, metric, "centre_gaussian")
        assert lower["verdict"].to_dict() == {"gradient": "worse", "saliency": "open", "cam": "better"}


def test_near_copies_are_drawn_together(noisy):
    copies = pd.concat([noisy, noisy.assign(image=noisy["image"] + 30)])
    together, apart = (score_tables.means(scores, ["pixel_auc"]) for scores in (copies, noisy))
    pd.testing.assert_frame_equal(together.drop(columns="images"), apart.drop(columns="images"))
    assert (together["images"] == 2 * apart["images"]).all()


def test_counts_of_verdicts_name_what_does_not_occur():
    assert score_tables.counted(pd.Series(["open", "open"])).to_dict() == {"better": 0, "open": 2, "worse": 0}


@pytest.mark.filterwarnings("error")
def test_a_summary_takes_metrics_and_controls_that_are_not_there() -> None:
    """One image has no intervals, a metric no value, and no control a value of it: not a word of pandas about it."""
    means = {"pixel_auc": 0.5, "iou": np.nan, "gini": 0.2}
    scores = of_means({"gradient": means, "centre_gaussian": means | {"deletion": 0.3}}, images=1)
    found = score_tables.summary(scores, resamples=100).set_index(["metric", "method"])
    one = found.loc[("pixel_auc", "gradient")]
    assert (one["difference"], one["control"], one["verdict"]) == (0, "centre_gaussian", "open")
    assert found.loc["iou", ["value", "difference", "control", "verdict"]].isna().all(axis=None)
    assert found[["difference", "p"]].dtypes.tolist() == [float, float]


def test_the_report_card_holds_verdicts_and_whether_maps_change(noisy):
    alike = {"gradient": 0.1, "saliency": 0.95, "cam": np.nan, "centre_gaussian": 1.0, "uniform_random": 1.0}
    scores = noisy.assign(parameter_randomisation=noisy["method"].map(alike))
    card = score_tables.report_card(scores, ["pixel_auc"])
    assert card.loc["gradient"].tolist() == ["better", "better"]
    assert card.loc["saliency"].tolist() == ["open", "worse"]
    assert card.loc["cam"].tolist() == ["worse", "open"]


def test_metrics_that_rank_alike_agree_whichever_way_is_better():
    order = {name: RANKED[name] for name in ("cam", "lime", "gradient", "saliency")}
    found = score_tables.rank_agreement(of_means(order), ["deletion", "infidelity"], "pixel_auc").set_index("row")
    # Ranks 1 2 3 4 by pixel AUC, 1 2 4 3 by deletion: 1 - 6 * 2 / (4 * 15).
    assert found.loc["deletion", ["value", "low", "high"]].tolist() == pytest.approx([0.8] * 3)
    assert found.loc["infidelity"].isna().all()  # all methods alike
    upside_down = score_tables.rank_agreement(of_means(order), ["pixel_auc"], "deletion")
    assert upside_down["value"].tolist() == pytest.approx([0.8])


def test_the_interval_of_an_agreement_grows_with_the_noise():
    generator = np.random.default_rng(1)
    names = ["cam", "lime", "gradient", "saliency", "occlusion", "deeplift"]
    widths = []
    for noise in (0.01, 1.0):
        values = {
            name: {"pixel_auc": i + generator.normal(0, noise, 40), "insertion": i + generator.normal(0, noise, 40)}
            for i, name in enumerate(names)
        }
        found = score_tables.rank_agreement(table(values), ["insertion"], "pixel_auc").iloc[0]
        assert found["low"] <= found["value"] <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[0] == 0
    assert widths[1] > 0


def test_an_agreement_leaves_out_methods_that_lack_a_metric():
    values = {name: dict(RANKED[name]) for name in ("cam", "lime", "gradient", "saliency")}
    values["lime"]["deletion"] = np.nan
    found = score_tables.rank_agreement(of_means(values), ["deletion"], "pixel_auc")
    assert found["value"].tolist() == pytest.approx([0.5])  # 1 2 3 against 1 3 2: 1 - 6 * 2 / (3 * 8)


def test_mean_curves_weigh_folds_by_their_images():
    lines = [("cam", "roc", 0.0, 0.2, 1), ("cam", "roc", 0.0, 0.8, 3), ("cam", "roc", 1.0, 1.0, 4)]
    found = score_tables.mean_curves(pd.DataFrame(lines, columns=["method", "curve", "share", "value", "images"]))
    assert found["value"].tolist() == pytest.approx([(0.2 + 3 * 0.8) / 4, 1.0])
    assert list(found.columns) == ["method", "curve", "share", "value"]


def test_every_metric_with_a_better_way_can_be_ranked():
    judged = [name for name, metric in METRICS.items() if metric.better]
    scores = of_means({"cam": dict.fromkeys(judged, 0.6), "lime": dict.fromkeys(judged, 0.4)})
    found = score_tables.ranks(scores, judged, ["cam", "lime"])
    for name in judged:
        assert found[name].tolist() == ([2, 1] if METRICS[name].better == "lower" else [1, 2])
