"""Test cases: the benchmark's networks, and the map that each method of `medxai.attribution` must give for them.

`TRUTH` computes that map slowly; `ours` calls the method itself, with the same options; `measure` says how well both
agree.
"""

import functools
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from medxai.attribution import METHODS, feature_maps
from medxai.attribution.perturbation import LIME_KERNEL_WIDTH, grid
from medxai.attribution.propagation.patterns import fit_patterns
from medxai.models import backbones
from medxai.oracles import coalitions, gradients, propagation
from medxai.oracles.trace import Trace

SEED = 0
SIZE = 128
"""Side of the images in pixels; a little below it the last maps of Inception are of one pixel."""
CLASSES = 6
EPSILON = 1e-9
"""Of LRP-epsilon, small enough for float64 that captum's, zennit's and our way to stabilise agree."""
GAMMA = 0.25
ALPHA = 2.0


@dataclass(frozen=True)
class Case:
    """A network, an image in [0, 1] and a class, images to start from, and a sample to fit patterns to."""

    model: nn.Module
    images: Tensor
    target: Tensor
    baselines: Tensor
    """(2, 3, side, side), not constant. Methods with one baseline take the first."""
    sample: Tensor
    layer: str | None
    """One of the last that give maps; None for whichever a method takes."""
    read: Callable[[Tensor], Tensor] = lambda output: output
    """Makes maps (n, k, h, w) of the layer's output."""

    @property
    def side(self) -> int:
        """Of the images, in pixels."""
        return self.images.shape[-1]

    @property
    def regions(self) -> Tensor:
        """Numbers (side, side) of four regions, so that there are no more than sixteen coalitions."""
        return grid(self.side, self.side, 2)

    @property
    def windows(self) -> tuple[int, int]:
        """Side and step of the squares of occlusion."""
        return self.side // 2, self.side // 4

    @functools.cached_property
    def trace(self) -> Trace:
        """The network as primitive operations."""
        return Trace(self.model, self.images)

    @functools.cached_property
    def gradient(self) -> Tensor:
        """The derivative of the class's logit."""
        return gradients.gradient(self.trace, self.images, self.target)

    @functools.cached_property
    def patterns(self) -> dict[str, Tensor]:
        """The pattern of each operation with weights."""
        return propagation.fit_patterns(Trace(self.model, self.sample), self.sample)

    @functools.cached_property
    def maps(self) -> str:
        """The operation in the trace that gives the maps of `layer`."""
        return gradients.operation_of(self.trace, self.model, self.images, self.layer)


Create = Callable[[str, int], nn.Module]
"""Makes a network by its name and number of classes."""


