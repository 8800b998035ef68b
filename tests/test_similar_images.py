"""Similar images: training by triplets whose end is known, neighbours and scores by hand, controls at chance."""

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances

from medxai.attribution.examples import nearest_features
from medxai.experiment import similar_images
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.experiment.similar_images import BY_CHARACTERISTICS, BY_DIAGNOSIS, PLAIN, RANDOM, Similar, jaccard
from medxai.training import embedding_training
from medxai.training.embedding_training import MARGIN, train_embedding
from toy_paintings import toy_paintings

NUMBER = 60


@pytest.fixture(scope="module")
def shown() -> ExplainedPaintings:
    """Two classes; characteristic 0 is the class, 1 splits both classes, 2 is a coin."""
    rows = np.arange(NUMBER)
    coin = np.random.default_rng(0).random(NUMBER) < 0.5
    present = np.stack([rows % 2 == 0, rows // 2 % 2 == 0, coin], axis=1)
    return toy_paintings(rows % 2, present, explained=rows != 7)


@pytest.fixture(scope="module")
def trained(shown: ExplainedPaintings) -> Similar:
    noise = np.random.default_rng(1).normal(size=(NUMBER, 8))
    noise[:, :2] = 0.3 * noise[:, :2] + 2 * shown.present[:, :2]
    rows = np.arange(NUMBER)
    return similar_images.train(noise.astype(np.float32), shown, rows[20:], rows[:20], seed=0)


def test_classes_that_can_be_separated_end_without_loss() -> None:
    labels = torch.arange(30) % 3
    features = torch.nn.functional.one_hot(labels, 6).float() + 0.05 * torch.rand(30, 6)
    alike = (labels[:, None] == labels).float()
    embedding, loss = train_embedding(features, alike, seed=0)
    assert loss == 0
    unit = torch.nn.functional.normalize(embedding(features), dim=1)
    distances = torch.cdist(unit, unit)
    assert distances[alike.bool()].max() + MARGIN < distances[~alike.bool()].min()  # of all triplets, not those drawn


def test_same_seed_same_embedding_and_the_likeness_alone_teaches() -> None:
    features, alike = torch.rand(12, 5), (torch.arange(12)[:, None] % 3 == torch.arange(12) % 3).float()
    one, two, other = (train_embedding(features, alike, seed=seed)[0].weight for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(one, train_embedding(features, 5 * alike, seed=3)[0].weight)  # any unit
    assert not torch.equal(one, train_embedding(features, 1 - alike, seed=3)[0].weight)


def test_no_triplet_teaches_nothing_and_a_wrong_shape_is_refused() -> None:
    features = torch.rand(6, 4)
    one, loss = train_embedding(features, torch.ones(6, 6), seed=0)
    two, _ = train_embedding(2 * features, torch.ones(6, 6), seed=0)
    assert np.isnan(loss)
    assert torch.equal(one.weight, two.weight)
    with pytest.raises(ValueError, match=r"likeness is \(6, 5\): expected \(6, 6\)"):
        train_embedding(features, torch.ones(6, 5), seed=0)


def test_triplets_never_hold_an_image_twice_and_are_in_order() -> None:
    likeness = torch.rand(40, 40, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        anchor, near, far = embedding_training._triplets(likeness, generator)
        assert ((anchor != near) & (anchor != far) & (near != far)).all()
        assert (likeness[anchor, near] > likeness[anchor, far]).all()


def test_neighbours_by_brute_force(trained: Similar) -> None:
    for name, space in trained.spaces.items():
        unit = space / np.linalg.norm(space, axis=1, keepdims=True)
        order = np.argsort(-(unit[trained.asked] @ unit[trained.seen].T), axis=1, kind="stable")
        assert np.array_equal(similar_images.neighbours(trained, name, number=3), trained.seen[order[:, :3]])
    table = nearest_features(np.eye(2), np.array([[0, 2.0], [1, 0], [9, 9]]), number=2)
    assert table["reference"].tolist() == [1, 0, 0, 1]
    assert table["distance"].tolist() == pytest.approx([0, 5**0.5, 1, 2**0.5])


def test_jaccard_against_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    one, other = draw.random((7, 5)) < 0.5, draw.random((9, 5)) < 0.5
    one[0] = False
    found = jaccard(one, other)
    expected = 1 - pairwise_distances(one, other, metric="jaccard")
    expected[~one.any(1)[:, None] & ~other.any(1)] = np.nan
    assert found == pytest.approx(expected, nan_ok=True)


def test_scores_by_hand() -> None:
    marks = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 1]], bool)
    shown = toy_paintings(np.array([0, 0, 0, 1, 0, 1]), marks)
    space = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3], [0, 1], [1, 0.4]], np.float32)
    table = similar_images.scores(Similar({PLAIN: space}, np.array([1, 2, 3, 4, 5]), np.array([0])), shown)
    table = table.set_index("space")
    near = table.loc[PLAIN]  # all five training images, as there are no more
    assert near["precision"] == pytest.approx(3 / 5)
    assert near["jaccard"] == pytest.approx((1 + 1 / 2 + 1 / 2 + 0 + 1 / 2) / 5)
    assert near["jaccard_same"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    columns = ["precision", "jaccard", "jaccard_same"]
    assert table.loc[RANDOM, columns].tolist() == pytest.approx(near[columns].tolist())
    other = similar_images.scores(Similar({}, np.array([3, 5]), np.array([0, 4])), shown).iloc[:2]
    assert other["precision"].tolist() == [0, 0]
    assert other["jaccard_same"].isna().all()


def test_trained_spaces_find_what_they_were_taught_and_controls_are_at_chance(
    trained: Similar, shown: ExplainedPaintings
) -> None:
    assert set(trained.spaces) == {PLAIN, BY_DIAGNOSIS, BY_CHARACTERISTICS}
    assert 7 not in trained.asked
    table = similar_images.scores(trained, shown)
    assert len(table) == 19 * 4
    means = table.groupby("space")[["precision", "jaccard", "jaccard_same"]].mean()
    assert means.loc[BY_DIAGNOSIS, "precision"] > 0.9
    assert means.loc[RANDOM, "precision"] == pytest.approx(0.5)
    drawn = np.random.default_rng(0).normal(size=(NUMBER, 400)).astype(np.float32)  # a space without meaning
    chance = similar_images.scores(Similar({PLAIN: drawn}, trained.seen, trained.asked), shown)
    chance = chance.groupby("space")[["precision", "jaccard"]].mean()
    assert (chance.loc[PLAIN] - chance.loc[RANDOM]).abs().max() < 0.1
    assert means.loc[BY_CHARACTERISTICS, "jaccard_same"] > means.loc[RANDOM, "jaccard_same"] + 0.1


def test_held_out_images_teach_nothing(shown: ExplainedPaintings) -> None:
    rows, draw = np.arange(NUMBER), np.random.default_rng(3)
    features = draw.normal(size=(NUMBER, 8)).astype(np.float32)
    one = similar_images.train(features, shown, rows[20:], rows[:20], seed=0)
    changed = features.copy()
    changed[:20] += 1
    two = similar_images.train(changed, shown, rows[20:], rows[:20], seed=0)
    for name in one.spaces:
        assert np.array_equal(one.spaces[name][20:], two.spaces[name][20:])
