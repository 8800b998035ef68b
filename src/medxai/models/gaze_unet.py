"""A classifier with a decoder that draws where a radiologist looks: the U-Net of the gaze-supervised models.

As Karargyris et al. 2021, "Creation and validation of a chest X-ray dataset with eye-tracking and report dictation for
AI development", Scientific Data 8:92: an encoder, a classification head on its last maps (the bottleneck) and a decoder
of one channel. Parts are those of segmentation_models_pytorch; without decoder it is the paper's plain classifier.

Encoders of timm are taken from timm itself (smp's prefix ``tu-``). smp has an EfficientNet-Lite0 of its own, into which
the weights of TensorFlow fit by name; but it pads both sides of an image alike and adds 1e-5 to variances where
these weights were trained with TensorFlow's padding and 1e-3, so that its last maps are other maps.
"""

from typing import NamedTuple

from torch import Tensor, nn

from medxai.errors import UnsupportedModel
from medxai.models import weights
from medxai.models.architectures import DEFAULT, known, normalisation_of
from medxai.models.normalisation import Normalisation

SIDE = 128
"""Of images in pixels, unless asked for otherwise; the public program has 224. Sides are multiples of `STRIDE`."""
STRIDE = 32
DROPOUT = 0.5
DECODER = (128, 64, 32, 16, 8)
"""Channels from coarse to fine: half of smp's, which cost more than five times as much as the encoder."""


class GazeOutput(NamedTuple):
    """What a network says of n images."""

    class_logits: Tensor
    """(n, classes), each before its own sigmoid."""
    gaze_logits: Tensor | None
    """(n, height, width), before the sigmoid; ``None`` if not asked for, or without decoder."""


class Classifier(nn.Module):
    """The encoder and the head on its last maps: what methods explain. Images (n, 3, h, w) to logits (n, classes)."""

    def __init__(self, encoder: nn.Module, head: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder, self.head, self.classes = encoder, head, classes

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images)[-1])


class GazeUNet(nn.Module):
    """A classifier, and on the same encoder a decoder of one channel. `make` builds one.

    Attributes
    ----------
    classifier
        Of the same weights: explain this.
    decoder
        ``None`` in a model without segmentation.
    normalisation, origin
        What the network wants of its images, and which weights it started from, a part of a sentence.
    """

    def __init__(
        self, classifier: Classifier, decoder: nn.Module | None, normalisation: Normalisation, origin: str = ""
    ) -> None:
        super().__init__()
        self.classifier, self.decoder = classifier, decoder
        self.normalisation, self.origin = normalisation, origin

    def forward(self, images: Tensor, *, gaze: bool = True) -> GazeOutput:
        """Return the logits of the classes and, if asked for, those of the gaze.

        Parameters
        ----------
        images
            (n, 3, height, width), as `normalisation` makes them; sides that are multiples of `STRIDE`.
        gaze
            Whether to run the decoder.

        Raises
        ------
        ValueError
            If a side is no multiple of `STRIDE`.
        """
        if any(side % STRIDE for side in images.shape[2:]):
            raise ValueError(
                f"images have {images.shape[2]} x {images.shape[3]} pixels: expected multiples of {STRIDE}"
            )
        features = self.classifier.encoder(images)
        logits = self.classifier.head(features[-1])
        return GazeOutput(logits, self.decoder(features) if gaze and self.decoder is not None else None)


class Decoder(nn.Module):
    """smp's decoder and its last convolution: maps of all sizes to logits (n, height, width)."""

    def __init__(self, decoder: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.decoder, self.last = decoder, last

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.last(self.decoder(features))[:, 0]


def make(name: str = DEFAULT, *, classes: int, decoder: bool = True, pretrained: bool = True) -> GazeUNet:
    """Return an untrained network in evaluation mode; new weights are drawn from torch's global generator.

    Parameters
    ----------
    name
        Of the encoder, as of `medxai.models.architectures.known`: ours, ``timm:efficientnet_b0``, the paper's, another
        of timm, or a ResNet of torchvision such as ``resnet18``, which has no activation but ReLU.
    classes
        Number of logits, at least 2.
    decoder
        Whether to have one. The other new weights are the same with and without.
    pretrained
        Whether the encoder has weights of ImageNet, from where `medxai.models.weights.pretrained` finds them.

    Raises
    ------
    UnsupportedModel, ValueError, DataError
        In one sentence, if smp has no encoder of this network; if there is no network of this name; if its weights are
        not to be had.
    """
    import segmentation_models_pytorch as smp  # a second, and only for those who need it

    architecture = known(name)
    if classes < 2:
        raise ValueError(f"classes is {classes}: expected at least 2")
    encoder_name = f"tu-{architecture.source_name}" if architecture.source == "timm" else architecture.source_name
    head = {"classes": classes, "dropout": DROPOUT}
    try:
        unet = smp.Unet(encoder_name, encoder_weights=None, decoder_channels=DECODER, aux_params=head)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsupportedModel(f"{name} is no encoder of a U-Net: expected {DEFAULT}, timm:NAME or resnet18") from error
    nn.init.normal_(unet.classification_head[-2].weight, std=0.01)  # else a guess at first, of logits of 4 and more
    origin = f"{architecture.paper_name} with random weights"
    if pretrained:
        origin = _fill(unet.encoder, name)
    part = Decoder(unet.decoder, unet.segmentation_head) if decoder else None
    classifier = Classifier(unet.encoder, unet.classification_head, classes)
    return GazeUNet(classifier, part, normalisation_of(name), origin).eval()


def _fill(encoder: nn.Module, name: str) -> str:
    """Fill an encoder with weights of ImageNet, all but those of the layers behind it; return their origin."""
    found = weights.pretrained(name)
    own = getattr(encoder, "model", encoder)  # smp keeps a network of timm in there
    there = own.state_dict().keys()
    state = {key: value for key, value in found.network.state_dict().items() if key in there}
    weights.fill(own, state, f"the weights of {name} do not fit the encoder")
    return found.origin
