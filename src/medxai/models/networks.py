"""The one place that loads a network by name, with weights of ImageNet or of one's own."""

from pathlib import Path

from torch import nn

from medxai.models.architectures import CLASSES, DEFAULT, build, known, normalisation_of, noted
from medxai.models.weights import fill, pretrained, read

__all__ = ["DEFAULT", "load", "normalisation_of"]


def load(name: str = DEFAULT, classes: int | None = None, weights: Path | str | None = None) -> nn.Module:
    """Return a network in evaluation mode that takes images (n, 3, h, w) and gives logits (n, classes).

    Parameters
    ----------
    name
        As of `medxai.models.architectures.known`, such as ``resnet50``, ``torchvision:NAME`` or ``timm:NAME``.
    classes
        Number of logits, if not that of the public weights; it needs ``weights``, since an untrained head has nothing
        to explain.
    weights
        File of weights (`medxai.models.weights.read`); else those that `medxai.models.weights.pretrained` finds.

    Raises
    ------
    ValueError, DataError
        In one sentence, if there is no such network; if the weights are not to be had, or are another network's.
    """
    architecture = known(name)
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        raise ValueError(f"classes is {classes!r}: expected a number of at least 1")
    if weights is not None:
        network = build(architecture, classes)
        fill(network, read(Path(weights)), f"the weights in {weights} are not those of this {name}")
        return network.eval()
    there = noted(architecture).get("num_classes") or CLASSES
    if classes not in (None, there):
        raise ValueError(
            f"classes is {classes}, and the public weights of {name} are for {there}: "
            "give a file of weights that you trained"
        )
    return pretrained(name).network
