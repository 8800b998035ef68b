"""Slow reference implementations of the propagation rules, to test the engine against on any network.

Nothing is shared with `medxai.attribution.propagation`: here the network is traced to a list of primitive operations
(`torch.fx.experimental.proxy_tensor.make_fx`), batch norms are merged into the convolutions before them, and each rule
is carried from operation to operation in the form its paper prints it, dividing relevance (not a coefficient) at every
layer. Meant for float64, and for tests: it is slow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten

RECTIFIERS = {aten.relu.default, aten.hardtanh.default, aten.silu.default, aten.sigmoid.default}
POOLS = {aten.max_pool2d_with_indices.default}
LINEAR = {
    *(aten.add.Tensor, aten.sub.Tensor, aten.cat.default, aten.mean.dim, aten.avg_pool2d.default),
    *(aten._adaptive_avg_pool2d.default, aten.view.default, aten._unsafe_view.default, aten.constant_pad_nd.default),
    *(aten.slice.Tensor, aten.clone.default, aten.permute.default, aten.unsqueeze.default, aten.squeeze.dims),
}


class Affine(NamedTuple):
    """A convolution, a linear layer or a batch norm as ``apply(x, weight) + bias``."""

    apply: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    bias: Tensor


@dataclass
class Step:
    """One primitive operation of the traced network.

    Attributes
    ----------
    kind
        ``affine``, ``linear``, ``rectifier``, ``pool`` or ``product``.
    run
        The operation as a function of the inputs that depend on the image.
    inputs
        Names of these inputs.
    affine
        Weights, for the first kind.
    operation
        The primitive (``aten``) operation.
    """

    kind: str
    run: Callable[..., Tensor]
    inputs: list[str]
    operation: Any
    affine: Affine | None = None

    def back(self, values: list[Tensor], gradient: Tensor) -> list[Tensor]:
        """Return the gradients of the inputs of this one operation."""
        leaves = [value.detach().requires_grad_() for value in values]
        with torch.enable_grad():
            return list(torch.autograd.grad(self.run(*leaves), leaves, gradient))


class Trace:
    """The operations of a network on images of one size, in order; batch norms are merged into convolutions.

    Parameters
    ----------
    model
        In evaluation mode.
    images
        (N, C, H, W); the trace holds for this shape only.

    Raises
    ------
    NotImplementedError
        If an operation has no kind here.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        with torch.no_grad():
            graph = make_fx(torch.func.functionalize(model))(images)
        graph.graph.eliminate_dead_code()
        self.steps: dict[str, Step] = {}
        self.same: dict[str, str] = {}
        constants: dict[str, Any] = {}
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                self.image = node.name
            elif node.op == "get_attr":
                constants[node.name] = getattr(graph, node.target)
            elif node.op == "output":
                self.output = self._name(node.args[0])
            elif node.op == "call_function":
                self._add(node, constants)

    def _name(self, node: fx.Node) -> str:
        return self.same.get(node.name, node.name)

    def _active(self, node: Any) -> bool:
        return isinstance(node, fx.Node) and (self._name(node) in self.steps or self._name(node) == self.image)

    def _add(self, node: fx.Node, constants: dict[str, Any]) -> None:
        def known(item: Any) -> Any:
            return constants[item.name] if isinstance(item, fx.Node) and item.name in constants else item

        inputs = [item for item in node.all_input_nodes if self._active(item)]
        if not inputs:  # computed from parameters alone
            constants[node.name] = node.target(*fx.node.map_arg(node.args, known), **node.kwargs)
        elif "getitem" in str(node.target) or node.target in (aten.detach.default, aten.alias.default):
            self.same[node.name] = self._name(inputs[0])
        elif node.target is aten.native_batch_norm.default:
            self._merge(node, [known(item) for item in node.args])
        else:
            self.steps[node.name] = self._step(node, inputs, known)

    def _step(self, node: fx.Node, inputs: list[fx.Node], known: Callable[[Any], Any]) -> Step:
        args = fx.node.map_arg(node.args, known)
        names = [self._name(item) for item in inputs]
        if node.target is aten.convolution.default:
            _, weight, bias, *options = args
            bias = weight.new_zeros(len(weight)) if bias is None else bias
            affine = Affine(lambda x, w: aten.convolution(x, w, None, *options), weight, bias.view(-1, 1, 1))
            return Step("affine", lambda x: affine.apply(x, weight) + affine.bias, names, node.target, affine)
        if node.target is aten.addmm.default:
            bias, _, transposed = args
            affine = Affine(lambda x, w: x @ w, transposed, bias)
            return Step("affine", lambda x: affine.apply(x, transposed) + bias, names, node.target, affine)

        def run(*values: Tensor) -> Tensor:
            filled = iter(values)
            chosen = {item: next(filled) for item in inputs}
            result = node.target(*fx.node.map_arg(args, lambda item: chosen[item]), **node.kwargs)
            return result[0] if isinstance(result, tuple) else result

        product = node.target is aten.mul.Tensor
        kinds = [(product and len(inputs) == 2, "product"), (product or node.target in LINEAR, "linear")]
        kinds += [(node.target in RECTIFIERS, "rectifier"), (node.target in POOLS, "pool")]
        for holds, kind in kinds:
            if holds:
                return Step(kind, run, names, node.target)
        raise NotImplementedError(f"no kind for {node.target}")

    def _merge(self, node: fx.Node, args: list[Any]) -> None:
        """Merge a batch norm into the convolution before it, or add it as a diagonal affine layer."""
        before, weight, bias, mean, variance, *_, epsilon = args
        scale = (1 if weight is None else weight) / (variance + epsilon).sqrt()
        shift = (0 if bias is None else bias) - mean * scale
        scale, shift = scale.view(-1, 1, 1), shift.view(-1, 1, 1)
        name = self._name(before)
        if name in self.steps and self.steps[name].operation is aten.convolution.default and len(before.users) == 1:
            old = self.steps.pop(name).affine
            affine = Affine(old.apply, old.weight * scale.unsqueeze(1), old.bias * scale + shift)
            operation = aten.convolution.default
            names = [self._name(item) for item in before.all_input_nodes if self._active(item)]
        else:
            affine, names, operation = Affine(lambda x, w: x * w, scale, shift), [name], node.target
        run = lambda x: affine.apply(x, affine.weight) + affine.bias  # noqa: E731
        self.steps[node.name] = Step("affine", run, names, operation, affine)

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """Return what every operation gives on `images`, by its name."""
        found = {self.image: images.detach()}
        with torch.no_grad():
            for name, step in self.steps.items():
                found[name] = step.run(*(found[item] for item in step.inputs))
        return found


