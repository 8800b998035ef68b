"""What answers about photographs are worth: tables of `QualityPhotos` and what a network says of them.

Answers are resampled by patient. A score without a denominator is NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medxai import results
from medxai.data import pictures
from medxai.data.photo_quality import CLASSES, MAP_SIDE, NO_SKIN, POOR, REASONS, QualityPhotos
from medxai.data.photo_raters import Rated
from medxai.evaluation import bootstrap, per_class
from medxai.evaluation.agreement import pairwise_f1
from medxai.evaluation.classification import area_under_curve
from medxai.evaluation.localisation import weighted_auc
from medxai.evaluation.sums import ratio

SEED = 0
BY_CHANCE = 0.5
"""From which probability on a reason is given."""
CALLED_BACK = (POOR, NO_SKIN)
"""Classes after which a patient is asked for another photograph."""
BINS = 10
"""Of equal width, for calibration."""
LOCAL = 0.05
"""A fault is somewhere, and not everywhere, if its map has this share of pixels above half its strength, and below."""
LABELS, EXPLANATIONS = "imageqx_table_1_image_quality_labels", "imageqx_table_2_poor_quality_explanations"
"""Published tables on raters, and ours of the same numbers."""
STRONG = 0.5
"""Strength from which on a fault counts as there, where raters are not asked."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What is said of n photographs."""

    classes: np.ndarray
    """float (n, 4): probabilities of `CLASSES`."""
    reasons: np.ndarray
    """float (n, 5): probabilities of `REASONS`; (n, 0) of a network that gives none."""
    maps: np.ndarray | None = None
    """float (n, 5, h, w), at least 0: where each reason is seen."""

    @property
    def said(self) -> np.ndarray:
        """The class that is most probable, int64 (n,)."""
        return self.classes.argmax(1)

    @property
    def given(self) -> np.ndarray:
        """Which reasons are given, bool (n, 5)."""
        return self.reasons >= BY_CHANCE

    @property
    def again(self) -> np.ndarray:
        """Whether another photograph is asked for, bool (n,)."""
        return np.isin(self.said, CALLED_BACK)

    @property
    def retake(self) -> np.ndarray:
        """How much the answer is for another photograph, float (n,) in [0, 1]."""
        return self.classes[:, list(CALLED_BACK)].sum(1)

    def rows(self, rows: np.ndarray) -> "Answers":
        """Return what is said of some of the photographs."""
        return Answers(self.classes[rows], self.reasons[rows], None if self.maps is None else self.maps[rows])


Network = Callable[[np.ndarray], Answers]
"""Says of pictures, uint8 (n, side, side, 3), what it finds."""


def of_classes(photos: QualityPhotos, answers: Answers) -> pd.DataFrame:
    """Return what table 3 of the paper prints, of one network: row, metric, value."""
    there, said = (per_class.one_hot(values, len(CLASSES)) for values in (photos.labels, answers.said))
    return _tidy(per_class.scores(there, said, CLASSES))


def of_reasons(photos: QualityPhotos, answers: Answers) -> pd.DataFrame:
    """Return what table 4 of the paper prints, of one network: row, metric, value."""
    if not answers.reasons.shape[1]:
        return pd.DataFrame(columns=["row", "metric", "value"])
    return _tidy(per_class.scores(photos.reasons > 0, answers.given, REASONS))


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    return results.tidy(table.drop(columns="samples")).drop(columns=["low", "high"])


