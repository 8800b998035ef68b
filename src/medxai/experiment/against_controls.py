"""Means of scores over images, and what each method is worth beside maps that know nothing of the network."""

import numpy as np
import pandas as pd

from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation import bootstrap
from medxai.evaluation.metrics import METRICS, verdicts


def wide(scores: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one metric, a row for each image and a column for each map, and the group of each image.

    Parameters
    ----------
    scores
        Of `medxai.experiment.panel.Panel.scores`, one set of images.
    """
    table = scores.pivot(index="image", columns="method", values=metric).astype(float)
    table = table.loc[scores["image"].unique(), scores["method"].unique()]
    return table, scores.groupby("image")["group"].first().loc[table.index].to_numpy()


def means(
    scores: pd.DataFrame, metric: str, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Return the mean of a metric for each map: ``value``, ``low``, ``high`` (bootstrap over images), ``images``."""
    values, groups = wide(scores, metric)
    return bootstrap.mean_intervals(values, groups=groups, resamples=resamples, seed=seed, level=level)


def best_control(scores: pd.DataFrame, metric: str) -> str | None:
    """Return the control with the best mean of a metric, ``None`` where none has a value.

    That is hard on the methods: by chance alone one of several controls is ahead.
    """
    values = wide(scores, metric)[0].mean().reindex(list(CONTROLS)).dropna()
    if values.empty:
        return None
    return str(values.idxmin() if METRICS[metric].better == "lower" else values.idxmax())


def compare(
    scores: pd.DataFrame,
    metric: str,
    control: str | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare every method with a control, the best one without a name, on the same images.

    Returns
    -------
    pandas.DataFrame
        A row for each method, none where no control has a value: ``difference`` (method less control), ``low``,
        ``high`` and ``p`` of `medxai.evaluation.bootstrap.differences`, which hold for all methods of the metric
        together, ``images``, ``control``, and ``verdict``: ``better``, ``worse``, or ``open``.
    """
    control = control or best_control(scores, metric)
    values, groups = wide(scores, metric)
    methods = [name for name in values if name in METHODS]
    if control is None or not methods:
        return pd.DataFrame(columns=["difference", "low", "high", "p", "images", "control", "verdict"])
    found = bootstrap.differences(
        values[[*methods, control]], control, groups=groups, resamples=resamples, seed=seed, level=level
    )
    return found.assign(control=control, verdict=verdicts(found, metric))
