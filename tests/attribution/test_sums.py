"""What maps must sum to on the eleven networks, in float64: completeness; conservation where no layer has a bias."""

import copy

import pytest
import torch
from explained_networks import slim_and_whole
from torch import Tensor, nn

from medxai.attribution.propagation.deeplift import deeplift
from medxai.attribution.propagation.lrp import deep_taylor, lrp_alpha_beta, lrp_epsilon, lrp_gamma
from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation
from medxai.models import backbones
from medxai.oracles import cases

RULES = {"epsilon": lrp_epsilon, "gamma": lrp_gamma, "alpha_beta": lrp_alpha_beta, "deep_taylor": deep_taylor}


@pytest.fixture(scope="module", params=slim_and_whole(backbones.ARCHITECTURES, cases.SIZE))
def one(request):
    name, size, create = request.param
    case = cases.case(name, size, create)
    case.model.name = name
    return case


def logits(one: cases.Case, images: Tensor) -> Tensor:
    with torch.no_grad():
        return one.model(images)[:, int(one.target)]


def error(maps: Tensor, expected: Tensor) -> float:
    return float((maps.sum((1, 2, 3)) - expected).abs().max() / expected.abs().max())


def test_deeplift_is_complete(one):
    target = int(one.target)
    differences = logits(one, one.images) - logits(one, one.baselines)
    maps = deeplift(one.model, one.images.expand(2, -1, -1, -1), target, baseline=one.baselines)
    assert error(maps, differences) < 1e-8


def test_reveal_cancel_is_complete(one):
    baseline = one.baselines[:1]
    maps = deeplift(one.model, one.images, one.target, baseline=baseline, rule="reveal_cancel")
    assert error(maps, logits(one, one.images) - logits(one, baseline)) < 1e-8


@pytest.fixture(scope="module")
def without_biases(one):
    model = copy.deepcopy(one.model)
    for module in model.modules():
        # The gates of squeeze-and-excitation keep theirs: no relevance passes there.
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
    return model


@pytest.mark.parametrize("rule", RULES)
def test_relevance_is_conserved_without_biases(one, without_biases, rule):
    if cases.undefined(one.model.name, rule):
        return  # refused: in test_matrix
    options = {"epsilon": 0} if rule == "epsilon" else {}
    with torch.no_grad():
        logit = without_biases(one.images)[:, int(one.target)]
    assert error(RULES[rule](without_biases, one.images, one.target, **options), logit) < 1e-8


@pytest.mark.parametrize("method", [guided_backpropagation, deconvnet])
def test_the_gate_of_silu(method, monkeypatch):
    """With ``rectify='gate'``, against autograd through another function in place of SiLU."""
    one = cases.case("efficientnet_b0")
    result = method(one.model, one.images, one.target, rectify="gate")

    class Rectified(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z: Tensor) -> Tensor:
            ctx.save_for_backward(z.clone())
            return z * torch.sigmoid(z)

        @staticmethod
        def backward(ctx, g: Tensor) -> Tensor:
            gate = torch.sigmoid(ctx.saved_tensors[0]) if method is guided_backpropagation else 1.0
            return g.clamp(min=0) * gate

    monkeypatch.setattr(nn.functional, "silu", lambda z, inplace=False: Rectified.apply(z))
    images = one.images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(one.model(images)[:, int(one.target)].sum(), images)
    assert (result - expected).abs().max() < 1e-8 * expected.abs().max()
