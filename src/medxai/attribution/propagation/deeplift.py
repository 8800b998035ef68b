"""DeepLIFT and DeepSHAP: differences from a baseline, carried through every layer."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from medxai.attribution._inputs import baseline_like
from medxai.attribution.propagation import operations
from medxai.attribution.propagation.coefficients import ratio, slope, take, winners
from medxai.attribution.propagation.engine import Propagation, Trace, explaining
from medxai.attribution.propagation.operations import Call

Rule = Literal["rescale", "reveal_cancel"]


def deeplift(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float = 0.0,
    rule: Rule = "rescale",
    create_graph: bool = False,
) -> Tensor:
    """Return each pixel's contribution to the difference of the target's logit from that of a baseline.

    The contributions sum to that difference (summation to delta, Shrikumar et al. 2017, "Learning important features
    through propagating activation differences", equation 1). Elementwise functions follow the rescale rule (section
    3.5.2), `m = (f(z) - f(z0)) / (z - z0)` with the derivative in its place where z and z0 agree to rounding, or
    RevealCancel (section 3.5.3). Products: `d(ab) = mean(b) da + mean(a) db`, their Shapley value. Max-pooling: the two
    steps from the baseline to the larger of both maxima and from there to the image's go to the places of the image's
    and of the baseline's maximum, as in the shap package.

    Parameters
    ----------
    model
        Network in evaluation mode, images to logits (n, classes).
    images
        Batch (n, c, h, w), floating point.
    target
        Class of all images, or of each, (n,).
    baseline
        The image that stands for no evidence: a number or a tensor that can be broadcast to `images`.
    rule
        Rule of elementwise functions. RevealCancel treats apart the positive and negative contributions to their input,
        as the last linear operation before them has it: convolution or linear layer with its batch normalisation, or
        addition of two tensors. After any other operation there is one contribution only, and RevealCancel is Rescale.
    create_graph
        Keep the graph, to differentiate the result.

    Returns
    -------
    Tensor
        Signed contributions (n, c, h, w), in units of the logit.

    Raises
    ------
    UnsupportedModel
        If an operation has no rule, such as a softmax inside the network, naming it.
    """
    if rule not in ("rescale", "reveal_cancel"):
        raise ValueError(f"rule is {rule!r}: expected 'rescale' or 'reveal_cancel'")
    with explaining(model, images, target, create_graph) as (images, target):
        one = not isinstance(baseline, Tensor) or baseline.ndim < 4 or len(baseline) == 1
        baseline = baseline_like(images[:1] if one else images, baseline)
        reference = _Reference(model, rule, create_graph)
        reference.forward(baseline, None)
        if one and not reference.of_one_image():
            baseline = baseline.expand_as(images)
            reference = _Reference(model, rule, create_graph)
            reference.forward(baseline, None)
        return (images - baseline) * _DeepLift(model, rule, reference.signals, create_graph).propagate(images, target)


def deep_shap(
    model: nn.Module, images: Tensor, target: int | Tensor, *, baselines: Tensor, create_graph: bool = False
) -> Tensor:
    """Return the mean of DeepLIFT's contributions over baselines: DeepSHAP.

    DeepLIFT with the rescale rule approximates the Shapley values for one baseline, the mean over baselines those for
    features drawn from them (Lundberg and Lee 2017, section 4.2; Chen, Lundberg and Lee 2021, theorem 1).

    Parameters
    ----------
    model, images, target, create_graph
        As of `deeplift`.
    baselines
        Images (k, c, h, w) of the same shape, such as a few of the training set; each serves for every image.

    Returns
    -------
    Tensor
        Signed contributions (n, c, h, w); they sum to the logit's difference from its mean over the baselines.

    Raises
    ------
    UnsupportedModel
        As of `deeplift`.
    """
    if baselines.ndim != 4 or not len(baselines) or baselines.shape[1:] != images.shape[1:]:
        raise ValueError(f"baselines are {tuple(baselines.shape)}: expected (k, c, h, w) like the images, k >= 1")
    maps = (deeplift(model, images, target, baseline=one[None], create_graph=create_graph) for one in baselines)
    return sum(maps) / len(baselines)


class _Reference(Propagation):
    """Notes what the operations with a rule of their own get when the model sees the baseline."""

    method = "DeepLIFT"

    def __init__(self, model: nn.Module, rule: Rule, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.kinds = {"activation", "product", "max_pool"}
        if rule == "reveal_cancel":
            self.kinds |= {"weighted", "batch_norm", "linear"}
        self.signals: dict[int, tuple[str, list[Tensor]]] = {}

    def of_one_image(self) -> bool:
        """Tell whether all that was noted has the image as its only row, and can be compared with that of many."""
        return all(part.ndim > 0 and len(part) == 1 for _, signals in self.signals.values() for part in signals)

    def _traces(self, call: Call, origins: list[Trace], output: Any) -> list[Trace]:
        if operations.KINDS.get(call.name) in self.kinds:
            self.signals[self.calls] = (call.name, call.unlinked(self.calls, self.create_graph).signals)
        return [Trace(call.name)] * len(list(operations.leaves(output)))


class _DeepLift(Propagation):
    method = "DeepLIFT"

    def __init__(self, model: nn.Module, rule: Rule, reference: dict, create_graph: bool) -> None:
        super().__init__(model, create_graph)
        self.rule, self.reference = rule, reference

    def at_baseline(self, index: int, name: str) -> list[Tensor]:
        if self.reference.get(index, ("", []))[0] != name:
            self.refuse(name, "is not what the model does at this point for the baseline")
        return self.reference[index][1]

    def max_pool(self, call: Call, tangent: Tensor) -> Tensor:
        value, (baseline,) = call.signals[0], self.at_baseline(call.index, call.name)  # (n, c, h, w), n or 1
        own, other = winners(call, value), winners(call, baseline)  # places (n, c, h', w') of the pooled size
        top, top0 = take(value, own), take(baseline, other)  # as are these
        cross = torch.maximum(top, top0)
        difference = value - baseline  # (n, c, h, w)
        # Where nothing differs the slope is taken, 1 at the image's maximum.
        first = ratio(cross - top0, take(difference, own), (top == top0).to(value.dtype))
        second = ratio(top - cross, take(difference, other))
        return first * take(tangent, own) + second * take(tangent, other)

    def product(self, call: Call, origins: list[Trace]) -> Tensor:
        (a, b), (a0, b0) = call.signals, self.at_baseline(call.index, call.name)
        a_tangent, b_tangent = self.tangents(call, origins)
        return call.apply([a_tangent, (b + b0) / 2]) + call.apply([(a + a0) / 2, b_tangent])

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Tensor:
        value, (baseline,) = call.signals[0], self.at_baseline(call.index, call.name)  # (n, ...) and (n or 1, ...)
        at_baseline = call.apply([baseline])  # like the baseline; all else is like the value
        if self.rule == "reveal_cancel" and (origin.affine or origin.summands):
            up, down, tangent_up, tangent_down = self.contributions(origin)
            with_up, with_down = call.apply([baseline + up]), call.apply([baseline + down])
            gain_up = (with_up - at_baseline + output - with_down) / 2
            gain_down = (with_down - at_baseline + output - with_up) / 2
            return (
                self.multiplier(call, gain_up, up, baseline) * tangent_up
                + self.multiplier(call, gain_down, down, baseline) * tangent_down
            )
        return self.multiplier(call, output - at_baseline, value - baseline, baseline) * self.tangent(origin, call.name)

    def contributions(self, origin: Trace) -> tuple[Tensor, ...]:
        """Return the positive and negative parts of a sum's difference, and those of its tangent (section 3.5.1).

        A term whose difference is zero counts half to both, as in the paper's linear rule.
        """
        if origin.affine is not None:
            layer = origin.affine
            differences = layer.input - self.reference[layer.index][1][0]  # (n, c, ...); what is returned (n, k, ...)
            positive, negative = layer.by_sign(differences, at_zero=0.5)
            return positive(differences), negative(differences), positive(layer.tangent), negative(layer.tangent)
        call = origin.summands
        differences = [a - b for a, b in zip(call.signals, self.reference[call.index][1], strict=True)]
        # One tensor for each of the two summands, of its shape.
        ups = [torch.heaviside(part.detach(), part.new_tensor(0.5)) for part in differences]
        downs = [1 - up for up in ups]
        return tuple(
            call.linear_part([share * part for share, part in zip(shares, parts, strict=True)])
            for parts in (differences, call.tangents)
            for shares in (ups, downs)
        )

    def multiplier(self, call: Call, gained: Tensor, difference: Tensor, baseline: Tensor) -> Tensor:
        """Return gained / difference, and the function's slope where the difference is one of rounding."""
        tolerance = 16 * torch.finfo(difference.dtype).eps
        close = difference.abs() <= tolerance * (baseline.abs() + (baseline + difference).abs())
        return torch.where(close, slope(call), gained / torch.where(close, 1, difference))
