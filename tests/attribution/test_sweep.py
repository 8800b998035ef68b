"""Every method on a small network of each family of torchvision and timm: right by an oracle, or refused by name.

Random weights and biases, float64, small images. All of it each week; at each push a quarter of the methods, by turns,
on each of two networks. `python tests/attribution/test_sweep.py [NETWORK ...]` prints what becomes of each cell.
"""

import functools

import pytest
import timm
import torch
import torchvision
from torch import nn

from medxai.attribution import METHODS, feature_maps
from medxai.errors import UnsupportedModel
from medxai.oracles import cases, gradients
from medxai.studies import libraries

SMALL = {"img_size": 64}
NETWORKS: dict[str, tuple[int, dict]] = {
    "torchvision:alexnet": (64, {}),
    "torchvision:convnext_tiny": (64, {}),
    "torchvision:densenet121": (64, {}),
    "torchvision:efficientnet_b0": (64, {}),
    "torchvision:googlenet": (64, {"init_weights": False, "aux_logits": False}),
    "torchvision:inception_v3": (96, {"init_weights": False, "aux_logits": False}),
    "torchvision:mnasnet0_5": (64, {}),
    "torchvision:mobilenet_v2": (64, {}),
    "torchvision:mobilenet_v3_small": (64, {}),
    "torchvision:regnet_x_400mf": (64, {}),
    "torchvision:regnet_y_400mf": (64, {}),
    "torchvision:resnet18": (64, {}),
    "torchvision:shufflenet_v2_x0_5": (64, {}),
    "torchvision:squeezenet1_1": (64, {}),
    "torchvision:swin_t": (64, {}),
    "torchvision:swin_v2_t": (64, {}),
    "torchvision:vgg11": (64, {}),
    "torchvision:vit_b_32": (64, {"image_size": 64}),
    "timm:beit_base_patch16_224": (64, SMALL),
    "timm:cait_xxs24_224": (64, SMALL),
    "timm:convmixer_768_32": (64, {}),
    "timm:convnext_atto": (64, {}),
    "timm:crossvit_tiny_240": (96, {"img_size": 96}),
    "timm:cspresnet50": (64, {}),
    "timm:davit_tiny": (64, {}),
    "timm:deit_tiny_distilled_patch16_224": (64, SMALL),
    "timm:dla34": (64, {}),
    "timm:dpn48b": (64, {}),
    "timm:edgenext_xx_small": (64, {}),
    "timm:efficientformer_l1": (224, {}),
    "timm:efficientnet_lite0": (64, {}),
    "timm:eva02_tiny_patch14_224": (56, {"img_size": 56}),
    "timm:fastvit_t8": (64, {}),
    "timm:focalnet_tiny_srf": (64, {}),
    "timm:ghostnet_050": (64, {}),
    "timm:hardcorenas_a": (64, {}),
    "timm:hgnetv2_b0": (64, {}),
    "timm:hrnet_w18_small": (64, {}),
    "timm:inception_next_atto": (64, {}),
    "timm:levit_128s": (224, {}),
    "timm:mambaout_femto": (64, {}),
    "timm:mixer_s32_224": (64, SMALL),
    "timm:mobilenetv4_conv_small_035": (64, {}),
    "timm:mobilevit_xxs": (64, {}),
    "timm:mvitv2_tiny": (64, SMALL),
    "timm:nest_tiny": (64, SMALL),
    "timm:nf_resnet26": (64, {}),
    "timm:pit_ti_224": (64, SMALL),
    "timm:poolformer_s12": (64, {}),
    "timm:pvt_v2_b0": (64, {}),
    "timm:regnetz_005": (64, {}),
    "timm:repvgg_a0": (64, {}),
    "timm:repvit_m0_9": (64, {}),
    "timm:res2net50_26w_4s": (64, {}),
    "timm:resnest14d": (64, {}),
    "timm:resnetv2_18": (64, {}),
    "timm:rexnet_100": (64, {}),
    "timm:selecsls42": (64, {}),
    "timm:seresnext26d_32x4d": (64, {}),
    "timm:skresnet18": (64, {}),
    "timm:starnet_s1": (64, {}),
    "timm:swin_tiny_patch4_window7_224": (64, {"img_size": 64, "window_size": 4}),
    "timm:tiny_vit_5m_224": (64, SMALL),
    "timm:twins_svt_small": (64, SMALL),
    "timm:vit_tiny_patch16_224": (64, SMALL),
    "timm:volo_d1_224": (64, SMALL),
    "timm:vovnet39a": (64, {}),
    "timm:xception41": (64, {}),
    "timm:xcit_nano_12_p16_224": (64, SMALL),
}
"""One of each family, the side of its images, and how it is made."""
TOKENS = {
    "torchvision:vit_b_32": 1, "timm:beit_base_patch16_224": 1, "timm:cait_xxs24_224": 1, "timm:mixer_s32_224": 0,
    "timm:deit_tiny_distilled_patch16_224": 2, "timm:eva02_tiny_patch14_224": 1, "timm:vit_tiny_patch16_224": 1,
    "timm:xcit_nano_12_p16_224": 1, "timm:levit_128s": 0, "timm:efficientformer_l1": 0, "timm:crossvit_tiny_240": 1,
    "timm:pit_ti_224": 1, "timm:volo_d1_224": 1, "timm:mvitv2_tiny": 0,
}  # fmt: skip
"""Of networks whose last maps are tokens: how many of these are no pixels."""
CHANNELS_LAST = ("timm:swin_tiny_patch4_window7_224", "timm:mambaout_femto", "timm:nest_tiny", "timm:focalnet_tiny_srf")
PUSHED = ("torchvision:shufflenet_v2_x0_5", "timm:vit_tiny_patch16_224")
MAPS = [name for name, method in METHODS.items() if method.kind == "map"]
LEAST = {"shapley_value_sampling": 6, "lime": 4, "kernel_shap": 4}
"""Digits, where captum computes in float32 what it adds up or solves; all others have at least `DIGITS`."""
DIGITS = 6.0


