"""What corruption does to answers and to explanations, and whether the two go together.

Common parameters: ``table`` is that of `medxai.experiment.robust_network.RobustNetwork.shift`; ``labels``, int (n,),
are of all test images; ``weights``, float (1 + resamples, n), come from `resampled`, their first row for the images as
they are. Intervals are 95 % percentile intervals over images, near copies drawn together. Tables are tidy: ``value``,
``low``, ``high`` and ``images`` or what else was counted; ``class`` is ``all`` or the number of a class, as text;
``corruption`` and ``severity`` name a version. Undefined is NaN.

``outcome`` says which images: ``right`` and ``wrong``, by what is predicted for the original; ``lost`` are those of the
right ones that are wrong in the version; ``all``.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap
from medxai.evaluation.classification import area_under_curve, one_against_rest
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.evaluation.sums import ratio
from medxai.experiment.robust_network import ALL_VERSIONS
from medxai.robustness.corruptions import SEVERITIES, VERSIONS
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS
from medxai.training.small_images import best_epoch

ALL = "all"
CORRECTED = "motion_blur, shift taken back"
"""Stands for a corruption where the RMSE is ``rmse_shift_corrected``."""
VERSION = ["corruption", "severity"]
CHOSEN_BY = (("val", "loss"), ("val", "auc"), ("test", "loss"), ("test", "auc"), ("test", "accuracy"))


def areas(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the areas under the ROC curve of probabilities (versions, n, classes), mean first.

    float64 (1 + resamples, versions, 1 + classes), of `medxai.evaluation.classification.one_against_rest`.
    """
    return np.stack([one_against_rest(labels, version, weights) for version in probabilities], axis=1)


def scores(
    labels: np.ndarray, probabilities: np.ndarray, found: np.ndarray, near_copy: np.ndarray, weights: np.ndarray
) -> pd.DataFrame:
    """Return AUC, accuracy and Delta AUC of each version, and of the original without the near copies.

    Parameters
    ----------
    probabilities
        Of `ALL_VERSIONS`, float (26, n, classes).
    found
        What `areas` makes of them.
    near_copy
        bool (n,), of which images training had a near copy.

    Returns
    -------
    pandas.DataFrame
        subset (``all``, ``near copies``, ``without near copies``: the last two of the original alone), corruption,
        severity, class, metric (``auc``, ``accuracy``, ``delta_auc``), value, low, high, images. Delta AUC is that of
        the original less that of the version (thesis, eq. 2.7), so that a loss is positive.
    """
    right = probabilities.argmax(2) == labels
    classes = range(-1, probabilities.shape[2])
    lines = []
    for v, version in enumerate(ALL_VERSIONS):
        for c in classes:
            own = labels >= 0 if c < 0 else labels == c
            known = (ALL, *version, ALL if c < 0 else str(c))
            accuracy = ratio(weights[:, own] @ right[v, own], weights[:, own].sum(1))
            metrics = {"auc": found[:, v, c + 1], "accuracy": accuracy}
            metrics |= {"delta_auc": found[:, 0, c + 1] - found[:, v, c + 1]} if v else {}
            lines += [(*known, name, *bootstrap.ends(values), own.sum()) for name, values in metrics.items()]
    for subset, chosen in {"near copies": near_copy, "without near copies": ~near_copy}.items():
        own, known = weights[:, chosen], (subset, *ALL_VERSIONS[0], ALL)
        metrics = {
            "auc": one_against_rest(labels[chosen], probabilities[0, chosen], own)[:, 0],
            "accuracy": ratio(own @ right[0, chosen], own.sum(1)),
        }
        lines += [(*known, name, *bootstrap.ends(values), chosen.sum()) for name, values in metrics.items()]
    columns = ["subset", *VERSION, "class", "metric", "value", "low", "high", "images"]
    return pd.DataFrame(lines, columns=columns)


def with_corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a line more for each of motion blur, whose corruption is `CORRECTED`."""
    moved = table[table["corruption"] == "motion_blur"]
    moved = moved.assign(corruption=CORRECTED, rmse=moved["rmse_shift_corrected"])
    return pd.concat([table, moved], ignore_index=True)


def outcomes(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return for each outcome which lines are of it; controls are never lost."""
    version = ~table["corruption"].isin([ORIGINAL, ANOTHER_IMAGE, RANDOM_WEIGHTS])
    before = table["right_before"].astype(bool)
    return {
        "all": before | True,
        "right": before,
        "wrong": ~before,
        "lost": before & ~table["right"].astype(bool) & version,
    }


