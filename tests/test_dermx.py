"""DermX: its two branches, and attention in closed form against ten backward passes."""

import re

import pytest
import timm
import torch
from torch import Tensor, nn

from grad_cam_by_hand import one_by_one
from medxai.attribution import cam
from medxai.errors import DataError, UnsupportedModel
from medxai.models import dermx
from medxai.models.concept_cams import concept_cams
from medxai.training import guidance

TEN = tuple("abcdefghij")
SIX = tuple("uvwxyz")
TINY = "timm:test_resnet"
BACKBONES = ["timm:tf_efficientnet_lite0", "timm:resnet10t", "timm:mobilenetv2_035"]
LAST = {BACKBONES[0]: ("conv_head", "bn2"), BACKBONES[1]: ("layer4.0.conv2", None), BACKBONES[2]: ("conv_head", "bn2")}
"""Of each backbone the last convolution, and what alone follows it; ``None`` where a shortcut is added, too."""


def made(name: str = TINY, characteristics: tuple[str, ...] = TEN) -> dermx.DermX:
    torch.manual_seed(0)
    return dermx.make(name, characteristics=characteristics, diseases=SIX, pretrained=False)


def images(number: int = 2, side: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("name", BACKBONES)
def test_attention_and_its_gradient_are_those_of_ten_backward_passes(name: str) -> None:
    model = made(name).double()
    target = torch.rand(2, len(TEN), 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    # Of all weights that the loss moves: backbone and explanation, but neither its last bias nor the diagnosis.
    weights = [*model.backbone.parameters(), *list(model.explanation.parameters())[:-1]]
    found = []
    for closed in (True, False):
        maps = model.feature_maps(images(dtype=torch.double))
        attention = model.heads(maps).attention if closed else one_by_one(maps, model.explanation)
        loss = (attention - 1e-2 * target).square().sum()
        found.append([attention.detach(), *torch.autograd.grad(loss, weights)])
    assert found[0][0].shape == (2, len(TEN), 2, 2)
    assert (found[0][0] > 0).double().mean() > 0.1
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


@pytest.mark.parametrize("name", BACKBONES)
def test_maps_are_what_follows_the_last_activation_and_before_normalisation_is_another_map(name: str) -> None:
    model, kept = made(name).double(), {}
    for module in model.modules():  # as drawn, the statistics are 0 and 1 and change nothing
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.weight.data.uniform_(0.5, 2)
    convolution, normalisation = LAST[name]
    model.backbone.get_submodule(convolution).register_forward_hook(lambda _, __, out: kept.update(bare=out))
    maps = model.feature_maps(images(dtype=torch.double))
    if normalisation:
        torch.testing.assert_close(model.backbone.get_submodule(normalisation)(kept["bare"]), maps)
    logits = model.explanation(maps.mean((2, 3)))
    (slope,) = torch.autograd.grad(logits[:, 0].sum(), kept["bare"])
    hooked = (slope.mean((2, 3), keepdim=True) * kept["bare"]).sum(1).relu()
    ours = model.heads(maps).attention[:, 0].detach()
    assert (hooked - ours).abs().max() > 0.05 * ours.max()
    assert maps.min() >= 0 > kept["bare"].min()


def test_the_attribution_module_has_the_same_function() -> None:
    assert cam.concept_cams is concept_cams


def test_logits_are_those_of_the_paper_s_two_branches() -> None:
    model = made()
    output = model(images())
    pooled = model.backbone.forward_features(images()).mean((2, 3))

    def dense(block: nn.Sequential) -> Tensor:
        return (pooled @ block[1].weight.T + block[1].bias).clamp_min(0)

    last = model.explanation[-1]
    characteristics = dense(model.explanation) @ last.weight.T + last.bias
    both = torch.cat([dense(model.reduction), characteristics], 1)
    assert both.shape == (2, 64 + 10)
    torch.testing.assert_close(output.characteristic_logits, characteristics)
    torch.testing.assert_close(output.diagnosis_logits, both @ model.diagnosis.weight.T + model.diagnosis.bias)
    assert [type(layer).__name__ for layer in model.explanation] == ["Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert {layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)} == {0.2}


def test_attention_is_of_the_same_dropout_as_the_logits() -> None:
    model = made().double()
    model.explanation.train()
    maps = model.feature_maps(images(dtype=torch.double)).detach()
    output = model.heads(maps)
    pooled = maps.mean((2, 3)).requires_grad_()
    torch.manual_seed(5)
    logits = model.explanation(pooled)
    torch.manual_seed(5)
    again = model.heads(maps)
    torch.testing.assert_close(again.characteristic_logits, logits)
    (slope,) = torch.autograd.grad(logits[:, 3].sum(), pooled)
    expected = torch.einsum("nk,nkhw->nhw", slope / maps[0, 0].numel(), maps).relu()
    torch.testing.assert_close(again.attention[:, 3].detach(), expected)
    assert not torch.allclose(output.characteristic_logits, again.characteristic_logits)


@pytest.mark.parametrize("way", guidance.GUIDANCE)
def test_a_small_step_of_all_weights_lowers_the_loss_of_attention_as_its_gradient_says(way: str) -> None:
    model, pictures = made().double(), images(6, dtype=torch.double)
    present = torch.rand(6, len(TEN), generator=torch.Generator().manual_seed(3)) < 0.6
    maps = torch.zeros(6, len(TEN), 2, 2, dtype=torch.double)
    maps[:, :, 0, 0] = present.double()

    def lost() -> Tensor:
        return guidance.attention_loss(model(pictures).attention, maps, present, way)

    weights = [*model.backbone.parameters(), *list(model.explanation.parameters())[:-1]]
    before = lost()
    slopes = torch.autograd.grad(before, weights)
    steepness = sum(slope.square().sum() for slope in slopes)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            weight -= 1e-5 / steepness * slope
        assert (before - lost()).item() == pytest.approx(1e-5, rel=0.02)


def test_the_diagnosis_follows_the_characteristics() -> None:
    model = made()
    pooled = model.feature_maps(images()).mean((2, 3)).detach()
    changed = torch.zeros(2, len(TEN))
    changed[:, 4] = 1
    moved = model.diagnose(pooled, changed) - model.diagnose(pooled, torch.zeros(2, len(TEN)))
    torch.testing.assert_close(moved, model.diagnosis.weight[:, 64 + 4].expand(2, -1))


def test_without_gradients_and_without_attention() -> None:
    model = made()
    with torch.no_grad():
        output, plain = model(images()), model(images(), attention=False)
    assert not any(part.requires_grad for part in output)
    assert plain.attention is None
    torch.testing.assert_close(plain[:2], output[:2])
    only = made(characteristics=())(images())
    assert only.attention is None
    assert (only.diagnosis_logits.shape, only.characteristic_logits.shape) == ((2, 6), (2, 0))


def test_the_book_s_backbone_has_its_weights_and_colours() -> None:
    model = dermx.make(characteristics=TEN, diseases=SIX)
    assert "ImageNet weights of" in model.origin
    assert model.normalisation.mean == (0.5, 0.5, 0.5)
    assert not model.training
    network = dermx.weights.pretrained().network
    picture = images(1)
    with torch.no_grad():
        torch.testing.assert_close(model.feature_maps(picture), network.forward_features(picture))
    assert not any("classifier" in name for name in model.state_dict())


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"name": "timm:resnt18"}, ValueError, "timm has no classifier 'resnt18': expected a name such as resnet18"),
        ({"name": "resnet10t"}, ValueError, "unknown network 'resnet10t': expected torchvision:NAME, timm:NAME"),
        ({"name": "resnet50"}, UnsupportedModel, "resnet50 is a network of torchvision: expected efficientnet_lite0"),
        ({"name": "timm:test_vit"}, UnsupportedModel, "gives (1, 101, 64) for an image of 160 x 160 pixels: expected"),
        ({"diseases": ("a",)}, ValueError, "diseases are a: expected at least 2, no name twice"),
        ({"characteristics": ("a", "a")}, ValueError, "characteristics are a, a: expected at least 0, no name twice"),
    ],
)
def test_bad_arguments_are_told_in_one_sentence(arguments: dict, error: type, said: str) -> None:
    with pytest.raises(error, match=re.escape(said)) as told:
        dermx.make(**{"name": TINY, "characteristics": TEN, "diseases": SIX, "pretrained": False} | arguments)
    assert "\n" not in str(told.value)


