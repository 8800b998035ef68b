r"""DOCTOR: when to reject a prediction, told by the probabilities alone.

Granese, Romanelli, Gorla, Palamidessi and Piantanida 2021, "DOCTOR: A simple method for detecting misclassification
errors", NeurIPS 34, in the totally black box: no temperature, no gradient. With the probabilities :math:`p` of an image

.. math:: D_\alpha = \frac{1 - g}{g},\quad g = \sum_c p_c^2 \qquad\text{and}\qquad
          D_\beta = \frac{e}{1 - e},\quad e = 1 - \max_c p_c

a prediction is rejected where its score is above a threshold :math:`\gamma`.
:math:`1 - g` is the chance that two draws by these probabilities disagree, :math:`e` that the prediction is wrong, if
they are to be believed. The second ranks as the greatest probability does, and for two classes so does the first.
"""

import numpy as np


def doctor_alpha(probabilities: np.ndarray) -> np.ndarray:
    """Return the score of D-alpha, (1 - g) / g, float64 (n,): 0 where one class is certain, classes - 1 where none is.

    Probabilities are float (n, classes), each row of which adds up to 1; anything else is a ValueError.
    """
    agreement = (_checked(probabilities) ** 2).sum(axis=1)
    return np.maximum(1 - agreement, 0) / agreement


def doctor_beta(probabilities: np.ndarray) -> np.ndarray:
    """Return the score of D-beta, e / (1 - e), float64 (n,): of the same range, and of the same arguments."""
    greatest = _checked(probabilities).max(axis=1)
    return np.maximum(1 - greatest, 0) / greatest


def false_rejections(score: np.ndarray, wrong: np.ndarray, *, caught: float = 0.95) -> float:
    """Return the share of right predictions that are rejected, where at least so many wrong ones are.

    The paper's "FRR at 95 % TRR". The threshold is the highest that catches the share `caught` of the wrong
    predictions; what scores as high as it is rejected, too.

    Parameters
    ----------
    score
        float (n,), higher where a prediction is doubted more.
    wrong
        bool (n,), whether it is.
    caught
        In (0, 1].

    Returns
    -------
    float
        In [0, 1]; NaN where no prediction is wrong, or none is right.
    """
    if not 0 < caught <= 1:
        raise ValueError(f"caught is {caught}: expected a share above 0, and at most 1")
    if not wrong.any() or wrong.all():
        return float("nan")
    doubted = np.sort(score[wrong])[::-1]
    threshold = doubted[int(np.ceil(caught * len(doubted) - 1e-9)) - 1]  # 0.95 * 20 is a little more than 19
    return float((score[~wrong] >= threshold).mean())


def _checked(probabilities: np.ndarray) -> np.ndarray:
    values = np.asarray(probabilities, dtype=float)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"probabilities are {values.shape}: expected (n, classes), at least two classes")
    off = ~((values >= 0).all(axis=1) & np.isclose(values.sum(axis=1), 1, atol=1e-6))
    if off.any():
        row = int(off.argmax())
        raise ValueError(
            f"probabilities of image {row} are {values[row].tolist()}: expected at least 0, adding up to 1"
        )
    return values
