"""The eleven networks and ResNet18: sizes as published, one tensor of logits, weights or one sentence."""

import urllib.error

import pandas as pd
import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from medxai import paths
from medxai.errors import DataError
from medxai.models import backbones


@pytest.fixture(scope="module", params=backbones.NETWORKS)
def network(request):
    """Each network with ImageNet's classes, and its name."""
    torch.manual_seed(0)
    return request.param, backbones.create(request.param, backbones.CLASSES)


def size_as_keras_counts(model: nn.Module) -> float:
    """Millions of weights and of statistics of batch normalisation."""
    buffers = (tensor for name, tensor in model.named_buffers() if not name.endswith("num_batches_tracked"))
    return sum(tensor.numel() for tensor in (*model.parameters(), *buffers)) / 1e6


def test_number_of_parameters(network):
    name, model = network
    if name == "efficientnet_lite0":  # 4,652,008 weights and 42,016 statistics, of the package's file
        assert size_as_keras_counts(model) == pytest.approx(4.694024)
    elif name == "resnet18":  # 11,689,512 weights as torchvision's documentation says, and 9,600 statistics
        assert size_as_keras_counts(model) == pytest.approx(11.699112)
    else:  # Keras gives biases to a few convolutions before batch normalisation, and takes some scales away
        assert size_as_keras_counts(model) == pytest.approx(
            backbones.ARCHITECTURES[name].published_parameters, rel=2e-3
        )


def test_nasnet_has_the_published_number_of_weights(network):
    name, model = network
    if name == "nasnet_mobile":  # pretrainedmodels' NASNetAMobile, which loads the published weights
        assert sum(tensor.numel() for tensor in model.parameters()) == 5_289_978


def test_forward_and_last_convolution(network):
    name, model = network
    outputs = {}
    layer = backbones.NETWORKS[name].last_convolution
    handle = model.get_submodule(layer).register_forward_hook(lambda *arguments: outputs.update(maps=arguments[2]))
    with torch.no_grad():
        logits = model(torch.randn(2, 3, 128, 128))
    handle.remove()
    assert logits.shape == (2, backbones.CLASSES)
    assert logits.isfinite().all()
    assert not model.training
    assert outputs["maps"].ndim == 4
    assert min(outputs["maps"].shape[-2:]) > 1


def test_names_and_order_are_the_benchmarks():
    table = pd.read_csv(paths.CARRIED / "published" / "benchmark_table_03_diagnosis_f1.csv")
    printed = table.loc[table["group"] == "ConvNets", "rater"].tolist()
    assert [one.paper_name for one in backbones.ARCHITECTURES.values()] == printed


def test_six_classes_and_any_size():
    model = backbones.create("nasnet_mobile", 6)
    with torch.no_grad():
        assert model(torch.randn(1, 3, 140, 96)).shape == (1, 6)


def test_nasnet_grows_as_its_paper_says():
    """Four cells a stage; channels double and pixels halve from stage to stage (Zoph et al. 2018)."""
    shapes = []
    model = backbones.create("nasnet_mobile", 6)
    for cell in model.cells:
        cell.register_forward_hook(lambda *arguments: shapes.append(tuple(arguments[2].shape[1:])))
    with torch.no_grad():
        model(torch.randn(1, 3, 224, 224))
    assert shapes == [(264, 28, 28)] * 4 + [(352, 14, 14)] + [(528, 14, 14)] * 4 + [(704, 7, 7)] + [(1056, 7, 7)] * 4


def test_unknown_name_and_no_class():
    with pytest.raises(ValueError, match="unknown network 'resnet': expected one of densenet121, "):
        backbones.create("resnet", 6)
    with pytest.raises(ValueError, match="num_classes is 0"):
        backbones.create("resnet18", 0)


def fail(*_, **__):
    raise urllib.error.URLError("no route")


def test_torchvision_weights_not_to_be_had(monkeypatch):
    monkeypatch.setattr(type(get_model_weights("resnet18").IMAGENET1K_V1), "get_state_dict", fail)
    with pytest.raises(DataError, match=r"weights of resnet18 .* cannot be had from torchvision .*no route"):
        backbones.create("resnet18", 6, pretrained=True)


def test_timm_weights_not_to_be_had(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", fail)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fail)
    with pytest.raises(DataError, match=r"weights of xception .* cannot be had from timm .*no route"):
        backbones.create("xception", 6, pretrained=True)


def test_nasnet_has_no_weights():
    with pytest.raises(DataError, match="nasnet_mobile has no ImageNet weights"):
        backbones.create("nasnet_mobile", 6, pretrained=True)


@pytest.mark.parametrize("name", ["inception_v3", "resnet18"])
def test_torchvision_weights_are_loaded(name, monkeypatch):
    extra = {"init_weights": False} if name == "inception_v3" else {}
    state = get_model(name, weights=None, **extra).state_dict()  # Inception's with its auxiliary head, as published
    monkeypatch.setattr(type(get_model_weights(name).IMAGENET1K_V1), "get_state_dict", lambda *_, **__: state)
    own = backbones.create(name, 6, pretrained=True).state_dict()
    assert own["fc.weight"].shape[0] == 6
    assert all(torch.equal(value, state[key]) for key, value in own.items() if not key.startswith("fc."))
    whole = backbones.create(name, 1000, pretrained=True)
    assert torch.equal(whole.fc.weight, state["fc.weight"])
    assert getattr(whole, "transform_input", True)
