"""Class activation maps: maps of a layer, weighed by what the score makes of them.

`cam`, `grad_cam` and `grad_cam_plus_plus` return ``{layer: (n, h, w)}`` at each layer's own size, all layers from one
forward and one backward pass, after a forward pass of the first image that finds where their pixels are; what runs
before the first layer stays outside of the graph, and no gradient of a weight is computed. Layers are names or modules,
or `feature_maps.Layout` by name, which spares the pass of the first image; without any, the last that gives maps. If
the network changes a layer's output in place, as the ReLU behind VGG's convolutions does, the maps are the changed
ones.

Their target is a class for all images, integers (n,), or a function that chooses these from the logits (n, classes) of
the same pass, so that to explain what the network predicts takes no pass more; None chooses the predicted class.

All raise `ValueError` as `_inputs.prepared`, `_inputs.scores` and `feature_maps.named_layers` do, and
`UnsupportedModel` for a model without convolution.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from medxai.attribution import _inputs, feature_maps
from medxai.attribution.feature_maps import Layers
from medxai.attribution.propagation.rectifiers import Rectify, guided_backpropagation
from medxai.errors import UnsupportedModel
from medxai.models.concept_cams import concept_cams  # noqa: F401 - a network that explains itself needs it, too

Target = int | Tensor | _inputs.Choice | None


def predicted(logits: Tensor) -> Tensor:
    """Return the class of the greatest logit for each image, integers (n,)."""
    return logits.argmax(1)


@contextmanager
def _prepared(model: nn.Module, images: Tensor, target: Target) -> Iterator[tuple[Tensor, Tensor | _inputs.Choice]]:
    """As `_inputs.prepared`, but a target that the logits are to choose stays a function."""
    choice = predicted if target is None else target
    if not callable(choice):
        with _inputs.prepared(model, images, choice) as checked:
            yield checked
    else:
        with _inputs.prepared(model, images) as (images, _):
            yield images, choice


def grad_cam(model: nn.Module, images: Tensor, target: Target, layers: Layers = None) -> dict[str, Tensor]:
    """Return Grad-CAM: maps weighed by their mean gradient, rectified (Selvaraju et al. 2017, eq. 1 and 2)."""
    with _prepared(model, images, target) as (images, target):
        found = feature_maps.maps_and_gradients(model, images, target, feature_maps.named_layers(model, images, layers))
        return {name: _weighed(maps, slope.mean((2, 3))).relu_() for name, (maps, slope) in found.items()}


def grad_cam_plus_plus(
    model: nn.Module,
    images: Tensor,
    target: Target,
    layers: Layers = None,
    *,
    divided: bool = True,
    bfloat16: bool = False,
) -> dict[str, Tensor]:
    r"""Return Grad-CAM++ (Chattopadhay et al. 2018, eq. 19) of the exponential of the logit.

    With :math:`Y = e^y` and a network of piecewise linear pieces, the derivatives of order 2 and 3 of :math:`Y` are
    :math:`Y g^2` and :math:`Y g^3`, where :math:`g = \partial y / \partial A`. In equation 19 :math:`Y` and
    :math:`g^2` cancel:

    .. math:: \alpha_{ij} = \frac{g_{ij}^2}{2 g_{ij}^2 + \sum_{ab} A_{ab}\, g_{ij}^3}
              = \frac{1}{2 + \sum_{ab} A_{ab}\, g_{ij}},
              \qquad w = \sum_{ij} \alpha_{ij}\, \mathrm{ReLU}(g_{ij})

    so that nothing can underflow and no epsilon is needed. Where :math:`g` is negative the weight is zero whatever
    :math:`\alpha` is. The map is that of :math:`Y`, divided by :math:`Y`. Maps that are negative on the whole can bring
    the denominator to zero: that is in the equation.

    Parameters
    ----------
    divided
        False takes the numerator :math:`g^2` alone for :math:`\alpha`, as torchcam does: it divides a copy and drops
        it, in 0.4.0 and 0.5.0 at least. It is here to say of results that were computed with torchcam whether they hold
        for the equation. Where gradients are tiny its maps are darker than these once scaled, since it scales them by
        their range plus 1e-8.
    bfloat16
        Compute convolutions in 16 bits: on a processor made for it about half the time. Maps of ResNet18's blocks,
        scaled to 255 grey levels, then differ by a root mean square of about 1 in a network as initialised
        (``benchmarks/cam.json``), of up to 14 in one with random biases at 64 px: measure it on yours.

    Notes
    -----
    For many images, `medxai.models.folding.folded` gives a copy of the model that is faster still.
    """
    with _prepared(model, images, target) as (images, target):
        modules = feature_maps.named_layers(model, images, layers)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            found = feature_maps.maps_and_gradients(model, images, target, modules)
        return {
            name: _grad_cam_plus_plus(maps.to(images.dtype), slope.to(images.dtype), divided)
            for name, (maps, slope) in found.items()
        }


def _grad_cam_plus_plus(maps: Tensor, slope: Tensor, divided: bool) -> Tensor:
    rising = slope.relu()
    if divided:
        rising /= torch.addcmul(rising.new_tensor(2), rising, maps.sum((2, 3), keepdim=True))
    else:
        rising.pow_(3)
    return _weighed(maps, rising.sum((2, 3))).relu_()


def cam(model: nn.Module, images: Tensor, target: Target, layers: Layers = None) -> dict[str, Tensor]:
    """Return class activation maps: maps weighed by the weights of the last layer (Zhou et al. 2016, eq. 2).

    The weights are those of the target, and the maps keep their sign, as in the paper; their mean is the logit without
    its bias. Maps that are rectified after the layer, as DenseNet's, are rectified here too.

    Raises
    ------
    UnsupportedModel
        If the logits are not a linear layer of the layer's mean maps: the method is defined for no other network.
    """
    with _prepared(model, images, target) as (images, target), torch.no_grad():
        layers = feature_maps.named_layers(model, images, layers)
        with feature_maps.recorded(layers) as outputs:
            logits = model(images.clone())
        target = _inputs.chosen(target, logits, model, images)
        _inputs.scores_of(logits, model, target)
        weight, bias = _head(model, logits.shape[1])
        maps = {name: layer.layout.maps(outputs[name]) for name, layer in layers.items()}
        return {name: _class_maps(name, maps[name], weight, bias, logits, target) for name in layers}


def _head(model: nn.Module, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (classes, k) and biases of the last layer: linear, or a convolution of one pixel as timm's."""
    last = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    weight = last.weight.flatten(1)
    if len(weight) != classes:
        raise UnsupportedModel(
            f"the last layer has {len(weight)} outputs and the model {classes}: CAM needs its weights"
        )
    return weight, weight.new_zeros(classes) if last.bias is None else last.bias


