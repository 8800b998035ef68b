"""A trained network: what it is explained on, and that it is trained once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from medxai import profiles
from medxai.data import real_or_simulated
from medxai.data.labelled_images import LabelledImages
from medxai.experiment import image_sets, trained_network
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.normalisation import HALF
from medxai.models.weights import Pretrained

SMOKE = profiles.get("smoke")
IMAGES, CLASSES, SIDE = 60, 6, 16


def drawn(without: tuple[int, ...] = ()) -> LabelledImages:
    """Pictures of two raters, who outline the same but on those rows where they do not agree on any pixel."""
    generator = np.random.default_rng(0)

    def raters(row: int) -> dict[int, np.ndarray]:
        masks = np.zeros((3, SIDE, SIDE), bool)
        masks[0 if row in without else slice(None), 2:8] = True
        return dict(enumerate(masks, 1))

    return LabelledImages(
        "drawn",
        "simulated",
        [f"image_{i}" for i in range(IMAGES)],
        generator.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8),
        np.arange(IMAGES) % CLASSES,
        tuple("abcdef"),
        raters=raters,
    )


def guessed(images: LabelledImages, wrong: np.ndarray) -> TrainedNetwork:
    """A network that is right but on the rows `wrong`, more so the lower the row."""
    probabilities = np.full((IMAGES, CLASSES), 0.1)
    probabilities[np.arange(IMAGES), images.labels] = 0.5
    probabilities[wrong, images.labels[wrong]] = 0.3 - wrong / 1000
    probabilities[wrong, (images.labels[wrong] + 1) % CLASSES] = 0.6
    rows = np.arange(IMAGES)
    half = rows[rows % 2 == 0], rows[rows % 2 == 1]
    return TrainedNetwork(nn.Identity(), "layer", HALF, "none", images, *half, probabilities, images.labels)


def test_images_that_are_right_are_explained_first_and_classes_take_turns() -> None:
    images = drawn(without=(3, 5))
    wrong = np.flatnonzero(images.labels == 1)
    trained = guessed(images, wrong)
    assert trained.without_outline().tolist() == [3, 5]
    rows = trained.rows_to_explain(8)
    assert len(set(rows)) == 8
    assert not set(rows) & {*wrong, 3, 5}
    assert np.bincount(images.labels[rows], minlength=CLASSES)[[3, 5]].tolist() == [4, 4]
    every = trained.rows_to_explain(1000)
    assert len(every) == 28
    assert every[-10:].tolist() == sorted(set(wrong) & set(trained.test))  # the least wrong of them first
    assert trained.accuracy == 20 / 30
    assert trained.learnt == 1


def test_the_background_is_of_training_images_of_all_classes() -> None:
    images = drawn()
    trained = guessed(images, np.arange(0))
    found = trained.background(6)
    first = [trained.train[images.labels[trained.train] == label][turn] for turn in (0, 1) for label in (0, 2, 4)]
    torch.testing.assert_close(found, HALF.apply(images.pictures[first]))
    torch.testing.assert_close(trained.image(7), HALF.apply(images.pictures[[7]]))


class Headed(nn.Sequential):
    """Stands in for a network of timm."""

    def reset_classifier(self, classes: int) -> None:
        self[-1] = nn.Linear(3, classes)

    def get_classifier(self) -> nn.Module:
        return self[-1]


@pytest.fixture
def trainings(tmp_path, monkeypatch) -> list[tuple]:
    """The arguments of each call of the training, which is none here but draws new weights."""
    calls = []

    def transfer(start: Pretrained, pictures: np.ndarray, labels: np.ndarray, **options: object) -> nn.Module:
        calls.append((pictures, labels, options))
        network = trained_network.with_new_head(start.network, CLASSES)
        nn.init.normal_(network[-1].weight)
        return network.eval()

    monkeypatch.setattr("medxai.paths.RESULTS", tmp_path)
    monkeypatch.setattr(trained_network, "transfer", transfer)
    return calls


@pytest.fixture
def start() -> Pretrained:
    network = Headed(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000)).eval()
    return Pretrained(network, "a network with weights of nowhere", HALF, "0")


def test_what_was_trained_once_is_read(trainings, start, tmp_path) -> None:
    images = drawn()
    first, again = (trained_network.train(images, start, SMOKE, 1) for _ in range(2))
    assert len(trainings) == 1
    assert len(list((tmp_path / "networks").glob("*.pth"))) == 1
    assert torch.equal(first.network[-1].weight, again.network[-1].weight)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    with torch.no_grad():
        logits = again.network(HALF.apply(images.pictures)).double().softmax(1)
    np.testing.assert_allclose(again.probabilities, logits, rtol=1e-6)
    assert (again.origin, again.layer, again.normalisation) == (start.origin, "0", HALF)
    np.testing.assert_array_equal(trainings[0][0], images.pictures[first.train])
    assert sorted([*first.train, *first.test]) == list(range(IMAGES))


def test_nothing_else_is_read_for_it(trainings, start) -> None:
    images = drawn()
    other_pictures = replace(images, pictures=images.pictures[::-1].copy())
    other_labels = replace(images, labels=images.labels[::-1].copy())
    other_start = Pretrained(Headed(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000)), "other", HALF, "0")
    for given in (
        (images, start, SMOKE, 0),
        (images, start, SMOKE, 1),
        (images, start, replace(SMOKE, transfer_epochs=7), 0),
        (images, other_start, SMOKE, 0),
        (other_pictures, start, SMOKE, 0),
        (other_labels, start, SMOKE, 0),
        (replace(images, upside_down=False), start, SMOKE, 0),
    ):
        before = len(trainings)
        trained_network.train(*given)
        assert len(trainings) == before + 1
    trained_network.train(replace(images, names=images.names[::-1]), start, replace(SMOKE, samples=9), 0)
    assert len(trainings) == before + 1


def test_random_labels_are_taught_to_few_of_the_training_images(trainings, start, monkeypatch) -> None:
    monkeypatch.setattr(trained_network, "BY_HEART", 20)
    images = drawn()
    own, wrong = trained_network.train(images, start, SMOKE, 0), trained_network.misled(images, start, SMOKE, 0)
    assert set(wrong.train) < set(own.train)
    assert len(wrong.train) == 20
    np.testing.assert_array_equal(wrong.test, own.test)
    (_, labels, options) = trainings[1]
    np.testing.assert_array_equal(labels, wrong.taught[wrong.train])
    assert (labels != images.labels[wrong.train]).mean() > 0.5
    assert options["epochs"] > SMOKE.transfer_epochs
    assert wrong.learnt == (wrong.probabilities.argmax(1) == wrong.taught)[wrong.train].mean()


@pytest.mark.weekly
def test_quick_is_right_on_85_percent_of_paintings_that_it_has_not_seen():
    quick = profiles.get("quick")
    images = image_sets.paintings(real_or_simulated.open_dermxdb(quick), quick)
    networks = [trained_network.train(images, trained_network.start(), quick, fold) for fold in range(5)]
    assert sum(len(network.test) for network in networks) == len(images)
    assert np.mean([network.accuracy for network in networks]) >= 0.85
