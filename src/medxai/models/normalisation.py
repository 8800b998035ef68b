"""How a network wants the colours of its images, and the way back to a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation that are taken out of RGB in [0, 1], a value for each channel."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def apply(self, pictures: np.ndarray) -> Tensor:
        """Return what the network takes, float32 (n, 3, h, w) and channels last, of pictures, uint8 (n, h, w, 3)."""
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return (pixels - _channels(self.mean)) / _channels(self.deviation)

    def of_pixels(self, pixels: Tensor, like: Tensor) -> Tensor:
        """Return what the network takes, (n, 3, h, w), of uint8 (n, c, h, w), where one channel stands for all three.

        It has the device and the floating-point type of `like`, such as one of the network's weights.
        """
        black, white = (bound.to(like) for bound in self.bounds())
        return torch.lerp(black, white, pixels.to(like) / 255)

    def undo(self, images: Tensor) -> np.ndarray:
        """Return the pictures, uint8 (n, h, w, 3), of what the network takes, (n, 3, h, w); beyond white is white."""
        pixels = images.detach().float().cpu() * _channels(self.deviation) + _channels(self.mean)
        return (255 * pixels).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return black and white as the network sees them, each float32 (1, 3, 1, 1)."""
        middle, spread = _channels(self.mean), _channels(self.deviation)
        return -middle / spread, (1 - middle) / spread


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What most networks of ImageNet want: the mean and the spread of its images."""

HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""What TensorFlow's networks want: pixels between -1 and 1."""
