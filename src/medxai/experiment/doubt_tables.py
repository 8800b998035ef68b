"""What doubts are worth: tables of `medxai.experiment.doubted`, with intervals by resampling images.

Images are resampled, all networks of an image together, and near copies together. Where there are fewer than
`medxai.evaluation.failure_metrics.FEW` wrong answers, or of right ones, nothing is decided: values are NaN, and the
column ``wrong`` says how many there are.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap, failure_metrics
from medxai.evaluation.failure_metrics import FEW
from medxai.experiment.doubted import AS_THEY_ARE, MEAN_SHIFT, NETWORK, Judged, doubts, parts
from medxai.experiment.robust_network import SEED

METRICS: dict[str, Callable[..., np.ndarray]] = {
    "AUROC": failure_metrics.auroc,
    "AUPR-error": failure_metrics.aupr_error,
    "FPR at 95% TPR": failure_metrics.false_rejections,
    "AURC": failure_metrics.aurc,
    "AUGRC": failure_metrics.augrc,
}
COVERAGES = np.linspace(0, 1, 21)
REFERRED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of images that are handed to somebody else."""
PLAIN, CONFIDENCE, NESTED = "softmax response", "confidence, fitted", "confidence and fingerprint, fitted"
MORE = {"its mean": "confidence and mean, fitted", "all numbers": NESTED}
"""What of the fingerprint is added to confidence, and the score with it."""
SHOWN = (PLAIN, MEAN_SHIFT, "fingerprint, fitted", NESTED)
"""Scores whose curves are drawn."""


def scored(of: Judged, resamples: int) -> pd.DataFrame:
    """Return every metric of every score under every shift.

    Returns
    -------
    pandas.DataFrame
        ``shift``, ``system``, ``score``, ``metric``, ``value``, ``low``, ``high``; ``images``, how many answers there
        are, ``wrong``, how many of them are, and ``accuracy``, the share that is not.
    """
    weights, lines = bootstrap.resampled(of.groups, resamples, SEED), []
    for shift in of.answers:
        for system, found in doubts(of, shift).items():
            own = np.tile(weights, len(found.wrong) // len(of.labels))
            told = {"images": len(found.wrong), "wrong": int(found.wrong.sum()), "accuracy": 1 - found.wrong.mean()}
            for (score, doubt), metric in itertools.product(found.scores.items(), METRICS):
                value, low, high = bootstrap.ends(_measured(METRICS[metric], doubt, found.wrong, own))
                line = {"shift": shift, "system": system, "score": score, "metric": metric}
                lines.append({**line, "value": value, "low": low, "high": high, **told})
    return pd.DataFrame(lines)


def _measured(
    metric: Callable[..., np.ndarray], doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    return metric(doubt, wrong, weights) if decided(wrong) else np.full(len(weights), np.nan)


def decided(wrong: np.ndarray) -> bool:
    """Say whether there are enough wrong answers, and right ones."""
    return min(wrong.sum(), (~wrong).sum()) >= FEW


def curves(of: Judged) -> pd.DataFrame:
    """Return both risks of some scores on images as they are, by coverage: score, coverage, selective, generalised."""
    wrong, scores = doubts(of, AS_THEY_ARE)[NETWORK]
    if not decided(wrong):
        return pd.DataFrame(columns=["score", "coverage", "selective", "generalised"])
    lines = [failure_metrics.curves(scores[name], wrong, COVERAGES).assign(score=name) for name in SHOWN]
    return pd.concat(lines, ignore_index=True)


def by_part(of: Judged, resamples: int) -> pd.DataFrame:
    """Return how well each part of the fingerprint tells wrong answers: corruption, layer, value, low, high, wrong."""
    each, wrong = of.answers[AS_THEY_ARE], doubts(of, AS_THEY_ARE)[NETWORK].wrong
    weights = np.tile(bootstrap.resampled(of.groups, resamples, SEED), len(each))
    columns = np.concatenate([one.fingerprint for one in each]).T.astype(float)
    lines = []
    for (kind, layer), doubt in zip(parts(), columns, strict=True):
        known = np.isfinite(doubt)
        found = _measured(failure_metrics.auroc, doubt[known], wrong[known], weights[:, known])
        lines.append((kind, layer, *bootstrap.ends(found), int(wrong[known].sum())))
    return pd.DataFrame(lines, columns=["corruption", "layer", "value", "low", "high", "wrong"])


def added(of: Judged, resamples: int) -> pd.DataFrame:
    """Return what the fingerprint adds to confidence under each shift: nested models, fitted alike.

    Returns
    -------
    pandas.DataFrame
        ``shift``, ``added`` (of `MORE`), ``metric`` ("AUROC" and "AUGRC"), ``value``, ``low``, ``high`` (with less
        without it) and ``wrong``.
    """
    lines = []
    weights = np.tile(bootstrap.resampled(of.groups, resamples, SEED), len(of.trained))
    for shift in of.answers:
        wrong, scores = doubts(of, shift)[NETWORK]
        for metric in ("AUROC", "AUGRC"):
            less = _measured(METRICS[metric], scores[CONFIDENCE], wrong, weights)
            for part, score in MORE.items():
                more = _measured(METRICS[metric], scores[score], wrong, weights)
                lines.append((shift, part, metric, *bootstrap.ends(more - less), int(wrong.sum())))
    return pd.DataFrame(lines, columns=["shift", "added", "metric", "value", "low", "high", "wrong"])


def referred(of: Judged) -> pd.DataFrame:
    """Return what is gained by handing the most doubted images to somebody else, as they are.

    Returns
    -------
    pandas.DataFrame
        ``score``, ``referred`` (share of the images), ``remaining`` (the error among the others) and ``caught`` (the
        share of the wrong answers that are handed on).
    """
    (wrong, scores), lines = doubts(of, AS_THEY_ARE)[NETWORK], []
    for score in SHOWN:
        table = failure_metrics.curves(scores[score], wrong, 1 - np.array(REFERRED))
        remaining = table["selective"] if decided(wrong) else np.nan
        caught = 1 - table["generalised"] / wrong.mean() if decided(wrong) else np.nan
        lines.append(pd.DataFrame({"score": score, "referred": REFERRED, "remaining": remaining, "caught": caught}))
    return pd.concat(lines, ignore_index=True)


def asked(of: Judged) -> pd.DataFrame:
    """Return how many ``images`` are asked about, and how many near ``copies`` of training images are left out."""
    return pd.DataFrame([{"images": len(of.labels), "copies": of.copies}])


def images(of: Judged) -> pd.DataFrame:
    """Return what the first network says of each image as it is, and how much that is doubted.

    Returns
    -------
    pandas.DataFrame
        ``row`` (as of `Judged`), ``label``, ``predicted``, and the scores that need no wrong answers to learn from.
    """
    scores, number = doubts(of, AS_THEY_ARE)[NETWORK].scores, len(of.labels)
    told = {"row": of.rows, "label": of.labels, "predicted": of.answers[AS_THEY_ARE][0].logits.argmax(1)}
    return pd.DataFrame({**told, **{name: scores[name][:number] for name in (PLAIN, MEAN_SHIFT)}})
