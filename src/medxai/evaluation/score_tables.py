"""Analyses of a table of scores: means with intervals, ranks, comparisons with controls, agreement of metrics.

A table of scores has a line for each image and map, with the columns ``image``, ``method``, one for each metric
(`medxai.evaluation.metrics`), and ``group``, an integer that near copies of one image share. It holds one set of
images: methods are compared on the same ones. NaN where a metric was not taken or is undefined.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation import bootstrap
from medxai.evaluation.metrics import METRICS, verdicts
from medxai.evaluation.sanity import STILL_ALIKE
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.evaluation.sums import ratio

RESAMPLES, SEED = 2000, 0
NOT_COMPARED = ("fuzzy_sensitivity", "fuzzy_specificity", "completeness_gap")
"""Metrics by which no method is compared with controls: a map of everything, or of nothing, has the best of the first
two, and only some methods are made for the sum of which the last speaks."""

COMPARED = dict.fromkeys(("difference", "low", "high", "p"), float) | {"images": int, "control": str, "verdict": str}
"""Columns of `compare` and what they hold."""


def methods_of(scores: pd.DataFrame) -> list[str]:
    """Return the methods of a table, without controls and the truth, in the order of the table."""
    return [name for name in scores["method"].unique() if name in METHODS]


def wide(scores: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one metric, a row for each image and a column for each map, and the group of each image, int (n,)."""
    table = scores.pivot(index="image", columns="method", values=metric)[scores["method"].unique()].astype(float)
    return table, scores.groupby("image")["group"].first().loc[table.index].to_numpy()


def means(
    scores: pd.DataFrame, metrics: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED, level: float = 0.95
) -> pd.DataFrame:
    """Return mean metrics of each map with their intervals (bootstrap over groups of images).

    Returns
    -------
    DataFrame
        Tidy: ``row`` (the map), ``metric``, ``value``, ``low``, ``high``, and ``images``, how many have a value.
    """
    parts = []
    for metric in metrics:
        values, groups = wide(scores, metric)
        found = bootstrap.mean_intervals(values, groups=groups, resamples=resamples, seed=seed, level=level)
        parts.append(found.rename_axis("row").reset_index().assign(metric=metric))
    return pd.concat(parts, ignore_index=True)[["row", "metric", "value", "low", "high", "images"]]


def mean_and_spread(scores: pd.DataFrame, metrics: Sequence[str], maps: Sequence[str]) -> pd.DataFrame:
    """Return `means` of some maps, in their order, and standard deviations over images as metrics ``<name>_std``."""
    chosen = scores[scores["method"].isin(maps)]
    spread = chosen.groupby("method")[list(metrics)].std().add_suffix("_std").rename_axis("row").reset_index()
    spread = spread.melt("row", var_name="metric")
    found = pd.concat([means(chosen, metrics).drop(columns="images"), spread], ignore_index=True)
    return found.sort_values("row", key=lambda rows: rows.map(list(maps).index), kind="stable", ignore_index=True)


def ranks(scores: pd.DataFrame, metrics: Sequence[str], maps: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rank of each map in each metric by its mean: 1 the best, ties shared, NaN where undefined.

    Maps are methods and controls if ``None``; metrics those in which one way is better.
    """
    maps = [*methods_of(scores), *CONTROLS] if maps is None else maps
    values = scores.groupby("method")[list(metrics)].mean().reindex(maps)
    return pd.DataFrame({name: values[name].rank(ascending=METRICS[name].better == "lower") for name in metrics})


def best_control(scores: pd.DataFrame, metric: str) -> str | None:
    """Return the control with the best mean of a metric, ``None`` where none has a value.

    That is hard on the methods: by chance alone one of several controls is ahead.
    """
    found = ranks(scores, [metric], list(CONTROLS))[metric].dropna()
    return None if found.empty else str(found.idxmin())


def compare(
    scores: pd.DataFrame,
    metric: str,
    control: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare every method with a control, by default the best one, on the same images.

    Returns
    -------
    DataFrame
        A row for each method, none where no control has a value: ``difference`` (method less control), ``low``,
        ``high`` and ``p`` of `medxai.evaluation.bootstrap.differences`, which hold for all methods of the metric
        together, ``images``, ``control``, and ``verdict``: ``better``, ``worse``, or ``open`` where 0 is inside.
    """
    control, methods = control or best_control(scores, metric), methods_of(scores)
    if control is None or not methods:
        return pd.DataFrame(columns=list(COMPARED)).astype(COMPARED)
    values, groups = wide(scores, metric)
    options = {"resamples": resamples, "seed": seed, "level": level}
    found = bootstrap.differences(values[[*methods, control]], control, groups=groups, **options)
    return found.assign(control=control, verdict=verdicts(found, metric))


def compared() -> list[str]:
    """Return the metrics by which methods are compared with controls: of place and faithfulness, but `NOT_COMPARED`."""
    families = ("place", "faithfulness")  # a control depends on nothing that a sanity check changes
    return [name for name, metric in METRICS.items() if metric.family in families and name not in NOT_COMPARED]


def summary(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = SEED, level: float = 0.95) -> pd.DataFrame:
    """Average every metric over images, and by those of `compared` set each method beside the best control.

    Returns
    -------
    DataFrame
        A line for each metric and map: ``metric``, ``method``, ``value``, ``low``, ``high``, ``images``, and for
        methods ``control``, ``difference``, ``difference_low``, ``difference_high``, ``p`` and ``verdict`` of
        `compare`, which hold for all methods of a metric together, not for all metrics together.
    """
    tables, options = [], {"resamples": resamples, "seed": seed, "level": level}
    for metric in (metric for metric in METRICS if metric in scores):
        table = means(scores, [metric], **options).rename(columns={"row": "method"}).set_index("method")
        if metric in compared():
            found = compare(scores, metric, **options).drop(columns="images")
            table = table.join(found.rename(columns={"low": "difference_low", "high": "difference_high"}))
        tables.append(table.reset_index())
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "metric", table.pop("metric"))
    return table