def test_channels_last_are_no_feature_maps_and_other_modules_no_backbones() -> None:
    with pytest.raises(UnsupportedModel, match="Conv2d is no network of timm: expected one with forward_feat"):
        dermx.DermX(nn.Conv2d(3, 4, 3), TEN, SIX)
    backbone = timm.create_model("test_resnet")
    backbone.forward_features = lambda pixels: pixels.new_zeros(1, 5, 5, backbone.num_features)
    with pytest.raises(
        UnsupportedModel, match=r"ResNet gives \(1, 5, 5, 96\) .*: expected feature maps \(1, 96, h, w\)"
    ):
        dermx.DermX(backbone, TEN, SIX)


def test_weights_come_back(tmp_path) -> None:
    model = made()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    torch.manual_seed(9)
    other = dermx.make(TINY, characteristics=TEN, diseases=SIX, pretrained=False)
    loaded = dermx.load(other, tmp_path / "w.pth")
    assert loaded is other
    for ours, expected in zip(loaded(images()), model(images()), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (lambda path: path.write_bytes(b"nothing"), "w.pth is no file of weights alone"),
        (lambda path: torch.save(made().state_dict(), path) or _cut(path), "w.pth is no file of weights alone"),
        (lambda path: torch.save(made(BACKBONES[2]).state_dict(), path), "w.pth are not those of this DermX: expected"),
        (lambda path: torch.save(made(characteristics=TEN[:9]).state_dict(), path), "w.pth are for a, b, c, d, e, f"),
        (
            lambda path: torch.save(made(characteristics=TEN[::-1]).state_dict(), path),
            "w.pth are for j, i, h, g, f, e, d, c, b, a; u, v, w, x, y, z: expected a, b, c, d, e, f, g, h, i, j; u, v",
        ),
        (lambda path: None, "w.pth is not there"),
    ],
    ids=["no weights", "cut off", "another backbone", "fewer", "another order", "nothing"],
)
def test_bad_files_are_told_in_one_sentence(tmp_path, save, said: str) -> None:
    save(tmp_path / "w.pth")
    with pytest.raises(DataError, match=re.escape(said)) as told:
        dermx.load(made(), tmp_path / "w.pth")
    assert "\n" not in str(told.value)


def _cut(path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
