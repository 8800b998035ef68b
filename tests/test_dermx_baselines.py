"""Models on the marks of dermatologists: examples by hand, folds against scikit-learn's own, the printed numbers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from medxai import paths, profiles
from medxai.data import dermxdb, real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.data.ontology import DISEASES
from medxai.errors import DataError
from medxai.experiment import dermx_baselines, dermx_scores
from medxai.experiment.dermx_baselines import UNITS, Unit
from tiny_dermxdb import outline, square, tag, write


@pytest.fixture(scope="module")
def db() -> DermXDB:
    return real_or_simulated.open_dermxdb(profiles.get("smoke"))


@pytest.fixture
def tiny(tmp_path) -> DermXDB:
    """Three raters of one image, one of them wrong; another image that nobody diagnoses rightly."""
    path = square(0, 0, 9, 9)
    evaluations = {
        "labeller1_a": [tag("Psoriasis"), outline("Plaque", path)],
        "labeller2_a": [tag("Psoriasis"), outline("Plaque", path), outline("Scale", path)],
        "labeller3_a": [tag("Psoriasis"), outline("Plaque", path)],
        "labeller4_a": [tag("Acne"), outline("Papule", path)],
        "labeller1_b": [tag("Acne"), outline("Pustule", path)],
    }
    return dermxdb.load(write(tmp_path / "d", evaluations, references={"a": "Psoriasis", "b": "Vitiligo"}))


@pytest.mark.parametrize(
    ("unit", "marked"),
    [
        (Unit("union", "correct", "all"), {"a": {"Plaque", "Scale"}}),
        (Unit("half", "correct", "all"), {"a": {"Plaque"}}),
        (Unit("union", "correct_or_all", "all"), {"a": {"Plaque", "Scale"}, "b": {"Pustule"}}),
        (Unit("union", "diagnosed", "all"), {"a": {"Plaque", "Scale", "Papule"}, "b": {"Pustule"}}),
    ],
)
def test_examples_by_hand(tiny: DermXDB, unit: Unit, marked: dict[str, set[str]]) -> None:
    table = dermx_baselines.examples(tiny, unit).set_index("image")
    assert table.pop("label").to_dict() == {name: {"a": 2, "b": 5}[name] for name in marked}
    assert {name: set(table.columns[row]) for name, row in table.iterrows()} == marked


def test_an_evaluation_as_example(tiny: DermXDB) -> None:
    table = dermx_baselines.examples(tiny, Unit("evaluation", "correct", "all"))
    assert table["image"].tolist() == ["a", "a", "a"]
    assert table[["Plaque", "Scale"]].sum().tolist() == [3, 1]
    with pytest.raises(ValueError, match="expected union, half or evaluation of modelled or all"):
        dermx_baselines.examples(tiny, Unit("mean", "correct", "all"))
    with pytest.raises(DataError, match="none of the characteristics of 2 images is modelled"):
        dermx_baselines.examples(tiny)


def test_predictions_are_scikit_learns_own_cross_validation(db: DermXDB) -> None:
    predicted = dermx_baselines.predictions(db, models=["logistic regression"])
    table = dermx_baselines.examples(db)
    marks, label, fold = table.iloc[:, 2:].to_numpy(float), table["label"], predicted["fold"]
    options = {"groups": fold, "cv": LeaveOneGroupOut()}
    model = LogisticRegression(max_iter=1000)
    np.testing.assert_array_equal(predicted["logistic regression"], cross_val_predict(model, marks, label, **options))
    # A small fold may lack a disease, which scikit-learn leaves out of a macro F1 only when it is told to.
    means = dermx_scores.over_folds(dermx_scores.diagnoses_by_fold(predicted, DISEASES))
    expected = cross_val_score(model, marks, label, scoring=_macro_f1, **options)
    np.testing.assert_allclose(means.loc[("logistic regression", "Mean"), "f1"], expected.mean())
    assert means.index.get_level_values("name").tolist() == [*DISEASES, "Mean"]


def _macro_f1(model: LogisticRegression, marks: np.ndarray, label: pd.Series) -> float:
    return f1_score(label, model.predict(marks), average="macro")


def test_all_ties_vote() -> None:
    marks = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 1]])
    label = np.array([4, 1, 1, 4, 4])
    model = dermx_baselines.AllTies(2).fit(marks, label)
    # Three at distance 0 of (0, 0), where two of any would do; of (1, 0) four at distance 1, of which classes are even.
    assert model.predict(np.array([[0, 0], [1, 0], [1, 1]])).tolist() == [1, 1, 4]
    # Without ties it is scikit-learn's rule.
    generator = np.random.default_rng(0)
    marks = np.tril(np.ones((6, 6), int))[:, ::-1]  # distances from the first: 0 to 5
    label = generator.integers(0, 6, 6)
    expected = KNeighborsClassifier(3).fit(marks, label).predict(marks[:1])
    assert dermx_baselines.AllTies(3).fit(marks, label).predict(marks[:1]) == expected


def test_all_units_are_tried(db: DermXDB) -> None:
    table = dermx_baselines.units_tried(db, UNITS[:2])
    assert list(table["characteristics"].unique()) == ["modelled", "all"]
    assert len(table) == 2 * len(dermx_baselines.MODELS)
    assert table.groupby("characteristics")["examples"].nunique().eq(1).all()
    assert table["macro_f1"].between(0.4, 1).all()  # of six classes


@pytest.mark.real_data
def test_the_printed_numbers(real_dermxdb: DermXDB) -> None:
    found = dermx_baselines.units_tried(real_dermxdb, UNITS[:1]).set_index("model")
    printed = pd.read_csv(paths.published("dermx_text_results"), index_col="fact")["value"].astype(float)
    for name, words in {
        "logistic regression": "logistic regression",
        "decision tree": "decision tree",
        "5-nearest neighbour": "k-nearest neighbours (5)",
        "categorical naive Bayes": "categorical naive Bayes",
    }.items():
        assert abs(found.loc[name, "macro_f1"] - printed[f"interpretable: {words} macro F1"]) < 0.02
    assert (found["examples"] == 554).all()
