"""The networks that the papers compare, by name."""

from torch import nn

from medxai.models import weights
from medxai.models.architectures import ARCHITECTURES, CLASSES, MODERN, NETWORKS, Architecture, build, known

__all__ = ["ARCHITECTURES", "CLASSES", "MODERN", "NETWORKS", "Architecture", "create"]


def create(name: str, num_classes: int, pretrained: bool = False) -> nn.Module:
    """Return a network of `NETWORKS` in evaluation mode: images (n, 3, h, w) to logits (n, num_classes).

    Weights are random, from torch's global generator, or those of ImageNet (`medxai.models.weights.pretrained`), but
    for the last layer where the classes are not ImageNet's 1,000.

    Raises
    ------
    ValueError, DataError
        If there is no such network or no class; if pretrained weights are not to be had.
    """
    if name not in NETWORKS and name not in MODERN:
        raise ValueError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: expected at least 1")
    return weights.pretrained(name, num_classes).network if pretrained else build(known(name), num_classes).eval()
