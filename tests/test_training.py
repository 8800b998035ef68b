"""Training from scratch, frozen features, fine-tuning."""

import functools

import numpy as np
import pytest
import torch

from medxai.evaluation import classification
from medxai.models import weights
from medxai.models.normalisation import HALF, IMAGENET
from medxai.training.fit import fit_predict, predict
from medxai.training.small_convnet import small_convnet
from medxai.training.transfer import FROZEN, frozen_features, transfer, with_new_head
from pictures import stripes

SCRATCH = functools.partial(fit_predict, functools.partial(small_convnet, 2), rate=2e-3)


def test_a_convnet_sees_texture_that_colour_does_not_tell():
    images, labels = stripes()
    train, test = np.arange(32), np.arange(32, 48)
    probabilities = SCRATCH(images, labels, IMAGENET, train, test, epochs=15, seed=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == labels[test]).mean() > 0.9
    colour = classification.colour_statistics(images, spread=True)
    guess = classification.cross_validated(classification.linear_model(colour, labels), labels, seed=0)
    assert (guess.argmax(axis=1) == labels).mean() < 0.8


def test_training_is_the_same_for_the_same_seed_and_another_for_another():
    images, labels = stripes(24)
    first, again, other = (
        SCRATCH(images, labels, IMAGENET, np.arange(16), np.arange(16, 24), epochs=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_test_labels_are_not_used():
    images, labels = stripes(24)
    train, test = np.arange(16), np.arange(16, 24)
    changed = labels.copy()
    changed[test] = 1 - changed[test]
    runs = [SCRATCH(images, each, IMAGENET, train, test, epochs=2, seed=0) for each in (labels, changed)]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("upside_down", [True, False])
def test_flips_upside_down_only_where_they_are_allowed(upside_down):
    pixels = torch.zeros(64, 3, 8, 8)
    pixels[:, :, :4] = 10
    from medxai.training import fit

    torch.manual_seed(0)
    changed = fit._augmented(pixels, upside_down)
    assert (changed[:, 0, 0, 0] < 5).any() == upside_down


@pytest.fixture(scope="module")
def pretrained():
    return weights.pretrained()


def test_frozen_features_are_what_the_networks_own_head_is_given(pretrained):
    images, _ = stripes(3, side=64)
    features = frozen_features(pretrained.network, images, HALF)
    assert features.shape == (3, 1280)
    with torch.no_grad():
        expected = pretrained.network(HALF.apply(images))
        own = pretrained.network.classifier(torch.from_numpy(features))
    torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_a_new_head_says_nothing_before_it_is_trained(pretrained):
    images, _ = stripes(2, side=64)
    assert (predict(with_new_head(pretrained.network, 4), images, HALF) == 0.25).all()


class TestTransfer:
    def test_it_learns_and_leaves_the_lower_stages_and_the_given_network_alone(self, pretrained):
        images, labels = stripes(24, side=64)
        digest = pretrained.digest
        network = transfer(pretrained, images[:16], labels[:16], epochs=12, seed=0)
        assert (predict(network, images[16:], HALF).argmax(1) == labels[16:]).all()
        assert not network.training
        assert weights.Pretrained(pretrained.network, "after").digest == digest
        stays = [
            all(torch.equal(*pair) for pair in zip(new.state_dict().values(), old.state_dict().values(), strict=True))
            for new, old in zip(network.as_sequential(), pretrained.network.as_sequential(), strict=True)
            if old.state_dict()
        ]
        assert stays == [True] * FROZEN + [False] * (len(stays) - FROZEN)

    def test_the_same_seed_gives_the_same_network(self, pretrained):
        images, labels = stripes(8, side=64)
        first, again, other = (transfer(pretrained, images, labels, epochs=1, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first.classifier.weight, again.classifier.weight)
        assert not torch.equal(first.classifier.weight, other.classifier.weight)

    @pytest.mark.parametrize("upside_down", [True, False])
    def test_flips_are_those_that_are_allowed(self, pretrained, upside_down, monkeypatch):
        seen = []
        monkeypatch.setattr("medxai.training.transfer.optimise", lambda _, draw, *__, **___: seen.append(draw))
        images, labels = stripes(4, side=64)
        transfer(pretrained, images, labels, epochs=1, seed=0, upside_down=upside_down)
        drawn = seen[0](torch.zeros(64, dtype=torch.int64))
        assert len(torch.unique(drawn.flatten(1), dim=0)) == (4 if upside_down else 2)


def test_imagenet_features_tell_textures_apart(pretrained):
    from sklearn.datasets import load_sample_images

    pieces = [_pieces(image) for image in load_sample_images().images]
    images, labels = np.concatenate(pieces), np.repeat([0, 1], [len(piece) for piece in pieces])
    features = frozen_features(pretrained.network, images, HALF)
    guess = classification.cross_validated(classification.linear_model(features, labels), labels, seed=0)
    assert (guess.argmax(axis=1) == labels).mean() > 0.95


def _pieces(image: np.ndarray, side: int = 96) -> np.ndarray:
    """Cut a photograph into grey squares of equal mean and spread, uint8 (n, side, side, 3)."""
    grey = image[: 4 * side, : 6 * side].mean(axis=2).reshape(4, side, 6, side).swapaxes(1, 2).reshape(24, side, side)
    grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) / np.maximum(grey.std(axis=(1, 2), keepdims=True), 1)
    return np.repeat(np.clip(128 + 50 * grey, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
