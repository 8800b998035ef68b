"""Twelve simulated dermatologists who say of photographs what the twelve of ImageQX were asked.

Each sees true strengths with noise of their own and compares them with thresholds of their own. As in figure 2 of the
paper, they first say whether there is skin, then whether the photograph is too poor to judge, and why, and only then
whether there is a lesion. They decide about each reason by itself: a photograph is poor to whom any reason is given.

Thresholds and noise were found by a search, so that photographs drawn as `medxai.experiment.quality_photos` draws them
get the shares of classes and reasons of the paper's tables 1 and 2, and the agreement of two raters its mean and its
standard deviation over pairs. How near that is, a test says.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from medxai.data.photo_quality import CLASSES, HEALTHY, LESION, NO_SKIN, POOR, REASONS, plurality

RATERS = 12


class Judgement(NamedTuple):
    """How raters judge one quantity: it is there from a threshold on, seen with noise; thresholds differ by rater."""

    threshold: float
    noise: float
    """Standard deviation of what each rater sees, anew for each photograph."""
    spread: float
    """Standard deviation of the raters' thresholds."""


OF_REASONS = {
    "Bad framing": Judgement(0.992, 0.138, 0.127),
    "Bad light": Judgement(0.663, 0.212, 0.104),
    "Blurry": Judgement(0.406, 0.136, 0.109),
    "Low resolution": Judgement(0.921, 0.311, 0.153),
    "Too far away": Judgement(0.912, 0.045, 0.087),
}
OF_LESION = Judgement(0.186, 0.229, 0.107)
"""Of how visible the lesion is."""
OF_SKIN = Judgement(0.235, 0.125, 0.032)
"""Of the share of the photograph that is skin."""


@dataclass(frozen=True, eq=False)
class Rated:
    """What raters say of n photographs."""

    classes: np.ndarray
    """int64 (n, `RATERS`): of `CLASSES`."""
    given: np.ndarray
    """bool (n, `RATERS`, 5): of `REASONS`, all False unless the class is poor quality."""

    @property
    def votes(self) -> np.ndarray:
        """The share of the raters for each class, float32 (n, 4)."""
        return (self.classes[..., None] == np.arange(len(CLASSES))).mean(1).astype(np.float32)

    @property
    def labels(self) -> np.ndarray:
        """The class of each photograph by plurality, int64 (n,)."""
        return plurality(self.votes)

    @property
    def reasons(self) -> np.ndarray:
        """1 where at least one rater gives a reason, float32 (n, 5)."""
        return self.given.any(1).astype(np.float32)


def rate(faults: np.ndarray, visible: np.ndarray, skin: np.ndarray, *, seed: int) -> Rated:
    """Let all raters look at photographs; the same seed, the same answers.

    Parameters
    ----------
    faults
        float (n, 5) in [0, 1]: strengths, in the order of `REASONS`.
    visible
        float (n,) in [0, 1]: how visible a lesion is, 0 if there is none.
    skin
        float (n,) in [0, 1]: the share of the photograph that is skin.

    Raises
    ------
    ValueError
        If the shapes are not as above.
    """
    n = len(faults)
    if faults.shape != (n, len(REASONS)) or visible.shape != (n,) or skin.shape != (n,):
        shapes = f"{faults.shape}, {visible.shape} and {skin.shape}"
        raise ValueError(f"faults, visible and skin are {shapes}: expected (n, {len(REASONS)}), (n,) and (n,)")
    rng = np.random.default_rng(seed)
    seen_skin = _judged(skin, OF_SKIN, 0, rng)
    given = np.stack([_judged(faults[:, row], OF_REASONS[name], row + 1, rng) for row, name in enumerate(REASONS)], 2)
    seen_lesion = _judged(visible, OF_LESION, len(REASONS) + 1, rng)
    given &= seen_skin[..., None]
    classes = np.where(seen_lesion, LESION, HEALTHY)
    classes = np.where(given.any(2), POOR, classes)
    return Rated(np.where(seen_skin, classes, NO_SKIN), given)


def _judged(values: np.ndarray, how: Judgement, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return who finds a quantity there, bool (n, `RATERS`); thresholds are those of the same raters at every call."""
    strictness = norm.ppf((np.arange(RATERS) + 0.5) / RATERS)
    strictness = np.random.default_rng([0, number]).permutation(strictness)
    seen = values[:, None] + how.noise * rng.normal(size=(len(values), RATERS))
    return seen > how.threshold + how.spread * strictness