def over_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Average row, metric and value over runs; ``metric_std`` beside each metric, NaN for one run (ddof 0)."""
    groups = table.groupby(["row", "metric"], sort=False)["value"]
    spread = groups.std(ddof=0).where(groups.count() > 1).reset_index()
    spread["metric"] += "_std"
    found = pd.concat([groups.mean().reset_index(), spread], ignore_index=True)
    found.attrs = table.attrs
    return found.assign(low=np.nan, high=np.nan)


def between_raters(rated: Rated, splits: dict[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """Return what tables 1 and 2 of the paper print, of simulated raters: row, metric, value, by table.

    Parameters
    ----------
    splits
        Rows of ``training`` and ``test``.
    """
    whole = {LABELS: (CLASSES, per_class.one_hot(rated.labels, len(CLASSES))), EXPLANATIONS: (REASONS, rated.reasons)}
    said = {LABELS: rated.classes[..., None] == np.arange(len(CLASSES)), EXPLANATIONS: rated.given}
    tables = {}
    for what, (names, there) in whole.items():
        lines = []
        for column, name in enumerate(names):
            for split, rows in splits.items():
                short = "train" if split == "training" else split
                mean, spread = pairwise_f1(said[what][rows, :, column])
                lines += [
                    (name, f"{short}_image_count", there[rows, column].sum()),
                    (name, f"pairwise_{short}_f1", mean),
                    (name, f"pairwise_{short}_f1_std", spread),
                ]
        tables[what] = _with_mean(pd.DataFrame(lines, columns=["row", "metric", "value"]))
    return tables


def _with_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Add the row Mean to a tidy table."""
    mean = table.groupby("metric", sort=False)["value"].mean().reset_index()
    return pd.concat([table, mean.assign(row=per_class.MEAN)], ignore_index=True)


def places(photos: QualityPhotos, answers: Answers, resamples: int) -> pd.DataFrame:
    """Return how well maps tell where a fault is, for photographs that have the fault and whose raters named it.

    Only faults that are somewhere and not everywhere (`LOCAL`) can be asked for. Controls know nothing of the
    photograph: a map that is brightest in the middle, one that is brightest at the rim, and noise.

    Returns
    -------
    pandas.DataFrame
        ``row`` (reason), ``map``, ``value`` (mean area under the ROC curve of pixels), ``low``, ``high`` and
        ``photos``.
    """
    lines, controls = [], _controls(len(photos))
    for column, reason in enumerate(REASONS):
        there = photos.maps[:, column].astype(np.float64)
        rows = np.flatnonzero((photos.reasons[:, column] > 0) & is_local(photos, column))
        shown = {"network": answers.maps[:, column]} if answers.maps is not None else {}
        for name, maps in (shown | controls).items():
            value, low, high = _mean_area(maps[rows], there[rows], photos.groups[rows], resamples)
            lines.append((reason, name, value, low, high, len(rows)))
    return pd.DataFrame(lines, columns=["row", "map", "value", "low", "high", "photos"])


def is_local(photos: QualityPhotos, column: int) -> np.ndarray:
    """Return which photographs have a fault that is somewhere and not everywhere (`LOCAL`), bool (n,), of a reason."""
    strength = photos.faults[:, column]
    share = (photos.maps[:, column] > strength[:, None, None] / 2).mean((1, 2))
    return (strength > 0) & (share > LOCAL) & (share < 1 - LOCAL)


def _mean_area(maps: np.ndarray, there: np.ndarray, groups: np.ndarray, resamples: int) -> tuple[float, float, float]:
    if not len(maps):
        return (np.nan,) * 3
    share = there / there.max((1, 2), keepdims=True)
    each = weighted_auc(fine(maps), share, 1 - share)
    weights = bootstrap.resampled(groups, resamples, SEED)
    known = np.isfinite(each)
    return bootstrap.ends(ratio((weights[:, known] * each[known]).sum(1), weights[:, known].sum(1)))


def fine(maps: np.ndarray) -> np.ndarray:
    """Bring maps (n, h, w) to the side of the maps of faults, float32 (n, `MAP_SIDE`, `MAP_SIDE`)."""
    scaled = [pictures.square(np.asarray(one, np.float32), MAP_SIDE) for one in maps]
    return np.array(scaled).reshape(len(maps), MAP_SIDE, MAP_SIDE)


def _controls(n: int) -> dict[str, np.ndarray]:
    y, x = np.mgrid[-1 : 1 : MAP_SIDE * 1j, -1 : 1 : MAP_SIDE * 1j]
    middle = np.exp(-(y**2 + x**2) / 0.5)
    noise = np.random.default_rng(SEED).random((n, MAP_SIDE, MAP_SIDE))
    return {"middle": np.tile(middle, (n, 1, 1)), "rim": np.tile(1 - middle, (n, 1, 1)), "noise": noise}


