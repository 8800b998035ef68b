"""Networks to explain: the eleven and ResNet18 with biases that are not zero, and small ones with closed forms."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet

from medxai.models import backbones
from medxai.oracles import cases

CLASSES = cases.CLASSES
# Pixels: about as few as a network's last maps need to have more than one pixel. EfficientNet without biases underflows
# below 64.
SIZES = dict.fromkeys(backbones.NETWORKS, 40) | dict.fromkeys(("densenet121", "efficientnet_b0"), 64)
SIZES |= dict.fromkeys(("inception_v3", "inception_resnet_v2"), 108)

REPEATS = {"repeat": 10, "repeat_1": 20, "repeat_2": 9}
# Blocks that do over again what the block before them does, with as many channels.
REPEATED = {
    "inception_v3": ["Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_6e"],
    "inception_resnet_v2": [f"{part}.{n}" for part, size in REPEATS.items() for n in range(1, size)],
    "resnet50": [f"layer{stage}.{n}" for stage, size in enumerate((3, 4, 6, 3), 1) for n in range(2, size)],
    "resnet50v2": [f"stages.{stage}.blocks.{n}" for stage, size in enumerate((3, 4, 6, 3)) for n in range(2, size)],
    "xception": [f"block{n}" for n in range(5, 12)],
}
CELLS = (0, 1, 4, 5, 6, 9, 10, 11)  # of NASNet's fourteen


def slim(name: str, classes: int) -> nn.Module:
    """A network with every kind of block and connection that `backbones.create` gives it, but fewer repetitions.

    VGG16, where nothing repeats, has hidden linear layers of 64 units and not of 4,096: they are nine tenths of it.
    """
    if name == "densenet121":
        return DenseNet(32, (2, 2, 2, 2), 64, num_classes=classes).eval()
    if name == "vgg16":
        return _slim_vgg16(classes)
    model = backbones.create(name, classes)
    for block in REPEATED.get(name, ()):
        model.set_submodule(block, nn.Identity())
    if name == "nasnet_mobile":
        model.cells = nn.ModuleList(model.cells[number] for number in CELLS)
    return model


def _slim_vgg16(classes: int) -> nn.Module:
    with torch.device("meta"):  # without drawing 138 million weights
        model = backbones.create("vgg16", classes)
        layers = nn.Linear(512 * 7 * 7, 64), nn.Linear(64, 64), nn.Linear(64, classes)
    for place, layer in zip((0, 3, 6), layers, strict=True):
        model.classifier[place] = layer
    model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def slim_and_whole(names: Iterable[str], size: int | None = None, at_each_push: Iterable[str] | None = None) -> list:
    """Name, size and maker of networks, for a fixture: slim at each push, and weekly whole, at `size` if there is one.

    With `at_each_push` only these are tested then; for what hardly depends on the network.
    """
    return [
        *(pytest.param((name, SIZES[name], slim), id=name) for name in at_each_push or names),
        *(
            pytest.param((name, size or SIZES[name], backbones.create), id=f"whole-{name}", marks=pytest.mark.weekly)
            for name in names
        ),
    ]


def architecture(
    name: str, size: int | None = None, create: cases.Create = slim, gain: float = 1.0, shift: float = 0.1
) -> nn.Module:
    """A network as `cases.calibrated` makes it, by random images of `size` pixels."""
    return cases.calibrated(name, images(size or SIZES[name], 8, seed=99), gain, shift, create)


def images(size: int, number: int = 2, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random images (n, 3, size, size), coarse shapes and noise."""
    draw = torch.Generator().manual_seed(seed)
    coarse = nn.functional.interpolate(torch.randn(number, 3, 8, 8, generator=draw), (size, size), mode="bilinear")
    return (coarse + 0.2 * torch.randn(number, 3, size, size, generator=draw)).to(dtype)


class Linear(nn.Module):
    """Logits that are linear in the pixels, with a convolution on the way."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * size * size, CLASSES)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.convolution(images).flatten(1))

    def slope(self, target: int, size: int = 8) -> Tensor:
        """The derivative (3, size, size) of a logit, by finite steps, which are exact for a linear function."""
        with torch.no_grad():
            zero = torch.zeros(1, 3, size, size, dtype=torch.double)
            units = torch.eye(3 * size * size, dtype=torch.double).view(-1, 3, size, size)
            return (self(units) - self(zero))[:, target].view(3, size, size)


class Small(nn.Module):
    """Two convolutions with ReLU, global average pooling, one linear layer; float64."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(5, CLASSES)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(self.first(images)).mean((2, 3)))
