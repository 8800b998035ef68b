"""Checks of the exercises of the benchmark chapter."""

import numpy as np

from medxai.checks import Check, Mistake
from medxai.evaluation.benchmark_tables import highest_f1, reaches_experts, rebuilt_f1

check_limit = Check(
    reference=lambda sensitivity: float(highest_f1(np.float64(sensitivity))),
    mistakes=(
        Mistake(lambda sensitivity: sensitivity, "The precision can be 1: F1 is then above the sensitivity."),
        Mistake(lambda sensitivity: 1.0, "What is missed stays missed, however few false alarms there are."),
        Mistake(lambda sensitivity: (1 + sensitivity) / 2, "F1 is the harmonic mean of the two, not the plain one."),
        Mistake(
            lambda sensitivity: sensitivity / (1 + sensitivity),
            "The harmonic mean of a and b has a 2 in front: 2ab / (a + b).",
        ),
    ),
    example=lambda: (0.34,),
    hint="Put a precision of 1 into the harmonic mean.",
    meaning=lambda f1, sensitivity: (
        f"A network that misses {1 - sensitivity:.0%} of the sick cannot have an F1 above {f1:.2f}, even without one "
        "false alarm."
    ),
)

check_rebuilt = Check(
    reference=lambda sensitivity, specificity, share: float(
        rebuilt_f1(np.float64(sensitivity), np.float64(specificity), np.float64(share))
    ),
    mistakes=(
        Mistake(
            lambda sensitivity, specificity, share: 2 * sensitivity * specificity / (sensitivity + specificity),
            "This mixes sensitivity with specificity. F1 mixes it with the precision.",
        ),
        Mistake(
            lambda sensitivity, specificity, share: float(rebuilt_f1(sensitivity, specificity, np.float64(0.5))),
            "The classes are not equally frequent: a rare one suffers more from the same rate of false alarms.",
        ),
        Mistake(
            lambda sensitivity, specificity, share: float(
                rebuilt_f1(np.float64(sensitivity), np.float64(specificity), np.float64(1 - share))
            ),
            "The share is that of images with the disease, not of those without.",
        ),
    ),
    example=lambda: (0.8, 0.9, 0.15),
    hint="Count true positives, false negatives and false positives in 100 images.",
    meaning=lambda f1, sensitivity, specificity, share: (
        f"{100 * (1 - share) * (1 - specificity):.1f} of 100 images are false alarms, against "
        f"{100 * share * sensitivity:.1f} that are found: the F1 is {f1:.2f}, however good both rates look."
    ),
)


def _level(networks: np.ndarray, experts: np.ndarray) -> int:
    return sum(reaches_experts(mean, std, *experts) for mean, std in networks)


check_level = Check(
    reference=_level,
    mistakes=(
        Mistake(
            lambda networks, experts: int((networks[:, 0] >= experts[0]).sum()),
            "This asks for the experts' mean. The rule asks only that the two ranges touch.",
        ),
        Mistake(
            lambda networks, experts: int((networks[:, 0] >= experts[0] - experts[1]).sum()),
            "The network's own deviation counts, too.",
        ),
        Mistake(
            lambda networks, experts: int((networks.sum(1) >= experts[0]).sum()),
            "The experts' deviation counts, too.",
        ),
    ),
    example=lambda: (
        np.array([[0.80, 0.01], [0.74, 0.03], [0.70, 0.06], [0.60, 0.02], [0.755, 0.0], [0.78, 0.02]]),
        np.array([0.79, 0.04]),
    ),
    hint="Mean plus deviation of the one, mean less deviation of the other.",
    meaning=lambda level, networks, experts: (
        f"{level} of {len(networks)} networks count as experts; if their means had to reach that of the experts, it "
        f"would be {(networks[:, 0] >= experts[0]).sum()}."
    ),
)
