"""Training on small images: its loss, when it stops, what is kept, and that it can be stopped at any time."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from medxai.models.normalisation import HALF
from medxai.training import small_images
from medxai.training.small_convnet import small_convnet
from medxai.training.small_images import LOSSES, PATIENCE, Examples, Loss, best_epoch, is_over, train

SIDE = 16


def seen(number: int, seed: int) -> Examples:
    """Noise, bright in class 1: obvious."""
    labels = np.arange(number) % 2
    noise = np.random.default_rng(seed).integers(0, 100, (number, 1, SIDE, SIDE))
    return Examples((noise + 120 * labels[:, None, None, None]).astype(np.uint8), labels)


SPLITS = {split: seen(number, i) for i, (split, number) in enumerate([("train", 70), ("val", 20), ("test", 30)])}


def network() -> nn.Module:
    torch.manual_seed(3)
    return small_convnet(2)


def trained(path, model=None, **options):
    model = model or network()
    settings = {"loss": "cross-entropy", "epochs": 2, "seed": 1} | options
    return model, train(model, SPLITS, path=path / "network.pth", **settings)


def accuracy(probabilities, labels):
    return {"accuracy": (probabilities.argmax(1) == labels).mean()}


def test_the_binary_loss_is_the_formula():
    logits, labels = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]), [0, 2]
    there = np.eye(3)[labels]
    probability = 1 / (1 + np.exp(-logits))
    expected = -(there * np.log(probability) + (1 - there) * np.log(1 - probability)).mean()
    found = small_images.binary(torch.tensor(logits), torch.tensor(labels))
    assert float(found) == pytest.approx(expected)
    np.testing.assert_allclose(LOSSES["binary"].probabilities(torch.tensor(logits)), probability)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_obvious_is_learnt(tmp_path, loss):
    model, history = trained(tmp_path, loss=loss, epochs=15, judge=accuracy)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    lines = history.set_index(["split", "metric", "epoch"])["value"].sort_index()
    assert lines["test", "accuracy"].max() == 1
    assert lines["train", "loss"][15] < lines["train", "loss"][1]
    assert sorted(history["epoch"].unique()) == list(range(1, 16))
    chosen = best_epoch(history)
    pixels, labels = SPLITS["val"]
    again = LOSSES[loss].of(small_images.logits_of(model, pixels), torch.from_numpy(labels))
    assert float(again) == pytest.approx(lines["val", "loss"][chosen], rel=1e-5)


def test_when_training_is_over():
    falling = [1.0, 0.8, 0.9]
    assert not is_over([], 5)
    assert not is_over(falling + [0.85] * (PATIENCE - 2), 200)
    assert is_over(falling + [0.85] * (PATIENCE - 1), 200)
    assert not is_over([*falling, *[0.85] * (PATIENCE - 2), 0.7], 200)
    assert is_over(falling, 3)
    assert not is_over(falling, 4)


def test_it_stops_early_with_the_best_weights(tmp_path, monkeypatch):
    """By a scripted loss of the validation images: best in epoch 3; that of the test images is best in epoch 1."""
    script = iter([0.9, 0.5, 0.4, *[0.6] * 50])

    def scripted(logits, labels):
        if logits.requires_grad:
            return nn.functional.cross_entropy(logits, labels)
        return torch.tensor(next(script) if len(labels) == len(SPLITS["val"].labels) else 1.0)

    weights = []

    def note(probabilities, labels):
        if len(labels) == len(SPLITS["test"].labels):
            weights.append(copy.deepcopy(model.state_dict()))
        return {"auc": 1 / len(weights) if weights else 1.0}

    monkeypatch.setitem(LOSSES, "scripted", Loss(scripted, torch.sigmoid))
    model = network()
    _, history = trained(tmp_path, model, loss="scripted", epochs=200, judge=note)
    assert history["epoch"].max() == 3 + PATIENCE
    assert best_epoch(history) == 3
    assert best_epoch(history, "test", "auc") == 1
    kept = model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in weights[2].items())
    assert not torch.equal(kept["0.weight"], weights[-1]["0.weight"])


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr(small_images, "CHECKPOINT", -1)
    model, history = trained(tmp_path / "whole", epochs=4, judge=accuracy)
    calls = []

    def stopping(probabilities, labels):
        calls.append(1)
        if len(calls) == 5:  # in the third epoch
            raise KeyboardInterrupt
        return accuracy(probabilities, labels)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", epochs=4, judge=stopping)
    again, other = trained(tmp_path / "stopped", epochs=4, judge=stopping)
    assert len(calls) == 5 + 4  # two epochs of two splits
    assert other.equals(history)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_finished_training_is_read(tmp_path):
    model, history = trained(tmp_path)
    again, other = trained(tmp_path, change=lambda *_: pytest.fail("trained"))
    assert other.equals(history)
    assert torch.equal(model[0].weight, again[0].weight)


def test_the_seed_is_all_that_is_random(tmp_path):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    one, _ = trained(tmp_path / "one", network())
    torch.manual_seed(12)
    two, _ = trained(tmp_path / "two", network())
    three, _ = trained(tmp_path / "three", network(), seed=2)
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, three[0].weight)
    model = network()
    torch.random.set_rng_state(before)
    trained(tmp_path / "four", model)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_each_training_image_is_changed_once_a_pass(tmp_path):
    given = []

    def change(images, rows, number):
        assert images.dtype == torch.uint8
        assert np.array_equal(images.numpy(), SPLITS["train"].pixels[rows])
        given.append((number, rows))
        return images

    _, history = trained(tmp_path, change=change, passes=3)
    assert [number for number, _ in given] == sorted(number for number, _ in given)
    orders = [np.concatenate([rows for number, rows in given if number == own]) for own in range(1, 7)]
    assert all(sorted(order) == list(range(70)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert len(given) == 6 * 5
    assert history["epoch"].max() == 2
    assert max(len(rows) for _, rows in given) <= small_images.BATCH


def test_grey_is_shown_as_colour():
    pixels = torch.arange(0, 256, 17, dtype=torch.uint8).view(2, 1, 2, 4)
    found = HALF.of_pixels(pixels, torch.zeros((), dtype=torch.float64))
    assert found.shape == (2, 3, 2, 4)
    np.testing.assert_allclose(found, np.broadcast_to(pixels.numpy() / 127.5 - 1, (2, 3, 2, 4)), atol=1e-12)
    colour = pixels.expand(2, 3, 2, 4)
    assert torch.equal(HALF.of_pixels(colour, found), found)


def test_bfloat16_leaves_weights_alone(tmp_path):
    model, history = trained(tmp_path, bfloat16=True)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    plain, _ = trained(tmp_path / "plain")
    assert not torch.equal(model[0].weight, plain[0].weight)
    assert history["value"].map(math.isfinite).all()


@pytest.mark.parametrize(
    ("splits", "loss", "message"),
    [
        (SPLITS, "hinge", "loss is 'hinge': expected one of binary, cross-entropy"),
        ({"train": SPLITS["train"]}, "binary", "splits lack val, test: expected train, val, test"),
        (
            SPLITS | {"val": Examples(SPLITS["val"].pixels / 255, SPLITS["val"].labels)},
            "binary",
            r"val is float64 \(20, 1, 16, 16\) with labels \(20,\): expected uint8 \(n, c, h, w\)",
        ),
        (SPLITS | {"test": Examples(SPLITS["val"].pixels, np.arange(3))}, "binary", r"test is .* with labels \(3,\)"),
    ],
)
def test_bad_input(tmp_path, splits, loss, message):
    with pytest.raises(ValueError, match=message):
        train(network(), splits, loss=loss, epochs=1, seed=0, path=tmp_path / "network.pth")


def test_a_loss_that_is_not_finite_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(small_images, "RATE", 1e30)
    with pytest.raises(FloatingPointError, match=r"the loss of .* is .* in epoch 1: expected a finite number"):
        trained(tmp_path)
