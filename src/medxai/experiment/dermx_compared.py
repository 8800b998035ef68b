"""Networks of the DermX study against each other: the same folds, the same images, differences with intervals.

Everything here is made of tables that trials keep (`medxai.experiment.dermx_scores`). Common parameters: ``said`` and
``cases`` are those tables of several networks and folds, put together, with the columns recipe and fold; ``against`` is
the network whose scores are taken from those of each other one. Two networks are compared on the folds that both have.
"""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.data.ontology import DISEASES
from medxai.evaluation import attention_bounds, attention_cases, bootstrap, explanation_precision, per_class
from medxai.evaluation.attention_bounds import BLIND
from medxai.evaluation.per_class import MEAN, one_hot
from medxai.experiment import dermx_scores
from medxai.experiment.dermx_scores import MARKED

QUANTITIES = ("diagnosis F1", "characteristics F1", "localisation F1")
"""What networks are compared by: macro F1 of the diseases, of the characteristics, and the mean over all cases."""
SCORES = dict(zip(("macro f1", "characteristic f1", "localisation f1"), QUANTITIES, strict=True))
"""The same as `dermx_scores.scores` calls them."""


def means(scores: pd.DataFrame, split: str = "test", folds: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the mean over folds of `QUANTITIES`: index recipe, and the column folds, of how many.

    Parameters
    ----------
    scores
        Columns recipe, fold, split, metric, value.
    folds
        Only these.
    """
    part = scores[(scores["split"] == split) & scores["metric"].isin(SCORES)].replace({"metric": SCORES})
    part = part if folds is None else part[part["fold"].isin(folds)]
    table = part.pivot_table(index="recipe", columns="metric", values="value", sort=False)
    table = table.reindex(columns=list(QUANTITIES)).rename_axis(columns=None)
    return table.assign(folds=part.groupby("recipe")["fold"].nunique())


def chosen(scores: pd.DataFrame, losses: Sequence[str], weights: Sequence[float]) -> pd.Series:
    """Return for each loss that has them all the weight with the largest sum of `QUANTITIES` on validation images.

    Recipes are named ``LOSS WEIGHT``.
    """
    found = means(scores, "validation")
    total = found[list(QUANTITIES)].sum(axis=1)
    each = {loss: [f"{loss} {weight}" for weight in weights] for loss in losses}
    each = {loss: recipes for loss, recipes in each.items() if set(recipes) <= set(total.index)}
    return pd.Series({loss: total[recipes].idxmax() for loss, recipes in each.items()}, dtype=object)


def differences(
    said: pd.DataFrame, cases: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return how far networks are apart in `QUANTITIES`, with 95 % intervals, by resampling images.

    Parameters
    ----------
    pairs
        Of networks; the score of the second is taken from that of the first. Left out if one is not in the tables.

    Returns
    -------
    pandas.DataFrame
        Tidy: model, against, quantity, value (the difference), low, high, and images. Folds are pooled, so that
        differences are not quite those of means over folds. Networks without characteristics differ in diagnosis only.
    """
    there, rows = set(said["recipe"]), []
    for pair in (pair for pair in pairs if there.issuperset(pair)):
        model, against = pair
        asked = _common(said[said["recipe"].isin(pair)], pair)
        options = {"resamples": resamples, "seed": seed}
        answers = dermx_scores.diagnoses(asked, DISEASES)
        labels, *given = (one_hot(answers[name].to_numpy(), len(DISEASES)) for name in ("label", *pair))
        gaps = {QUANTITIES[0]: _gap(labels, dict(zip(pair, given, strict=True)), DISEASES, against, **options)}
        seen = _common(cases[cases["recipe"].isin(pair)], pair)
        if len(seen):
            marks, names = _marks(asked)
            gaps[QUANTITIES[1]] = _gap(marks.pop("there"), marks, names, against, **options)
            values, groups = attention_cases.side_by_side(dict(list(seen.groupby("recipe"))))
            gap = bootstrap.differences(values, against, groups=groups, **options).iloc[0]
            gaps[QUANTITIES[2]] = (*gap[["difference", "low", "high"]], groups.max() + 1)
        rows += [(model, against, quantity, *gap) for quantity, gap in gaps.items()]
    return pd.DataFrame(rows, columns=["model", "against", "quantity", "value", "low", "high", "images"])


def _common(table: pd.DataFrame, recipes: Sequence[str]) -> pd.DataFrame:
    """Return the lines of the folds that all of these have."""
    folds = [set(table.loc[table["recipe"] == recipe, "fold"]) for recipe in recipes]
    return table[table["fold"].isin(set.intersection(*folds))]


def _marks(said: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return what networks find in the explained images, bool (n, c) by network and ``there``, and the names of c."""
    names = dermx_scores.marked_names(said)
    answers = dermx_scores.characteristics(said, names)
    marks = {name: answers[name].to_numpy().reshape(-1, len(names)) for name in answers}
    return {name: table for name, table in marks.items() if name not in ("image", "fold", "name")}, names


def _gap(
    there: np.ndarray, found: dict[str, np.ndarray], names: Sequence[str], against: str, **options: int
) -> tuple[float, float, float, int]:
    """Return the difference of the macro F1, its ends, and of how many images it is."""
    table = per_class.differences(there, found, names, against, **options)
    one = table[(table["name"] == MEAN) & (table["score"] == "f1")].iloc[0]
    return one["difference"], one["low"], one["high"], len(there)


def precision(
    said: pd.DataFrame, expected: pd.DataFrame, cutoffs: Sequence[float] = explanation_precision.CUTOFFS
) -> pd.DataFrame:
    """Return how many of the characteristics that networks give are right, for right and for wrong diagnoses.

    Parameters
    ----------
    expected
        Column name, the characteristic, and for each disease the share of its evaluations that mark it.

    Returns
    -------
    pandas.DataFrame
        A line for each network, diagnosis ("right" or "wrong") and cut-off (NaN for right ones): recipe, diagnosis,
        cutoff, precision and chance, means over images, and images, how many have one.
    """
    names, rows = dermx_scores.marked_names(said), []
    shares = expected.set_index("name").loc[names, list(DISEASES)]
    for recipe, part in said.dropna(subset=names).groupby("recipe", sort=False):
        labels, guesses = part["label"].to_numpy(), part[list(DISEASES)].to_numpy().argmax(axis=1)
        found = part[names].to_numpy() >= 0.5
        present = part[[f"{MARKED}{name}" for name in names]].to_numpy(dtype=bool)
        known = part["explained"].to_numpy(dtype=bool)
        right = explanation_precision.right_diagnoses(found, present, labels, guesses, known)
        tables = [("right", np.nan, right)]
        wrong = explanation_precision.wrong_diagnoses(found, labels, guesses, shares, cutoffs)
        tables += [("wrong", cutoff, table) for cutoff, table in wrong.groupby("cutoff")]
        for kind, cutoff, table in tables:
            some = table[["precision", "chance"]].mean()
            rows.append((recipe, kind, cutoff, some["precision"], some["chance"], table["precision"].count()))
    return pd.DataFrame(rows, columns=["recipe", "diagnosis", "cutoff", "precision", "chance", "images"])


def skills(cases: pd.DataFrame, bounds: pd.DataFrame, ceiling: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return how far each network's F1 is on the way from the blind map to the best on a grid.

    Parameters
    ----------
    bounds
        Columns image, name, and the F1 of `attention_bounds.BLIND` and of ``ceiling``, case by case.

    Returns
    -------
    pandas.DataFrame
        Index: the networks. Columns as of `medxai.evaluation.attention_bounds.skill`, and low and high of the skill, by
        resampling images.
    """
    table = bounds.set_index(["image", "name"])[[BLIND, ceiling]]
    networks = cases.pivot(index=["image", "name"], columns="recipe", values="f1")[list(cases["recipe"].unique())]
    values = networks.join(table)
    images = pd.factorize(values.index.get_level_values("image"))[0]
    skill = functools.partial(attention_bounds.skill, values, images, BLIND, ceiling)
    low, high = bootstrap.interval(skill, images.max() + 1, resamples=resamples, seed=seed)
    return skill().assign(low=low["skill"], high=high["skill"])


def falls(repainted: pd.DataFrame) -> pd.DataFrame:
    """Return how far probabilities fell when a characteristic was painted out: the table with fall, and asked of what.

    Asked is "the one that is gone", "other characteristics" or "the disease".
    """
    asked = pd.Series("other characteristics", repainted.index)
    asked[repainted["name"] == repainted["without"]] = "the one that is gone"
    asked[repainted["name"].isin(DISEASES)] = "the disease"
    return repainted.assign(asked=asked, fall=repainted["before"] - repainted["after"])


def shares(table: pd.DataFrame, column: str, value: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean of a value of images for each network and condition: recipe, the condition, value, low, high."""
    parts = []
    for recipe, part in table.groupby("recipe", sort=False):
        wide = part.pivot_table(index="image", columns=column, values=value, sort=False).astype(float)
        means = bootstrap.mean_intervals(wide, resamples=resamples, seed=seed)
        parts.append(means.rename_axis(column).reset_index().assign(recipe=recipe))
    return pd.concat(parts, ignore_index=True)


def paired(
    table: pd.DataFrame, column: str, value: str, against: str, index: Sequence[str], *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return means of a value for each network and condition, and how far they are from one condition, in pairs.

    Parameters
    ----------
    table
        Columns recipe, image, `column` with the conditions, `value`, and all of `index`.
    against
        The condition that the others are compared with.
    index
        Columns that make a pair, image among them; several lines of one pair and condition are averaged.

    Returns
    -------
    pandas.DataFrame
        A line for each network and condition: recipe, the condition, value (its mean), and difference, low, high, by
        resampling images: all conditions of a network hold together; NaN for the one compared with.
    """
    parts = []
    for recipe, part in table.groupby("recipe", sort=False):
        wide = part.pivot_table(index=list(index), columns=column, values=value, sort=False).astype(float)
        groups = pd.factorize(wide.index.get_level_values("image"))[0]
        gaps = bootstrap.differences(wide, against, groups=groups, resamples=resamples, seed=seed)
        lines = wide.mean().to_frame("value").join(gaps[["difference", "low", "high"]]).rename_axis(column)
        parts.append(lines.reset_index().assign(recipe=recipe))
    return pd.concat(parts, ignore_index=True)