def counted(verdict: pd.Series) -> pd.Series:
    """Count the verdicts of `compare`: ``better``, ``open``, ``worse``."""
    return verdict.value_counts().reindex(["better", "open", "worse"], fill_value=0)


def report_card(scores: pd.DataFrame, metrics: Sequence[str], check: str = "parameter_randomisation") -> pd.DataFrame:
    """Return where each method stands: beside the best control by some metrics, and in a sanity check.

    Returns
    -------
    DataFrame
        A row for each method, a column for each metric with its verdict, and one named `check`: ``better`` if the
        interval of its mean lies below `STILL_ALIKE` (maps change), ``worse`` if above, else ``open``.
    """
    card = pd.DataFrame({metric: compare(scores, metric)["verdict"] for metric in metrics})
    alike = means(scores, [check]).set_index("row").reindex(card.index)
    word = np.select([alike["high"] < STILL_ALIKE, alike["low"] >= STILL_ALIKE], ["better", "worse"], "open")
    return card.assign(**{check: word})


def rank_agreement(scores: pd.DataFrame, metrics: Sequence[str], target: str) -> pd.DataFrame:
    """Say how alike metrics and a target metric rank the methods: Spearman's correlation over their means.

    Returns
    -------
    DataFrame
        Tidy, a ``row`` for each metric: ``value``, and ``low`` and ``high``, the 95 % percentile interval over
        resampled groups of images. 1: the same order from best to worst. NaN for constant metrics.
    """
    maps = methods_of(scores)
    of_target = _resampled_means(scores, target, maps)
    lines = []
    for name in metrics:
        found = paired_rank_correlations(_resampled_means(scores, name, maps), of_target)
        drawn = found[1:][np.isfinite(found[1:])]
        low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
        sign = 1 if METRICS[name].better == METRICS[target].better else -1
        ends = sorted((sign * low, sign * high))
        lines.append({"row": name, "value": sign * found[0], "low": ends[0], "high": ends[1]})
    return pd.DataFrame(lines)


def _resampled_means(scores: pd.DataFrame, metric: str, maps: Sequence[str]) -> np.ndarray:
    """Return mean metrics, float (1 + resamples, maps); the first row is of the images as they are."""
    values, groups = wide(scores[scores["method"].isin(maps)], metric)
    codes, known = np.unique(groups, return_inverse=True)[1], values[maps].notna().to_numpy(float)
    chunks = bootstrap.weights(codes.max() + 1, RESAMPLES, SEED)
    weights = np.concatenate([np.ones((1, len(codes))), *(chunk[:, codes] for chunk in chunks)])
    return ratio(weights @ values[maps].fillna(0).to_numpy(), weights @ known)


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean curves over folds, which count by their ``images``: ``method``, ``curve``, ``share``, ``value``."""
    keys = ["method", "curve", "share"]
    sums = curves.assign(total=curves["value"] * curves["images"]).groupby(keys, sort=False)[["total", "images"]].sum()
    return (sums["total"] / sums["images"]).rename("value").reset_index()