def _class_maps(name: str, maps: Tensor, weight: Tensor, bias: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    if maps.shape[1] == weight.shape[1]:
        close = 1e-4 * logits.abs().max() + 1e-6
        for one in (maps, maps.relu()):
            if (one.mean((2, 3)) @ weight.T + bias - logits).abs().max() <= close:
                return _weighed(one, weight[target])
    raise UnsupportedModel(
        f"the logits are not a linear layer of the mean of the maps of {name!r}: CAM is not defined there, Grad-CAM is"
    )


def guided_grad_cam(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    layer: str | nn.Module | None = None,
    rectify: Rectify = "relu",
) -> Tensor:
    """Return guided backpropagation times Grad-CAM at the size of the image (Selvaraju et al. 2017, section 3.2).

    Returns (n, channels, height, width). Options are those of guided backpropagation, which raises `UnsupportedModel`
    for a network without ReLU.
    """
    coarse = grad_cam_map(model, images, target, layer=layer)
    return guided_backpropagation(model, images, target, rectify=rectify) * coarse


def cam_map(model: nn.Module, images: Tensor, target: int | Tensor, *, layer: str | nn.Module | None = None) -> Tensor:
    """Return `cam` of one layer, (n, 1, height, width), resized bilinearly to the images."""
    return _at_input_size(cam(model, images, target, layer), images)


def grad_cam_map(
    model: nn.Module, images: Tensor, target: int | Tensor, *, layer: str | nn.Module | None = None
) -> Tensor:
    """Return `grad_cam` of one layer, (n, 1, height, width), resized bilinearly to the images."""
    return _at_input_size(grad_cam(model, images, target, layer), images)


def grad_cam_plus_plus_map(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    layer: str | nn.Module | None = None,
    bfloat16: bool = False,
) -> Tensor:
    """Return `grad_cam_plus_plus` of one layer, (n, 1, height, width), resized bilinearly to the images."""
    return _at_input_size(grad_cam_plus_plus(model, images, target, layer, bfloat16=bfloat16), images)


def _at_input_size(maps: dict[str, Tensor], images: Tensor) -> Tensor:
    if len(maps) != 1:
        raise ValueError(f"layer names {len(maps)} layers: expected one")
    (one,) = maps.values()
    return feature_maps.resized(one[:, None], images)


def _weighed(maps: Tensor, weights: Tensor) -> Tensor:
    """Sum over channels of maps (n, k, h, w) times weights (n, k)."""
    return torch.einsum("nk,nkhw->nhw", weights, maps)
