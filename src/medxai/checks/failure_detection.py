"""Checks of the exercises of the chapter on failure detection."""

import numpy as np

from medxai.checks import Check, Mistake
from medxai.evaluation import doctor, failure_metrics


def _risks(doubt: np.ndarray, wrong: np.ndarray, coverage: float) -> dict[str, float]:
    table = failure_metrics.curves(doubt, wrong, np.array([coverage]))
    return table.iloc[0].to_dict()


check_risk = Check(
    reference=lambda doubt, wrong, coverage: _risks(doubt, wrong, coverage)["selective"],
    mistakes=(
        Mistake(
            lambda doubt, wrong, coverage: _risks(-doubt, wrong, coverage)["selective"],
            "This keeps what is doubted most. Which images would you hand on?",
        ),
        Mistake(
            lambda doubt, wrong, coverage: _risks(doubt, wrong, coverage)["generalised"],
            "This is the generalised risk, a share of all images. Of which images is the selective risk a share?",
        ),
        Mistake(
            lambda doubt, wrong, coverage: float(wrong.mean()), "This is the error of all images: none is kept back."
        ),
        Mistake(
            lambda doubt, wrong, coverage: _risks(-doubt, wrong, 1 - coverage)["selective"],
            "This is the error among those that are handed on.",
        ),
    ),
    example=lambda: (np.array([0.1, 0.5, 0.2, 0.9, 0.4]), np.array([False, True, True, True, False]), 0.6),
    hint="Sort by doubt, keep the first ones, count the wrong among them.",
    meaning=lambda risk, doubt, wrong, coverage: (
        f"Of the {coverage * len(wrong):.0f} answers that are kept, {risk:.0%} are wrong; of all {len(wrong)} it "
        f"were {wrong.mean():.0%}. What is gained costs {1 - coverage:.0%} of the images somebody's time."
    ),
)


check_augrc = Check(
    reference=lambda auroc, accuracy: (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2,
    mistakes=(
        Mistake(
            lambda auroc, accuracy: (1 - auroc) * accuracy * (1 - accuracy),
            "One term is missing: even the best doubt leaves wrong answers in when nearly all are kept.",
        ),
        Mistake(
            lambda auroc, accuracy: auroc * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2,
            "A higher AUROC must give a lower risk.",
        ),
        Mistake(
            lambda auroc, accuracy: (1 - auroc) * accuracy * (1 - accuracy) + accuracy**2 / 2,
            "The second term is of the error rate, not of the accuracy.",
        ),
        Mistake(
            lambda auroc, accuracy: (1 - accuracy) / 2, "This is what handing on by lot gives: an AUROC of one half."
        ),
    ),
    example=lambda: (0.8, 0.75),
    hint="Two terms: one of the order of right and wrong, one of the error rate alone.",
    meaning=lambda area, auroc, accuracy: (
        f"On average over coverages, {area:.1%} of all images harm without a warning; by lot it were "
        f"{(1 - accuracy) / 2:.1%}, and no doubt can go below {(1 - accuracy) ** 2 / 2:.1%}."
    ),
)


check_doctor = Check(
    reference=lambda probabilities: doctor.doctor_alpha(probabilities),
    mistakes=(
        Mistake(lambda probabilities: doctor.doctor_beta(probabilities), "This is D-beta, of the largest alone."),
        Mistake(lambda probabilities: 1 - (probabilities**2).sum(1), "This is 1 - g. It has to be divided by g."),
        Mistake(
            lambda probabilities: 1 / doctor.doctor_alpha(probabilities),
            "Upside down: the score has to grow with doubt.",
        ),
    ),
    example=lambda: (np.array([[0.6, 0.2, 0.2], [0.5, 0.5, 0.0]]),),
    hint="Square, add up, and compare what is missing to 1 with what is there.",
    meaning=lambda found, probabilities: (
        f"The greatest probabilities are {', '.join(f'{one:g}' for one in probabilities.max(1))}; D-alpha is "
        f"{', '.join(f'{one:.2f}' for one in found)}: how the rest is spread counts, too."
    ),
)