def doubted(photos: QualityPhotos) -> np.ndarray:
    """Return which photographs should be taken again, bool (n,): poor or without skin, as most raters say."""
    return np.isin(photos.labels, CALLED_BACK)


def thresholds(photos: QualityPhotos, score: np.ndarray) -> pd.DataFrame:
    """Return what each threshold on a score costs: threshold, asked (of good photographs), missed (of bad ones)."""
    bad, steps = doubted(photos), np.linspace(0, 1, 41)
    again = score[:, None] >= np.quantile(score, steps)
    asked, missed = ratio(again[~bad].sum(0), (~bad).sum()), ratio((~again[bad]).sum(0), bad.sum())
    return pd.DataFrame({"threshold": np.quantile(score, steps), "asked": asked, "missed": missed})


def retake_auc(photos: QualityPhotos, scores: dict[str, np.ndarray], resamples: int) -> pd.DataFrame:
    """Return how often each score is higher for a photograph to be taken again than for a good one: row, value ..."""
    bad, weights = doubted(photos), bootstrap.resampled(photos.groups, resamples, SEED)
    lines = [(name, *bootstrap.ends(area_under_curve(bad, score, weights))) for name, score in scores.items()]
    return pd.DataFrame(lines, columns=["row", "value", "low", "high"])


def calibration(photos: QualityPhotos, answers: Answers) -> pd.DataFrame:
    """Return the share of photographs to be taken again among those with a score in each of `BINS` bins.

    Returns
    -------
    pandas.DataFrame
        ``bin``, ``predicted`` (the mean score), ``observed``, ``raters`` (mean share of raters who say so) and
        ``photos``; empty bins are left out. Their weighted mean distance is the expected calibration error (Naeini et
        al. 2015, AAAI, equation 3).
    """
    score, bad = answers.retake, doubted(photos)
    votes = photos.votes[:, list(CALLED_BACK)].sum(1)
    table = pd.DataFrame({"predicted": score, "observed": bad, "raters": votes})
    table["bin"] = np.minimum((score * BINS).astype(int), BINS - 1)
    found = table.groupby("bin").mean().assign(photos=table.groupby("bin").size())
    return found.reset_index()


def calibration_error(table: pd.DataFrame, against: str = "observed") -> float:
    """Return the expected calibration error of `calibration`."""
    gaps = (table["predicted"] - table[against]).abs()
    return float((gaps * table["photos"]).sum() / table["photos"].sum())


def by_group(photos: QualityPhotos, answers: Answers, resamples: int) -> pd.DataFrame:
    """Return how many photographs to be taken again are found, and good ones are asked for, by tone and by fault.

    Returns
    -------
    pandas.DataFrame
        ``of`` ("tone" or "fault"), ``row``, ``metric`` ("found" of those to be taken again, "asked" of good ones,
        "named": the reason is given where the fault is strong), ``value``, ``low``, ``high``, ``photos``.
    """
    bad, again = doubted(photos), answers.again
    weights = bootstrap.resampled(photos.groups, resamples, SEED)
    lines = []

    def add(of: str, row: str, metric: str, among: np.ndarray, counted: np.ndarray) -> None:
        value = bootstrap.ends(ratio((weights * (among & counted)).sum(1), (weights * among).sum(1)))
        lines.append((of, row, metric, *value, int(among.sum())))

    for tone in ("light", "medium", "dark"):
        mine = photos.tone == tone
        add("tone", tone, "found", mine & bad, again)
        add("tone", tone, "asked", mine & ~bad, again)
    for column in range(len(REASONS)):
        strong = photos.faults[:, column] >= STRONG
        for kind in sorted(set(photos.variants[strong, column])):
            mine = strong & (photos.variants[:, column] == kind)
            add("fault", kind, "found", mine & bad, again)
            if answers.reasons.shape[1]:
                add("fault", kind, "named", mine, answers.given[:, column])
    return pd.DataFrame(lines, columns=["of", "row", "metric", "value", "low", "high", "photos"])
