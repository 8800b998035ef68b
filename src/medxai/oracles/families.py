"""A small network of each family of torchvision and timm, and whether a method is right on it or refuses it by name.

Random weights and biases, float64, small images. How a network holds its last maps (channels last, as tokens) is
written down here, and not found, as `medxai.attribution.feature_maps` finds it.
"""

import functools
import math
import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from medxai.attribution import METHODS, feature_maps
from medxai.errors import UnsupportedModel
from medxai.oracles import cases

CONVOLUTIONS, ATTENTION = "convolutions", "attention"
BOTH, NEITHER = "convolutions and attention", "other ways to mix pixels"
KINDS = (CONVOLUTIONS, BOTH, ATTENTION, NEITHER)
"""By what a family mixes distant pixels; patches and stems that are convolutions do not count."""


@dataclass(frozen=True)
class Family:
    """One network of a family."""

    kind: str
    """One of `KINDS`."""
    size: int = 64
    """Side of its images in pixels."""
    options: dict[str, object] = field(default_factory=dict)
    """With which it is made."""
    skipped: int | None = None
    """Where the last maps are tokens: how many of these are no pixels."""
    channels_last: bool = False
    """Whether the last maps are (n, h, w, c)."""


SMALL = {"img_size": 64}
BARE = {"init_weights": False, "aux_logits": False}

NETWORKS: dict[str, Family] = {
    "torchvision:alexnet": Family(CONVOLUTIONS),
    "torchvision:convnext_tiny": Family(CONVOLUTIONS),
    "torchvision:densenet121": Family(CONVOLUTIONS),
    "torchvision:efficientnet_b0": Family(CONVOLUTIONS),
    "torchvision:googlenet": Family(CONVOLUTIONS, options=BARE),
    "torchvision:inception_v3": Family(CONVOLUTIONS, 96, BARE),
    "torchvision:mnasnet0_5": Family(CONVOLUTIONS),
    "torchvision:mobilenet_v2": Family(CONVOLUTIONS),
    "torchvision:mobilenet_v3_small": Family(CONVOLUTIONS),
    "torchvision:regnet_x_400mf": Family(CONVOLUTIONS),
    "torchvision:regnet_y_400mf": Family(CONVOLUTIONS),
    "torchvision:resnet18": Family(CONVOLUTIONS),
    "torchvision:shufflenet_v2_x0_5": Family(CONVOLUTIONS),
    "torchvision:squeezenet1_1": Family(CONVOLUTIONS),
    "torchvision:swin_t": Family(ATTENTION),
    "torchvision:swin_v2_t": Family(ATTENTION),
    "torchvision:vgg11": Family(CONVOLUTIONS),
    "torchvision:vit_b_32": Family(ATTENTION, options={"image_size": 64}, skipped=1),
    "timm:beit_base_patch16_224": Family(ATTENTION, options={**SMALL, "depth": 4}, skipped=1),
    "timm:cait_xxs24_224": Family(ATTENTION, options=SMALL, skipped=1),
    "timm:convmixer_768_32": Family(CONVOLUTIONS, 32),
    "timm:convnext_atto": Family(CONVOLUTIONS),
    "timm:crossvit_tiny_240": Family(ATTENTION, 120, {"img_size": 120}, skipped=1),
    "timm:cspresnet50": Family(CONVOLUTIONS),
    "timm:davit_tiny": Family(ATTENTION),
    "timm:deit_tiny_distilled_patch16_224": Family(ATTENTION, options=SMALL, skipped=2),
    "timm:dla34": Family(CONVOLUTIONS),
    "timm:dpn48b": Family(CONVOLUTIONS),
    "timm:edgenext_xx_small": Family(BOTH),
    "timm:efficientformer_l1": Family(BOTH, 224, skipped=0),
    "timm:efficientnet_lite0": Family(CONVOLUTIONS),
    "timm:eva02_tiny_patch14_224": Family(ATTENTION, 56, {"img_size": 56}, skipped=1),
    "timm:fastvit_t8": Family(CONVOLUTIONS),
    "timm:focalnet_tiny_srf": Family(NEITHER),
    "timm:ghostnet_050": Family(CONVOLUTIONS),
    "timm:hardcorenas_a": Family(CONVOLUTIONS),
    "timm:hgnetv2_b0": Family(CONVOLUTIONS),
    "timm:hrnet_w18_small": Family(CONVOLUTIONS),
    "timm:inception_next_atto": Family(CONVOLUTIONS),
    "timm:levit_128s": Family(BOTH, 224, skipped=0),
    "timm:mambaout_femto": Family(NEITHER, channels_last=True),
    "timm:mixer_s32_224": Family(NEITHER, options=SMALL, skipped=0),
    "timm:mobilenetv4_conv_small_035": Family(CONVOLUTIONS),
    "timm:mobilevit_xxs": Family(BOTH),
    "timm:mvitv2_tiny": Family(ATTENTION, options=SMALL, skipped=0),
    "timm:nest_tiny": Family(ATTENTION, options=SMALL, channels_last=True),
    "timm:nf_resnet26": Family(CONVOLUTIONS),
    "timm:pit_ti_224": Family(ATTENTION, options=SMALL, skipped=1),
    "timm:poolformer_s12": Family(NEITHER),
    "timm:pvt_v2_b0": Family(ATTENTION),
    "timm:regnetz_005": Family(CONVOLUTIONS),
    "timm:repvgg_a0": Family(CONVOLUTIONS),
    "timm:repvit_m0_9": Family(CONVOLUTIONS),
    "timm:res2net50_26w_4s": Family(CONVOLUTIONS),
    "timm:resnest14d": Family(CONVOLUTIONS),
    "timm:resnetv2_18": Family(CONVOLUTIONS),
    "timm:rexnet_100": Family(CONVOLUTIONS),
    "timm:selecsls42": Family(CONVOLUTIONS),
    "timm:seresnext26d_32x4d": Family(CONVOLUTIONS),
    "timm:skresnet18": Family(CONVOLUTIONS),
    "timm:starnet_s1": Family(CONVOLUTIONS),
    "timm:swin_tiny_patch4_window7_224": Family(ATTENTION, options={**SMALL, "window_size": 4}, channels_last=True),
    "timm:tiny_vit_5m_224": Family(BOTH),
    "timm:twins_svt_small": Family(ATTENTION, options=SMALL, skipped=0),
    "timm:vit_tiny_patch16_224": Family(ATTENTION, options=SMALL, skipped=1),
    "timm:volo_d1_224": Family(ATTENTION, options=SMALL, skipped=1),
    "timm:vovnet39a": Family(CONVOLUTIONS),
    "timm:xception41": Family(CONVOLUTIONS),
    "timm:xcit_nano_12_p16_224": Family(ATTENTION, options=SMALL, skipped=1),
}
"""One network of each family that both libraries have."""
DIGITS = 6.0
"""From which on a map counts as right."""
LEAST = {"lime": 4.0, "kernel_shap": 4.0}
"""The same, where captum solves for the values in float32."""
MAPS = [name for name, method in METHODS.items() if method.kind == "map"]


