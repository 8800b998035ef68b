"""The networks that the papers compare, by name."""

from torch import nn

from medxai.models.architectures import ARCHITECTURES, CLASSES, NETWORKS, Architecture, build
from medxai.models.weights import pretrained as with_weights

__all__ = ["ARCHITECTURES", "CLASSES", "NETWORKS", "Architecture", "create"]


def create(name: str, num_classes: int, pretrained: bool = False) -> nn.Module:
    """Return a network in evaluation mode that takes images (n, 3, h, w) and gives logits (n, num_classes).

    Weights that are not pretrained are drawn from torch's global generator.

    Parameters
    ----------
    name
        A key of `NETWORKS`.
    num_classes
        Number of logits, at least 1. If it is not 1,000, the last layer is drawn anew even when `pretrained`.
    pretrained
        Load weights of ImageNet, see `medxai.models.weights`; they want the images that
        `medxai.models.networks.normalisation_of` says.

    Raises
    ------
    ValueError, DataError
        If there is no such network or no class; if pretrained weights are not to be had.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: expected one of {', '.join(NETWORKS)}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: expected at least 1")
    whole = with_weights(name).network if pretrained else None
    if whole is not None and num_classes == CLASSES:
        return whole
    network = build(NETWORKS[name], num_classes)
    if whole is not None:
        own, published = network.state_dict(), whole.state_dict()
        # What differs is the last layer.
        network.load_state_dict({k: published[k] if published[k].shape == own[k].shape else own[k] for k in own})
        if hasattr(whole, "transform_input"):
            network.transform_input = whole.transform_input
    return network.eval()
