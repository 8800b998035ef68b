"""The benchmark's networks as it trains them: one dense layer on pooled maps, and what fine-tuning leaves as it is."""

import torch
from torch import nn

from medxai.models import backbones
from medxai.models.architectures import ARCHITECTURES, MODERN

BENCHMARK = ARCHITECTURES | MODERN
"""The paper's eleven, and three that came after them."""
BFLOAT16 = frozenset(BENCHMARK) - {"efficientnet_b0", "mobilenet", "mobilenet_v2", "nasnet_mobile"}
"""Networks that train faster in bfloat16, where the processor has it (measured by ``benchmarks/bfloat16.py``): not
those of convolutions channel by channel."""
IN_MIXED_7C = ("branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a")
IN_MIXED_7C += ("branch3x3dbl_3b", "branch_pool")
FINE_TUNED: dict[str, tuple[str, ...]] = {
    "densenet121": ("features.denseblock4.denselayer15", "features.denseblock4.denselayer16", "features.norm5"),
    "efficientnet_b0": ("features.7", "features.8"),
    "inception_v3": tuple(f"Mixed_7c.{part}" for part in IN_MIXED_7C),
    "inception_resnet_v2": ("block8", "conv2d_7b"),
    "mobilenet": ("blocks.4.1",),
    "mobilenet_v2": ("features.17", "features.18"),
    "nasnet_mobile": ("cells.13",),
    "resnet50": (),
    "resnet50v2": (),
    "vgg16": (),
    "xception": (),
    "vit_small": ("blocks.11", "norm"),
    "swin_tiny": ("layers.3.blocks.1", "norm"),
    "convnext_tiny": ("stages.3.blocks.2", "head.norm"),
}
"""Modules that are trained beside the last layer: those behind the "last fixed layer" of the paper's table A2, which
names layers of Keras. Four networks are fixed to their end. Of those that are not in the table, the last block."""


def create(name: str, classes: int, *, pretrained: bool = False) -> nn.Module:
    """Return a network of the benchmark in evaluation mode, with a last layer of `classes` on pooled maps.

    All have such a head but VGG16: its two layers of 4,096 units, nine tenths of its weights, are left out.

    Raises
    ------
    ValueError, DataError
        As `medxai.models.backbones.create`.
    """
    if name != "vgg16":
        return backbones.create(name, classes, pretrained)
    if pretrained:
        features = backbones.create(name, backbones.CLASSES, pretrained).features
    else:
        from torchvision.models import vgg16

        with torch.device("meta"):  # without drawing the weights that are left out
            features = vgg16().features
        features.to_empty(device="cpu")
        for module in features:
            if isinstance(module, nn.Conv2d):  # as torchvision draws them
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
    pooled = {"features": features, "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    network = nn.Sequential()
    for key, module in {**pooled, "classifier": nn.Linear(512, classes)}.items():
        network.add_module(key, module)
    return network.eval()


def last_layer(network: nn.Module) -> nn.Module:
    """Return the layer that gives the logits: the last that is linear, or a convolution of one pixel."""
    return [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]


def fix_early_layers(network: nn.Module, name: str) -> None:
    """Let only `FINE_TUNED` and the last layer learn; batch normalisation in front of them keeps its statistics.

    As Keras does with layers that are not trainable: they run as in evaluation.
    """
    network.eval().requires_grad_(False)
    for part in (*(network.get_submodule(key) for key in FINE_TUNED[name]), last_layer(network)):
        part.train().requires_grad_(True)
