r"""The eight gaze-supervised models, and their losses.

A network gives logits of the classes and, by its decoder, a gaze map :math:`P`. From the gradient of its own
class logit a second map is **derived** in the step, :math:`H`, by guided backpropagation or by deconvnet, and with
the radiologist's gaze :math:`G` the loss is

.. math:: L = L_\mathrm{class} + \lambda\,[a\,\ell(P, G) + b\,\ell(P, H) + c\,\ell(H, G)]

with a binary cross entropy :math:`\ell`. `MODELS` says which of a, b and c are not 0 in which model: the paper's sets
1, 2 and 3, the U-Net baseline and the model without segmentation. The gradient of the loss passes through :math:`H`
to the weights, which takes a second derivative. `Choices` are what the paper does not print.

**Batch normalisation and dropout.** The logits and :math:`P` are computed as always in training, by the statistics of
the batch and with dropout. :math:`H` comes from a second pass in evaluation mode: running statistics, no dropout. So
the map that is trained is the map that will be looked at, and that of an image does not depend on the other images of
its step. The pass does not change the running statistics, and they are constants in its gradient. Nothing then holds
the size of the gradient, but scaling to [0, 1] takes it out.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation
from medxai.models.gaze_unet import GazeOutput
from medxai.training.guidance import pixel_cross_entropy
from medxai.training.small_images import binary

GENERATORS = {"guided_backpropagation": guided_backpropagation, "deconvnet": deconvnet}
PIXELS = (1, 2)
FAINT = 1e-12
"""Range of a map below which it is not blown up to [0, 1]."""


@dataclass(frozen=True)
class Choices:
    """What the paper leaves open, with our choice first and as default."""

    target: Literal["label", "prediction"] = "label"
    """Whose logit the map is derived from: the image's class, or the class of its greatest logit in this step."""
    channels: Literal["absolute", "positive", "signed"] = "absolute"
    """What becomes of the gradient's sum over the three channels, which of a grey image is the gradient by its grey."""
    scaling: Literal["range", "quantile"] = "range"
    """To [0, 1] from the least to the greatest value, or to the quantile 0.99, where it is cut."""
    cells: int | None = None
    """Average the map over so many cells a side, and enlarge it again; ``None`` for the pixels as they are."""
    reading: Literal["probability", "logit"] = "probability"
    """What `H` is to its cross entropy with the gaze (set 1 and 3). "BCE with logits" by the word takes a map in [0, 1]
    for logits, so that probabilities are at least 0.5, and black is best wherever the gaze is below one half."""
    moving: bool = True
    """Whether `H` learns, too, and not only the decoder from it (set 2)."""
    weight: float = 1.0
    """Lambda: how much the losses of maps count beside that of the classes."""


@dataclass(frozen=True)
class GazeModel:
    """One of the models that are compared."""

    title: str
    generator: Literal["guided_backpropagation", "deconvnet"] | None = None
    """What derives `H`; ``None`` where no loss needs it."""
    decoder: bool = True
    """Whether there is one, supervised or not."""
    decoder_to_gaze: float = 0.0  # a
    decoder_to_derived: float = 0.0  # b
    derived_to_gaze: float = 0.0  # c

    @property
    def uses_decoder(self) -> bool:
        """Whether a loss needs the decoder's map."""
        return bool(self.decoder_to_gaze or self.decoder_to_derived)


def _sets(generator: Literal["guided_backpropagation", "deconvnet"], title: str) -> dict[str, GazeModel]:
    return {
        f"set_1_{generator}": GazeModel(f"Set 1, {title}", generator, derived_to_gaze=1.0),
        f"set_2_{generator}": GazeModel(f"Set 2, {title}", generator, decoder_to_derived=1.0),
        f"set_3_{generator}": GazeModel(f"Set 3, {title}", generator, decoder_to_gaze=0.5, derived_to_gaze=0.5),
    }


