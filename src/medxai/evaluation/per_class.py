"""F1, sensitivity and specificity of each of several classes, by fold and over folds, as the DermX paper prints them.

Classes exclude each other, as diagnoses do, or not, as characteristics do (Jalaboi et al. 2023, Medical Image Analysis
83:102647, tables B.14 to B.17). Common parameters: ``there`` and ``found`` are bool (n, c): whether an image has a
class, and whether it was predicted; ``names`` are those of the classes; ``folds``, int (n,), say in which fold an image
was tested. A score without a denominator is NaN and left out of means.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap
from medxai.evaluation.agreement_sums import columns_with_std, interleave, presence_scores
from medxai.evaluation.sums import make_table, mean_std

SCORES = ("f1", "sensitivity", "specificity")
MEAN = "Mean"


def one_hot(classes: np.ndarray, number: int) -> np.ndarray:
    """Return classes from 0, int (n,), as bool (n, number)."""
    return classes[:, None] == np.arange(number)


def scores(
    there: np.ndarray, found: np.ndarray, names: Sequence[str], *, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """Score each class on all images.

    Parameters
    ----------
    weights
        As of `medxai.evaluation.bootstrap.weights`, float (resamples, n): the table of each resample.

    Returns
    -------
    pandas.DataFrame
        Index: the classes and Mean, the mean of the classes. Columns f1, sensitivity, specificity in [0, 1], and
        samples, how many images have the class.
    """
    there, found = np.asarray(there), np.asarray(found)
    if there.shape != found.shape or there.shape[1:] != (len(names),) or not there.dtype == found.dtype == bool:
        shapes = f"there is {there.dtype} {there.shape} and found {found.dtype} {found.shape}"
        raise ValueError(f"{shapes}: expected bool (n, {len(names)}) of both")

    def finish(images: np.ndarray, there: np.ndarray, found: np.ndarray, both: np.ndarray) -> np.ndarray:
        of_class = presence_scores(images[..., None], there, found, both, "skip")[..., : len(SCORES)]
        rows = np.concatenate([of_class, there[..., None]], axis=-1)
        return np.concatenate([rows, mean_std(rows, 1, 0)[0][:, None]], axis=1)

    sums = [np.ones(len(there)), there, found, there & found]
    return make_table(sums, finish, [*names, MEAN], [*SCORES, "samples"], weights)


def by_fold(there: np.ndarray, found: np.ndarray, names: Sequence[str], folds: np.ndarray) -> pd.DataFrame:
    """Return `scores` of each fold, as a tidy table with the columns fold and name in front of those."""
    numbers = np.unique(folds)
    table = scores(there, found, names, weights=(folds == numbers[:, None]).astype(float))
    table = table.rename_axis(["fold", "name"]).reset_index()
    return table.assign(fold=numbers[table["fold"]])


def over_folds(table: pd.DataFrame, *, ddof: int = 0) -> pd.DataFrame:
    """Average a table by fold and name over folds, Mean among the names: the macro mean of each fold, averaged.

    Parameters
    ----------
    table
        Columns fold, name, any scores, and samples, which is added up.
    ddof
        Delta degrees of freedom of the standard deviation; the paper does not say.

    Returns
    -------
    pandas.DataFrame
        Index: the names, in their order. Each score followed by its _std over folds, NaN for one fold, and samples.
    """
    columns = [name for name in table if name not in ("fold", "name", "samples")]
    wide = table.pivot(index="fold", columns="name")
    names = table["name"].unique()
    values = np.stack([wide[column][names].to_numpy(dtype=float) for column in columns], axis=-1)
    samples = wide["samples"][names].sum().to_numpy(dtype=float)
    mean, spread = mean_std(values, 0, ddof)
    rows = interleave((mean, spread if len(wide) > 1 else np.full_like(spread, np.nan)), (samples,))
    return pd.DataFrame(rows, names, [*columns_with_std(columns), "samples"])


def differences(
    there: np.ndarray,
    found: Mapping[str, np.ndarray],
    names: Sequence[str],
    against: str,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare models on the same images with one of them, over all folds together, with paired percentile intervals.

    Parameters
    ----------
    found
        By model.
    against
        The model whose scores are taken from those of each other one.

    Returns
    -------
    pandas.DataFrame
        Tidy: model, name (of the class, or Mean), score, difference, low, high.
    """

    def gap(model: str, weights: np.ndarray | None = None) -> pd.DataFrame:
        one, other = (scores(there, found[name], names, weights=weights)[list(SCORES)] for name in (against, model))
        return other - one

    def compared(model: str) -> pd.DataFrame:
        options = {"resamples": resamples, "seed": seed, "level": level}
        ends = bootstrap.interval(partial(gap, model), len(there), **options)
        values = np.stack([gap(model), *ends], axis=-1).reshape(-1, 3)
        lines = pd.MultiIndex.from_product([[model], [*names, MEAN], SCORES], names=["model", "name", "score"])
        return pd.DataFrame(values, lines, ["difference", "low", "high"]).reset_index()

    return pd.concat([compared(name) for name in found if name != against], ignore_index=True)
