"""Models that see no pixels: the diagnosis from the characteristics that dermatologists gave.

Jalaboi et al. 2023, Medical Image Analysis 83:102647, section 3.2, print the macro F1 of four, over the ten folds of
their networks: logistic regression, decision tree, 5-nearest neighbour, categorical naive Bayes. What an example is to
them is not printed. `units_tried` shows several; one gives the printed numbers, and is the first of `UNITS`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import CategoricalNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from medxai.data import dermx_folds
from medxai.data.dermxdb import DermXDB
from medxai.data.ontology import CHARACTERISTICS, DISEASES
from medxai.evaluation import per_class
from medxai.evaluation.agreement_sums import used
from medxai.experiment.dermx_scores import diagnoses_by_fold, over_folds
from medxai.experiment.explained_paintings import modelled


class AllTies:
    """The k-nearest neighbour rule with a vote for each example that is no farther than the k-th."""

    def __init__(self, neighbours: int) -> None:
        self.neighbours = neighbours

    def fit(self, marks: np.ndarray, label: np.ndarray) -> "AllTies":
        """Keep the examples to compare with, int (n, m) of 0 and 1 and classes int (n,)."""
        self.marks, self.votes = marks, per_class.one_hot(label, len(DISEASES))
        return self

    def predict(self, marks: np.ndarray) -> np.ndarray:
        """Return the class with most votes for each example, the first of equal ones."""
        different = (marks[:, None] != self.marks).sum(axis=2)
        farthest = np.sort(different, axis=1)[:, self.neighbours - 1 : self.neighbours]
        return ((different <= farthest).astype(int) @ self.votes).argmax(axis=1)


MODELS: dict[str, Callable[[], ClassifierMixin | AllTies]] = {
    "logistic regression": lambda: LogisticRegression(max_iter=1000),
    "decision tree": lambda: DecisionTreeClassifier(random_state=0),
    "5-nearest neighbour": lambda: KNeighborsClassifier(5, algorithm="kd_tree"),
    "5-nearest neighbour, ties by order": lambda: KNeighborsClassifier(5, algorithm="brute"),
    "5-nearest neighbour, all ties": lambda: AllTies(5),
    "categorical naive Bayes": lambda: CategoricalNB(min_categories=2),
}
"""All with the settings of scikit-learn. Many images have the very same marks, and which five of equally near ones
count is up to the search, and to the order of images and marks: so there are three. The first is the search that
scikit-learn chooses for ten marks, the second that for sixteen."""


class Unit(NamedTuple):
    """What one example is."""

    example: str
    """"union": an image, with what any evaluation marked; "half": with what at least half of them did; "evaluation"."""
    rule: str
    """Which evaluations count (`medxai.evaluation.agreement_sums.RULES`)."""
    characteristics: str
    """"modelled": those of the paper's networks; "all": all sixteen."""


UNITS = tuple(
    Unit(*each.split(", "))
    for each in (
        "union, correct_or_all, modelled",
        "union, correct_or_all, all",
        "union, correct, modelled",
        "union, correct, all",
        "union, diagnosed, modelled",
        "union, diagnosed, all",
        "half, correct_or_all, modelled",
        "half, diagnosed, modelled",
        "evaluation, correct_or_all, modelled",
        "evaluation, diagnosed, modelled",
    )
)
"""The first is that of the samples in the paper's table 5: right evaluations, or all where no right one marks anything.
A rule that asks for the right diagnosis leaks it: who called it acne looked for what acne has."""


def examples(db: DermXDB, unit: Unit = UNITS[0]) -> pd.DataFrame:
    """Return the examples of the paper: image, label (the reference diagnosis), and a bool column for each mark.

    An image without any evaluation that counts is left out. ValueError for an unknown part of the unit.
    """
    sets = {"modelled": modelled, "all": lambda db: CHARACTERISTICS}
    if unit.characteristics not in sets or unit.example not in ("union", "half", "evaluation"):
        raise ValueError(f"got {unit}: expected union, half or evaluation of modelled or all")
    terms = sorted(sets[unit.characteristics](db))
    marks = used(db.select("paper"), unit.rule)[["image", *terms]]
    if unit.example != "evaluation":
        shares = marks.groupby("image")[terms].mean()
        marks = ((shares > 0) if unit.example == "union" else (shares >= 0.5)).reset_index()
    label = marks["image"].map(db.images["reference"]).map({name: number for number, name in enumerate(DISEASES)})
    marks.insert(1, "label", label.astype(int))
    return marks.reset_index(drop=True)


def predictions(db: DermXDB, unit: Unit = UNITS[0], models: Sequence[str] = tuple(MODELS)) -> pd.DataFrame:
    """Diagnose each example by models that were fitted on the other folds.

    Returns
    -------
    pandas.DataFrame
        One row per example: image, fold, label, and the predicted class of each model, int, as
        `medxai.experiment.dermx_scores.diagnoses` gives it.
    """
    table = examples(db, unit)
    fold, label = dermx_folds.tested_in(db, table["image"]), table["label"].to_numpy()
    marks = table.drop(columns=["image", "label"]).to_numpy(dtype=int)
    found = pd.DataFrame({"image": table["image"], "fold": fold, "label": label})
    for name in models:
        guess = np.empty_like(label)
        for number in np.unique(fold):
            test = fold == number
            guess[test] = MODELS[name]().fit(marks[~test], label[~test]).predict(marks[test])
        found[name] = guess
    return found


def units_tried(db: DermXDB, units: Sequence[Unit] = UNITS) -> pd.DataFrame:
    """Return the macro F1 of every model for several ways to make examples.

    Returns
    -------
    pandas.DataFrame
        Tidy: example, rule, characteristics, examples (how many), model, macro_f1 (mean over folds), macro_f1_std.
    """
    rows = []
    for unit in units:
        predicted = predictions(db, unit)
        means = over_folds(diagnoses_by_fold(predicted, DISEASES)).xs(per_class.MEAN, level="name")
        rows += [(*unit, len(predicted), name, *row) for name, row in means[["f1", "f1_std"]].iterrows()]
    return pd.DataFrame(rows, columns=[*Unit._fields, "examples", "model", "macro_f1", "macro_f1_std"])