MODELS: dict[str, GazeModel] = {
    "u_net": GazeModel("U-Net (baseline)", decoder_to_gaze=1.0),
    "classifier": GazeModel("Model without segmentation", decoder=False),
    **_sets("guided_backpropagation", "guided backpropagation"),
    **_sets("deconvnet", "deconvnet"),
}
"""The eight models. The share 0.5 of set 3 is ours: the paper calls it a hyper-parameter and prints no value."""


def derived_map(
    classifier: nn.Module,
    images: Tensor,
    target: Tensor,
    generator: str,
    choices: Choices,
    *,
    create_graph: bool = False,
) -> Tensor:
    """Return the map that a generator derives of a classifier, (n, height, width) in [0, 1].

    SiLU and its like are rectified as `medxai.attribution.propagation.rectifiers` extends the methods to them ("gate");
    ReLU as defined. A map without any range is 0 everywhere.

    Parameters
    ----------
    classifier
        Gives logits (n, classes); in whatever mode, it is run in evaluation mode and has its mode back afterwards.
    images, target
        (n, 3, height, width) and int (n,), the classes whose logits are explained.
    generator
        A key of `GENERATORS`.
    create_graph
        Keep the graph, so that a loss of the map has a gradient by the weights.
    """
    gradient = GENERATORS[generator](classifier, images, target, rectify="gate", create_graph=create_graph)
    signed = gradient.sum(1)
    maps = {"absolute": signed.abs, "positive": signed.relu, "signed": lambda: signed}[choices.channels]()
    if choices.cells is not None:
        coarse = functional.adaptive_avg_pool2d(maps[:, None], choices.cells)
        maps = functional.interpolate(coarse, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    least = maps.amin(PIXELS, keepdim=True)
    if choices.scaling == "range":
        greatest = maps.amax(PIXELS, keepdim=True)
    else:
        greatest = maps.flatten(1).quantile(0.99, dim=1)[:, None, None]
    return ((maps - least) / (greatest - least).clamp_min(FAINT)).clamp(max=1)


def losses(
    model: GazeModel, output: GazeOutput, derived: Tensor | None, labels: Tensor, gaze: Tensor, choices: Choices
) -> dict[str, Tensor]:
    """Return the loss of the classes, those of the maps that the model has, and their weighted "total".

    Parameters
    ----------
    output, derived
        What the network says, and the derived map (n, height, width) where the model has a generator.
    labels, gaze
        int (n,), and (n, height, width) in [0, 1].
    """
    found, maps = {"classification": binary(output.class_logits, labels)}, 0.0
    if model.decoder_to_gaze:
        found["decoder to gaze"] = functional.binary_cross_entropy_with_logits(output.gaze_logits, gaze)
        maps += model.decoder_to_gaze * found["decoder to gaze"]
    if model.decoder_to_derived:
        goal = derived if choices.moving else derived.detach()
        found["decoder to derived"] = functional.binary_cross_entropy_with_logits(output.gaze_logits, goal)
        maps += model.decoder_to_derived * found["decoder to derived"]
    if model.derived_to_gaze:
        found["derived to gaze"] = _derived_to_gaze(derived, gaze, choices)
        maps += model.derived_to_gaze * found["derived to gaze"]
    return found | {"total": found["classification"] + choices.weight * maps}


def _derived_to_gaze(derived: Tensor, gaze: Tensor, choices: Choices) -> Tensor:
    if choices.reading == "logit":
        return functional.binary_cross_entropy_with_logits(derived, gaze)
    return pixel_cross_entropy(derived[:, None], gaze[:, None]).mean()


def step_losses(
    network: nn.Module, model: GazeModel, images: Tensor, labels: Tensor, gaze: Tensor, choices: Choices
) -> dict[str, Tensor]:
    """Run a network as a step of training does, and return its `losses`, of which "total" is to be differentiated."""
    output = network(images, gaze=model.uses_decoder)
    derived = None
    if model.generator is not None:
        target = labels if choices.target == "label" else output.class_logits.detach().argmax(1)
        learns = torch.is_grad_enabled() and (choices.moving or bool(model.derived_to_gaze))
        derived = derived_map(network.classifier, images, target, model.generator, choices, create_graph=learns)
    return losses(model, output, derived, labels, gaze, choices)
