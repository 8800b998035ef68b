"""Networks by name, without weights: those of the papers, our default, and all of torchvision and timm.

Both libraries take seconds to import, so each is imported when a network of its own is built.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from torch import nn

from medxai.models.normalisation import IMAGENET, Normalisation

DEFAULT = "efficientnet_lite0"
"""The network of the book: small, rectified by ReLU6, so that every method is defined on it."""
CLASSES = 1000  # of ImageNet, for which pretrained weights are


@dataclass(frozen=True)
class Architecture:
    """Where a network comes from, and what the papers say about it."""

    paper_name: str
    """As the benchmark's tables print it."""
    source: Literal["torchvision", "timm", "medxai"]
    source_name: str
    last_convolution: str | None = None
    """Name of the module whose output, the last maps with more than one pixel, is pooled; for class activation maps."""
    published_parameters: float = float("nan")
    """Millions, with 1,000 classes and with the statistics of batch normalisation, as Keras counts."""
    options: tuple[tuple[str, object], ...] = ()
    """What its library is told beside the name."""


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

NETWORKS: dict[str, Architecture] = {
    **ARCHITECTURES,
    "resnet18": Architecture("ResNet18", "torchvision", "resnet18", "layer4"),  # the robustness study's; Keras has none
    DEFAULT: Architecture("EfficientNet-Lite0", "timm", "tf_efficientnet_lite0", "bn2"),
}
"""All networks that have a name of their own."""


MODERN: dict[str, Architecture] = {
    "vit_small": Architecture(
        "ViT-S/16", "timm", "vit_small_patch16_224", "blocks.11.norm1", 22.05, (("dynamic_img_size", True),)
    ),
    "swin_tiny": Architecture(
        "Swin-T", "timm", "swin_tiny_patch4_window7_224", "norm", 28.29, (("strict_img_size", False),)
    ),
    "convnext_tiny": Architecture("ConvNeXt-T", "timm", "convnext_tiny", "stages", 28.59),
}
"""Two transformers and a ConvNet of their time, which the benchmark's authors name as future work; for any size of
image, with the weights of their 224 pixels. Parameters as timm lists them."""


def known(name: str) -> Architecture:
    """Return what is known of a network: a key of `NETWORKS` or `MODERN`, ``torchvision:NAME`` or ``timm:NAME``.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if name in NETWORKS or name in MODERN:
        return (NETWORKS | MODERN)[name]
    library, _, network = name.partition(":")
    if library == "timm" and network:
        import timm

        every, plain = timm.list_models(), network.partition(".")[0]
    elif library == "torchvision" and network:
        from torchvision import models

        every, plain = models.list_models(models), network
    else:
        names = ", ".join(NETWORKS)
        raise ValueError(f"unknown network {name!r}: expected torchvision:NAME, timm:NAME or one of {names}")
    if plain not in every:
        near = difflib.get_close_matches(network, every, 3) or every[:3]
        raise ValueError(f"{library} has no classifier {network!r}: expected a name such as {', '.join(near)}")
    return Architecture(name, library, network)


def build(architecture: Architecture, classes: int | None = None) -> nn.Module:
    """Return a network of random weights, from torch's global generator; by default with its library's classes."""
    options = dict(architecture.options) | ({} if classes is None else {"num_classes": classes})
    if architecture.source == "timm":
        import timm

        return timm.create_model(architecture.source_name, **options)
    if architecture.source == "medxai":
        from medxai.models.nasnet import NASNetMobile

        return NASNetMobile(classes or CLASSES)
    from torchvision.models import get_model

    if architecture.source_name in ("googlenet", "inception_v3"):
        # Auxiliary heads are for training alone, and a network must return one tensor.
        options |= {"aux_logits": False, "init_weights": True}
    return get_model(architecture.source_name, weights=None, **options)


def noted(architecture: Architecture) -> dict:
    """Return timm's notes on public weights, among them ``mean``, ``std`` and ``num_classes``; others have none."""
    if architecture.source != "timm":
        return {}
    import timm

    notes = timm.get_pretrained_cfg(architecture.source_name)
    return {} if notes is None else notes.to_dict()


def normalisation_of(network: str | nn.Module) -> Normalisation:
    """Return what a network, or the public weights of a name, want: what timm notes, else ImageNet's."""
    notes = noted(known(network)) if isinstance(network, str) else getattr(network, "pretrained_cfg", None) or {}
    return Normalisation(tuple(notes.get("mean", IMAGENET.mean)), tuple(notes.get("std", IMAGENET.deviation)))
