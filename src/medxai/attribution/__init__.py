"""Explanations of image classifiers: one call for every map, one table of the methods, one of the controls."""

import torch
from torch import Tensor, nn

from medxai.attribution import _inputs
from medxai.attribution.controls import CONTROLS
from medxai.attribution.registry import METHODS, Method
from medxai.attribution.rollout import attention_rollout
from medxai.errors import NotFinite

__all__ = ["CONTROLS", "METHODS", "Method", "attention_rollout", "explain"]


def explain(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    method: str,
    *,
    layer: str | nn.Module | None = None,
    **options: object,
) -> Tensor:
    """Return a map for each image: how much each pixel speaks for the target.

    The logit of the target is explained. The model runs in evaluation mode; its modes, weights, gradients and hooks are
    afterwards as before, after an exception too. An image gets the same map alone and in a batch, and the same
    generator's seed gives the same map.

    Parameters
    ----------
    model
        Takes ``images`` and returns logits (n, classes), float32 or float64.
    images
        (n, channels, height, width), normalised as for training, of the model's dtype and on its device.
    target
        The class: one for all images, or integers (n,).
    method
        A name in `METHODS` of kind ``map``, or in `CONTROLS`, whose maps are made without the model: they do not run
        it, and so cannot tell whether it has the target's class.
    layer
        Name or module, for methods that look at one; the last that gives maps of more than one pixel without it.
    **options
        Options of the method (``METHODS[method].options``), named alike everywhere: ``baseline`` (broadcast to the
        images), ``steps``, ``samples``, ``generator``.

    Returns
    -------
    Tensor
        (n, height, width), dtype of the images. Channels are summed, of saliency their maximum is taken.

    Raises
    ------
    ValueError
        In one sentence, for an argument that is not what it should be; as `NotFinite` if a map holds NaN or infinity.
    UnsupportedModel
        If the method is not defined on this model; it names the layer and says why.
    """
    found = METHODS.get(method) or CONTROLS.get(method)
    if found is None or found.kind != "map":
        maps = ", ".join(name for name, one in METHODS.items() if one.kind == "map")
        why = "unknown" if found is None else f"made by {found.path}, as a table and no map"
        raise ValueError(f"method {method!r} is {why}: expected one of {maps}, or a control, {', '.join(CONTROLS)}")
    if layer is not None:
        options["layer"] = layer
    for name in options:
        if name not in found.options:
            raise ValueError(f"option {name!r} is unknown to {method}: expected {', '.join(found.options) or 'none'}")
    for name, required in found.options.items():
        if required and name not in options:
            raise ValueError(f"{method} needs the option {name!r}: see {found.path}")
    with _inputs.prepared(model, images, target) as (checked, targets):
        if found.family == "propagation":  # the engine takes logits and targets as they come
            with torch.no_grad():
                _inputs.scores(model, checked, targets)
        values = found.function(model, checked, targets, **options).detach()
        maps = values.amax(1) if found.over_channels == "max" else values.sum(1)
        for image, one in enumerate(maps):
            if wrong := int((~one.isfinite()).sum()):
                raise NotFinite(f"{method}: the map of image {image} is not finite at {wrong} of {one.numel()} pixels")
        return maps
