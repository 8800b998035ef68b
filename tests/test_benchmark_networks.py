"""What of a network learns in fine-tuning, and by which settings."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medxai import profiles
from medxai.attribution import feature_maps
from medxai.data import real_or_simulated
from medxai.data.dermxdb import DISEASES
from medxai.errors import DataError
from medxai.experiment import benchmark_network
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
    for side in {profile.benchmark_size for profile in profiles.PROFILES.values()}:
        assert feature_maps.last_maps(network, torch.randn(1, 3, side, side)) == backbones.MODERN[name].last_convolution


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


def _photographs(folder, diseases, number=2):
    """Write pictures of noise into a folder for each disease."""
    generator = np.random.default_rng(0)
    for disease in diseases:
        (folder / disease).mkdir(parents=True)
        for i in range(number):
            pixels = generator.integers(0, 255, (90, 100, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / disease / f"{i}.png")


def test_a_clinical_set_of_ones_own_is_what_networks_are_pretrained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    smoke = profiles.get("smoke")
    benchmark_network.start.cache_clear()
    assert benchmark_network.start("mobilenet_v2", smoke) == benchmark_network.Start(None, None, "random weights")
    _photographs(tmp_path / "clinical", [name.upper() for name in DISEASES])
    benchmark_network.start.cache_clear()
    begin = benchmark_network.start("mobilenet_v2", smoke)
    assert begin.clinical == tmp_path / "clinical"
    assert begin.digest != "random weights"
    images = benchmark_network.clinical(begin.clinical, 80)
    assert images.kind == "real"
    assert list(images.labels) == [DISEASES.index(name) for name in sorted(DISEASES) for _ in range(2)]
    network, _, origin = benchmark_network._pretrained(begin, smoke, "mobilenet_v2")
    assert origin == "random weights, then photographs of clinical"
    assert network(torch.zeros(1, 3, 80, 80)).shape == (1, len(DISEASES))
    benchmark_network.start.cache_clear()


def test_a_clinical_set_has_a_folder_for_each_disease(tmp_path):
    _photographs(tmp_path, DISEASES[1:], number=1)
    with pytest.raises(DataError, match=f"has no photograph of {DISEASES[0]}: expected some of each"):
        benchmark_network.clinical(tmp_path, 80)
    _photographs(tmp_path, ["melanoma"], number=1)
    with pytest.raises(DataError, match=r"melanoma/0\.png is of no disease: expected folders called"):
        benchmark_network.clinical(tmp_path, 80)


def test_damaged_weights_of_the_user_are_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16.pth").write_bytes(b"no weights")
    benchmark_network.start.cache_clear()
    with pytest.raises(DataError, match=r"vgg16\.pth is no file of weights"):
        benchmark_network.start("vgg16", profiles.get("smoke"))


def test_photographs_are_shown_where_all_are_there(tmp_path):
    """Those of a user, read as they are; the annotations stay."""
    db = real_or_simulated.simulated_dermxdb(40, 0)
    smoke = profiles.get("smoke")
    assert benchmark_network.shown(db, smoke).kind == "rendered"
    places = {name: tmp_path / f"{i}.png" for i, name in enumerate(db.images.index)}
    for i, place in enumerate(places.values()):
        Image.fromarray(np.full((60, 90, 3), i, np.uint8)).save(place)
    own = dataclasses.replace(db, images=db.images.assign(photograph=pd.Series(places)))
    images = benchmark_network.shown(own, smoke)
    assert images.kind == "real"
    assert [picture.max() for picture in images.pictures] == [int(places[name].stem) for name in images.names]
    painted = benchmark_network.paintings(db, smoke)
    assert np.array_equal(images.reference(0), painted.reference(0))
    assert np.array_equal(images.labels, painted.labels)
