"""The propagation rules as their papers print them, dividing relevance (not a coefficient) at every layer.

All take a `Trace`, images (N, C, H, W) of its shape and targets (N,), and return (N, C, H, W).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from medxai.oracles.trace import Affine, Step, Trace, aten, one_hot, ratio, walk


def _known(step: Step, inputs: list[Tensor]) -> None:
    """Say so in a NotImplementedError if no rule here is for an operation."""
    if step.kind == "other" or (step.kind == "product" and len({value.shape for value in inputs}) == 1):
        raise NotImplementedError(f"no rule for {step.operation}")


def _of_itself(trace: Trace, one: str, other: str) -> bool:
    """Tell whether one of two factors is a function of the other value by value, as SiLU's gate is of its input."""

    def sources(name: str) -> list[str]:
        found = [name]
        while (step := trace.steps.get(found[-1])) and (
            step.kind == "rectifier" or (step.affine and step.affine.single)
        ):
            found += step.inputs
        return found

    return one in sources(other) or other in sources(one)


def _gradient(trace: Trace, images: Tensor, target: Tensor, rectify: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Walk the gradient with `rectify(input, gradient)` at every ReLU and ReLU6."""

    def rule(step: Step, inputs: list[Tensor], output: Tensor, gradient: Tensor) -> list[Tensor]:
        if step.kind != "product" or _of_itself(trace, *step.inputs):
            _known(step, inputs)
        if _is_relu(step):
            return [rectify(step, inputs, gradient)]
        return step.back(inputs, gradient)

    values = trace.values(images)
    return walk(trace, values, one_hot(values[trace.output], target), rule)


def guided_backpropagation(trace: Trace, images: Tensor, target: Tensor) -> Tensor:
    """Springenberg et al. (2015), section 3.4: the gradient, rectified wherever the activation is."""
    return _gradient(trace, images, target, lambda step, x, g: step.back(x, g.clamp(min=0))[0])


def deconvnet(trace: Trace, images: Tensor, target: Tensor) -> Tensor:
    """Zeiler and Fergus (2014), section 2.1: the gradient is rectified, the activation's own mask ignored."""
    return _gradient(trace, images, target, lambda step, x, g: g.clamp(min=0))


def relevance(trace: Trace, images: Tensor, target: Tensor, affine_rule: Callable[..., Tensor]) -> Tensor:
    """Walk the relevance of the target's logit.

    `affine_rule(affine, x, z, arrived, source)` acts at convolutions, linear layers and batch norms, where `source` is
    the name of the operation that gave x; sums, averages and concatenations share in proportion to what each input
    contributed; activations pass on all that arrives; of a product with a gate the signal takes all (Arras et al.,
    2017); in a max-pool the winner does.
    """

    def rule(step: Step, inputs: list[Tensor], output: Tensor, arrived: Tensor) -> list[Tensor]:
        _known(step, inputs)
        if step.kind == "affine":
            return [affine_rule(step.affine, inputs[0], output, arrived, step.inputs[0])]
        if step.kind == "rectifier":
            return [arrived]
        if step.kind == "product":
            return [arrived if value.shape == output.shape else torch.zeros_like(value) for value in inputs]
        if step.kind == "pool":
            return step.back(inputs, arrived)
        return [x * back for x, back in zip(inputs, step.back(inputs, ratio(arrived, output)), strict=True)]

    values = trace.values(images)
    logits = values[trace.output]
    return walk(trace, values, logits * one_hot(logits, target), rule)


def back(affine: Affine, x: Tensor, weight: Tensor, arrived: Tensor) -> Tensor:
    """Return the transpose of ``x -> affine.apply(x, weight)`` applied to `arrived`."""
    leaf = torch.zeros_like(x, requires_grad=True)
    with torch.enable_grad():
        return torch.autograd.grad(affine.apply(leaf, weight), leaf, arrived)[0]


def lrp_epsilon(trace: Trace, images: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Bach et al. (2015), equation 58, with the bias in the denominator."""

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, source: str) -> Tensor:
        stabilised = torch.where(z >= 0, z + epsilon, z - epsilon)
        if affine.single:  # without a shift the one input is all of it
            stabilised = torch.where(affine.bias == 0, z, stabilised)
        return x * back(affine, x, affine.weight, ratio(arrived, stabilised))

    return relevance(trace, images, target, affine_rule)


def _signed(affine: Affine, x: Tensor, sign: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the pairs of (part of the input, part of the weights) whose products have this sign, and their sum."""
    up, down = affine.weight.clamp(min=0), affine.weight.clamp(max=0)
    pairs = [(x.clamp(min=0), up if sign > 0 else down), (x.clamp(max=0), down if sign > 0 else up)]
    bias = affine.bias.clamp(min=0) if sign > 0 else affine.bias.clamp(max=0)
    return pairs, sum(affine.apply(part, weight) for part, weight in pairs) + bias


def lrp_alpha_beta(trace: Trace, images: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    """Bach et al. (2015), equation 60: positive and negative products are shared out apart.

    A neuron with products of one sign only, for which the equation is undefined, shares all it gets among these.
    """

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, source: str) -> Tensor:
        pairs, sums = zip(*(_signed(affine, x, sign) for sign in (1, -1)), strict=True)
        total = torch.zeros_like(x)
        for own, below, other, factor in zip(pairs, sums, sums[::-1], (alpha, -beta), strict=True):
            share = torch.where(other == 0, 1, z.new_tensor(factor)) * ratio(arrived, below)
            total += sum(part * back(affine, x, weight, share) for part, weight in own)
        return total

    return relevance(trace, images, target, affine_rule)


def lrp_gamma(trace: Trace, images: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Montavon et al. (2019), section 10.2.3, in the form for inputs of either sign (Andeol et al., 2023).

    Where the output is positive, positive products are favoured; where it is negative, negative ones.
    """

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, source: str) -> Tensor:
        total = torch.zeros_like(x)
        for sign in (1, -1):
            pairs, favoured = _signed(affine, x, sign)
            here = torch.where(z >= 0 if sign > 0 else z < 0, ratio(arrived, z + gamma * favoured), 0)
            total += x * back(affine, x, affine.weight, here)
            total += gamma * sum(part * back(affine, x, weight, here) for part, weight in pairs)
        return total

    return relevance(trace, images, target, affine_rule)


def deep_taylor(trace: Trace, images: Tensor, target: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Montavon et al. (2017), equations 14 (z+) and, at the first layer, 17 (z^B); biases take nothing.

    Where inputs are of either sign, w+ a is read as the positive products; a neuron without any shares by the others.
    """

    # The first layer sees the image, or the image in a frame of zeros, of which nothing can be lower or higher, or
    # multiplied and shifted.
    bounds = {trace.image: (low.expand_as(images), high.expand_as(images))}
    for name, step in trace.steps.items():
        scaled = step.affine is not None and step.affine.single
        if (step.operation is aten.constant_pad_nd.default or scaled) and step.inputs[0] in bounds:
            ends = [step.run(bound) for bound in bounds[step.inputs[0]]]
            bounds[name] = torch.minimum(*ends), torch.maximum(*ends)

    def box(affine: Affine, x: Tensor, arrived: Tensor, low: Tensor, high: Tensor) -> Tensor:
        up, down = affine.weight.clamp(min=0), affine.weight.clamp(max=0)
        terms = [(x, affine.weight), (-low, up), (-high, down)]
        below = sum(affine.apply(part, weight) for part, weight in terms)
        return sum(part * back(affine, x, weight, ratio(arrived, below)) for part, weight in terms)

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, source: str) -> Tensor:
        if source in bounds and affine.single:
            return arrived
        if source in bounds:
            return box(affine, x, arrived, *bounds[source])
        without_bias = affine._replace(bias=torch.zeros_like(affine.bias))
        (own, above), (others, below) = (_signed(without_bias, x, sign) for sign in (1, -1))
        total = sum(part * back(affine, x, w, ratio(arrived, above)) for part, w in own)
        lone = torch.where(above == 0, ratio(arrived, below), 0)
        return total + sum(part * back(affine, x, w, lone) for part, w in others)

    return relevance(trace, images, target, affine_rule)


def deeplift(trace: Trace, images: Tensor, target: Tensor, baseline: Tensor) -> Tensor:
    """Shrikumar et al. (2017), equations 7 to 9 (rescale), times the difference from the baseline."""
    here, there = trace.values(images), trace.values(baseline.expand_as(images))

    def rule(step: Step, inputs: list[Tensor], output: Tensor, multiplier: Tensor) -> list[Tensor]:
        if step.kind == "other":
            raise NotImplementedError(f"no rule for {step.operation}")
        before = [there[item] for item in step.inputs]
        if step.kind == "product":  # d(ab) = mean(b) da + mean(a) db
            return step.back([(x + r) / 2 for x, r in zip(inputs, before, strict=True)], multiplier)
        if step.kind == "rectifier":
            change, moved = step.run(*inputs) - step.run(*before), inputs[0] - before[0]
            slope = step.back([before[0]], torch.ones_like(output))[0]
            still = moved.abs() < 1e-12
            return [multiplier * torch.where(still, slope, change / torch.where(still, 1, moved))]
        if step.kind == "pool":  # as shap: through the larger of the two outputs, to each one's winner
            reference = step.run(*before)
            top = torch.maximum(output, reference)
            sent = (
                step.back(inputs, multiplier * (top - reference))[0] + step.back(before, multiplier * (output - top))[0]
            )
            return [ratio(sent, inputs[0] - before[0])]
        return step.back(inputs, multiplier)

    start = one_hot(here[trace.output], target)
    return walk(trace, here, start, rule) * (images - baseline)


def fit_patterns(trace: Trace, images: Tensor) -> dict[str, Tensor]:
    """Return the pattern of every affine step, like its weights (Kindermans et al., 2018, section 4)."""
    values = trace.values(images)
    consumers = {item: step for step in reversed(trace.steps.values()) for item in step.inputs}  # the first user
    return {
        name: _pattern(step, values[step.inputs[0]], values[name], name in consumers and _is_relu(consumers[name]))
        for name, step in trace.steps.items()
        if step.kind == "affine"
    }


def _is_relu(step: Step) -> bool:
    return step.operation in (aten.relu.default, aten.hardtanh.default)


def _pattern(step: Step, x: Tensor, y: Tensor, rectified: bool) -> Tensor:
    """Return ``(E+[xy] - E+[x] E[y]) / (w' E+[xy] - w' E+[x] E[y])`` from all patches x, cut out one by one."""
    weight = step.affine.weight
    if step.affine.single:
        return ratio(torch.ones_like(weight), weight)
    if step.operation is aten.convolution.default:
        stride, padding, dilation, _, _, groups = step.affine.options
        patches = functional.unfold(x, weight.shape[2:], dilation, padding, stride)
        patches, rows = _grouped(patches, groups), weight.flatten(1).unflatten(0, (groups, -1))
        y = _grouped(y.flatten(2), groups)
    else:
        patches, rows, y = x.T[None], weight.T[None], y.T[None]
    chosen = (y > 0).to(y) if rectified else torch.ones_like(y)
    count = chosen.sum(-1, keepdim=True).clamp(min=1)
    together = (chosen * y) @ patches.mT / count
    covariance = together - chosen @ patches.mT / count * y.mean(-1, keepdim=True)
    pattern = ratio(covariance, (rows * covariance).sum(-1, keepdim=True).expand_as(covariance))
    return pattern.flatten(0, 1).view_as(weight) if weight.ndim > 2 else pattern[0].T


def _grouped(values: Tensor, groups: int) -> Tensor:
    """Turn (N, groups * K, L) into (groups, K, N * L)."""
    return values.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).flatten(2)


def pattern_signal(
    trace: Trace, images: Tensor, target: Tensor, patterns: dict[str, Tensor], attribution: bool
) -> Tensor:
    """Walk the logit with patterns (PatternNet) or weights times patterns (PatternAttribution) for weights."""
    values = trace.values(images)
    names = {id(step): name for name, step in trace.steps.items()}

    def rule(step: Step, inputs: list[Tensor], output: Tensor, arrived: Tensor) -> list[Tensor]:
        _known(step, inputs)
        if step.kind != "affine":
            return step.back(inputs, arrived)
        pattern = patterns[names[id(step)]]
        return [back(step.affine, inputs[0], step.affine.weight * pattern if attribution else pattern, arrived)]

    logits = values[trace.output]
    return walk(trace, values, logits * one_hot(logits, target), rule)
