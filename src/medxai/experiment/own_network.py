"""A network of one's own: checked, and what it says of one's images."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import suite
from medxai.models.networks import normalisation_of
from medxai.models.normalisation import Normalisation


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A copy of somebody's network, in float32 and evaluation mode, and the class to explain for each image."""

    network: nn.Module
    described: str
    """Its class and size, in words."""
    normalisation: Normalisation
    classes: tuple[str, ...]
    multi_label: bool
    """Whether classes are findings that do not exclude each other."""
    probabilities: np.ndarray
    """float64 (n, classes); they sum to 1 over classes that exclude each other."""
    targets: np.ndarray
    """int (n,)."""


def checked(
    model: nn.Module,
    images: LabelledImages,
    *,
    target: int | Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    multi_label: bool = False,
) -> OwnNetwork:
    """Return a copy of a model that gives the images finite logits; parameters as of `medxai.studies.your_data`.

    Raises
    ------
    ValueError
        In one sentence, for an argument that is not what it should be.
    """
    network = copy.deepcopy(model).float().eval().requires_grad_(False)
    wanted = normalisation_of(model) if normalise is None else _checked_normalisation(normalise)
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    logits = _logits(network, wanted.apply(images.pictures).contiguous().to(device))
    number = logits.shape[1]
    multi_label = multi_label or number == 1  # a softmax of one logit is 1, whatever the image
    probabilities = suite.probabilities(logits.double(), multi_label).cpu().numpy()
    kind = "finding" if multi_label else "class"
    names = tuple(f"{kind} {i}" for i in range(number)) if classes is None else tuple(classes)
    if len(names) != number:
        raise ValueError(f"classes are {len(names)} names: expected {number}, one for each logit of the model")
    targets = _targets(target, probabilities)
    return OwnNetwork(network, _described(model), wanted, names, multi_label, probabilities, targets)


def _checked_normalisation(normalise: tuple) -> Normalisation:
    mean, deviation = (tuple(float(value) for value in values) for values in normalise)
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
        raise ValueError(f"normalise is {normalise}: expected three means and three standard deviations above 0")
    return Normalisation(mean, deviation)


def _logits(network: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        try:
            logits = [network(one[None].clone()) for one in pixels]
        except Exception as error:  # whatever a network raises that cannot take the images
            size, said = f"{pixels.shape[-2]} x {pixels.shape[-1]}", str(error).partition("\n")[0].rstrip(".")
            raise ValueError(f"the model fails on an image of {size} pixels: {type(error).__name__}: {said}") from error
    first = logits[0]
    if not isinstance(first, Tensor) or first.ndim != 2 or len(first) != 1 or not first.numel():
        found = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
        raise ValueError(f"the model returns {found} for one image: expected logits (1, classes)")
    logits = torch.cat(logits)
    if not logits.isfinite().all():
        raise ValueError("the model's logits are not finite: expected finite ones")
    return logits


def _targets(target: int | Sequence[int] | None, probabilities: np.ndarray) -> np.ndarray:
    images, classes = probabilities.shape
    targets = probabilities.argmax(1) if target is None else np.asarray(target)
    targets = np.full(images, targets) if targets.ndim == 0 else targets
    wrong = targets.shape != (images,) or targets.dtype.kind not in "iu"
    if wrong or targets.min() < 0 or targets.max() >= classes:
        raise ValueError(
            f"target is {target}: expected a class from 0 to {classes - 1}, for all images or for each of {images}"
        )
    return targets


def _described(model: nn.Module) -> str:
    known = (getattr(model, "pretrained_cfg", None) or {}).get("architecture") or type(model).__name__
    return f"{known}, {sum(weight.numel() for weight in model.parameters()):,} parameters"