def bands(
    table: pd.DataFrame, measure: str, groups: np.ndarray, *, outcome: Sequence[str], resamples: int, seed: int
) -> pd.DataFrame:
    """Return means over images of a measure, by layer and version, controls among them.

    Parameters
    ----------
    groups
        int (n,), of all test images.
    outcome
        Which outcomes.

    Returns
    -------
    pandas.DataFrame
        outcome, corruption, severity, layer, value, low, high, images; no line where there is no image.
    """
    masks = outcomes(table)
    found = {name: _means_by_version(table[masks[name]], measure, groups, resamples, seed) for name in outcome}
    return stacked(found, "outcome")


def bands_by_class(table: pd.DataFrame, measure: str, groups: np.ndarray, **options: object) -> pd.DataFrame:
    """Return `bands` of each class by itself, with the column class in front."""
    classes = sorted(table["label"].unique())
    return stacked({str(c): bands(table[table["label"] == c], measure, groups, **options) for c in classes}, "class")


def stacked(tables: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Put tables one below the other, their names in a column in front."""
    some = {name: table for name, table in tables.items() if len(table)} or dict(tables)
    return pd.concat(some, names=[column, None]).reset_index(column).reset_index(drop=True)


def _means_by_version(table: pd.DataFrame, measure: str, groups: np.ndarray, resamples: int, seed: int) -> pd.DataFrame:
    keys = [*VERSION, "layer"]
    if not table[measure].notna().any():
        return pd.DataFrame(columns=[*keys, "value", "low", "high", "images"])
    wide = table.pivot(index="image", columns=keys, values=measure)
    names, wide.columns = wide.columns.to_frame(index=False), range(wide.shape[1])
    found = bootstrap.mean_intervals(wide, groups=groups[wide.index], resamples=resamples, seed=seed)
    return pd.concat([names, found], axis=1).query("images > 0")


def _by_version(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each layer, the test images that its table has, int (m,), and their RMSE, (m, 25)."""
    for layer, part in table.groupby("layer", sort=False):
        wide = part.pivot(index="image", columns=VERSION, values="rmse")[list(VERSIONS)]
        yield str(layer), wide.index.to_numpy(), wide.to_numpy(float)


def _means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return means (1 + resamples, 25) of the defined values (m, 25), by weights (1 + resamples, m)."""
    return ratio(weights @ np.nan_to_num(values), weights @ np.isfinite(values).astype(float))


def separations(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r"""Return how well classes can be told apart by their RMSE, in each version, float64 (1 + resamples, 25).

    The mean of :math:`|2 A - 1|` over pairs of classes, with the area :math:`A` under the ROC curve (pairs as Hand and
    Till 2001, Machine Learning 45:171-186, eq. 7): from 0 for the same to 1 for values that do not overlap. It is the
    thesis's second meaning of Delta AUC, "the AUC of the differences between RMSEs for various classes, providing a
    measure of separability" (captions of its figures 3.1 and 3.2; erratum R5), as we read it: no formula is printed.
    By chance it is above 0, the more the fewer images. Pairs with a class that has no value are left out.

    Parameters
    ----------
    values, labels, weights
        Of some images: float (m, 25), int (m,), float (1 + resamples, m).
    """
    found = np.full((len(weights), values.shape[1]), np.nan)
    pairs = list(combinations(np.unique(labels), 2))
    for v, column in enumerate(values.T):
        each = []
        for one, other in pairs:
            own = np.isin(labels, (one, other)) & np.isfinite(column)
            each.append(np.abs(2 * area_under_curve(labels[own] == one, column[own], weights[:, own]) - 1))
        if each:
            known = np.isfinite(each)
            found[:, v] = ratio(np.where(known, each, 0).sum(0), known.sum(0))
    return found


def separability(table: pd.DataFrame, labels: np.ndarray, weights: np.ndarray) -> pd.DataFrame:
    """Return `separations` of each layer and version, and how they go with the RMSE.

    Returns
    -------
    pandas.DataFrame
        outcome (``all``, ``right``), layer, corruption, severity, value, low, high, images. Lines whose corruption is
        ``correlation with rmse`` (severity 0) hold Spearman's correlation of separations and mean RMSE of the versions.
    """
    lines, masks = [], outcomes(table)
    for name in ("all", "right"):
        for layer, images, values in _by_version(table[masks[name]]):
            own = weights[:, images]
            found = separations(values, labels[images], own)
            together = paired_rank_correlations(found, _means(values, own))
            lines += [
                (name, layer, *version, *bootstrap.ends(found[:, v]), len(images)) for v, version in enumerate(VERSIONS)
            ]
            lines.append((name, layer, "correlation with rmse", 0, *bootstrap.ends(together), len(images)))
    return pd.DataFrame(lines, columns=["outcome", "layer", *VERSION, "value", "low", "high", "images"])


def relation(table: pd.DataFrame, labels: np.ndarray, found: np.ndarray, weights: np.ndarray) -> pd.DataFrame:
    """Return whether versions that cost more AUC move the maps more: Spearman's correlation of Delta AUC and mean RMSE.

    Parameters
    ----------
    found
        What `areas` makes of `ALL_VERSIONS` of all test images.

    Returns
    -------
    pandas.DataFrame
        outcome (``all``, ``right``: of which images the RMSE is; the AUC is always of all), class, layer, severity (0
        for the 25 versions of all severities, else of the five kinds at one), value, low, high, versions. The AUC of a
        class is that against the rest, and its RMSE that of its images.
    """
    lines, masks = [], outcomes(table)
    for name in ("all", "right"):
        for layer, images, values in _by_version(table[masks[name]]):
            for c in range(-1, found.shape[2] - 1):
                own = np.ones(len(images), bool) if c < 0 else labels[images] == c
                moved = _means(values[own], weights[:, images[own]])
                lost = found[:, :1, c + 1] - found[:, 1:, c + 1]
                for severity in (0, *(SEVERITIES if c < 0 else ())):
                    columns = [v for v, (_, own_severity) in enumerate(VERSIONS) if severity in (0, own_severity)]
                    together = paired_rank_correlations(moved[:, columns], lost[:, columns])
                    known = (name, ALL if c < 0 else str(c), layer, severity)
                    lines.append((*known, *bootstrap.ends(together), len(columns)))
    return pd.DataFrame(lines, columns=["outcome", "class", "layer", "severity", "value", "low", "high", "versions"])


def flags(table: pd.DataFrame, weights: np.ndarray) -> pd.DataFrame:
    """Return how well the RMSE tells which versions of images have lost their right answer, at each severity.

    Returns
    -------
    pandas.DataFrame
        severity, layer, value (the area under the ROC curve: 1/2 by chance), low, high, and versions and lost, how
        many there are of images whose original is right. The layer ``confidence`` stands for a score that takes no map
        and no original: how little probable the predicted class is.
    """
    lines = []
    part = table[table["right_before"] & table["severity"].isin(SEVERITIES)]
    first = part[part["layer"] == part["layer"].iloc[0]] if len(part) else part
    doubt = first.assign(layer="confidence", rmse=-first["confidence"])
    for (severity, layer), own in pd.concat([part, doubt]).groupby(["severity", "layer"], sort=False):
        own = own[own["rmse"].notna()]
        lost = ~own["right"].to_numpy(bool)
        found = area_under_curve(lost, own["rmse"].to_numpy(), weights[:, own["image"].to_numpy()])
        lines.append((severity, layer, *bootstrap.ends(found), len(own), lost.sum()))
    return pd.DataFrame(lines, columns=["severity", "layer", "value", "low", "high", "versions", "lost"])


def choosing(history: pd.DataFrame) -> pd.DataFrame:
    """Return what it does to scores of test images by what the epoch is chosen.

    Returns
    -------
    pandas.DataFrame
        A line for each of `CHOSEN_BY` and for the last epoch: split and metric that choose, epoch, and auc and accuracy
        of the test images then. Networks of this book are those of the first line; the scores of lines in which the
        test images choose are not scores of unseen images. NaN for what is not defined in any epoch.
    """
    test = history[history["split"] == "test"].pivot(index="epoch", columns="metric", values="value")
    lines = []
    for split, metric in CHOSEN_BY:
        known = history.query("split == @split and metric == @metric")["value"].notna().any()
        epoch = best_epoch(history, split, metric) if known else np.nan
        lines.append((split, metric, epoch, *(test.loc[epoch, ["auc", "accuracy"]] if known else (np.nan, np.nan))))
    last = int(history["epoch"].max())
    lines.append(("", "last epoch", last, *test.loc[last, ["auc", "accuracy"]]))
    return pd.DataFrame(lines, columns=["split", "metric", "epoch", "auc", "accuracy"])
