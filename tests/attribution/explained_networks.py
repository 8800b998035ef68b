"""Networks to explain: the eleven and ResNet18 with biases that are not zero, and small ones with closed forms."""

import torch
from torch import Tensor, nn

from medxai.models import backbones
from medxai.oracles import cases

CLASSES = cases.CLASSES
# Pixels: as few as a network's last maps need to have more than one pixel.
SIZES = dict.fromkeys(backbones.NETWORKS, 64) | {"inception_v3": 128, "inception_resnet_v2": 128}


def architecture(name: str, size: int | None = None, gain: float = 1.0, shift: float = 0.1) -> nn.Module:
    """A network as `cases.calibrated` makes it, by random images of `size` pixels."""
    return cases.calibrated(name, images(size or SIZES[name], 8, seed=99), gain, shift)


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
