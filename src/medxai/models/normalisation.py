"""What a network expects of the colours of its input."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Normalisation(NamedTuple):
    """Mean and standard deviation of red, green and blue in [0, 1] that a network was trained with."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def apply(self, pictures: np.ndarray) -> Tensor:
        """Turn pictures, uint8 (n, h, w, 3), into what the network takes: float32 (n, 3, h, w), channels last."""
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return (pixels - self._column(self.mean)) / self._column(self.deviation)

    def undo(self, images: Tensor) -> np.ndarray:
        """Turn images back into pictures, uint8 (n, h, w, 3)."""
        pixels = images * self._column(self.deviation) + self._column(self.mean)
        return (pixels.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return black and white as the network sees them, each float32 (1, 3, 1, 1)."""
        mean, deviation = self._column(self.mean), self._column(self.deviation)
        return -mean / deviation, (1 - mean) / deviation

    @staticmethod
    def _column(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values)[None, :, None, None]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation((0.5,) * 3, (0.5,) * 3)
