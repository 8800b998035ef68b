"""The table of metrics: what each asks of a map, and which way is better."""

from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Metric:
    """One number about a map."""

    title: str
    """As a chapter prints it."""
    family: Literal["place", "faithfulness", "stability", "sanity", "complexity", "cost"]
    """What it is about: where the map points, whether the score agrees with it, whether it stays alike for like images,
    whether it depends on what the network learnt, how much of the image it uses, what it costs."""
    question: str
    better: Literal["higher", "lower"] | None
    """None where neither is better."""
    low: float
    """Least value that is possible."""
    high: float
    """Largest value that is possible, or infinity."""
    reference: str


FUZZY = "Jalaboi et al. 2023 (DermX), section on evaluation"
ROC = "Hanley, McNeil 1982; pixels weighed by a fuzzy reference"
HITS = "Saporta et al. 2022 (CheXlocalize)"
OCCLUSION = "Jalaboi et al. 2023 (DermX); Zeiler, Fergus 2014, section 4.2"
RISE = "Petsiuk, Das, Saenko 2018 (RISE)"
SANITY = "Adebayo, Gilmer, Muelly et al. 2018"

METRICS: dict[str, Metric] = {
    "fuzzy_f1": Metric(
        "Fuzzy F1", "place", "Does the map cover what experts marked, and nothing else?", "higher", 0, 1, FUZZY
    ),
    "fuzzy_sensitivity": Metric(
        "Fuzzy sensitivity", "place", "Does the map cover all that experts marked?", "higher", 0, 1, FUZZY
    ),
    "fuzzy_specificity": Metric(
        "Fuzzy specificity", "place", "Does the map leave out what experts did not mark?", "higher", 0, 1, FUZZY
    ),
    "pixel_auc": Metric(
        "Pixel AUC", "place", "Does a marked pixel have a higher value than one that is not?", "higher", 0, 1, ROC
    ),
    "iou": Metric(
        "Intersection over union",
        "place",
        "Does the map, cut at a threshold chosen on other images, have the shape that experts marked?",
        "higher",
        0,
        1,
        "Jaccard 1912; Saporta et al. 2022 (CheXlocalize)",
    ),
    "hit_rate": Metric(
        "Hit rate", "place", "Does the highest value lie within what experts marked?", "higher", 0, 1, HITS
    ),
    "pointing_game": Metric(
        "Pointing game",
        "place",
        "Does the highest value lie within what experts marked, or just beside it?",
        "higher",
        0,
        1,
        "Zhang, Bargal, Lin et al. 2018",
    ),
    "mass": Metric(
        "Mass accuracy",
        "place",
        "Does the positive evidence lie within what experts marked?",
        "higher",
        0,
        1,
        "Arras, Osman, Samek 2022 (CLEVR-XAI)",
    ),
    "occlusion_drop": Metric(
        "Occlusion drop",
        "faithfulness",
        "Does the probability fall when what the map highlights is covered?",
        "higher",
        -1,
        1,
        OCCLUSION,
    ),
    "occlusion_drop_equal_area": Metric(
        "Occlusion drop, equal area",
        "faithfulness",
        "Does the probability fall when the highest fifth of the pixels is covered?",
        "higher",
        -1,
        1,
        OCCLUSION + "; the area is our choice",
    ),
    "deletion": Metric(
        "Deletion",
        "faithfulness",
        "Does the probability fall early when pixels are covered, the highest first?",
        "lower",
        0,
        1,
        RISE,
    ),
    "insertion": Metric(
        "Insertion",
        "faithfulness",
        "Does the probability rise early when pixels are put into a blurred image, the highest first?",
        "higher",
        0,
        1,
        RISE,
    ),
    "sensitivity_n": Metric(
        "Sensitivity-n",
        "faithfulness",
        "Does the sum of the values of some regions go with the drop of the score without them?",
        "higher",
        -1,
        1,
        "Ancona, Ceolini, Öztireli, Gross 2018, section 3.1",
    ),
    "infidelity": Metric(
        "Infidelity",
        "faithfulness",
        "Does the map fail to foretell by how much the score drops when a square is covered, as a map of zeros does?",
        "lower",
        0,
        1,
        "Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019, definition 2.1; divided by that of a map of zeros",
    ),
    "completeness_gap": Metric(
        "Completeness gap",
        "faithfulness",
        "Does the sum of the map differ from what it should explain, the score less that of the baseline?",
        "lower",
        0,
        inf,
        "Sundararajan, Taly, Yan 2017, proposition 1",
    ),
    "max_sensitivity": Metric(
        "Max-sensitivity",
        "stability",
        "Does the map change when the image hardly does?",
        "lower",
        0,
        inf,
        "Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019, definition 3.1",
    ),
    "parameter_randomisation": Metric(
        "Parameter randomisation",
        "sanity",
        "Do the same pixels have the largest absolute values for a network with random weights?",
        "lower",
        -1,
        1,
        SANITY,
    ),
    "label_randomisation": Metric(
        "Label randomisation",
        "sanity",
        "Do the same pixels have the largest absolute values for a network trained on random labels?",
        "lower",
        -1,
        1,
        SANITY,
    ),
    "gini": Metric(
        "Gini index",
        "complexity",
        "Does the map put its values on few pixels?",
        None,
        0,
        1,
        "Hurley, Rickard 2009; Chalasani et al. 2020",
    ),
    "entropy": Metric(
        "Entropy",
        "complexity",
        "Does the map spread its values over many pixels?",
        None,
        0,
        inf,
        "Bhatt, Weller, Moura 2020",
    ),
    "passes": Metric(
        "Passes",
        "cost",
        "Does the map need many passes of images through the model?",
        "lower",
        0,
        inf,
        "counted by this book",
    ),
    "seconds": Metric(
        "Seconds", "cost", "Does the map take long, on this machine?", "lower", 0, inf, "measured by this book"
    ),
}
"""Every metric, by the name of its column."""


def verdicts(differences: pd.DataFrame, metric: str) -> pd.Series:
    """Say of each row whether it is ``better`` or ``worse`` than what it was compared with, or the question ``open``.

    Parameters
    ----------
    differences
        Of `medxai.evaluation.bootstrap.differences`: open is what has 0 in its interval, or has none.
    metric
        A name in `METRICS` for which one way is better.
    """
    above, below = differences["low"] > 0, differences["high"] < 0
    better, worse = (above, below) if METRICS[metric].better == "higher" else (below, above)
    return pd.Series(np.select([better, worse], ["better", "worse"], "open"), differences.index)