def make(name: str) -> nn.Module:
    """Return a network of `NETWORKS`, float64, with random values for all weights that start constant, as biases do.

    Its batch normalisation has the statistics of four random images.
    """
    import timm  # takes seconds, as torchvision does
    import torchvision

    library, _, model = name.partition(":")
    family, draw = NETWORKS[name], torch.Generator().manual_seed(cases.SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cases.SEED)
        create = timm.create_model if library == "timm" else torchvision.models.get_model
        network = create(model, num_classes=cases.CLASSES, **family.options)
        for weight in network.parameters():
            if weight.numel() > 1 and weight.detach().std() == 0:
                nn.init.normal_(weight, float(weight.detach().mean()), 0.05)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches, here of one
        with torch.no_grad():
            network.double().train()(torch.rand(4, 3, family.size, family.size, generator=draw, dtype=torch.double))
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=1)
def case(name: str) -> cases.Case:
    """Return the case of a network; without a layer where it has no maps."""
    size, model = NETWORKS[name].size, make(name)
    draw = torch.Generator().manual_seed(cases.SEED + 1)
    images, baselines, sample = (
        torch.rand(number, 3, size, size, generator=draw, dtype=torch.double) for number in (1, 2, 4)
    )
    with torch.no_grad():
        target = model(images).argmax(1)
    try:
        layer = feature_maps.last_maps(model, images)
    except UnsupportedModel:
        layer = None
    return cases.Case(model, images, target, baselines, sample, layer, functools.partial(_as_maps, NETWORKS[name]))


def judged(name: str, method: str) -> tuple[float, str]:
    """Return to how many digits our map is right; NaN and the words where the method refuses the network by name.

    What is neither, a map that no oracle knows included, has 0 digits and says what is wrong.
    """
    one = case(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of too few steps
            found = cases.ours(method)(one)
    except UnsupportedModel as error:
        named = METHODS[method].family != "propagation" or ", at layer '" in str(error)
        return math.nan if named else 0.0, str(error)
    except Exception as error:  # whatever comes from inside is the result
        return 0.0, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    try:
        truth = cases.TRUTH[method](one)
    except NotImplementedError as error:
        return 0.0, f"gives a map, and the oracle has {error}"
    if not truth.any():  # nothing speaks for the class, as may be in a Grad-CAM
        return (0.0, "gives a map where nothing speaks for the class") if found.any() else (cases.ALL_DIGITS, "")
    return cases.measure(one, method, truth, lambda _: found)


def _as_maps(family: Family, values: Tensor) -> Tensor:
    """Return the last maps as (n, c, h, w), by what is known of the family and not by what is found."""
    if family.channels_last:
        return values.permute(0, 3, 1, 2)
    if family.skipped is None:
        return values
    pixels = values[:, family.skipped :]
    return pixels.transpose(1, 2).unflatten(2, (round(pixels.shape[1] ** 0.5), -1))
