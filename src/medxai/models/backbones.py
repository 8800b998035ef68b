"""The networks that the papers compare, by name."""

import pickle
from typing import Literal, NamedTuple

import timm
from torch import nn
from torchvision.models import get_model, get_model_weights

from medxai.errors import DataError
from medxai.models import weights
from medxai.models.nasnet import NASNetMobile

CLASSES = 1000
"""Number of classes of ImageNet, for which pretrained weights are."""


class Architecture(NamedTuple):
    """Where a network comes from, and what the papers say about it."""

    paper_name: str
    """As the benchmark's tables print it."""
    source: Literal["torchvision", "timm", "medxai"]
    source_name: str
    last_convolution: str
    """Name of the module whose output, the last maps with more than one pixel, is pooled; for class activation maps."""
    published_parameters: float
    """Millions, with 1,000 classes and with the statistics of batch normalisation, as Keras counts."""


ARCHITECTURES: dict[str, Architecture] = {
    "densenet121": Architecture("DenseNet121", "torchvision", "densenet121", "features", 8.06),
    "efficientnet_b0": Architecture("EfficientNet-B0", "torchvision", "efficientnet_b0", "features", 5.33),
    "inception_v3": Architecture("InceptionV3", "torchvision", "inception_v3", "Mixed_7c", 23.85),
    "inception_resnet_v2": Architecture("InceptionResNetV2", "timm", "inception_resnet_v2", "conv2d_7b", 55.87),
    "mobilenet": Architecture("MobileNet", "timm", "mobilenetv1_100", "blocks", 4.25),
    "mobilenet_v2": Architecture("MobileNetV2", "torchvision", "mobilenet_v2", "features", 3.54),
    "nasnet_mobile": Architecture("NASNetMobile", "medxai", "NASNetMobile", "act", 5.33),
    "resnet50": Architecture("ResNet50", "torchvision", "resnet50", "layer4", 25.64),
    "resnet50v2": Architecture("ResNet50V2", "timm", "resnetv2_50", "norm", 25.61),
    "vgg16": Architecture("VGG16", "torchvision", "vgg16", "features.29", 138.36),
    "xception": Architecture("Xception", "timm", "legacy_xception", "act4", 22.91),
}
"""The eleven networks of the benchmark (Jalaboi et al. 2023, "Dermatological diagnosis explainability benchmark"), in
the order of its tables; parameters from the table of Keras Applications, https://keras.io/api/applications."""

RESNET18 = Architecture("ResNet18", "torchvision", "resnet18", "layer4", float("nan"))
"""The network of the robustness study; Keras has none, so that no count is published there."""

NETWORKS: dict[str, Architecture] = {**ARCHITECTURES, "resnet18": RESNET18}
"""All that `create` makes."""


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
        Load weights trained on ImageNet, which take images normalised by `normalisation`: torchvision's or timm's, both
        downloaded once; MobileNetV2's by `medxai.models.weights`.

    Raises
    ------
    ValueError, DataError
        If there is no such network or no class; if pretrained weights are not to be had.
    """
    architecture = _known(name)
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: a network has at least 1")
    if pretrained and architecture.source == "medxai":
        raise DataError(
            f"{name} has no ImageNet weights: none are published for timm's cells, so train it from scratch"
        )
    if not pretrained:
        return _build(architecture, num_classes).eval()
    try:
        if architecture.source == "timm":
            return timm.create_model(architecture.source_name, pretrained=True, num_classes=num_classes).eval()
        return _with_torchvision_weights(architecture, num_classes).eval()
    except DataError:
        raise
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"the ImageNet weights of {name} cannot be had from {architecture.source}: {reason}") from error


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of RGB in [0, 1] by which pretrained weights want their input.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    architecture = _known(name)
    if architecture.source != "timm":
        return weights.MEAN, weights.STANDARD_DEVIATION
    published = timm.get_pretrained_cfg(architecture.source_name)
    return published.mean, published.std


def _known(name: str) -> Architecture:
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _build(architecture: Architecture, num_classes: int) -> nn.Module:
    if architecture.source == "medxai":
        return NASNetMobile(num_classes)
    if architecture.source == "timm":
        return timm.create_model(architecture.source_name, num_classes=num_classes)
    # The auxiliary head of Inception is for training alone, and a network must return one tensor.
    extra = {"aux_logits": False, "init_weights": True} if architecture.source_name == "inception_v3" else {}
    return get_model(architecture.source_name, weights=None, num_classes=num_classes, **extra)


def _with_torchvision_weights(architecture: Architecture, num_classes: int) -> nn.Module:
    name = architecture.source_name
    if name in weights.FILES:
        published = weights.imagenet(name).network.state_dict()
    else:
        published = get_model_weights(name)["IMAGENET1K_V1"].get_state_dict(progress=False, check_hash=True)
    network = _build(architecture, num_classes)
    own = network.state_dict()
    # What differs is the last layer where the classes are others, and Inception's auxiliary head.
    loaded = {key: published[key] if published[key].shape == own[key].shape else own[key] for key in own}
    network.load_state_dict(loaded)
    if name == "inception_v3":
        network.transform_input = True  # its weights are of a network that wants [-1, 1]; torchvision converts
    return network
