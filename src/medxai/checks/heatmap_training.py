"""Checks of the exercises of the chapter on heat maps in training."""

import numpy as np

from medxai.checks import Check, Mistake
from medxai.evaluation import auc_tests


def _backward(image: np.ndarray, first: np.ndarray, last: np.ndarray, *, gate: bool, rectify: bool) -> np.ndarray:
    """Return what comes back to the image through one layer of ReLU."""
    signal = np.maximum(last, 0) if rectify else last
    return first.T @ (signal * (first @ image > 0) if gate else signal)


check_guided = Check(
    reference=lambda image, first, last: _backward(image, first, last, gate=True, rectify=True),
    mistakes=(
        Mistake(
            lambda image, first, last: _backward(image, first, last, gate=True, rectify=False),
            "This is the gradient: what is negative on its way back has to stop at the ReLU.",
        ),
        Mistake(
            lambda image, first, last: _backward(image, first, last, gate=False, rectify=True),
            "This is the deconvnet: a unit that was not active lets something pass.",
        ),
        Mistake(
            lambda image, first, last: np.maximum(_backward(image, first, last, gate=True, rectify=False), 0),
            "Rectifying at the image comes too late: it has to happen at the ReLU.",
        ),
        Mistake(
            lambda image, first, last: _backward(image, first, last, gate=False, rectify=False),
            "Neither of the two gates of the ReLU is there.",
        ),
    ),
    example=lambda: (
        np.array([1.0, 2.0]),
        np.array([[1.0, 0.0], [-1.0, 0.25], [0.5, 1.0]]),
        np.array([2.0, 3.0, -1.0]),
    ),
    hint="Which units are active? Which signals are positive? Only where both hold, something passes.",
    meaning=lambda answer, image, first, last: (
        f"Of {len(last)} units {int(((first @ image > 0) & (last > 0)).sum())} pass a signal on; the others have no "
        "say in the map, whatever they have learnt."
    ),
)


def _cross_entropy(probability: np.ndarray, target: np.ndarray) -> float:
    return float(-(target * np.log(probability) + (1 - target) * np.log(1 - probability)).mean())


def _probability(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _set_three(of_class, decoder, derived, gaze, share, weight) -> float:
    own, other = _cross_entropy(_probability(decoder), gaze), _cross_entropy(derived, gaze)
    return of_class + weight * (share * own + (1 - share) * other)


check_loss = Check(
    reference=_set_three,
    mistakes=(
        Mistake(
            lambda of_class, decoder, derived, gaze, share, weight: _set_three(
                of_class, decoder, derived, gaze, 1 - share, weight
            ),
            "The two shares are exchanged: the first goes with the decoder.",
        ),
        Mistake(
            lambda of_class, decoder, derived, gaze, share, weight: _set_three(
                of_class, decoder, _probability(derived), gaze, share, weight
            ),
            "The derived map lies in [0, 1] already: no sigmoid of it.",
        ),
        Mistake(
            lambda of_class, decoder, derived, gaze, share, weight: _set_three(
                of_class, decoder, derived, gaze, share, 1
            ),
            "How much do the maps count beside the classes?",
        ),
        Mistake(
            lambda of_class, decoder, derived, gaze, share, weight: (
                weight * of_class + _set_three(0, decoder, derived, gaze, share, 1)
            ),
            "The weight belongs to the maps, not to the classes.",
        ),
    ),
    example=lambda: (0.5, np.array([0.0, 0.0]), np.array([0.25, 0.5]), np.array([0.0, 1.0]), 0.25, 2.0),
    hint="Two cross entropies with the gaze, each a mean over pixels; then their weighted sum, times the weight.",
    meaning=lambda loss, of_class, decoder, derived, gaze, share, weight: (
        f"Of {loss:.3f}, the maps make {loss - of_class:.3f}; what does not change with the weights adds to the loss "
        "and teaches nothing."
    ),
)


def _below(p: np.ndarray) -> int:
    return int((np.asarray(p) < 0.05).sum())


check_holm = Check(
    reference=lambda p: auc_tests.holm(p),
    mistakes=(
        Mistake(lambda p: np.minimum(p * len(p), 1), "This is Bonferroni's correction, which Holm's never exceeds."),
        Mistake(
            lambda p: np.minimum(p * (len(p) - p.argsort().argsort()), 1),
            "A larger p-value must not become the smaller one: take the running maximum.",
        ),
        Mistake(lambda p: p, "These are the p-values as they were."),
        Mistake(
            lambda p: auc_tests.holm(p)[p.argsort()], "They are to come back in the order in which the tests stood."
        ),
    ),
    example=lambda: (np.array([0.04, 0.01, 0.03, 0.3]),),
    hint="Sort them; multiply the smallest by how many there are, the next by one less; take the running maximum.",
    meaning=lambda adjusted, p: (
        f"{_below(p)} of {len(p)} tests were below 0.05, {_below(adjusted)} are with the correction."
    ),
)
