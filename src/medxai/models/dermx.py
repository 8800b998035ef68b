"""DermX: networks that give a diagnosis together with its characteristics and where they are.

Jalaboi et al. 2023, "DermX: an end-to-end framework for explainable automated dermatological diagnosis", Medical Image
Analysis 83:102647, section 2.2. DermX and DermX+ are one architecture; they differ in the loss
(`medxai.training.guidance`). Without characteristics it is the paper's diagnosis-only baseline Dx, with another
backbone DxRN.

Backbones are named as everywhere in the book (`medxai.models.architectures.known`); they must be networks of timm,
whose ``forward_features`` gives what follows the last convolution, its normalisation and its activation. The paper's
public program hooks the bare convolution before the normalisation instead, which gives another map.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medxai.errors import DataError, UnsupportedModel
from medxai.models import weights
from medxai.models.architectures import DEFAULT, build, known, normalisation_of
from medxai.models.concept_cams import outputs_and_cams

UNITS = 64
"""Of the layer that brings the image's features to the order of magnitude of the characteristics."""
DROPOUT = 0.2
PROBED = 224
"""Side in pixels of the image that asks a backbone for its maps, where timm notes no size."""


class DermXOutput(NamedTuple):
    """What DermX says of n images, with d diseases and c characteristics."""

    diagnosis_logits: Tensor
    """(n, d), before softmax."""
    characteristic_logits: Tensor
    """(n, c), each before its own sigmoid."""
    attention: Tensor | None
    """(n, c, h, w), Grad-CAM of each characteristic at the last feature map, at least 0 and not scaled."""


class DermX(nn.Module):
    """A backbone, a branch for characteristics, and one for the diagnosis that sees their logits, too.

    Parameters
    ----------
    backbone
        A network of timm; it is taken over as it is, not copied, and loses its classifier.
    characteristics
        Their names, in the order of the logits; none for a network that only diagnoses.
    diseases
        Likewise, at least two.
    origin
        Which weights the backbone starts from, a part of a sentence.
    batch_normalisation
        Whether the dense blocks normalise, as those of ImageQX do (`medxai.models.image_quality`). Then ask for no
        attention in training mode, where images are not treated each on its own.

    Raises
    ------
    UnsupportedModel
        If the backbone gives no feature maps (n, k, h, w).
    ValueError
        If names repeat, or there are too few.
    """

    def __init__(
        self,
        backbone: nn.Module,
        characteristics: Sequence[str],
        diseases: Sequence[str],
        *,
        origin: str = "",
        batch_normalisation: bool = False,
    ) -> None:
        super().__init__()
        for what, names, least in (("characteristics", characteristics, 0), ("diseases", diseases, 2)):
            if len(names) < least or len(set(names)) != len(names):
                raise ValueError(f"{what} are {', '.join(names) or 'none'}: expected at least {least}, no name twice")
        self.characteristics, self.diseases, self.origin = tuple(characteristics), tuple(diseases), origin
        self.normalisation = normalisation_of(backbone)
        channels, c = _channels(backbone), len(characteristics)
        backbone.reset_classifier(0)
        self.backbone = backbone
        dense = _normalised if batch_normalisation else _dense
        self.explanation = nn.Sequential(*dense(channels), nn.Linear(UNITS, c)) if c else None
        self.reduction = nn.Sequential(*dense(channels))
        self.diagnosis = nn.Linear(UNITS + c, len(diseases))
        # Among the weights, so that a file of another order of the same number of names is not taken for ours.
        self.register_buffer("names", torch.tensor(list(self._told().encode()), dtype=torch.uint8))

    def _told(self) -> str:
        return "; ".join(", ".join(names) or "none" for names in (self.characteristics, self.diseases))

    def forward(self, images: Tensor, *, attention: bool = True) -> DermXOutput:
        """Return diagnosis, characteristics and, if asked for, where each of them is seen.

        Parameters
        ----------
        images
            (n, 3, height, width), as `normalisation` makes them.
        attention
            Whether to compute it; it stays ``None`` without characteristics. It is of the logits that are returned, of
            the same draw of dropout, and can be differentiated by all weights.
        """
        return self.heads(self.feature_maps(images), attention=attention)

    def feature_maps(self, images: Tensor) -> Tensor:
        """Return the last feature maps, (n, k, h, w)."""
        return self.backbone.forward_features(images)

    def heads(self, maps: Tensor, *, attention: bool = True) -> DermXOutput:
        """Return what both branches make of feature maps, as `forward`."""
        pooled, found = maps.mean((2, 3)), None
        if self.explanation is None:
            logits = pooled.new_zeros(len(pooled), 0)
        elif attention:
            logits, found = outputs_and_cams(maps, self.explanation)
        else:
            logits = self.explanation(pooled)
        return DermXOutput(self.diagnose(pooled, logits), logits, found)

    def diagnose(self, pooled: Tensor, characteristic_logits: Tensor) -> Tensor:
        """Return the diagnosis (n, d) for pooled maps (n, k) and any logits of the characteristics (n, c)."""
        return self.diagnosis(torch.cat([self.reduction(pooled), characteristic_logits], dim=1))


