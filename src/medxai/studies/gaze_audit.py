"""The study behind the gaze audit: what areas of a hundred test images can say, and what choosing on them buys.

Printed numbers beside simulations; it needs no data. Models that are equally good are those of
`medxai.experiment.equal_models`.
"""

import pandas as pd

from medxai.evaluation import gaze_published
from medxai.evaluation.gaze_published import SIZES
from medxai.experiment import equal_models, gaze_habit
from medxai.profiles import Profile
from medxai.studies.store import Record, Study, Trial

AREAS = (0.87,) * 3
"""True area of each class: about what the papers report."""
CORRELATIONS = (0.0, 0.5, 0.8, 0.95)
"""Of the scores that two epochs give an image."""
EPOCHS = (1, 2, 5, 10, 20, 35, 100)
"""Among them those of the public code: 20 and 35 (Karargyris et al.), 100 (GazeGNN)."""
CORRELATION = 0.8
"""Of two models, in the comparison of tests."""
MOST = 1000
"""Resamples of scores of gaze, at most."""
RESAMPLES = (10, 30, 100, 300, 1000)


def _published(profile: Profile) -> Record:
    """Return the printed average areas with the intervals that so many test images allow, and p-values."""
    lines, errors, repetitions = [], {}, min(10_000, 10 * profile.bootstrap)
    for model, printed in gaze_published.models().items():
        errors[model] = equal_models.error_of_average(printed.areas, printed.sizes, repetitions)
        reach = 1.96 * errors[model]
        value = printed.average
        lines.append((model, sum(printed.sizes), value, value - reach, value + reach, errors[model]))
    published = pd.DataFrame(lines, columns=["row", "images", "value", "low", "high", "error"])
    return {"published": published, "p_values": gaze_published.p_values(errors)}


def _choosing(profile: Profile, *, correlation: float) -> Record:
    """Return what choosing among epochs buys."""
    repetitions = max(20, profile.bootstrap // 2)
    return {"choosing": equal_models.bought_by_choosing(EPOCHS, correlation, AREAS, SIZES, repetitions)}


def _resampling(profile: Profile) -> Record:
    """Return how often resamples find a difference that is not there, and how often intervals hold."""
    repetitions = max(20, profile.bootstrap // 5)
    return {
        "false_alarms": equal_models.false_alarms(RESAMPLES, CORRELATION, AREAS, SIZES, repetitions),
        "coverage": equal_models.coverage(AREAS, SIZES, repetitions),
    }


def _gaze(profile: Profile) -> Record:
    """Return how maps score against gaze that know where one always looks."""
    return {"gaze": gaze_habit.scored(gaze_habit.looked(profile.gaze_test), min(profile.bootstrap, MOST))}


STUDY = Study(
    "gaze_audit",
    chapter="07_gaze_audit",
    version=1,
    trials=lambda profile: [
        Trial("published", _published, ()),
        *(Trial(f"choosing_{c:g}", _choosing, (), (("correlation", c),)) for c in CORRELATIONS),
        Trial("resampling", _resampling, ()),
        Trial("gaze_on_phantoms", _gaze, ()),
    ],
    data={},
    seed=equal_models.SEED,
)
