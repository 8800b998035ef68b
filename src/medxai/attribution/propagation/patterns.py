"""PatternNet and PatternAttribution: what a layer's input has of its output, learned from images."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from medxai.attribution._inputs import prepared
from medxai.attribution.propagation.coefficients import RECTIFIERS, is_rectifier, ratio, slope
from medxai.attribution.propagation.engine import Affine, Propagation, Trace, explaining
from medxai.attribution.propagation.operations import Call

Patterns = dict[tuple[int, int], Tensor]
"""A tensor like the weights for each convolution and linear layer: by its place in the order of operations, and by
how often constant factors are merged with it."""


def fit_patterns(model: nn.Module, images: Tensor, *, batch_size: int = 16) -> Patterns:
    """Return the pattern of each layer: the direction of its input that goes with its output, estimated from images.

    For layers before a ReLU the two-component estimator (Kindermans et al. 2018, "Learning how to explain neural
    networks", section 4), with E+ the mean over patches with y > 0, E that over all:

        a = (E+[x y] - E+[x] E[y]) / (w' E+[x y] - w' E+[x] E[y])

    For others the linear estimator, cov[x, y] / var[y], which is the same with E in place of E+. Constant factors, such
    as a batch normalisation's, are merged with the convolution or linear layer before them; alone, their pattern is the
    inverse of the factor and needs no data. A neuron that no patch activates has the pattern zero. If several
    operations use an output, the first decides the estimator.

    Parameters
    ----------
    model
        Network in evaluation mode, of ReLU (or ReLU6) and linear layers.
    images
        Images (n, c, h, w) like those that the network was trained on, n >= 2; hundreds, better thousands.
    batch_size
        Images in one pass through the model.

    Raises
    ------
    UnsupportedModel
        If the network has another activation or a product of tensors, naming it.
    """
    if len(images) < 2:
        raise ValueError(f"images are {len(images)}: expected at least 2, to fit patterns")
    sums: dict[tuple[int, int], _Sums] = {}
    with prepared(model, images) as (images, _):
        for batch in images.split(batch_size):
            statistics = _Statistics(model)
            logits = statistics.forward(batch, batch)
            statistics.tangent(statistics.traces[logits], "output")
            for key, value in statistics.sums.items():
                sums[key] = _Sums(*(a + b for a, b in zip(sums[key], value, strict=True))) if key in sums else value
    return {key: _pattern(value, statistics.weights[key]) for key, value in sums.items()}


def pattern_net(
    model: nn.Module, images: Tensor, target: int | Tensor, *, patterns: Patterns, create_graph: bool = False
) -> Tensor:
    """Return the signal behind the target's logit: the logit times its derivative with patterns in place of weights.

    Kindermans et al. 2018, section 4: a signal is the pattern times the output. ReLU and max-pooling pass as in the
    derivative. The paper has chains of layers only; additions and concatenations, of which it says nothing, pass the
    signal unchanged, as their derivative does.

    Parameters
    ----------
    model, images, target, create_graph
        As of `lrp_epsilon`.
    patterns
        From `fit_patterns` on the same model.

    Returns
    -------
    Tensor
        Signal (n, c, h, w), in units of the image. Where branches are added its scale means little, and may leave the
        range of float32 in deep networks; use float64 there.

    Raises
    ------
    UnsupportedModel
        As of `fit_patterns`.
    ValueError
        If the patterns are another model's; if the signal leaves the range of the images' dtype.
    """
    with explaining(model, images, target, create_graph) as (images, target):
        return _PatternNet(model, patterns, attribution=False, create_graph=create_graph).propagate(images, target)


def pattern_attribution(
    model: nn.Module, images: Tensor, target: int | Tensor, *, patterns: Patterns, create_graph: bool = False
) -> Tensor:
    """Return each pixel's attribution: the logit times its derivative with weights times patterns in place of weights.

    Kindermans et al. 2018, section 4: the root point of deep Taylor decomposition along the pattern. Of a linear model
    the sum is the logit. Parameters, result (n, c, h, w, in units of the logit) and errors are those of `pattern_net`.
    """
    with explaining(model, images, target, create_graph) as (images, target):
        return _PatternNet(model, patterns, attribution=True, create_graph=create_graph).propagate(images, target)


class _Sums(NamedTuple):
    """Sums over patches x and outputs y of a layer; those with a plus only where y > 0, if a ReLU follows."""

    x_plus: Tensor
    xy_plus: Tensor
    count_plus: Tensor
    y: Tensor
    count: Tensor


class _Rectified(Propagation):
    method = "pattern"

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Tensor:
        if not is_rectifier(call):
            self.refuse(call.name, "is no ReLU, for which alone patterns are defined")
        return slope(call) * self.tangent(origin, call.name)


class _Statistics(_Rectified):
    """Adds up what the patterns are made of; the tangents are of no use here."""

    method = "fitting patterns"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.sums: dict[tuple[int, int], _Sums] = {}
        self.weights: dict[tuple[int, int], Tensor] = {}

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        if layer.axis is not None:
            y = layer.output.detach()
            chosen = (y > 0).to(y.dtype) if consumer in RECTIFIERS else torch.ones_like(y)
            weight = layer.weight.detach().requires_grad_()
            with torch.enable_grad():
                passed = layer.linear(layer.input.detach(), weight)
            # The sum over patches of x times anything is the derivative by the weights with that as output gradient.
            x_plus, xy_plus = (
                torch.autograd.grad(passed, weight, gradient, retain_graph=True)[0] for gradient in (chosen, chosen * y)
            )
            places = [axis for axis in range(y.ndim) if axis != layer.axis % y.ndim]
            count = y.new_tensor(y.numel() // len(weight))
            key = (layer.index, layer.merged)
            self.sums[key] = _Sums(x_plus, xy_plus, chosen.sum(places), y.sum(places), count)
            self.weights[key] = layer.weight.detach()
        return layer.output


def _pattern(sums: _Sums, weight: Tensor) -> Tensor:
    shape = [-1] + [1] * (weight.ndim - 1)
    count = sums.count_plus.clamp(min=1).view(shape)
    covariance = (sums.xy_plus - sums.x_plus * (sums.y / sums.count).view(shape)) / count
    explained = (weight * covariance).flatten(1).sum(1)
    return ratio(covariance, explained.view(shape).expand_as(covariance))


class _PatternNet(_Rectified):
    def __init__(self, model: nn.Module, patterns: Patterns, attribution: bool, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.patterns, self.attribution = patterns, attribution
        self.method = "PatternAttribution" if attribution else "PatternNet"

    def start(self, logits: Tensor) -> Tensor:
        return logits

    def propagate(self, images: Tensor, target: Tensor) -> Tensor:
        result = super().propagate(images, target)
        if not result.isfinite().all():
            raise ValueError(f"{self.method}'s signal leaves the range of {result.dtype}: expected float64 here")
        return result

    def affine(self, layer: Affine, consumer: str) -> Tensor:
        if layer.axis is None:
            pattern = ratio(torch.ones_like(layer.weight), layer.weight)
        elif (pattern := self.patterns.get((layer.index, layer.merged))) is None or pattern.shape != layer.weight.shape:
            raise ValueError("patterns are those of another model: expected what fit_patterns gives for this one")
        return layer.linear(layer.tangent, layer.weight * pattern if self.attribution else pattern)
