"""Bad input is told in one sentence; the model stays as it was; the table of methods is whole."""

import copy

import pytest
import torch
from explained_networks import Small, images
from torch import nn

from medxai.attribution import METHODS, concepts, examples, explain
from medxai.errors import UnsupportedModel

X = images(8, 2, dtype=torch.double)


@pytest.fixture
def small():
    return Small()


@pytest.mark.parametrize(
    ("batch", "target", "message"),
    [
        (X[:0], 0, r"images are empty, \(0, 3, 8, 8\)"),
        (X[:, :2], 0, "images have 2 channels: expected 3, as of the first convolution"),
        (X[0], 0, r"images are \(3, 8, 8\): expected a tensor \(n, channels, height, width\)"),
        ([[1.0]], 0, "images are list"),
        ((X * 99).to(torch.uint8), 0, "images are torch.uint8: expected float32 or float64"),
        (X.long(), 0, "images are torch.int64"),
        (X.half(), 0, "images are torch.float16"),
        (X.float(), 0, "images are torch.float32 on cpu, the model's first.0.weight torch.float64 on cpu"),
        (X / 0, 0, "images hold NaN or infinity"),
        (X, 6, "target 6 is out of range: expected a class of the model, 0 to 5"),
        (X, -1, "target -1 is out of range"),
        (X, torch.tensor([0, 9]), "target 9 is out of range"),
        (X, torch.tensor([0, 1, 2]), r"target has the shape \(3,\): expected \(2,\)"),
        (X, torch.tensor([0.0, 1.0]), "target is tensor.*: expected a class as an integer"),
        (X, 1.5, "target is 1.5"),
        (X, True, "target is True"),
    ],
)
@pytest.mark.parametrize("method", ["gradient", "grad_cam", "occlusion", "guided_backpropagation"])
def test_bad_images_and_targets(small, batch, target, message, method):
    with pytest.raises(ValueError, match=message):
        explain(small, batch, target, method)


def test_bad_methods_and_options(small):
    with pytest.raises(ValueError, match="method 'gradcam' is unknown: expected one of gradient, saliency, "):
        explain(small, X, 0, "gradcam")
    with pytest.raises(ValueError, match=r"'tcav' is made by medxai.attribution.concepts.tcav, as a table"):
        explain(small, X, 0, "tcav")
    with pytest.raises(ValueError, match="option 'steps' is unknown to grad_cam: expected layer"):
        explain(small, X, 0, "grad_cam", steps=3)
    with pytest.raises(ValueError, match="option 'layer' is unknown to gradient: expected none"):
        explain(small, X, 0, "gradient", layer="first")
    with pytest.raises(ValueError, match="pattern_net needs the option 'patterns': see medxai"):
        explain(small, X, 0, "pattern_net")
    with pytest.raises(ValueError, match="option 'create_graph' is unknown to lrp_epsilon: expected epsilon"):
        explain(small, X, 0, "lrp_epsilon", create_graph=True)
    with pytest.raises(ValueError, match="layer 'frist' is no layer of the model: expected a name such as first"):
        explain(small, X, 0, "grad_cam", layer="frist")


def test_bad_models(small):
    with pytest.raises(ValueError, match=r"the model's first.0.weight is torch.float16: .*use model.float"):
        explain(Small().half(), X, 0, "gradient")
    with pytest.raises(ValueError, match="model is a function"):
        explain(lambda batch: batch, X, 0, "gradient")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 6)).double()
    with pytest.raises(UnsupportedModel, match="the model has no convolution"):
        explain(flat, X, 0, "grad_cam")
    assert explain(flat, X, 0, "gradient").shape == (2, 8, 8)
    with pytest.raises(ValueError, match=r"the model returns \(2, 4, 8, 8\): expected logits \(2, classes\)"):
        explain(small.first, X, 0, "gradient")
    batchwise = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()).double()
    with pytest.raises(UnsupportedModel, match="1 normalises by its batch"):
        explain(batchwise, X, 0, "gradient")
    pixel = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()).double()
    with pytest.raises(UnsupportedModel, match="no layer gives maps of more than one pixel for images of 8 x 8"):
        explain(pixel, X, 0, "grad_cam")


@pytest.mark.parametrize("method", ["gradient", "grad_cam", "occlusion", "integrated_gradients", "deeplift"])
def test_weights_that_are_no_numbers(small, method):
    with torch.no_grad():
        small.second[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"the model's logits are not finite: look at second\.0\.weight"):
        explain(small, X, 0, method)


def test_other_errors_of_the_model_come_through():
    class Broken(Small):
        def forward(self, batch):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        explain(Broken(), X, 0, "gradient")


def test_modes_flags_gradients_and_images_stay(small):
    small.first.train()
    small.second.eval()
    small.head.weight.requires_grad_(False)
    small.head.bias.grad = torch.ones(6, dtype=torch.double)
    batch = X.clone().requires_grad_()
    modes = [module.training for module in small.modules()]
    explain(small, batch, 0, "grad_cam")
    with pytest.raises(ValueError, match="out of range"):
        explain(small, batch, 7, "grad_cam")
    assert [module.training for module in small.modules()] == modes
    assert not small.head.weight.requires_grad
    assert small.head.bias.requires_grad
    assert torch.equal(small.head.bias.grad, torch.ones(6, dtype=torch.double))
    assert batch.requires_grad
    assert batch.grad is None
    assert torch.equal(batch, X)


def test_dropout_is_off_even_in_training_mode():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 6)).double()
    expected = explain(copy.deepcopy(model).eval(), X, 0, "gradient")
    assert torch.equal(explain(model.train(), X, 0, "gradient"), expected)
    assert model.training


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", ["gradient", "grad_cam", "integrated_gradients", "occlusion"])
def test_inside_of_no_grad(small, mode, method):
    expected = explain(small, X, 0, method)
    with mode():
        found = explain(small, X * 1, 0, method)
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_a_model_that_changes_its_input_in_place():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 6, 8), nn.Flatten()).double()
    batch = X.clone()
    for method in ("gradient", "integrated_gradients", "occlusion", "smoothgrad"):
        explain(model, batch, 0, method, **({"steps": 2} if method == "integrated_gradients" else {}))
        assert torch.equal(batch, X)
    weight = model[1].weight[0]
    torch.testing.assert_close(explain(model, X, 0, "gradient"), (weight * (X > 0)).sum(1))


def test_the_table_is_whole():
    assert {name for name, one in METHODS.items() if one.kind != "map"} == {"tcav", "nearest_neighbours"}
    for one in METHODS.values():
        assert one.function.__doc__
        assert one.reference
        assert one.limits.endswith(".")
    assert METHODS["tcav"].function is concepts.tcav
    assert METHODS["nearest_neighbours"].function is examples.nearest
    assert METHODS["smoothgrad"].options == {"samples": False, "noise": False, "generator": False}
    assert [name for name, one in METHODS.items() if one.over_channels == "max"] == ["saliency"]


@pytest.mark.parametrize(
    "name", [name for name, one in METHODS.items() if one.kind == "map" and one.signed and one.family != "propagation"]
)
def test_signed_methods_have_both_signs(small, name):
    draw = torch.Generator().manual_seed(0)
    batch = torch.randn(2, 3, 16, 16, generator=draw, dtype=torch.double)
    found = torch.cat([explain(small, batch, target, name) for target in range(3)])
    assert found.min() < 0 < found.max()
