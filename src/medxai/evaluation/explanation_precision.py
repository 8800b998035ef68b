"""Of the characteristics that a DermX gives for its diagnosis: how many are right?

Jalaboi et al. 2023, Medical Image Analysis 83:102647, section 3.2. For a right diagnosis those are right that an expert
gave, too. For a wrong one it is asked whether the network at least argues for what it says: those are right that belong
to the expected explanation of the predicted disease, the characteristics that experts mark in at least a share of their
evaluations with that disease (table A.11, `medxai.evaluation.agreement.prevalence`). The share is not printed, so it is
swept. By construction the diagnosis of a DermX follows its characteristics.

Common parameters: ``found`` and ``present`` are bool (n, c), what the network and the experts say of n images;
``labels`` and ``guesses`` int (n,), the reference diagnosis and the network's. Tables have a line for each image:
image (number of the row), given and right (numbers of characteristics), precision, NaN where none is given, and chance,
the precision to be expected of characteristics drawn at random.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.evaluation.sums import ratio

CUTOFFS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def right_diagnoses(
    found: np.ndarray, present: np.ndarray, labels: np.ndarray, guesses: np.ndarray, explained: np.ndarray
) -> pd.DataFrame:
    """Return the precision for each image with a right diagnosis whose characteristics are known (``explained``)."""
    return _lines(np.flatnonzero((labels == guesses) & explained), found, present)


def wrong_diagnoses(
    found: np.ndarray,
    labels: np.ndarray,
    guesses: np.ndarray,
    prevalence: pd.DataFrame,
    cutoffs: Sequence[float] = CUTOFFS,
) -> pd.DataFrame:
    """Return the precision for each image with a wrong diagnosis, and each cut-off (a column in front).

    Parameters
    ----------
    prevalence
        (c, d): rows are the characteristics in the order of ``found``, columns the diseases in that of the classes.
    """
    shares = prevalence.to_numpy().T
    if found.shape[1] != shares.shape[1] or guesses.max(initial=0) >= len(shares):
        told = f"prevalence is of {shares.shape[1]} characteristics and {len(shares)} diseases"
        raise ValueError(f"{told}: expected {found.shape[1]}, and more than {guesses.max(initial=0)}")
    rows, parts = np.flatnonzero(labels != guesses), []
    for cutoff in cutoffs:
        table = _lines(rows, found, (shares >= cutoff)[guesses])
        table.insert(0, "cutoff", cutoff)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _lines(rows: np.ndarray, found: np.ndarray, supported: np.ndarray) -> pd.DataFrame:
    """Return the lines of some images, given which characteristics would be right in each, bool (n, c)."""
    given, right = found[rows].sum(axis=1), (found & supported)[rows].sum(axis=1)
    chance = np.where(given > 0, supported[rows].mean(axis=1), np.nan)
    return pd.DataFrame(
        {"image": rows, "given": given, "right": right, "precision": ratio(right, given), "chance": chance}
    )
