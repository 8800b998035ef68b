"""What can be checked of the benchmark paper without a network (Jalaboi, Winther and Galimzianova 2023).

The dermatologists' rows, computed anew; whether its tables agree with each other; which network it calls expert.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.evaluation import agreement
from medxai.evaluation.sums import ratio
from medxai.results import tidy

T03 = "benchmark_table_03_diagnosis_f1"
A04 = "benchmark_table_a4_sensitivity"
A05 = "benchmark_table_a5_specificity"
F05 = "benchmark_figure_05_characteristic_sensitivity"
TEST = 263
"""Images that the paper tested on, drawn at random from its 524; which ones it does not say."""
EXPERTS = "Dermatologists"
TERMS = (
    "Closed comedo", "Cyst", "Dermatoglyph disruption", "Leukotrichia", "Macule", "Nodule", "Open comedo", "Papule",
    "Patch", "Plaque", "Pustule", "Scale", "Scar", "Sun damage", "Telangiectasia", "Thrombosed capillaries",
)  # fmt: skip
"""The rows of figure 5."""


def random_halves(images: int, test: int, number: int, seed: int) -> np.ndarray:
    """Draw test sets: float (number, images), 1 for each of the `test` images of a set and 0 for the others."""
    if not 0 < test <= images:
        raise ValueError(f"test is {test}: expected 1 to {images}, the number of images")
    order = np.random.default_rng(seed).random((number, images)).argsort(axis=1)
    return (order < test).astype(float)


def dermatologists(
    db: DermXDB, overlaps: pd.DataFrame, *, number: int, seed: int, test: int = TEST
) -> dict[str, pd.DataFrame]:
    """Score the dermatologists on the images of the benchmark: diagnosis, and place of each characteristic.

    Diagnosis is each rater's first against the reference standard. A rater's region of a characteristic is scored
    against the share of the other raters that outlined a pixel (paper, section 3.4, where it says union).

    Parameters
    ----------
    overlaps
        `agreement.overlaps` of at least these images.
    number, seed, test
        How many random sets of `test` images are drawn: ``low`` and ``high`` hold 95 % of their values.

    Returns
    -------
    dict
        By the name of the file in ``data/published``: tidy tables of all images of the benchmark.
    """
    evaluations = db.select(db.images.index[db.images["benchmark"]])
    halves = random_halves(evaluations["image"].nunique(), test, number, seed)

    def scored(weights: np.ndarray | None = None) -> pd.DataFrame:
        return agreement.diagnosis(evaluations, weights=weights)

    def placed(weights: np.ndarray | None = None) -> pd.DataFrame:
        return agreement.against_others(overlaps, evaluations, terms=TERMS, weights=weights)[["sensitivity"]]

    whole, drawn = scored(), scored(halves)
    tables = {
        name: tidy(*(_in_a_row(table, score) for table in (whole, *_middle(drawn))))
        for name, score in ((T03, "f1"), (A04, "sensitivity"), (A05, "specificity"))
    }
    places = [_one_column(table) for table in (placed(), *_middle(placed(halves)))]
    return {**tables, F05: tidy(*places)}


def _middle(drawn: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ends of the range that holds 95 % of the draws, each as a table."""
    by_row = drawn.groupby(level=1, sort=False)
    return by_row.quantile(0.025), by_row.quantile(0.975)


def _in_a_row(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return one line, a column for each disease: as print has it."""
    both = pd.concat([table[score], table[f"{score}_std"].add_suffix("_std")])
    return both.to_frame(EXPERTS).T


def _one_column(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"sensitivity": EXPERTS.lower()})


def reaches_experts(mean: float, std: float, expert_mean: float, expert_std: float) -> bool:
    """Say whether a network is at expert level: its mean plus deviation reaches the experts' mean less theirs.

    The papers do not print this rule; it gives every count that they print. Ranges that touch count, whatever the
    binary fractions of printed decimals make of it.
    """
    return bool(mean + std >= expert_mean - expert_std - 1e-9)


def rebuilt_f1(sensitivity: np.ndarray, specificity: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the F1 score that follows from sensitivity and specificity, and the share of a class among the images.

    F1 = 2 TP / (2 TP + FP + FN) with TP = share x sensitivity, FN = share x (1 - sensitivity) and
    FP = (1 - share) x (1 - specificity); NaN where nothing is positive.
    """
    found = share * sensitivity
    return ratio(2 * found, found + share + (1 - share) * (1 - specificity))


def highest_f1(sensitivity: np.ndarray) -> np.ndarray:
    """Return what F1 can be at most at a sensitivity: 2 s / (1 + s), without a false alarm."""
    return 2 * np.asarray(sensitivity) / (1 + np.asarray(sensitivity))


def exchanged(
    printed: Callable[[str], pd.DataFrame], shares: pd.Series, pair: tuple[str, str] = ("viral_warts", "vitiligo")
) -> pd.DataFrame:
    """Test whether two columns of tables A4 and A5 are exchanged: rebuild table 3 with them as printed and exchanged.

    Parameters
    ----------
    printed
        Gives a published table in tidy form, as `medxai.results.published` does.
    shares
        Share of each class among the images, by the name of its column.
    pair
        The columns.

    Returns
    -------
    pandas.DataFrame
        One line per rater: ``as_printed`` and ``exchanged``, the sum over both columns of the absolute differences of
        the rebuilt and the printed F1; ``impossible``, whether table 3 has an F1 higher than the sensitivity as
        printed allows, beyond rounding; ``others``, the largest difference in the other columns.
    """
    f1, found, spared = (
        printed(name).pivot(index="row", columns="metric", values="value").filter(regex="^(?!.*_std)")
        for name in (T03, A04, A05)
    )
    swap = {pair[0]: pair[1], pair[1]: pair[0]}
    as_printed = (rebuilt_f1(found, spared, shares[found.columns].to_numpy()) - f1).abs()
    other = [table.rename(columns=swap)[found.columns] for table in (found, spared)]
    turned = (rebuilt_f1(*other, shares[found.columns].to_numpy()) - f1).abs()
    half_digit = 0.005
    limit = highest_f1(found[list(pair)] + half_digit) + half_digit
    return pd.DataFrame(
        {
            "as_printed": as_printed[list(pair)].sum(axis=1),
            "exchanged": turned[list(pair)].sum(axis=1),
            "impossible": (f1[list(pair)] > limit).any(axis=1),
            "others": as_printed.drop(columns=list(pair)).max(axis=1),
        }
    ).loc[printed(T03)["row"].unique()]
