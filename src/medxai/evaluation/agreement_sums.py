"""Which evaluations count, and their sums for each image: what the tables of agreement have in common."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medxai.data.ontology import CHARACTERISTICS, DISEASES, GLOBAL_TAGS, LOCALISED
from medxai.evaluation.sums import mean_std, ratio


def _correct_or_all(evaluations: pd.DataFrame) -> pd.Series:
    marked = evaluations[list(CHARACTERISTICS)].any(axis=1)
    helpful = (evaluations["correct"] & marked).groupby(evaluations["image"]).transform("any")
    return evaluations["correct"] | ~helpful


RULES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "all": lambda e: pd.Series(True, index=e.index),
    "diagnosed": lambda e: e["diagnosis"].notna(),
    "target": lambda e: e["diagnosis"].isin(DISEASES),
    "correct": lambda e: e["correct"],
    "correct_listed": lambda e: pd.Series(
        [reference in named for reference, named in zip(e["reference"], e["diagnoses"], strict=True)], index=e.index
    ),
    "marked": lambda e: e["diagnosis"].notna() & e[list(CHARACTERISTICS)].any(axis=1),
    "described": lambda e: e["diagnosis"].notna() & e[[*LOCALISED, *GLOBAL_TAGS]].any(axis=1),
    "correct_described": lambda e: e["correct"] & e[[*LOCALISED, *GLOBAL_TAGS]].any(axis=1),
    "correct_or_all": _correct_or_all,
}
"""Which evaluations a table uses.

all: every one · diagnosed: with a diagnosis, other disease included · target: the first diagnosis is one of the six ·
correct: the first diagnosis is the reference · correct_listed: any of the diagnoses is · marked: diagnosed, and at
least one of the 16 characteristics · described: diagnosed, and at least one name that is no diagnosis and not "low
quality" (tables 2 and A.9) · correct_described: both (table 5, expert) · correct_or_all: correct, but all evaluations
of the images where no correct one marked any of the 16 (tables 3, A.10 and 5, samples)."""


def used(evaluations: pd.DataFrame, use: str | pd.Series) -> pd.DataFrame:
    """Return the evaluations that a rule of `RULES`, or a bool Series, lets in.

    Raises
    ------
    ValueError
        If there is no such rule.
    """
    if isinstance(use, str):
        if use not in RULES:
            raise ValueError(f"rule {use!r} is unknown: expected one of {', '.join(RULES)}")
        use = RULES[use](evaluations)
    return evaluations[use]


class Cube:
    """Evaluations as arrays by image and labeller; a labeller is one rater in one round."""

    def __init__(self, evaluations: pd.DataFrame, use: str | pd.Series) -> None:
        self.images = sorted(evaluations["image"].unique())
        labellers = evaluations[["rater", "round"]].drop_duplicates().sort_values(["round", "rater"])
        self.labellers = list(labellers.itertuples(index=False, name=None))
        self.chosen = used(evaluations, use)
        image_number = {image: number for number, image in enumerate(self.images)}
        labeller_number = {labeller: number for number, labeller in enumerate(self.labellers)}
        self.i = self.chosen["image"].map(image_number).to_numpy(dtype=int)
        both = zip(self.chosen["rater"], self.chosen["round"], strict=True)
        self.k = np.array([labeller_number[pair] for pair in both], dtype=int)
        self.used = self.spread(np.ones(len(self.chosen), dtype=bool))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the chosen evaluations (rows, ...) as (images, labellers, ...); 0 where there is none."""
        out = np.zeros((len(self.images), len(self.labellers), *values.shape[1:]), dtype=values.dtype)
        out[self.i, self.k] = values
        return out

    def selected(self, names: Sequence[str]) -> np.ndarray:
        """Which names each evaluation marked, bool (images, labellers, names)."""
        return self.spread(self.chosen[list(names)].to_numpy(dtype=bool))

    def pairs(self, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the (reference, other) labellers of every pair."""
        reference, other = np.nonzero(~np.eye(len(self.labellers), dtype=bool))
        return (reference, other) if ordered else (reference[reference < other], other[reference < other])


def presence_scores(images, positive, predicted, both, undefined: str) -> np.ndarray:
    """Scores from counts of images: all, positive in the reference, predicted, in both; stacked on a new last axis.

    F1, sensitivity, specificity, Cohen's kappa.
    """
    if undefined not in ("zero", "skip"):
        raise ValueError(f'undefined is {undefined!r}: expected "zero" or "skip"')
    neither = images - positive - predicted + both
    f1 = ratio(2 * both, positive + predicted)
    sensitivity = ratio(both, positive)
    if undefined == "zero":
        f1 = np.where((images > 0) & (positive + predicted == 0), 0, f1)
        sensitivity = np.where((images > 0) & (positive == 0), 0, sensitivity)
    specificity = ratio(neither, images - positive)
    chance = ratio(positive * predicted + (images - positive) * (images - predicted), images**2)
    kappa = ratio(ratio(both + neither, images) - chance, 1 - chance)
    return np.stack([f1, sensitivity, specificity, kappa], axis=-1)


def interleave(scores: tuple[np.ndarray, np.ndarray], selection: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Columns mean, std, mean, std ... of the scores, then of the selection."""
    pairs = np.stack(scores, axis=-1)
    return np.concatenate([pairs.reshape(*pairs.shape[:-2], -1), np.stack(selection, axis=-1)], axis=-1)


def columns_with_std(names: Sequence[str]) -> list[str]:
    """Return each name followed by its ``_std``."""
    return [column for name in names for column in (name, f"{name}_std")]


def pair_sums(cube: Cube, terms: Sequence[str], reference: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """Per image and pair of labellers: both used the image; and per term: selected by the reference, other, both."""
    selected = cube.selected(terms)
    joint = cube.used[:, reference] & cube.used[:, other]
    positive = selected[:, reference] & joint[..., None]
    predicted = selected[:, other] & joint[..., None]
    return [joint, positive, predicted, positive & predicted]


def averaged_scores(
    counts: Sequence[np.ndarray], pool: str, undefined: str, ddof: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over pairs of the presence scores; with `pool` "all" the scores of added counts."""
    if pool not in ("rater pair", "all"):
        raise ValueError(f'pool is {pool!r}: expected "rater pair" or "all"')
    images, *others = counts
    counts = [images[..., None], *others]
    if pool == "rater pair":
        return mean_std(presence_scores(*counts, undefined), 1, ddof)
    score = presence_scores(*[count.sum(axis=1) for count in counts], undefined)
    return score, np.full_like(score, np.nan)