def calibrated(
    name: str, images: Tensor, gain: float = 1.0, shift: float = 0.1, create: Create = backbones.create
) -> nn.Module:
    """Return a network with random biases, whose batch normalisation has the statistics of the images.

    The network gets the dtype of the images (n, 3, h, w). Normalised values are multiplied by about `gain`, and a
    random bias of spread `shift` is added.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = create(name, CLASSES).to(images.dtype)
        for module in model.modules():
            norm = isinstance(module, nn.BatchNorm2d)
            if getattr(module, "bias", None) is not None:
                nn.init.normal_(module.bias, std=shift if norm else 0.1)
            if norm:
                nn.init.uniform_(module.weight, 0.5 * gain, 1.5 * gain)
                module.momentum = None  # the mean over all batches, here of one
        with torch.no_grad():
            model.train()(images)
    return model.eval()


def case(name: str, size: int = SIZE, create: Create = backbones.create) -> Case:
    """Return a network that is like a trained one in what matters here: biases, and statistics of batch normalisation.

    All is float64; the size is the side of the images in pixels.
    """
    draw = functools.partial(torch.rand, generator=torch.Generator().manual_seed(SEED), dtype=torch.double)
    model = calibrated(name, draw(8, 3, size, size), create=create).requires_grad_(False)
    images, baselines, sample = (draw(number, 3, size, size) for number in (1, 2, 4))
    # DenseNet rectifies its last maps in place, and libraries differ in which of the two they take.
    layer = "features.denseblock4" if name == "densenet121" else feature_maps.last_maps(model, images)
    with torch.no_grad():
        target = model(images).argmax(1)  # a class that nothing speaks for would have an empty Grad-CAM
    return Case(model, images, target, baselines, sample, layer)


def undefined(name: str, method: str) -> str:
    """Return why the method has no definition on the network; empty where it has one."""
    if name == "efficientnet_b0" and method in NEEDS_RELU:
        return "SiLU in place of ReLU"
    if name == "vgg16" and method == "cam":
        return "three linear layers after the maps"
    return ""


NEEDS_RELU = (
    "guided_backpropagation", "deconvnet", "deep_taylor", "pattern_net", "pattern_attribution", "guided_grad_cam",
)  # fmt: skip

Explain = Callable[[Case], Tensor]

SAMPLES = 16
STEPS = 3
NOISE = 0.15


def _walk(function: Callable[..., Tensor], *arguments: float) -> Explain:
    return lambda one: function(one.trace, one.images, one.target, *arguments)


def _at_maps(function: Callable[..., Tensor]) -> Explain:
    return lambda one: function(one.trace, one.images, one.target, one.maps, one.read)


def _cam(one: Case) -> Tensor:
    last = feature_maps.last_maps(one.model, one.images)
    name = gradients.operation_of(one.trace, one.model, one.images, last)
    return gradients.cam(one.trace, one.images, one.target, name, one.read)


def _from_baseline(function: Callable[..., Tensor], *arguments: float) -> Explain:
    return lambda one: function(one.trace, one.images, one.target, one.baselines[:1], *arguments)


def _at_maps_from_baseline(function: Callable[..., Tensor]) -> Explain:
    return lambda one: _from_baseline(function, STEPS, one.maps, one.read)(one)


def _patterns(attribution: bool) -> Explain:
    def run(one: Case) -> Tensor:
        return propagation.pattern_signal(one.trace, one.images, one.target, one.patterns, attribution)

    return run


def _deep_shap(one: Case) -> Tensor:
    maps = [propagation.deeplift(one.trace, one.images, one.target, baseline[None]) for baseline in one.baselines]
    return torch.stack(maps).mean(0)


def _deep_taylor(one: Case) -> Tensor:
    low, high = torch.zeros_like(one.images), torch.ones_like(one.images)
    return propagation.deep_taylor(one.trace, one.images, one.target, low, high)


def _occlusion(one: Case) -> Tensor:
    squares = coalitions.occlusion(one.model, one.images[0], int(one.target), one.baselines[0], *one.windows)
    return squares[None]


def _of_coalitions(method: str, solve: Callable[..., np.ndarray], *arguments: float) -> Explain:
    """The truth of a random method, of the very coalitions that our method drew."""

    def run(one: Case) -> Tensor:
        watched = coalitions.Watched(one.model)
        ours(method)(replace(one, model=watched))
        between = one.images[0], one.baselines[0], one.regions
        score = coalitions.scores(one.model, *between, int(one.target))
        return coalitions.painted(solve(score, watched.coalitions(*between), *arguments), one.regions)[None]

    return run


TRUTH: dict[str, Explain] = {
    "gradient": lambda one: one.gradient,
    "saliency": lambda one: one.gradient.abs(),
    "gradient_x_input": lambda one: one.images * one.gradient,
    "integrated_gradients": _from_baseline(gradients.integrated_gradients, STEPS),
    "layer_integrated_gradients": _at_maps_from_baseline(gradients.layer_integrated_gradients),
    "expressive_gradients": _at_maps_from_baseline(gradients.expressive_gradients),
    "smoothgrad": _walk(gradients.smoothgrad, STEPS, NOISE, SEED),
    "gradient_shap": lambda one: gradients.gradient_shap(one.trace, one.images, one.target, one.baselines, STEPS, SEED),
    "guided_backpropagation": _walk(propagation.guided_backpropagation),
    "deconvnet": _walk(propagation.deconvnet),
    "lrp_epsilon": _walk(propagation.lrp_epsilon, EPSILON),
    "lrp_gamma": _walk(propagation.lrp_gamma, GAMMA),
    "lrp_alpha_beta": _walk(propagation.lrp_alpha_beta, ALPHA, ALPHA - 1),
    "deep_taylor": _deep_taylor,
    "deeplift": _from_baseline(propagation.deeplift),
    "deep_shap": _deep_shap,
    "pattern_net": _patterns(attribution=False),
    "pattern_attribution": _patterns(attribution=True),
    "cam": _cam,
    "grad_cam": _at_maps(gradients.grad_cam),
    "grad_cam_plus_plus": _at_maps(gradients.grad_cam_plus_plus),
    "guided_grad_cam": lambda one: (
        propagation.guided_backpropagation(one.trace, one.images, one.target) * _at_maps(gradients.grad_cam)(one)
    ),
    "occlusion": _occlusion,
    "shapley_value_sampling": _of_coalitions("shapley_value_sampling", coalitions.shapley_value_sampling),
    "lime": _of_coalitions("lime", coalitions.lime, LIME_KERNEL_WIDTH, 1.0),
    "kernel_shap": _of_coalitions("kernel_shap", coalitions.kernel_shap),
}
"""The slow reference of each method."""

OPTIONS: dict[str, Callable[[Case], dict[str, object]]] = {
    "integrated_gradients": lambda one: {"baseline": one.baselines[:1], "steps": STEPS},
    "layer_integrated_gradients": lambda one: {"baseline": one.baselines[:1], "steps": STEPS, "layer": one.layer},
    "expressive_gradients": lambda one: {"baseline": one.baselines[:1], "steps": STEPS, "layer": one.layer},
    "smoothgrad": lambda one: {"samples": STEPS, "noise": NOISE},
    "gradient_shap": lambda one: {"baseline": one.baselines, "samples": STEPS},
    "lrp_epsilon": lambda one: {"epsilon": EPSILON},
    "lrp_gamma": lambda one: {"gamma": GAMMA},
    "lrp_alpha_beta": lambda one: {"alpha": ALPHA, "beta": ALPHA - 1},
    "deeplift": lambda one: {"baseline": one.baselines[:1]},
    "deep_shap": lambda one: {"baselines": one.baselines},
    "pattern_net": lambda one: {"patterns": fit_patterns(one.model, one.sample)},
    "pattern_attribution": lambda one: {"patterns": fit_patterns(one.model, one.sample)},
    "grad_cam": lambda one: {"layer": one.layer},
    "grad_cam_plus_plus": lambda one: {"layer": one.layer},
    "guided_grad_cam": lambda one: {"layer": one.layer},
    "occlusion": lambda one: {
        "baseline": one.baselines[:1],
        **dict(zip(("window", "stride"), one.windows, strict=True)),
    },
    "shapley_value_sampling": lambda one: {"baseline": one.baselines[:1], "features": one.regions, "samples": 2},
    "lime": lambda one: {"baseline": one.baselines[:1], "features": one.regions, "samples": SAMPLES},
    "kernel_shap": lambda one: {"baseline": one.baselines[:1], "features": one.regions, "samples": SAMPLES},
}
"""The options of our methods, where they have any."""


def ours(method: str) -> Explain:
    """Return what calls our method with its options, (N, C, H, W) or (N, 1, H, W)."""

    def run(one: Case) -> Tensor:
        options = OPTIONS.get(method, lambda _: {})(one)
        return METHODS[method].function(one.model, one.images, one.target, **options)

    return run


FIRST_SENTENCE = re.compile(r".*?(?=[.!] |[.!]?\n|[.!]?$)")
ALL_DIGITS = 16.0
"""Of float64: no agreement counts as better."""


def measure(one: Case, method: str, truth: Tensor | None, claim: Explain) -> tuple[float, str]:
    """Return the agreement in digits, and what went wrong: NaN and the library's words where nothing came back.

    A map of a method that is not defined on the network (``truth`` is None) agrees with nothing: 0 digits. So does one
    that is not finite. Class activation maps have no unit, and are compared at the scale at which they agree best.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = claim(one)
    except Exception as error:  # whatever a library raises is the result
        return math.nan, f"{type(error).__name__}: {FIRST_SENTENCE.match(str(error))[0]}"
    if truth is None:
        return 0.0, "gives a map though the method is not defined"
    if METHODS[method].family == "class activation":
        found = found * (found * truth).sum() / found.square().sum()
    unit = truth.abs().max()  # PatternNet reaches 1e239 in a deep network, whose square is infinite
    wrong = ((found - truth) / unit).norm().item() / (truth / unit).norm().item()
    if not math.isfinite(wrong):
        return 0.0, "not finite"
    return max(0.0, -math.log10(max(wrong, 10**-ALL_DIGITS))), ""
