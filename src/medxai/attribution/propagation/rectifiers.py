"""Guided backpropagation and deconvnet: the derivative with another rule at each rectifier."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from medxai.attribution.propagation.coefficients import gain, is_rectifier, slope
from medxai.attribution.propagation.engine import Propagation, Trace, explaining
from medxai.attribution.propagation.operations import Call

Rectify = Literal["relu", "gate"]

_GATED = frozenset({"silu", "gelu", "mish", "hardswish"})
"""Activations z * gate(z) with a gate that rises from 0 to 1."""
_SQUASHING = frozenset({"sigmoid", "hardsigmoid", "tanh"})


def guided_backpropagation(
    model: nn.Module, images: Tensor, target: int | Tensor, *, rectify: Rectify = "relu", create_graph: bool = False
) -> Tensor:
    """Return the derivative of the target's logit, rectified at every ReLU on its way back.

    `g_in = 1[z > 0] * max(g_out, 0)` at each ReLU (Springenberg et al. 2015, "Striving for simplicity", figure 1); all
    else has its plain derivative. ReLU6 lets pass where 0 < z < 6.

    Parameters
    ----------
    model
        Network in evaluation mode, images to logits (n, classes).
    images
        Batch (n, c, h, w), floating point.
    target
        Class of all images, or of each, (n,).
    rectify
        "relu": rectify at ReLU and ReLU6, and refuse where the network has none or another activation in their place.
        "gate": our extension to SiLU, GELU, Mish and Hardswish. They are z * gate(z), as ReLU is with the gate
        1[z > 0], so that `g_in = gate(z) * max(g_out, 0)`.
    create_graph
        Keep the graph, to differentiate the result.

    Returns
    -------
    Tensor
        Signed map (n, c, h, w), in units of logit by image.

    Raises
    ------
    UnsupportedModel
        If the definition has nothing to say about an activation, naming it.
    """
    with explaining(model, images, target, create_graph) as (images, target):
        return _Rectified(model, rectify, guided=True, create_graph=create_graph).propagate(images, target)


def deconvnet(
    model: nn.Module, images: Tensor, target: int | Tensor, *, rectify: Rectify = "relu", create_graph: bool = False
) -> Tensor:
    """Return the deconvolutional network's reconstruction, without a look at the activations' signs.

    `g_in = max(g_out, 0)` at each ReLU, max-pooling by the switches of the forward pass (Zeiler and Fergus 2014,
    section 2.1). Parameters, result and errors are those of `guided_backpropagation`; with rectify "gate" the gate,
    too, is left out.
    """
    with explaining(model, images, target, create_graph) as (images, target):
        return _Rectified(model, rectify, guided=False, create_graph=create_graph).propagate(images, target)


class _RectifiedGradient(torch.autograd.Function):
    """The identity, with a gradient that is rectified."""

    @staticmethod
    def forward(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent.view_as(tangent)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(min=0)


class _Rectified(Propagation):
    def __init__(self, model: nn.Module, rectify: Rectify, guided: bool, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        if rectify not in ("relu", "gate"):
            raise ValueError(f"rectify is {rectify!r}: expected 'relu' or 'gate'")
        self.rectify, self.guided, self.rectified = rectify, guided, False
        self.method = "guided backpropagation" if guided else "deconvnet"

    def propagate(self, images: Tensor, target: int | Tensor) -> Tensor:
        result = super().propagate(images, target)
        if not self.rectified:
            self.refuse("output", "comes without any ReLU before it, so that the method is not defined")
        return result

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Tensor:
        tangent = self.tangent(origin, call.name)
        if call.name in _SQUASHING:
            return slope(call) * tangent
        if is_rectifier(call):
            gate = slope(call)
        elif call.name in _GATED and self.rectify == "gate":
            gate = gain(call, output)
        else:
            advice = "; rectify='gate' opts in to an extension" if call.name in _GATED else ""
            self.refuse(call.name, f"stands where a ReLU would: the method is not defined for it{advice}")
        self.rectified = True
        return _RectifiedGradient.apply(gate * tangent if self.guided else tangent)

    def product(self, call: Call, origins: list[Trace]) -> Tensor:
        one, other = origins
        if _made_of(one, other) or _made_of(other, one):
            self.refuse(call.name, "makes an activation of a tensor and of itself, for which the method is not defined")
        (a, b), (a_tangent, b_tangent) = call.signals, self.tangents(call, origins)
        return call.apply([a_tangent, b]) + call.apply([a, b_tangent])


def _made_of(one: Trace, other: Trace) -> bool:
    """Tell whether a tensor is a function of another value by value, as the gate of SiLU written by hand is."""
    while one is not None:
        if one is other:
            return True
        one = one.source
    return False
