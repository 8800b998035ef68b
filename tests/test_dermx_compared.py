"""Networks against each other: against scikit-learn, and on made-up answers whose differences are known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from medxai.data.ontology import DISEASES
from medxai.experiment import dermx_compared
from medxai.experiment.dermx_scores import MARKED

NAMES = ["p", "q"]
DRAWN = {"resamples": 40, "seed": 0}


def said(recipe: str, folds: tuple[int, ...], seed: int, *, characteristics: bool = True) -> pd.DataFrame:
    """Return random answers; what experts say of an image is the same for all recipes."""
    parts = []
    for fold in folds:
        truth, own = np.random.default_rng(fold), np.random.default_rng([seed, fold])
        table = pd.DataFrame({"image": [f"{fold}-{row}" for row in range(30)], "label": truth.integers(0, 6, 30)})
        table["explained"] = truth.random(30) < 0.7
        table[list(DISEASES)] = own.dirichlet(np.ones(6), 30)
        for name in NAMES:
            marked = truth.random(30) < 0.5
            if characteristics:
                table[name], table[f"{MARKED}{name}"] = own.random(30), marked
        parts.append(table.assign(recipe=recipe, fold=fold))
    return pd.concat(parts, ignore_index=True)


def cases(recipe: str, folds: tuple[int, ...], f1: float) -> pd.DataFrame:
    """Return cases of some images, all of one score."""
    lines = [(f"{fold}-{row}", "p", True, f1, recipe, fold) for fold in folds for row in range(5)]
    return pd.DataFrame(lines, columns=["image", "name", "found", "f1", "recipe", "fold"])


def test_networks_differ_by_the_f1_of_scikit_learn_on_the_folds_of_both() -> None:
    tables = [said("a", (0, 1, 2), 1), said("b", (1, 2), 2)]
    scored = pd.concat([cases("a", (0, 1, 2), 0.75), cases("b", (1, 2), 0.5)])
    found = dermx_compared.differences(pd.concat(tables), scored, [("a", "b"), ("a", "absent")], **DRAWN)
    table = found.set_index("quantity")
    one, other = (part[part["fold"] > 0] for part in tables)
    guesses = [part[list(DISEASES)].to_numpy().argmax(axis=1) for part in (one, other)]
    gap = np.subtract(*(f1_score(one["label"], guess, average="macro") for guess in guesses))
    assert table.loc["diagnosis F1", "value"] == pytest.approx(gap)
    known = one["explained"].to_numpy()
    marks = one.loc[known, [f"{MARKED}{name}" for name in NAMES]].to_numpy(dtype=bool)
    gap = np.subtract(*(f1_score(marks, part.loc[known, NAMES] >= 0.5, average="macro") for part in (one, other)))
    assert table.loc["characteristics F1", "value"] == pytest.approx(gap)
    assert table.loc["localisation F1", ["value", "low", "high"]].tolist() == pytest.approx([0.25] * 3)
    assert table["images"].tolist() == [60, known.sum(), 10]
    assert set(zip(found["model"], found["against"], strict=True)) == {("a", "b")}
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_a_network_without_characteristics_differs_in_its_diagnosis_only() -> None:
    both = pd.concat([said("a", (0,), 1), said("Dx", (0,), 2, characteristics=False)])
    table = dermx_compared.differences(both, cases("a", (0,), 0.5), [("a", "Dx")], **DRAWN)
    assert table["quantity"].tolist() == ["diagnosis F1"]
    assert len(dermx_compared.differences(both, cases("a", (0,), 0.5), [], **DRAWN)) == 0


def test_a_weight_is_chosen_on_validation_images_alone() -> None:
    lines = [
        (recipe, fold, split, metric, value)
        for recipe, good in {"dice 1": 0.6, "dice 3": 0.7, "dice 10": 0.5, "energy 1": 0.9}.items()
        for fold in (0, 1)
        for split, value in (("validation", good), ("test", 1 - good))
        for metric in dermx_compared.SCORES
    ]
    scores = pd.DataFrame(lines, columns=["recipe", "fold", "split", "metric", "value"])
    best = dermx_compared.chosen(scores, ["dice", "energy"], (1, 3, 10))
    assert best.to_dict() == {"dice": "dice 3"}  # energy has one weight only: nothing to choose from
    means = dermx_compared.means(scores, folds=[1])
    assert means.loc["dice 3", "diagnosis F1"] == pytest.approx(0.3)
    assert means["folds"].tolist() == [1] * 4


def test_characteristics_of_a_wrong_diagnosis_are_right_if_they_belong_to_it() -> None:
    table = said("a", (0,), 1).head(2).assign(label=0, explained=True, p=0.9, q=0.9)
    table[list(DISEASES)] = np.eye(6)[:2]  # the first is right, the second wrong
    table[[f"{MARKED}p", f"{MARKED}q"]] = [[True, False], [True, True]]
    expected = pd.DataFrame({"name": NAMES} | {name: [0.0, 0.0] for name in DISEASES})
    expected[DISEASES[1]] = [0.04, 0.4]
    found = dermx_compared.precision(table, expected, (0.03, 0.3, 0.5)).set_index(["diagnosis", "cutoff"])
    assert found["precision"].tolist() == [0.5, 1, 0.5, 0]
    assert found["images"].tolist() == [1] * 4


def test_conditions_are_compared_in_pairs() -> None:
    lines = [
        ("r", f"i{row}", condition, row / 10 + gap)
        for row in range(8)
        for condition, gap in {"before": 0.0, "after": 0.25}.items()
    ]
    table = pd.DataFrame(lines, columns=["recipe", "image", "when", "value"])
    found = dermx_compared.paired(table, "when", "value", "before", ["image"], **DRAWN).set_index("when")
    assert found.loc["after", ["difference", "low", "high"]].tolist() == pytest.approx([0.25] * 3)
    assert found.loc["before", ["difference", "low", "high"]].isna().all()
    assert found["value"].tolist() == pytest.approx([0.35, 0.6])
    means = dermx_compared.shares(table, "when", "value", **DRAWN).set_index("when")
    assert means["value"].tolist() == pytest.approx([0.35, 0.6])
    assert ((means["low"] < means["value"]) & (means["value"] < means["high"])).all()
