"""What of a network learns in fine-tuning, and by which settings."""

import numpy as np
import pytest
import torch

from medxai.attribution import feature_maps
from medxai.models import backbones, benchmark_networks
from medxai.models.normalisation import IMAGENET
from medxai.training import fine_tuning


def test_every_network_says_what_goes_on_to_learn():
    assert set(benchmark_networks.FINE_TUNED) == set(benchmark_networks.BENCHMARK)


@pytest.mark.parametrize("name", backbones.MODERN)
def test_networks_of_today_take_any_size_with_the_same_weights(name):
    network = backbones.create(name, 1000)
    weights = sum(weight.numel() for weight in network.parameters())
    assert weights / 1e6 == pytest.approx(backbones.MODERN[name].published_parameters, rel=2e-3)
    with torch.no_grad():
        assert {network(torch.zeros(1, 3, side, side)).shape for side in (96, 224)} == {(1, 1000)}
    assert feature_maps.last_maps(network, torch.randn(1, 3, 96, 96)) == backbones.MODERN[name].last_convolution


@pytest.fixture(scope="module")
def six():
    """Twelve pictures of noise, two of each class."""
    return np.random.default_rng(0).integers(0, 255, (12, 80, 80, 3), dtype=np.uint8), np.arange(12) % 6


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50v2"])
def test_only_the_last_layers_learn(name, six):
    torch.manual_seed(0)
    network = benchmark_networks.create(name, 6)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fine_tuning.fine_tune(network, name, *six, IMAGENET, epochs=1, seed=0)
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    free = (*benchmark_networks.FINE_TUNED[name], "classifier" if name == "mobilenet_v2" else "head.fc")
    assert changed
    assert all(key.startswith(free) for key in changed)
    assert {part for part in free if any(key.startswith(part) for key in changed)} == set(free)
    assert not any(module.training for module in network.modules())


def test_from_random_weights_all_layers_learn(six):
    torch.manual_seed(0)
    network = benchmark_networks.create("mobilenet_v2", 6)
    before = {key: value.clone() for key, value in network.named_parameters() if value.ndim > 1}
    fine_tuning.pretrain(network, "mobilenet_v2", *six, IMAGENET, epochs=1, seed=0, from_scratch=True)
    assert not any(torch.equal(network.get_parameter(key), value) for key, value in before.items())


def test_vgg_has_one_layer_behind_its_pooled_maps():
    network = benchmark_networks.create("vgg16", 6)
    assert sum(weight.numel() for weight in network.parameters()) == 14_714_688 + 6 * 513
    assert network(torch.zeros(1, 3, 80, 80)).shape == (1, 6)
    assert network.get_submodule(backbones.ARCHITECTURES["vgg16"].last_convolution)


def test_settings_are_the_papers():
    own = fine_tuning.settings("inception_resnet_v2")
    assert own.rate == 0.0001
    assert own.changes[:4] == (20.0, 0.5, 0.0, 0.25)
    assert own.changes.brightness == (0.75, 1.25)
    for name in benchmark_networks.BENCHMARK:
        assert fine_tuning.settings(name).rate in (0.01, 0.001, 0.0001)


def test_bfloat16_trains_nearly_the_same(six, monkeypatch):
    trained = {}
    for kind in (False, True):
        monkeypatch.setattr(fine_tuning, "multiplies_bfloat16", lambda kind=kind: kind)
        torch.manual_seed(0)
        network = benchmark_networks.create("resnet50v2", 6)
        trained[kind] = fine_tuning.fine_tune(network, "resnet50v2", *six, IMAGENET, epochs=1, seed=0).state_dict()
    exact, half = (weights["head.fc.weight"] for weights in trained.values())
    assert not torch.equal(exact, half)
    assert half.dtype == torch.float32
    assert (exact - half).abs().mean() < 0.1 * exact.abs().mean()
