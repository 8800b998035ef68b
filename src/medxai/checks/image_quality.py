"""Checks of the exercises of the chapter on image quality."""

from itertools import combinations

import numpy as np

from medxai.checks import Check, Mistake
from medxai.evaluation.agreement import pairwise_f1


def _over_pairs(said: np.ndarray, score) -> float:
    """Return the mean of a score of what two raters said, over pairs."""
    return float(np.mean([score(said[:, a], said[:, b]) for a, b in combinations(range(said.shape[1]), 2)]))


check_agreement = Check(
    reference=lambda said: pairwise_f1(said)[0],
    mistakes=(
        Mistake(
            lambda said: _over_pairs(said, lambda a, b: (a == b).mean()),
            "This is the share of photographs about which two raters agree; those that neither named count, too.",
        ),
        Mistake(
            lambda said: _over_pairs(said, lambda a, b: (a & b).sum() / (a | b).sum()),
            "This is the Jaccard index: F1 counts what both named twice, above and below.",
        ),
        Mistake(
            lambda said: _over_pairs(said, lambda a, b: (a & b).sum() / b.sum()),
            "This is the sensitivity of one rater against the other, which differs by direction.",
        ),
    ),
    example=lambda: (np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]], bool),),
    hint="Take each pair of columns: twice what both named, over what the one named plus what the other named.",
    meaning=lambda answer, said: (
        f"Two of {said.shape[1]} raters agree with an F1 of {answer:.2f}: a network that does better against one of "
        "them would agree with that rater more than a colleague does."
    ),
)


def _weights(counts: np.ndarray, clip: float) -> np.ndarray:
    return np.minimum(counts.max() / counts, clip)


check_weights = Check(
    reference=_weights,
    mistakes=(
        Mistake(lambda counts, clip: counts.max() / counts, "The rarest class counts too much: where is the clip?"),
        Mistake(
            lambda counts, clip: np.minimum(counts.sum() / counts, clip),
            "Divide the largest count, not the sum: the most frequent class has weight 1.",
        ),
        Mistake(
            lambda counts, clip: np.minimum(counts / counts.min(), clip),
            "This way the most frequent class counts most: turn the ratio round.",
        ),
    ),
    example=lambda: (np.array([60, 2, 20, 30]), 10),
    hint="The largest count over each count, and nothing above the clip.",
    meaning=lambda weights, counts, clip: (
        f"Together, the rarest class counts {weights.max() * counts.min() / counts.max():.2f} times as much as the "
        "most frequent one; without the clip it would be as much."
    ),
)


check_fewer = Check(
    reference=lambda patients, before, advised, asked: (asked - advised) / before,
    mistakes=(
        Mistake(
            lambda patients, before, advised, asked: 1 - advised / before,
            "This is what asking and reasons achieve together; asking alone helps, too.",
        ),
        Mistake(
            lambda patients, before, advised, asked: (asked - advised) / patients,
            "A share of the poor photographs is wanted, not of all patients.",
        ),
        Mistake(
            lambda patients, before, advised, asked: 1 - advised / asked,
            "Both groups are to be compared with what there was before.",
        ),
    ),
    example=lambda: (50, 20, 6, 14),
    hint="By which share did the poor photographs become fewer in each group? Subtract.",
    meaning=lambda answer, patients, before, advised, asked: (
        f"A trial without the second group would have reported {1 - advised / before:.0%}, of which {answer:.0%} come "
        "from the reasons."
    ),
)
