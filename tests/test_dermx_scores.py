"""Answers of a DermX as tables, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from medxai.evaluation import attention_cases
from medxai.experiment import dermx_scores
from medxai.models.dermx import DermXOutput
from medxai.training.dermx_examples import Examples

DISEASES, NAMES = ["x", "y", "z"], ["p", "q"]


def answered(seed: int, images: int = 30) -> tuple[DermXOutput, Examples]:
    """Return random answers to random examples, of which a third is not explained."""
    generator = np.random.default_rng(seed)
    present = generator.random((images, 2)) < 0.5
    maps = (generator.random((images, 2, 6, 6)) * present[:, :, None, None]).astype(np.float32)
    explained = np.arange(images) % 3 > 0
    labels = generator.integers(0, 3, images)
    examples = Examples(np.zeros((images, 6, 6, 3), np.uint8), labels, present, maps, present, explained)
    logits, marks = (torch.from_numpy(generator.normal(0, 1, (images, width))) for width in (3, 2))
    return DermXOutput(logits, marks, torch.from_numpy(generator.random((images, 2, 3, 3)))), examples


@pytest.fixture
def folds() -> list[tuple[DermXOutput, Examples]]:
    return [answered(seed) for seed in (0, 1)]


def _names(fold: int) -> list[str]:
    return [f"image {fold} {row}" for row in range(30)]


def _said(folds: list[tuple[DermXOutput, Examples]]) -> pd.DataFrame:
    """Return what two networks say, of which the second says of fold 0 what the first says, and of fold 1 nothing."""
    tables = [dermx_scores.said(*one, _names(k), DISEASES, NAMES).assign(fold=k) for k, one in enumerate(folds)]
    return pd.concat([*(table.assign(recipe="ours") for table in tables), tables[0].assign(recipe="other")])


def test_diagnoses_by_fold(folds) -> None:
    said = _said(folds)
    answers = dermx_scores.diagnoses(said[said["recipe"] == "ours"], DISEASES)
    answers["right"] = answers["label"]
    table = dermx_scores.diagnoses_by_fold(answers, DISEASES)
    assert (table[table["model"] == "right"][["f1", "sensitivity", "specificity"]] == 1).all(None)
    means = dermx_scores.over_folds(table)
    each = [f1_score(e.labels, o.diagnosis_logits.argmax(1), average=None) for o, e in folds]
    np.testing.assert_allclose(means.loc["ours", "f1"], [*np.mean(each, 0), np.mean(each)])
    np.testing.assert_allclose(means.loc["ours", "f1_std"], [*np.std(each, 0), np.std(np.mean(each, 1))])


def test_networks_stand_side_by_side_on_the_images_of_all(folds) -> None:
    said = _said(folds)
    answers = dermx_scores.diagnoses(said, DISEASES)
    assert sorted(answers["image"]) == sorted(_names(0))
    assert answers["ours"].equals(answers["other"].rename("ours"))
    found = dermx_scores.characteristics(said, NAMES)
    assert len(found) == 20 * 2
    assert found["ours"].equals(found["other"].rename("ours"))


def test_characteristics_of_explained_images_by_fold(folds) -> None:
    said = _said(folds)
    answers = dermx_scores.characteristics(said[said["recipe"] == "ours"], NAMES)
    assert len(answers) == 2 * 20 * 2
    means = dermx_scores.over_folds(dermx_scores.characteristics_by_fold(answers)).loc["ours"]
    for metric, of in (("f1", f1_score), ("sensitivity", recall_score)):
        each = [
            of(e.present[e.explained], (o.characteristic_logits > 0).numpy()[e.explained], average=None)
            for o, e in folds
        ]
        np.testing.assert_allclose(means[metric], [*np.mean(each, 0), np.mean(each)])
    with pytest.raises(ValueError, match="79 answers are of 40 images: expected 2 of each, in one order"):
        dermx_scores.characteristics_by_fold(answers.iloc[1:])


def test_cases_are_of_explained_images_and_keep_their_names(folds) -> None:
    output, examples = folds[1]
    table = dermx_scores.cases(output, examples, _names(1), NAMES, 1)
    there = examples.present & examples.explained[:, None]
    assert table["image"].tolist() == [f"image 1 {row}" for row in np.nonzero(there)[0]]
    assert (table["fold"] == 1).all()
    seen = (output.characteristic_logits > 0).numpy()
    assert table["found"].tolist() == seen[there].tolist()
    expected = attention_cases.cases(output.attention, examples.maps, there, seen, NAMES)
    np.testing.assert_array_equal(table["f1"], expected["f1"])


def test_scores_are_those_of_the_tables(folds) -> None:
    output, examples = folds[0]
    told = dermx_scores.scores(output, examples)
    guess, known = output.diagnosis_logits.argmax(1).numpy(), examples.explained
    assert told["accuracy"] == np.mean(guess == examples.labels)
    assert told["macro f1"] == pytest.approx(f1_score(examples.labels, guess, average="macro"))
    seen = (output.characteristic_logits > 0).numpy()
    expected = f1_score(examples.present[known], seen[known], average="macro")
    assert told["characteristic f1"] == pytest.approx(expected)
    table = dermx_scores.cases(output, examples, _names(0), NAMES, 0)
    assert told["localisation specificity"] == pytest.approx(table["specificity"].mean())


def test_nothing_explained_is_nan() -> None:
    output, examples = answered(0)
    examples.explained[:] = False
    told = dermx_scores.scores(output, examples)
    assert {name for name, value in told.items() if np.isnan(value)} == set(told) - {"accuracy", "macro f1"}
    assert set(dermx_scores.scores(output._replace(attention=None), examples)) == {"accuracy", "macro f1"}
