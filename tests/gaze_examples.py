"""Pictures with one blob, whose look is the class and whose place is where the gaze rests; a tiny network for them."""

import numpy as np
from torch import Tensor, nn

from medxai.models.gaze_unet import Classifier, GazeUNet
from medxai.models.normalisation import HALF
from medxai.training.gaze_training import GazeExamples

LOOKS = np.array([(80, 0.05), (-80, 0.05), (80, 0.15)])
"""Grey levels and standard deviation, as a share of a side: a bright dot, a dark one, a bright spot."""


def blobs(number: int, *, seed: int, side: int = 64) -> GazeExamples:
    """Return grey noise with a blob of one of three looks; labels take turns."""
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    centres = generator.uniform(0.25, 0.75, (number, 2, 1, 1)) * side
    level, width = LOOKS[labels].T[..., None, None]
    rows, columns = np.mgrid[:side, :side] + 0.5
    away = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    gaze = np.exp(-away / (2 * (0.1 * side) ** 2)).astype(np.float32)
    grey = 110 + level * np.exp(-away / (2 * (width * side) ** 2)) + generator.normal(0, 10, away.shape)
    pictures = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    return GazeExamples(pictures, labels, gaze)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [(3, 8), (8, 16), (16, 16)]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)) for a, b in widths
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(8, 1, 3, padding=1), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        resized = [
            nn.functional.interpolate(one, maps[0].shape[2:]) for one in (self.fine(maps[1]), self.coarse(maps[3]))
        ]
        return sum(resized)[:, 0]


def tiny(decoder: bool = True) -> GazeUNet:
    """Return a network of three layers, from torch's global generator."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))
    classifier, part = Classifier(_Encoder(), head, 3), _Decoder()
    return GazeUNet(classifier, part if decoder else None, HALF).eval()