Rule = Callable[[Step, list[Tensor], Tensor, Tensor], list[Tensor]]
"""From an operation, its inputs, its output and what arrives at the output: what its inputs get."""


def walk(trace: Trace, values: dict[str, Tensor], start: Tensor, rule: Rule) -> Tensor:
    """Carry `start` (N, classes) from the output back to the image by `rule`; what branches send back is summed."""
    arrived = {trace.output: start}
    for name, step in reversed(trace.steps.items()):
        if name in arrived:
            parts = rule(step, [values[item] for item in step.inputs], values[name], arrived.pop(name))
            for item, part in zip(step.inputs, parts, strict=True):
                arrived[item] = arrived[item] + part if item in arrived else part
    return arrived[trace.image]


def one_hot(logits: Tensor, target: Tensor) -> Tensor:
    """Return zeros like `logits` with 1 at each row's target."""
    return torch.zeros_like(logits).scatter_(1, target.view(-1, 1), 1.0)


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """Divide, with 0 where `below` is 0: nothing arrives where nothing was computed."""
    return torch.where(below == 0, 0, above / torch.where(below == 0, 1, below))


def _gradient(model: nn.Module, images: Tensor, target: Tensor, rectify: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Walk the gradient with `rectify(input, gradient)` at every ReLU and ReLU6."""

    def rule(step: Step, inputs: list[Tensor], output: Tensor, gradient: Tensor) -> list[Tensor]:
        if step.operation in (aten.relu.default, aten.hardtanh.default):
            return [rectify(step, inputs, gradient)]
        return step.back(inputs, gradient)

    trace = Trace(model, images)
    values = trace.values(images)
    return walk(trace, values, one_hot(values[trace.output], target), rule)


def guided_backpropagation(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Springenberg et al. (2015), section 3.4: the gradient, rectified wherever the activation is."""
    return _gradient(model, images, target, lambda step, x, g: step.back(x, g.clamp(min=0))[0])


def deconvnet(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Zeiler and Fergus (2014), section 2.1: the gradient is rectified, the activation's own mask ignored."""
    return _gradient(model, images, target, lambda step, x, g: g.clamp(min=0))


def relevance(model: nn.Module, images: Tensor, target: Tensor, affine_rule: Callable[..., Tensor]) -> Tensor:
    """Walk the relevance of the target's logit.

    `affine_rule(affine, x, z, arrived, first)` acts at convolutions, linear layers and batch norms; sums, averages and
    concatenations share in proportion to what each input contributed; activations pass on all that arrives; of a
    product with a gate the signal takes all (Arras et al., 2017); in a max-pool the winner does.
    """

    def rule(step: Step, inputs: list[Tensor], output: Tensor, arrived: Tensor) -> list[Tensor]:
        if step.kind == "affine":
            return [affine_rule(step.affine, inputs[0], output, arrived, step.inputs == [trace.image])]
        if step.kind == "rectifier":
            return [arrived]
        if step.kind == "product":
            return [arrived if value.shape == output.shape else torch.zeros_like(value) for value in inputs]
        if step.kind == "pool":
            return step.back(inputs, arrived)
        return [x * back for x, back in zip(inputs, step.back(inputs, ratio(arrived, output)), strict=True)]

    trace = Trace(model, images)
    values = trace.values(images)
    logits = values[trace.output]
    return walk(trace, values, logits * one_hot(logits, target), rule)


def back(affine: Affine, x: Tensor, weight: Tensor, arrived: Tensor) -> Tensor:
    """Return the transpose of ``x -> affine.apply(x, weight)`` applied to `arrived`."""
    leaf = torch.zeros_like(x, requires_grad=True)
    with torch.enable_grad():
        return torch.autograd.grad(affine.apply(leaf, weight), leaf, arrived)[0]


def lrp_epsilon(model: nn.Module, images: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Bach et al. (2015), equation 58, with the bias in the denominator."""

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, first: bool) -> Tensor:
        stabilised = torch.where(z >= 0, z + epsilon, z - epsilon)
        return x * back(affine, x, affine.weight, ratio(arrived, stabilised))

    return relevance(model, images, target, affine_rule)


def _signed(affine: Affine, x: Tensor, sign: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the pairs of (part of the input, part of the weights) whose products have this sign, and their sum."""
    up, down = affine.weight.clamp(min=0), affine.weight.clamp(max=0)
    pairs = [(x.clamp(min=0), up if sign > 0 else down), (x.clamp(max=0), down if sign > 0 else up)]
    bias = affine.bias.clamp(min=0) if sign > 0 else affine.bias.clamp(max=0)
    return pairs, sum(affine.apply(part, weight) for part, weight in pairs) + bias


def lrp_alpha_beta(model: nn.Module, images: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    """Bach et al. (2015), equation 60: positive and negative products are shared out apart.

    A neuron with products of one sign only, for which the equation is undefined, shares all it gets among these.
    """

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, first: bool) -> Tensor:
        pairs, sums = zip(*(_signed(affine, x, sign) for sign in (1, -1)), strict=True)
        total = torch.zeros_like(x)
        for own, below, other, factor in zip(pairs, sums, sums[::-1], (alpha, -beta), strict=True):
            share = torch.where(other == 0, 1, z.new_tensor(factor)) * ratio(arrived, below)
            total += sum(part * back(affine, x, weight, share) for part, weight in own)
        return total

    return relevance(model, images, target, affine_rule)


def lrp_gamma(model: nn.Module, images: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Montavon et al. (2019), section 10.2.3, in the form for inputs of either sign (Andeol et al., 2023).

    Where the output is positive, positive products are favoured; where it is negative, negative ones.
    """

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, first: bool) -> Tensor:
        total = torch.zeros_like(x)
        for sign in (1, -1):
            pairs, favoured = _signed(affine, x, sign)
            here = torch.where(z >= 0 if sign > 0 else z < 0, ratio(arrived, z + gamma * favoured), 0)
            total += x * back(affine, x, affine.weight, here)
            total += gamma * sum(part * back(affine, x, weight, here) for part, weight in pairs)
        return total

    return relevance(model, images, target, affine_rule)


def deep_taylor(model: nn.Module, images: Tensor, target: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Montavon et al. (2017), equations 14 (z+) and, at the first layer, 17 (z^B); biases take nothing.

    Where inputs are of either sign, w+ a is read as the positive products; a neuron without any shares by the others.
    """

    def box(affine: Affine, x: Tensor, arrived: Tensor) -> Tensor:
        up, down = affine.weight.clamp(min=0), affine.weight.clamp(max=0)
        terms = [(x, affine.weight), (-low.expand_as(x), up), (-high.expand_as(x), down)]
        below = sum(affine.apply(part, weight) for part, weight in terms)
        return sum(part * back(affine, x, weight, ratio(arrived, below)) for part, weight in terms)

    def affine_rule(affine: Affine, x: Tensor, z: Tensor, arrived: Tensor, first: bool) -> Tensor:
        if first:
            return box(affine, x, arrived)
        without_bias = affine._replace(bias=torch.zeros_like(affine.bias))
        (own, above), (others, below) = (_signed(without_bias, x, sign) for sign in (1, -1))
        total = sum(part * back(affine, x, w, ratio(arrived, above)) for part, w in own)
        lone = torch.where(above == 0, ratio(arrived, below), 0)
        return total + sum(part * back(affine, x, w, lone) for part, w in others)

    return relevance(model, images, target, affine_rule)


def deeplift(model: nn.Module, images: Tensor, target: Tensor, baseline: Tensor) -> Tensor:
    """Shrikumar et al. (2017), equations 7 to 9 (rescale), times the difference from the baseline."""
    trace = Trace(model, images)
    here, there = trace.values(images), trace.values(baseline.expand_as(images))

    def rule(step: Step, inputs: list[Tensor], output: Tensor, multiplier: Tensor) -> list[Tensor]:
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
