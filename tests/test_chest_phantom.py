"""Simulated chest films: the same for a seed, with findings where they are, and not told apart by their brightness."""

import numpy as np
import pytest

from medxai.data import chest_phantom
from medxai.data.chest_films import ChestFilms
from medxai.data.chest_phantom import HEART_FAILURE, NORMAL, PNEUMONIA
from medxai.evaluation import classification

SEED = 4


@pytest.fixture(scope="module")
def films() -> ChestFilms:
    return chest_phantom.draw(60, 64, SEED)


def test_fewer_are_the_first_of_more_and_a_seed_gives_the_same(films: ChestFilms) -> None:
    fewer = chest_phantom.draw(4, 64, SEED)
    np.testing.assert_array_equal(fewer.images.pictures, films.images.pictures[:4])
    np.testing.assert_array_equal(fewer.gaze, films.gaze[:4])
    np.testing.assert_array_equal(fewer.lungs, films.lungs[:4])
    assert fewer.fixations.equals(films.fixations[films.fixations["image"].isin(fewer.images.names)])
    assert (chest_phantom.draw(1, 64, SEED + 1).images.pictures != films.images.pictures[:1]).any()


def test_findings_are_where_a_class_has_them(films: ChestFilms) -> None:
    found = np.stack([films.images.truth(row) for row in range(60)])
    labels = films.images.labels
    assert found.dtype == np.float32
    assert found.min() == 0
    assert 0.9 < found.max() <= 1
    assert not found[labels == NORMAL].any()
    assert all(each.max() > 0.1 for each in found[labels != NORMAL])
    inside = [each[lung].sum() / each.sum() for each, lung in zip(found, films.lungs, strict=True) if each.any()]
    assert min(inside) > 0.6, "they lie in the lungs, as seen without disease"
    area = (found > 0.5).mean(axis=(1, 2))
    assert np.median(area[labels == PNEUMONIA]) < 0.08, "consolidations are focal"
    left = [each[:, 32:].sum() / each.sum() for each in found[labels == HEART_FAILURE]]
    assert 0.2 < np.median(left) < 0.8, "heart failure is on both sides"


def test_a_reader_dwells_on_findings(films: ChestFilms) -> None:
    labels, truth = films.images.labels, films.images.truth
    assert not np.isnan(films.gaze).any()
    ratio = []
    for row in np.flatnonzero(labels != NORMAL):
        share = truth(row) / truth(row).sum()
        ratio.append(
            (films.gaze[row] * share).sum() / (films.gaze[row] * films.lungs[row]).sum() * films.lungs[row].sum()
        )
    assert np.median(ratio) > 1.5, "than on the rest of the lungs"
    per_film = films.fixations.groupby("image").agg(number=("x", "size"), seconds=("duration", "sum"))
    assert per_film["number"].between(8, 80).all()
    assert per_film["seconds"].between(1, 40).all()


def test_patients_have_at_most_two_films_and_the_second_looks_alike(films: ChestFilms) -> None:
    patients = films.images.groups
    assert np.bincount(patients).max() == 2
    assert len(np.unique(patients)) == 54
    lungs = films.lungs.reshape(60, -1)

    def overlap(one: int, other: int) -> float:
        return (lungs[one] & lungs[other]).sum() / (lungs[one] | lungs[other]).sum()

    same = [overlap(row, row - 1) for row in range(9, 60, 10)]
    others = [overlap(row, row - 1) for row in range(5, 60, 10)]
    assert np.mean(same) > np.mean(others)


def test_brightness_and_contrast_do_not_tell_the_classes() -> None:
    films = chest_phantom.draw(150, 32, SEED).images
    statistics = classification.colour_statistics(films.pictures, spread=True)[:, [0, 3]]
    model = classification.linear_model(statistics, films.labels)
    guessed = classification.cross_validated(model, films.labels, groups=films.groups, seed=0)
    assert classification.one_against_rest(films.labels, guessed)[0, 0] < 0.65