def _dense(channels: int) -> tuple[nn.Module, ...]:
    """Return the paper's dense block."""
    return nn.Dropout(DROPOUT), nn.Linear(channels, UNITS), nn.ReLU(), nn.Dropout(DROPOUT)


def _normalised(channels: int) -> tuple[nn.Module, ...]:
    """Return the dense block of ImageQX; its activation is not printed, and is DermX's here."""
    return nn.Linear(channels, UNITS), nn.BatchNorm1d(UNITS), nn.ReLU(), nn.Dropout(DROPOUT)


def _channels(backbone: nn.Module) -> int:
    """Return how many last feature maps a backbone has, from a forward pass; UnsupportedModel if it has none."""
    name = type(backbone).__name__
    if not all(hasattr(backbone, method) for method in ("forward_features", "reset_classifier")):
        raise UnsupportedModel(f"{name} is no network of timm: expected one with forward_features and reset_classifier")
    size = (getattr(backbone, "pretrained_cfg", None) or {}).get("input_size", (3, PROBED, PROBED))
    mode, weight = backbone.training, next(backbone.parameters())
    with torch.no_grad():
        maps = backbone.eval().forward_features(weight.new_zeros(1, *size))
    backbone.train(mode)
    if maps.ndim != 4 or maps.shape[1] != backbone.num_features:  # tokens, or channels last
        raise UnsupportedModel(
            f"{name} gives {tuple(maps.shape)} for an image of {size[1]} x {size[2]} pixels: "
            f"expected feature maps (1, {backbone.num_features}, h, w)"
        )
    return maps.shape[1]


def make(
    name: str = DEFAULT,
    *,
    characteristics: Sequence[str],
    diseases: Sequence[str],
    pretrained: bool = True,
    batch_normalisation: bool = False,
) -> DermX:
    """Return an untrained DermX in evaluation mode; new weights are drawn from torch's global generator.

    Parameters
    ----------
    name
        Of the backbone, as of `medxai.models.architectures.known`: ours, or ``timm:NAME`` such as ``timm:resnet50``
        and ``timm:efficientnet_b2``, the paper's.
    characteristics, diseases, batch_normalisation
        As of `DermX`.
    pretrained
        Whether the backbone has weights of ImageNet, from where `medxai.models.weights.pretrained` finds them.

    Raises
    ------
    UnsupportedModel, ValueError, DataError
        In one sentence, if the network is not timm's or gives no feature maps; if there is none of this name; if
        its weights are not to be had.
    """
    architecture = known(name)
    if architecture.source != "timm":
        raise UnsupportedModel(f"{name} is a network of {architecture.source}: expected {DEFAULT} or timm:NAME")
    if pretrained:
        found = weights.pretrained(name)
        network, origin = found.network, found.origin
    else:
        network, origin = build(architecture), f"{architecture.paper_name} with random weights"
    model = DermX(network, characteristics, diseases, origin=origin, batch_normalisation=batch_normalisation)
    return model.eval()


def at_stride_16(network: nn.Module) -> nn.Module:
    """Return a copy of a network of timm whose last maps are twice as fine, with the same weights.

    Its last stage moves by one pixel instead of two, and its filters look at every second one (dilation): 16 pixels of
    the image to one of the maps, in place of 32.

    Raises
    ------
    UnsupportedModel
        If timm cannot build it so.
    """
    import timm

    name = (getattr(network, "pretrained_cfg", None) or {}).get("architecture", "")
    try:
        finer = timm.create_model(name, num_classes=getattr(network, "num_classes", 0), output_stride=16)
        finer.load_state_dict(network.state_dict())
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise UnsupportedModel(f"timm has no {name or type(network).__name__} with maps of stride 16") from error
    return finer.train(network.training)


def load(model: DermX, path: Path | str) -> DermX:
    """Fill a network with the weights of a file, as ``torch.save(model.state_dict(), path)`` writes it; return it.

    Raises
    ------
    DataError
        In one sentence, if the file is not there, damaged, of another architecture or of other names.
    """
    state = weights.read(Path(path))
    names = state.get("names")
    if names is not None and names.dtype == torch.uint8 and not torch.equal(names, model.names.cpu()):
        told = bytes(names.flatten().tolist()).decode(errors="replace")
        raise DataError(f"the weights in {path} are for {told}: expected {model._told()}")
    weights.fill(model, state, f"the weights in {path} are not those of this DermX")
    return model
