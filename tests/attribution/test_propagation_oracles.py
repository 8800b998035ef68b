"""The eleven networks of the benchmark, 128 pixels, float64, biases that are not zero, baselines that are not constant.

The oracles know nothing of the engine: completeness and conservation are sums; the other maps are autograd's through the
model with another function in place of `torch.nn.functional.relu` and its like.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from explained_networks import architecture
from torch import Tensor, nn
from torch.nn import functional

from medxai.attribution.propagation.deeplift import deep_shap, deeplift
from medxai.attribution.propagation.lrp import deep_taylor, lrp_alpha_beta, lrp_epsilon, lrp_gamma
from medxai.attribution.propagation.patterns import fit_patterns, pattern_attribution, pattern_net
from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation
from medxai.errors import UnsupportedModel
from medxai.models import backbones

TARGET = 2


def uniform(number: int, seed: int) -> Tensor:
    return torch.rand(number, 3, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=backbones.ARCHITECTURES)
def network(request) -> nn.Module:
    model = architecture(request.param, 128).double().requires_grad_(False)
    model.name = request.param
    return model


def logit(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)[:, TARGET]


def total(maps: Tensor) -> Tensor:
    return maps.sum((1, 2, 3))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def gradient(model: nn.Module, images: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    return torch.autograd.grad(model(images)[:, TARGET].sum(), images)[0]


def without_biases(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    for module in model.modules():
        # The gates of squeeze-and-excitation keep theirs: no relevance passes there.
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
    return model


def test_deeplift_is_complete(network, record_property):
    image, baselines = uniform(1, seed=0), uniform(2, seed=1)
    difference = logit(network, image) - logit(network, baselines)
    maps = deeplift(network, image.repeat(2, 1, 1, 1), TARGET, baseline=baselines)
    record_property("error", error(total(maps), difference))
    assert error(total(maps), difference) < 1e-8
    mean = deep_shap(network, image, TARGET, baselines=baselines)
    assert error(mean[0], maps.mean(0)) < 1e-8


def test_reveal_cancel_is_complete(network, record_property):
    image, baseline = uniform(1, seed=0), uniform(1, seed=1)
    maps = deeplift(network, image, TARGET, baseline=baseline, rule="reveal_cancel")
    found = error(total(maps), logit(network, image) - logit(network, baseline))
    record_property("error", found)
    assert found < 1e-8


def test_lrp_zero_is_gradient_x_input_with_fixed_gates(network, monkeypatch, record_property):
    image = uniform(1, seed=0)
    result, expected_logit = lrp_epsilon(network, image, TARGET, epsilon=0), logit(network, image)
    sigmoid, hardtanh = torch.sigmoid, functional.hardtanh
    monkeypatch.setattr(functional, "silu", lambda z, inplace=False: z * sigmoid(z).detach())
    monkeypatch.setattr(torch, "sigmoid", lambda z: sigmoid(z).detach())
    monkeypatch.setattr(functional, "hardtanh", lambda z, *args: z * (hardtanh(z, *args[:2]) / z).detach())
    torch.testing.assert_close(logit(network, image), expected_logit)
    found = error(result, image * gradient(network, image))
    record_property("error", found)
    assert found < 1e-8


RULES = {
    "gamma": lrp_gamma,
    "alpha_beta": lrp_alpha_beta,
    "deep_taylor": deep_taylor,
}


@pytest.mark.parametrize("rule", RULES)
def test_relevance_is_conserved_without_biases(network, rule, record_property):
    model, image = without_biases(network), uniform(1, seed=0)
    if (network.name, rule) == ("efficientnet_b0", "deep_taylor"):
        with pytest.raises(UnsupportedModel, match=r"silu.*features\.0\.1"):
            deep_taylor(model, image, TARGET)
        return
    found = error(total(RULES[rule](model, image, TARGET)), logit(model, image))
    record_property("error", found)
    assert found < 1e-8


class Rectified(torch.autograd.Function):
    """max(g, 0) on the way back, times a gate if there is one."""

    @staticmethod
    def forward(ctx, z: Tensor, value: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(gate)
        return value

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple:
        return g.clamp(min=0) * ctx.saved_tensors[0], None, None


@pytest.mark.parametrize("guided", [True, False])
def test_rectifiers(network, guided, monkeypatch, record_property):
    image, method = uniform(1, seed=0), guided_backpropagation if guided else deconvnet
    options = {}
    if network.name == "efficientnet_b0":
        with pytest.raises(UnsupportedModel, match=r"silu.*features\.0\.1.*gate"):
            method(network, image, TARGET)
        options["rectify"] = "gate"
    result, expected_logit = method(network, image, TARGET, **options), logit(network, image)

    def put(name: str, gate: Callable) -> None:
        old = getattr(functional, name)

        def rectified(z: Tensor, *args, **kwargs) -> Tensor:
            with torch.no_grad():
                value = old(z.clone(), *args, **kwargs)
            return Rectified.apply(z, value, gate(z.detach()).double() if guided else torch.ones_like(z))

        monkeypatch.setattr(functional, name, rectified)

    put("relu", lambda z: z > 0)
    put("hardtanh", lambda z: (z > 0) & (z < 6))
    put("silu", lambda z: 1 / (1 + (-z).exp()))
    torch.testing.assert_close(logit(network, image), expected_logit)
    found = error(result, gradient(network, image))
    record_property("error", found)
    assert found < 1e-8


def test_patterns(network, monkeypatch, record_property):
    image, sample = uniform(1, seed=0), uniform(2, seed=3)
    if network.name == "efficientnet_b0":
        with pytest.raises(UnsupportedModel, match=r"silu.*features\.0\.1"):
            fit_patterns(network, sample)
        return
    patterns = fit_patterns(network, sample)
    results = [method(network, image, TARGET, patterns=patterns) for method in (pattern_net, pattern_attribution)]
    replay = Replay(network, image, monkeypatch)
    for result, attribution in zip(results, (False, True), strict=True):
        found = error(result, replay.gradient(list(patterns.values()), attribution))
        record_property("error", found)
        assert found < 1e-8


class Replay:
    """The derivative of a copy of the model with patterns for weights, at the ReLUs and maxima of the model itself."""

    def __init__(self, model: nn.Module, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.image = copy.deepcopy(model), image
        self.choices: list[Tensor] = []
        self.replaying = False
        self.layers: list[nn.Module] = []
        self.norm_of: dict[nn.Module, nn.Module] = {}
        self._order()
        self._patch(monkeypatch)
        with torch.no_grad():
            self.model(image)
        self.replaying = True

    def _order(self) -> None:
        """Note the convolutions and linear layers in the order of their use, and which batch normalisation follows."""
        made: list[tuple[Tensor, nn.Module]] = []

        def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            if isinstance(module, nn.BatchNorm2d):
                self.norm_of.update({layer: module for tensor, layer in made if tensor is inputs[0]})
            else:
                self.layers.append(module)
                made.append((output, module))

        kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
        handles = [m.register_forward_hook(note) for m in self.model.modules() if isinstance(m, kinds)]
        with torch.no_grad():
            self.model(self.image)
        for handle in handles:
            handle.remove()

    def _patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pool = functional.max_pool2d
        remaining = iter(())

        def chosen(make: Callable[[], Tensor]) -> Tensor:
            nonlocal remaining
            if not self.replaying:
                self.choices.append(make())
                return self.choices[-1]
            if (choice := next(remaining, None)) is None:
                remaining = iter(self.choices)
                choice = next(remaining)
            return choice

        def relu(z: Tensor, *args, **kwargs) -> Tensor:
            top = 6 if len(args) > 1 else float("inf")
            mask = chosen(lambda: ((z > 0) & (z < top)).double())
            return z * mask if self.replaying else z.clamp(0, top)

        def max_pool(z: Tensor, *args, **kwargs) -> Tensor:
            places = chosen(lambda: pool(z, *args, **{**kwargs, "return_indices": True})[1])
            return z.flatten(2).gather(2, places.flatten(2)).view(places.shape)

        monkeypatch.setattr(functional, "relu", relu)
        monkeypatch.setattr(functional, "hardtanh", relu)
        monkeypatch.setattr(functional, "max_pool2d", max_pool)

    def gradient(self, patterns: list[Tensor], attribution: bool) -> Tensor:
        model = copy.deepcopy(self.model)
        modules = dict(zip(self.model.modules(), model.modules(), strict=True))
        merged = {modules[norm] for norm in self.norm_of.values()}
        for layer, pattern in zip(self.layers, patterns, strict=True):
            weight = modules[layer].weight
            if attribution:
                norm = self.norm_of.get(layer)
                scale = 1 if norm is None else norm.weight / (norm.running_var + norm.eps).sqrt()
                scale = scale if norm is None else scale.view(-1, 1, 1, 1)
                weight.data = weight * scale * pattern
            else:
                weight.data = pattern
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                deviation = (module.running_var + module.eps).sqrt()
                # Merged or with weight times pattern: 1; alone, the pattern is the inverse of the scale.
                alone = deviation**2 / module.weight
                module.weight.data = deviation if module in merged or attribution else alone
        return gradient(model, self.image)