def made(name: str) -> nn.Module:
    """The network with random values for all weights that start constant, as biases do."""
    library, _, model = name.partition(":")
    torch.manual_seed(0)
    options = NETWORKS[name][1]
    if library == "timm":
        network = timm.create_model(model, num_classes=cases.CLASSES, **options)
    else:
        network = torchvision.models.get_model(model, num_classes=cases.CLASSES, **options)
    for weight in network.parameters():
        if weight.numel() > 1 and weight.detach().std() == 0:
            nn.init.normal_(weight, float(weight.detach().mean()), 0.05)
    return network


@functools.lru_cache(maxsize=1)
def case(name: str) -> cases.Case:
    """The case of `medxai.oracles.cases`, without a layer where there is none."""
    size = NETWORKS[name][0]
    draw = functools.partial(torch.rand, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    model = made(name).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(draw(4, 3, size, size))
    model = model.eval().requires_grad_(False)
    images, baselines, sample = (draw(number, 3, size, size) for number in (1, 2, 2))
    with torch.no_grad():
        target = model(images).argmax(1)
    try:
        layer = feature_maps.last_maps(model, images)
    except UnsupportedModel:
        layer = ""
    return cases.Case(model, images, target, baselines, sample, layer)


def as_maps(name: str, values: torch.Tensor) -> torch.Tensor:
    """The last maps as (n, c, h, w), by what is known of the network and not by what is found."""
    if name in CHANNELS_LAST:
        return values.permute(0, 3, 1, 2)
    if name in TOKENS:
        pixels = values[:, TOKENS[name] :]
        return pixels.transpose(1, 2).unflatten(2, (round(pixels.shape[1] ** 0.5), -1))
    return values


def at_maps(name: str, one: cases.Case, method: str) -> torch.Tensor:
    """The formulas of `medxai.oracles.gradients` for a layer, with maps as `as_maps` reads them."""
    at = functools.partial(gradients._derivatives, one.trace, target=one.target, name=one.maps)
    maps = as_maps(name, one.trace.values(one.images)[one.maps])
    slope = as_maps(name, at(one.images)[1])
    if method in ("grad_cam", "guided_grad_cam"):
        coarse = gradients.resized(gradients.sum_over_maps(slope.mean((2, 3)), maps).clamp(min=0), one.images)
        return coarse if method == "grad_cam" else coarse * cases.TRUTH["guided_backpropagation"](one)
    if method == "grad_cam_plus_plus":
        below = 2 * slope**2 + maps.sum((2, 3), keepdim=True) * slope**3
        alpha = torch.where(slope == 0, 0, slope**2 / torch.where(below == 0, 1, below))
        weights = (alpha * slope.clamp(min=0)).sum((2, 3))
        return gradients.resized(gradients.sum_over_maps(weights, maps).clamp(min=0), one.images)
    if method == "cam":
        head = [step.affine.weight for step in one.trace.steps.values() if step.kind == "affine"][-1]
        head = head.T if head.ndim == 2 else head.flatten(1)
        return gradients.resized(gradients.sum_over_maps(head[one.target], maps), one.images)
    start = one.baselines[:1]
    points = [start + step / cases.STEPS * (one.images - start) for step in range(1, cases.STEPS + 1)]
    slope = sum(as_maps(name, at(point)[1]) for point in points) / cases.STEPS
    change = maps - as_maps(name, one.trace.values(start)[one.maps])
    high = gradients.resized((change * slope).sum(1, keepdim=True), one.images)
    if method == "layer_integrated_gradients":
        return high
    low = cases.TRUTH["integrated_gradients"](one).sum(1, keepdim=True)
    return sum(one / one.abs().amax((1, 2, 3), keepdim=True) for one in (low, high)) / 2


AT_MAPS = [name for name in MAPS if METHODS[name].family == "class activation"]
AT_MAPS += ["layer_integrated_gradients", "expressive_gradients"]


def truth(name: str, one: cases.Case, method: str) -> torch.Tensor | None:
    """What the oracle says; None where it knows no rule for an operation of the network."""
    try:
        if method in AT_MAPS:
            return at_maps(name, one, method) if one.layer else None
        return cases.TRUTH[method](one)
    except NotImplementedError:
        return None


def outcome(name: str, method: str) -> tuple[str, str]:
    """Return right, refused, or a defect, and what there is to say of it."""
    one = case(name)
    try:
        found = cases.ours(method)(one)
    except UnsupportedModel as error:
        named = METHODS[method].family != "propagation" or ", at layer '" in str(error)
        return ("refused" if named else "defect"), str(error)
    except Exception as error:  # whatever comes from inside is the result
        return "defect", f"{type(error).__name__}: {str(error).splitlines()[0]}"
    expected = truth(name, one, method)
    if expected is not None and not expected.any():  # nothing speaks for the class, as may be in a Grad-CAM
        return ("defect" if found.any() else "right"), "an empty map"
    digits, words = libraries.measure(one, method, expected, lambda _: found)
    least = LEAST.get(method, DIGITS)
    return ("right" if digits >= least else "defect"), f"{digits:.1f} digits {words}"


def cells():
    """Each network with each method, weekly; a quarter of those of three networks at each push, by turns."""
    for number, network in enumerate(NETWORKS):
        for place, method in enumerate(MAPS):
            quick = network in PUSHED and (number + place) % 4 == 0
            marks = () if quick else pytest.mark.weekly
            yield pytest.param(network, method, id=f"{network}-{method}", marks=marks)


@pytest.mark.parametrize(("network", "method"), list(cells()))
def test_right_or_refused(network, method):
    found, words = outcome(network, method)
    assert found in ("right", "refused"), words


if __name__ == "__main__":
    import sys
    import time
    import warnings

    warnings.simplefilter("ignore")
    for network in sys.argv[1:] or NETWORKS:
        start = time.perf_counter()
        for method in MAPS:
            try:
                print(network, method, *outcome(network, method), sep="\t", flush=True)
            except Exception as error:
                print(network, method, "broken", f"{type(error).__name__}: {error}"[:200], sep="\t", flush=True)
        print(network, "seconds", "", round(time.perf_counter() - start, 1), sep="\t", flush=True)
