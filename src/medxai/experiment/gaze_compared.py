"""What the answers of several gaze-supervised networks amount to: areas, tests against the baseline, rejections.

Answers are those of `medxai.experiment.gaze_trained.answers`, with ``model``, ``seed`` and ``variant`` before them.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from medxai.data.chest_films import CLASSES
from medxai.evaluation import auc_tests, doctor, failure_metrics
from medxai.experiment.gaze_trained import DEFAULT
from medxai.training.gaze_losses import MODELS

BASELINE = "u_net"
RESAMPLES = 1000


def logits(answers: pd.DataFrame) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return labels int (n,), and by model the logits of each of its seeds, float64 (seeds, n, classes)."""
    default = answers[answers["variant"] == DEFAULT].sort_values("image", kind="stable")
    labels = default.drop_duplicates("image")["label"].to_numpy()
    found = {}
    for model, own in default.groupby("model", sort=False):
        found[model] = np.stack([one[list(CLASSES)].to_numpy() for _, one in own.groupby("seed")])
    return labels, found


def areas(answers: pd.DataFrame) -> pd.DataFrame:
    """Return areas under the ROC curve, means over seeds, with three kinds of intervals.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``class``, ``interval`` ("DeLong"; "bootstrap", stratified; "paper", 30 resamples of 55 to 60 films
        and their median), ``value``, ``low``, ``high``, and ``seeds``, the standard deviation over seeds, NaN for one.
    """
    labels, of_model = logits(answers)
    parts = []
    for model, runs in of_model.items():
        small = np.nanquantile(auc_tests.resampled(labels, runs, seed=0), [0.5, 0.025, 0.975], axis=0)
        each = np.stack([auc_tests.class_parts(labels, one).areas for one in runs])
        kinds = {
            "DeLong": auc_tests.delong(labels, runs, CLASSES),
            "bootstrap": auc_tests.stratified(labels, runs, CLASSES, resamples=RESAMPLES),
            "paper": pd.DataFrame(dict(zip(("value", "low", "high"), small, strict=True)), [auc_tests.MEAN, *CLASSES]),
        }
        spread = each.std(0, ddof=1) if len(runs) > 1 else np.full(each.shape[1], np.nan)
        parts += [
            table.rename_axis("class").reset_index().assign(model=model, interval=kind, seeds=spread)
            for kind, table in kinds.items()
        ]
    columns = ["model", "class", "interval", "value", "low", "high", "seeds"]
    return pd.concat(parts, ignore_index=True)[columns]


def gains(answers: pd.DataFrame) -> pd.DataFrame:
    """Compare each model with the U-Net baseline on the same films, means over seeds, by DeLong's paired test.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``class``, ``value`` (area less the baseline's), ``low``, ``high``, ``p``, and ``adjusted`` by Holm's
        correction over all rows.
    """
    labels, of_model = logits(answers)
    parts = [
        auc_tests.paired(labels, runs, of_model[BASELINE], CLASSES)
        .rename_axis("class")
        .reset_index()
        .assign(model=name)
        for name, runs in of_model.items()
        if name != BASELINE
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(adjusted=auc_tests.holm(table["p"]))[
        ["model", "class", "value", "low", "high", "p", "adjusted"]
    ]


def rejections(answers: pd.DataFrame) -> pd.DataFrame:
    """Ask DOCTOR which answers to reject, of each model the mean over seeds.

    Returns
    -------
    pandas.DataFrame
        A row for each model: ``wrong``, the share of wrong answers; ``area``, under the ROC curve of D-alpha that tells
        wrong answers from right ones; ``false rejections``, the share of right answers that go where 95 % of the wrong
        ones do. NaN where no answer is wrong, or none is right.
    """
    labels, of_model = logits(answers)
    lines = {}
    for model, runs in of_model.items():
        each = []
        for probabilities in special.softmax(runs, axis=2):
            score, wrong = doctor.doctor_alpha(probabilities), probabilities.argmax(1) != labels
            (area,) = auc_tests.parts(wrong, score).areas
            each.append((wrong.mean(), area, failure_metrics.false_rejections(score, wrong)[0]))
        lines[model] = np.mean(each, axis=0)
    return pd.DataFrame(lines, index=["wrong", "area", "false rejections"]).T.rename_axis("model").reset_index()


def named(table: pd.DataFrame, names: Mapping[str, str], column: str = "model") -> pd.DataFrame:
    """Return a table with names for people in a column, in their order; rows without one are left out."""
    known = table[table[column].isin(list(names))]
    order = known[column].map(list(names).index)
    return known.assign(**{column: known[column].map(names)}).iloc[np.argsort(order, kind="stable")]


def variants(answers: pd.DataFrame, maps: pd.DataFrame, of: str = "guided_backpropagation") -> pd.DataFrame:
    """Set each variant of a model beside the default with the same seed.

    Parameters
    ----------
    answers, maps
        Tables of `medxai.experiment.gaze_trained`, the second one of `scores`, with the columns that name a network.
    of
        Whose map is scored.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``variant``, ``area`` (average), ``low`` and ``high`` (DeLong's interval of it), ``gain`` over the
        default and its ``p``, NaN for the default itself; ``sNCC`` and ``finding AUC`` of the map.
    """
    own = dict(list(answers[answers["seed"] == 0].groupby(["model", "variant"], sort=False)))
    scored = maps[(maps["seed"] == 0) & (maps["map"] == of)]
    scored = scored.pivot(index=["model", "variant"], columns="metric", values="value")
    lines = []
    for model, variant in own:
        known = [name for other, name in own if other == model]
        if DEFAULT not in known or len(known) == 1:
            continue
        labels, logits = own[model, variant]["label"], own[model, variant][list(CLASSES)]
        area = auc_tests.delong(labels, logits, CLASSES).loc[auc_tests.MEAN, ["value", "low", "high"]]
        told = {"model": model, "variant": variant, **area.rename({"value": "area"})}
        if variant != DEFAULT:
            gain = auc_tests.paired(labels, logits, own[model, DEFAULT][list(CLASSES)], CLASSES).loc[auc_tests.MEAN]
            told |= {"gain": gain["value"], "p": gain["p"]}
        lines.append(told | scored.loc[(model, variant)].reindex(["sNCC", "finding AUC"]).to_dict())
    columns = ["model", "variant", "area", "low", "high", "gain", "p", "sNCC", "finding AUC"]
    table = pd.DataFrame(lines, columns=columns)
    return table.sort_values("model", key=lambda names: names.map(list(MODELS).index), kind="stable", ignore_index=True)
