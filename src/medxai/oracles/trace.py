"""A network as a list of primitive operations, from the last to the first of which a rule can be carried by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

aten = torch.ops.aten

RECTIFIERS = {
    *(aten.relu.default, aten.hardtanh.default, aten.silu.default, aten.sigmoid.default, aten.hardswish.default),
    *(aten.hardsigmoid.default, aten.gelu.default, aten.leaky_relu.default, aten.mish.default, aten.tanh.default),
}
POOLS = {aten.max_pool2d_with_indices.default}
SAME = {aten.detach.default, aten.alias.default, aten.as_strided_.default}
"""What gives back its input; the last sets the order in memory of a mean of whole maps."""
PARTS = {aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int, aten.chunk.default}
LINEAR = {
    *(aten.add.Tensor, aten.sub.Tensor, aten.cat.default, aten.mean.dim, aten.avg_pool2d.default),
    *(aten._adaptive_avg_pool2d.default, aten.view.default, aten._unsafe_view.default, aten.constant_pad_nd.default),
    *(aten.transpose.int, aten.t.default, aten.expand.default, aten.select.int, aten.stack.default, *PARTS),
    *(aten.slice.Tensor, aten.clone.default, aten.permute.default, aten.unsqueeze.default, aten.squeeze.dims),
}


class Affine(NamedTuple):
    """A convolution, a linear layer or a batch norm as ``apply(x, weight) + bias``."""

    apply: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    bias: Tensor
    options: tuple = ()
    """Of a convolution: stride, padding, dilation, whether transposed, output padding, groups."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return what it makes of its input."""
        return self.apply(x, self.weight) + self.bias


@dataclass
class Step:
    """One primitive operation of the traced network."""

    kind: str
    """``affine``, ``linear``, ``rectifier``, ``pool`` or ``product``; ``other`` has a derivative, and no rule here."""
    run: Callable[..., Tensor]
    """The operation as a function of the inputs that depend on the image."""
    inputs: list[str]
    """Names of these inputs."""
    operation: Any
    """The primitive (``aten``) operation."""
    affine: Affine | None = None
    """Weights, for the first kind."""

    def back(self, values: list[Tensor], gradient: Tensor) -> list[Tensor]:
        """Return the gradients of the inputs of this one operation; zeros for switches and what none passes."""
        leaves = [value.detach().requires_grad_(value.is_floating_point()) for value in values]
        with torch.enable_grad():
            output = self.run(*leaves)
        if not output.requires_grad:
            return [torch.zeros_like(value) for value in values]
        found = iter(torch.autograd.grad(output, [one for one in leaves if one.requires_grad], gradient))
        return [next(found) if one.requires_grad else torch.zeros_like(one) for one in leaves]


class Trace:
    """The operations of a network on images of one size, in order; batch norms are merged into convolutions.

    The model is in evaluation mode, and the trace holds for the shape (N, C, H, W) of the images only.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        from torch._guards import TracingContext, tracing
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.fx.experimental.proxy_tensor import make_fx

        # One mode that notes shapes: make_fx would make one for each value, which takes longer than all the rest.
        with torch.no_grad(), tracing(TracingContext(FakeTensorMode())):
            graph = make_fx(torch.func.functionalize(model))(images)
        graph.graph.eliminate_dead_code()
        self.steps: dict[str, Step] = {}
        self.same: dict[str, str] = {}
        self.parted: dict[str, Step] = {}
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
        known = {self.image, *self.steps, *self.parted}
        return isinstance(node, fx.Node) and self._name(node) in known

    def _part(self, node: fx.Node) -> Step:
        """Return one part of what an operation gives as a list."""
        whole, number = self.parted[node.args[0].name], node.args[1]
        return replace(whole, run=lambda *values: whole.run(*values)[number])

    def _add(self, node: fx.Node, constants: dict[str, Any]) -> None:
        def known(item: Any) -> Any:
            return constants[item.name] if isinstance(item, fx.Node) and item.name in constants else item

        inputs = [item for item in node.all_input_nodes if self._active(item)]
        if not inputs:  # computed from parameters alone
            constants[node.name] = node.target(*fx.node.map_arg(node.args, known), **node.kwargs)
        elif "getitem" in str(node.target) and self._name(inputs[0]) in self.parted:
            self.steps[node.name] = self._part(node)
        elif "getitem" in str(node.target) or node.target in SAME:
            self.same[node.name] = self._name(inputs[0])
        elif node.target is aten.native_batch_norm.default:
            self._merge(node, [known(item) for item in node.args])
        else:
            step = self._step(node, inputs, known)
            (self.parted if node.target in PARTS else self.steps)[node.name] = step

    def _step(self, node: fx.Node, inputs: list[fx.Node], known: Callable[[Any], Any]) -> Step:
        args = fx.node.map_arg(node.args, known)
        names = [self._name(item) for item in inputs]
        if node.target is aten.convolution.default:
            _, weight, bias, *options = args
            bias = weight.new_zeros(len(weight)) if bias is None else bias
            options = tuple(options)
            affine = Affine(lambda x, w: aten.convolution(x, w, None, *options), weight, bias.view(-1, 1, 1), options)
            return Step("affine", affine, names, node.target, affine)
        if node.target is aten.addmm.default:
            bias, _, transposed = args
            affine = Affine(lambda x, w: x @ w, transposed, bias)
            return Step("affine", affine, names, node.target, affine)

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
        return Step("other", run, names, node.target)

    def _merge(self, node: fx.Node, args: list[Any]) -> None:
        """Merge a batch norm into the convolution before it, or add it as a diagonal affine layer."""
        before, weight, bias, mean, variance, *_, epsilon = args
        scale = (1 if weight is None else weight) / (variance + epsilon).sqrt()
        shift = (0 if bias is None else bias) - mean * scale
        scale, shift = scale.view(-1, 1, 1), shift.view(-1, 1, 1)
        name = self._name(before)
        if name in self.steps and self.steps[name].operation is aten.convolution.default and len(before.users) == 1:
            old = self.steps.pop(name).affine
            affine = Affine(old.apply, old.weight * scale.unsqueeze(1), old.bias * scale + shift, old.options)
            operation = aten.convolution.default
            names = [self._name(item) for item in before.all_input_nodes if self._active(item)]
        else:
            affine, names, operation = Affine(lambda x, w: x * w, scale, shift), [name], node.target
        self.steps[node.name] = Step("affine", affine, names, operation, affine)

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
