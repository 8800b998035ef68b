"""Checks of the exercises of the attribution chapter."""

import numpy as np

from medxai.checks import Check, Mistake


def _gap(values: np.ndarray, logit: float, baseline_logit: float) -> float:
    wanted = logit - baseline_logit
    return float(abs(values.sum() - wanted) / abs(wanted))


check_gap = Check(
    reference=_gap,
    mistakes=(
        Mistake(
            lambda values, logit, baseline_logit: _gap(values, logit, 0.0),
            "The map is compared with the logit itself. The baseline has a logit, too.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: abs(values.sum() - (logit - baseline_logit)) / abs(logit),
            "The difference is divided by the logit itself. The sum should be something else.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: values.sum() / (logit - baseline_logit) - 1,
            "The size is right, the sign is not: how far off it is should not be negative.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: values.sum() / (logit - baseline_logit),
            "This is the share that the sum reaches. How much of it is missing, or too much?",
        ),
        Mistake(
            lambda values, logit, baseline_logit: _gap(np.abs(values), logit, baseline_logit),
            "This adds up sizes. Evidence against the class counts as negative.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: _gap(values.mean(), logit, baseline_logit),
            "This takes the mean of the map. Completeness is about its sum.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: abs(values.sum() - (logit - baseline_logit)),
            "This is in units of the logit. Divide by the size of what the sum should be.",
        ),
    ),
    example=lambda: (np.array([[1.0, -0.5], [2.0, 0.1]]), 3.0, 0.3),
    hint="What should the sum be? How far is it from that, as a share?",
    meaning=lambda gap, values, logit, baseline_logit: (
        f"The logit rises by {logit - baseline_logit:.2f} from the baseline to the image, and the map explains "
        f"{values.sum():.2f} of it: what is off, {gap:.1%}, comes from taking few steps."
    ),
)


def _ranks(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)


check_ranks = Check(
    reference=_ranks,
    mistakes=(
        Mistake(
            lambda one, other: float(np.corrcoef(one.ravel(), other.ravel())[0, 1]),
            "This correlates the values: a few large ones decide. Correlate the ranks.",
        ),
        Mistake(
            lambda one, other: _ranks(np.abs(one), np.abs(other)),
            "The sign was taken off first. Then evidence for and against look alike.",
        ),
        Mistake(lambda one, other: 1 - _ranks(one, other), "This is one minus the correlation: a distance."),
    ),
    example=lambda: (np.array([[5.0, -4.0], [0.5, 1.0]]), np.array([[9.0, 0.2], [-1.0, 1.5]])),
    hint="Give each pixel its rank within its map, and correlate the ranks.",
    meaning=lambda correlation, one, other: (
        f"The correlation is {correlation:.3f}, where 1 means that both maps put the pixels in the same order"
        f"{', so this method hardly asks about the class' if correlation > 0.9 else ''}."
    ),
)


def _region(maps: np.ndarray) -> int:
    return int(maps.mean(axis=0).argmax())


def _error(maps: np.ndarray, ddof: int = 1) -> float:
    return float(maps[:, _region(maps)].std(ddof=ddof) / np.sqrt(len(maps)))


check_seeds = Check(
    reference=_error,
    mistakes=(
        Mistake(
            lambda maps: float(maps[:, _region(maps)].std(ddof=1)),
            "This is how much one seed differs from the next. How sure is the mean of all of them?",
        ),
        Mistake(
            lambda maps: _error(maps, ddof=0),
            "This divides by n; five seeds are a sample of all that there could be: divide by n - 1.",
        ),
        Mistake(
            lambda maps: float(maps[:, _region(maps)].std(ddof=0)),
            "This is how much one seed differs from the next, divided by n. How sure is the mean of all of them?",
        ),
        Mistake(
            lambda maps: float(maps[:, _region(maps)].var(ddof=1) / len(maps)),
            "This is the square of what is asked for: the variance of the mean.",
        ),
        Mistake(
            lambda maps: float(maps.std(axis=0, ddof=1).max() / np.sqrt(len(maps))),
            "This is another region: the one on which the seeds disagree most.",
        ),
        Mistake(
            lambda maps: float(maps.mean(axis=0).std(ddof=1) / np.sqrt(maps.shape[1])),
            "This compares regions with each other. Compare the seeds, for one region.",
        ),
        Mistake(
            lambda maps: float(maps[:, _region(maps)].mean()),
            "This is the mean itself. How far off might it be?",
        ),
    ),
    example=lambda: (np.array([[1.0, 0.2, 3.0], [2.0, 0.4, -1.0], [3.0, 0.9, 0.5], [4.5, 0.1, 2.0]]),),
    hint="Find the region with the largest mean. How do seeds scatter there, and how sure does that make their mean?",
    meaning=lambda error, maps: (
        f"LIME gives this region {maps.mean(axis=0).max():.2f}, give or take {2 * error:.2f} (two standard errors): "
        "so much is the luck of the seeds."
    ),
)
