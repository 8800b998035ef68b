"""Layer-wise relevance propagation (LRP) and deep Taylor decomposition.

The rules work on a layer's inputs and their tangents, both (n, c, h, w), and on its outputs (n, k, h, w), to which the
bias (1, k, 1, 1) broadcasts; of a linear layer these are (..., c), (..., k) and (k,).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from medxai.attribution.propagation.coefficients import gain, is_rectifier, ratio, vanishes_at_zero
from medxai.attribution.propagation.engine import Affine, Propagation, Trace, explaining
from medxai.attribution.propagation.operations import KINDS, Call

_GATES = frozenset({"sigmoid", "hardsigmoid"})


def lrp_epsilon(
    model: nn.Module, images: Tensor, target: int | Tensor, *, epsilon: float = 1e-6, create_graph: bool = False
) -> Tensor:
    """Return each pixel's relevance for the target's logit by the epsilon rule.

    `R_i = sum_j a_i w_ij / (z_j + epsilon * sign(z_j)) R_j` (Bach et al. 2015, "On pixel-wise explanations", equation
    58), z_j with its bias, which takes its share. The rules of all other operations, here and in the other functions of
    this module: a batch normalisation, or another constant factor and shift, is merged with the convolution or linear
    layer before it, otherwise it is a layer of its own. Additions, concatenations and mean pooling pass relevance in
    proportion to the values, max-pooling to the winner, activations f(z) with f(0) = 0 whole: ReLU6, SiLU. In a product
    with a sigmoid, as in squeeze-and-excitation, the sigmoid is a gate: all relevance goes to the other factor (Arras
    et al. 2017, section 3.2; Ali et al. 2022).

    Parameters
    ----------
    model
        Network in evaluation mode, images to logits (n, classes).
    images
        Batch (n, c, h, w), floating point.
    target
        Class of all images, or of each, (n,).
    epsilon
        Stabiliser, at least 0, in units of the layers' outputs. At 0, on a network of ReLU, this is gradient x input.
    create_graph
        Keep the graph, to differentiate the result.

    Returns
    -------
    Tensor
        Signed relevance (n, c, h, w). Where no layer has a bias, and epsilon is 0, it sums to the logit.

    Raises
    ------
    UnsupportedModel
        If an operation has no rule, naming it.
    """
    _not_negative(epsilon=epsilon)
    with explaining(model, images, target, create_graph) as (images, target):
        return _Epsilon(model, epsilon, create_graph).propagate(images, target)


def lrp_gamma(
    model: nn.Module, images: Tensor, target: int | Tensor, *, gamma: float = 0.25, create_graph: bool = False
) -> Tensor:
    """Return each pixel's relevance for the target's logit by the gamma rule: what agrees with the output is favoured.

    `R_i = sum_j a_i (w_ij + gamma max(w_ij, 0)) / sum_i a_i (w_ij + gamma max(w_ij, 0)) R_j` (Montavon et al. 2019,
    "Layer-wise relevance propagation: an overview", section 10.2.1). For inputs and outputs of either sign, of which
    that form knows nothing, the generalised rule (Andeol et al. 2021): contributions `a_i w_ij`, and the bias, are
    weighted by 1 + gamma where their sign is that of z_j.

    Parameters, result and errors are those of `lrp_epsilon`, with `gamma`, at least 0, in place of epsilon.
    """
    _not_negative(gamma=gamma)
    with explaining(model, images, target, create_graph) as (images, target):
        return _Gamma(model, gamma, create_graph).propagate(images, target)


def lrp_alpha_beta(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 1.0,
    create_graph: bool = False,
) -> Tensor:
    """Return each pixel's relevance for the target's logit, positive and negative contributions treated apart.

    `R_i = sum_j (alpha (a_i w_ij)+ / z_j+ - beta (a_i w_ij)- / z_j-) R_j` with alpha - beta = 1 (Bach et al. 2015,
    equation 60); z_j+ and z_j- hold the bias of their sign. Where a neuron has contributions of one sign only, which
    the equation leaves undefined, these take all relevance, so that it is conserved.

    Parameters, result and errors are those of `lrp_epsilon`, with `alpha` and `beta`, at least 0, in place of epsilon.
    """
    _not_negative(alpha=alpha, beta=beta)
    if abs(alpha - beta - 1) > 1e-6:
        raise ValueError(f"alpha - beta is {alpha - beta:g}: expected 1, as else relevance is not conserved")
    with explaining(model, images, target, create_graph) as (images, target):
        return _AlphaBeta(model, alpha, beta, create_graph).propagate(images, target)


def deep_taylor(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    low: Tensor | float = 0.0,
    high: Tensor | float = 1.0,
    create_graph: bool = False,
) -> Tensor:
    """Return each pixel's relevance for the target's logit by deep Taylor decomposition.

    The z+ rule in hidden layers and the zB rule in the first (Montavon et al. 2017, "Explaining nonlinear
    classification decisions with deep Taylor decomposition", table 1):

        R_i = sum_j a_i w_ij+ / (sum_i a_i w_ij+) R_j
        R_i = sum_j (x_i w_ij - l_i w_ij+ - h_i w_ij-) / (sum_i x_i w_ij - l_i w_ij+ - h_i w_ij-) R_j

    No bias is in these fractions: the paper asks for biases that are not positive. Those of real networks, merged batch
    normalisation included, are of either sign, and take no relevance here either. Only a neuron that is active by its
    bias alone, all its inputs being zero, keeps its relevance; where there is none, the map sums to the logit.

    The paper's inputs of hidden layers are not negative. Where they are, after a skip addition or a linear layer
    without ReLU, `a_i w_ij+` is read as the positive contributions, `max(a_i w_ij, 0)`; a neuron without any passes its
    relevance in proportion to the negative ones. Other operations are as in `lrp_epsilon`. What comes before the first
    convolution or linear layer, such as the normalisation of images, moves the bounds of pixels along.

    Parameters
    ----------
    low, high
        Least and largest value that a pixel can have, broadcastable to `images`.
    model, images, target, create_graph
        As of `lrp_epsilon`.

    Returns
    -------
    Tensor
        Relevance (n, c, h, w), nowhere negative if the logit and all layers' inputs are not.

    Raises
    ------
    UnsupportedModel
        If an activation is not ReLU, ReLU6 or another clipped ReLU, for which the decomposition was derived, naming it.
    ValueError
        If a pixel is outside `low` and `high`.
    """
    with explaining(model, images, target, create_graph) as (images, target):
        return _DeepTaylor(model, low, high, create_graph).propagate(images, target)


def _not_negative(**options: float) -> None:
    for name, value in options.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}: expected at least 0")


class _Relevance(Propagation):
    """What the rules of relevance have in common. The tangent transports relevance by activation, R / a."""

    def seed_tangent(self, images: Tensor, seed: Tensor) -> Tensor:
        return images * seed  # (n, c, h, w), so that the derivative by the seed is R = a * (R / a)

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Tensor | None:
        if call.name in _GATES:
            return None
        if not vanishes_at_zero(call):
            self.refuse(call.name, "is not zero at zero, so that relevance cannot pass it whole")
        return gain(call, output) * self.tangent(origin, call.name)

    def product(self, call: Call, origins: list[Trace]) -> Tensor:
        gates = [origin.operation in _GATES for origin in origins]
        if sum(gates) != 1:
            self.refuse(call.name, "is a product of two tensors of which not exactly one is a gate, a sigmoid's output")
        values = list(call.signals)
        signal = gates.index(False)
        values[signal] = self.tangent(origins[signal], call.name)
        return call.apply(values)


class _Epsilon(_Relevance):
    method = "LRP epsilon"

    def __init__(self, model: nn.Module, epsilon: float, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.epsilon = epsilon

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        passed = super().affine(layer, consumer)  # (n, k, h, w), as sign
        if self.epsilon == 0:
            return passed
        sign = torch.where(layer.output >= 0, 1, -1).to(layer.output.dtype)
        share = layer.output / (layer.output + self.epsilon * sign)
        if layer.axis is None:  # one input, and where there is no shift it takes all
            share = torch.where(layer.bias == 0, 1, share)
        return passed * share


class _Gamma(_Relevance):
    method = "LRP gamma"

    def __init__(self, model: nn.Module, gamma: float, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.gamma = gamma

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        positive, negative = layer.by_sign(layer.input)  # each from (n, c, h, w) to (n, k, h, w)
        up, bias = layer.output >= 0, layer.bias
        agreeing = torch.where(up, positive(layer.input) + bias.clamp(min=0), negative(layer.input) + bias.clamp(max=0))
        favoured = torch.where(up, positive(layer.tangent), negative(layer.tangent))
        passed = super().affine(layer, consumer) + self.gamma * favoured
        return ratio(layer.output, layer.output + self.gamma * agreeing, 1.0) * passed


class _AlphaBeta(_Relevance):
    method = "LRP alpha-beta"

    def __init__(self, model: nn.Module, alpha: float, beta: float, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.alpha, self.beta = alpha, beta

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        positive, negative = layer.by_sign(layer.input)  # each from (n, c, h, w) to (n, k, h, w)
        above = positive(layer.input) + layer.bias.clamp(min=0)  # (n, k, h, w), as all that follows
        below = negative(layer.input) + layer.bias.clamp(max=0)
        alpha = torch.where(below < 0, self.alpha, torch.ones_like(below))
        beta = torch.where(above > 0, self.beta, -torch.ones_like(above))
        return alpha * ratio(layer.output, above) * positive(layer.tangent) - beta * ratio(
            layer.output, below
        ) * negative(layer.tangent)


class _Box(NamedTuple):
    """The tangent of a tensor between the images and the first layer: distances from the bounds, and times the seed.

    All four are (n, c, h, w) at the images, and of the tensor's own shape after that."""

    from_low: Tensor
    from_high: Tensor
    seeded_low: Tensor
    seeded_high: Tensor

    def scaled(self, factor: Tensor) -> "_Box":
        """Return the distances of `factor * x + shift`: where a factor is negative, low and high change places."""
        up, down = factor.clamp(min=0), factor.clamp(max=0)
        pairs = ((self.from_low, self.from_high), (self.seeded_low, self.seeded_high))
        (low, high), (seeded_low, seeded_high) = (
            (up * one + down * other, up * other + down * one) for one, other in pairs
        )
        return _Box(low, high, seeded_low, seeded_high)


class _DeepTaylor(_Relevance):
    method = "deep Taylor decomposition"

    def __init__(self, model: nn.Module, low: Tensor | float, high: Tensor | float, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.low, self.high = low, high

    def seed_tangent(self, images: Tensor, seed: Tensor) -> _Box:
        from_low, from_high = images - self.low, images - self.high
        if (from_low < 0).any() or (from_high > 0).any():
            raise ValueError(
                f"pixels from {images.min():g} to {images.max():g} leave the range from low to high: expected the "
                "least and the largest value that a pixel can have"
            )
        return _Box(from_low, from_high, from_low * seed, from_high * seed)

    def linear(self, call: Call) -> Tensor | _Box:
        if not any(isinstance(tangent, _Box) for tangent in call.tangents):
            return super().linear(call)
        if not all(isinstance(tangent, _Box) for tangent in call.tangents):
            self.refuse(call.name, "joins the images with what comes after the first layer")
        box = _Box(*(call.linear_part(parts) for parts in zip(*call.tangents, strict=True)))
        if (box.from_low < 0).any() or (box.from_high > 0).any():
            self.refuse(call.name, "moves pixels out of the range that they can have, before the first layer")
        return box

    def tangent(self, trace: Trace, operation: str) -> Tensor | _Box:
        tangent = super().tangent(trace, operation)
        if isinstance(tangent, _Box) and KINDS.get(operation) in {"activation", "max_pool", None}:
            self.refuse(operation, "comes before the first layer")
        return tangent

    def product(self, call: Call, origins: list[Trace]) -> Tensor:
        signals = (origin for origin in origins if origin.operation not in _GATES)
        if any(isinstance(self.tangent(origin, call.name), _Box) for origin in signals):
            self.refuse(call.name, "comes before the first layer")
        return super().product(call, origins)

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Tensor:
        if not is_rectifier(call):
            self.refuse(call.name, "is no ReLU, for which alone the decomposition was derived")
        return super().activation(call, origin, output)

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        if isinstance(layer.tangent, _Box) and layer.axis is None:
            return layer.tangent.scaled(layer.weight)
        if isinstance(layer.tangent, _Box):
            above, below, box = layer.weight.clamp(min=0), layer.weight.clamp(max=0), layer.tangent
            total = layer.linear(box.from_low, above) + layer.linear(box.from_high, below)  # (n, k, h, w), as passed
            passed = layer.linear(box.seeded_low, above) + layer.linear(box.seeded_high, below)
            return ratio(layer.output, total) * passed
        positive, negative = layer.by_sign(layer.input)
        above = positive(layer.input)  # (n, k, h, w), as lone: neurons that have negative contributions only
        lone = torch.where(above > 0, 0.0, ratio(layer.output, negative(layer.input)))
        return ratio(layer.output, above) * positive(layer.tangent) + lone * negative(layer.tangent)
