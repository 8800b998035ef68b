"""Splits by patient."""

import numpy as np
import pandas as pd
import pytest

from medxai.data import chest_films, gaze
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError


def test_a_split_keeps_patients_together_and_classes_alike() -> None:
    rng = np.random.default_rng(0)
    patients = np.sort(rng.integers(0, 280, 300))
    labels = rng.integers(0, 3, 300)
    rows = chest_films.split(labels, patients, seed=1)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(300))
    assert [len(mine) for mine in rows.values()] == pytest.approx([240, 30, 30], abs=6)
    seen = [set(patients[mine]) for mine in rows.values()]
    assert len(set.union(*seen)) == sum(map(len, seen)), "each patient is in one split"
    shares = [np.bincount(labels[mine], minlength=3) / len(mine) for mine in rows.values()]
    np.testing.assert_allclose(shares, [np.bincount(labels) / 300] * 3, atol=0.12)
    again, other = (chest_films.split(labels, patients, seed=seed) for seed in (1, 2))
    assert all(np.array_equal(rows[name], again[name]) for name in rows)
    assert not np.array_equal(rows["test"], other["test"])


def test_a_patient_in_two_splits_is_refused() -> None:
    patients = np.array([1, 1, 2, 3])
    whole = {"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3])}
    assert chest_films.check_split(whole, patients).keys() == whole.keys()
    with pytest.raises(DataError, match="patient 1 is in the splits 'train' and 'val'"):
        chest_films.check_split(whole | {"train": np.array([0]), "val": np.array([1, 2])}, patients)
    with pytest.raises(DataError, match="'test' is empty or has a row"):
        chest_films.check_split(whole | {"test": np.array([4])}, patients)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(DataError, match="a class has 4 patients: expected at least 10"):
        chest_films.split(np.repeat([0, 1], 12), np.r_[0:12, np.repeat([20, 21, 22, 23], 3)], seed=0)


def test_shapes_are_checked() -> None:
    images = LabelledImages("set", "simulated", ["a"], np.zeros((1, 8, 8, 3), np.uint8))
    table = pd.DataFrame(columns=gaze.COLUMNS)
    with pytest.raises(ValueError, match="gaze is float64"):
        chest_films.ChestFilms(images, np.zeros((1, 8, 8)), table)
    with pytest.raises(ValueError, match="lungs are bool"):
        chest_films.ChestFilms(images, np.zeros((1, 8, 8), np.float32), table, np.zeros((1, 8, 9), bool))
