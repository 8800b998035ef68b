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
LIKE = {
    *(aten.new_zeros.default, aten.new_ones.default, aten.new_full.default, aten.new_empty.default),
    *(aten.zeros_like.default, aten.ones_like.default, aten.full_like.default, aten.empty_like.default),
}
"""What takes the shape of its input, and none of its values."""
PARTS = {aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int, aten.chunk.default}
LINEAR = {
    *(aten.add.Tensor, aten.sub.Tensor, aten.cat.default, aten.mean.dim, aten.avg_pool2d.default),
    *(aten._adaptive_avg_pool2d.default, aten.view.default, aten._unsafe_view.default, aten.constant_pad_nd.default),
    *(aten.transpose.int, aten.t.default, aten.expand.default, aten.select.int, aten.stack.default, *PARTS),
    *(aten.slice.Tensor, aten.clone.default, aten.permute.default, aten.unsqueeze.default, aten.squeeze.dims),
    *(aten.sum.dim_IntList, aten.upsample_nearest2d.default, aten.upsample_bilinear2d.default),
}


class Affine(NamedTuple):
    """A convolution, a linear layer or a batch norm as ``apply(x, weight) + bias``."""

    apply: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    bias: Tensor
    options: tuple = ()
    """Of a convolution: stride, padding, dilation, whether transposed, output padding, groups."""
    single: bool = False
    """Whether each output has one input: a constant factor, such as a batch norm without a layer before it."""

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
        wanted = [one for one in leaves if one.requires_grad]
        found = iter(torch.autograd.grad(output, wanted, gradient, allow_unused=True, materialize_grads=True))
        return [next(found) if one.requires_grad else torch.zeros_like(one) for one in leaves]


class Trace:
    """The operations of a network on images of one size, in order.

    Batch norms, and all constant factors and shifts, are merged into the convolution or linear layer before them.

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
        self._forget_unused()

    def _forget_unused(self) -> None:
        """Drop the steps whose place a merged one has taken."""
        used = {self.output}
        for name, step in reversed(self.steps.items()):
            used.update(step.inputs if name in used else ())
        self.steps = {name: step for name, step in self.steps.items() if name in used}

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
        if node.target in LIKE:
            like = [torch.empty(one.meta["val"].shape, dtype=one.meta["val"].dtype) for one in node.args[:1]]
            constants[node.name] = node.target(*like, *node.args[1:], **node.kwargs)
        elif not inputs:  # computed from parameters alone
            constants[node.name] = node.target(
                *fx.node.map_arg(node.args, known), **fx.node.map_arg(node.kwargs, known)
            )
        elif "getitem" in str(node.target) and self._name(inputs[0]) in self.parted:
            self.steps[node.name] = self._part(node)
        elif "getitem" in str(node.target) or node.target in SAME:
            self.same[node.name] = self._name(inputs[0])
        elif (pair := self._constants(node, inputs, known)) is not None:
            self._merge(node, self._name(inputs[0]), *pair)
        else:
            step = self._step(node, inputs, known)
            (self.parted if node.target in PARTS else self.steps)[node.name] = step

    def _step(self, node: fx.Node, inputs: list[fx.Node], known: Callable[[Any], Any]) -> Step:
        args, kwargs = (fx.node.map_arg(given, known) for given in (node.args, node.kwargs))
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
            here, named = (fx.node.map_arg(one, lambda item: chosen[item]) for one in (args, kwargs))
            if node.target is aten.copy.default:  # which has no derivative
                return here[1].expand_as(here[0]).clone()
            result = node.target(*here, **named)
            return result[0] if isinstance(result, tuple) else result

        product = node.target is aten.mul.Tensor
        kinds = [(product and len(inputs) == 2, "product"), (product or node.target in LINEAR, "linear")]
        kinds += [(node.target in RECTIFIERS, "rectifier"), (node.target in POOLS, "pool")]
        for holds, kind in kinds:
            if holds:
                return Step(kind, run, names, node.target)
        return Step("other", run, names, node.target)

    def _constants(
        self, node: fx.Node, inputs: list[fx.Node], known: Callable[[Any], Any]
    ) -> tuple[Tensor, Tensor] | None:
        """Return factor and shift, with as many axes as the output, where an operation is ``factor * x + shift``."""
        if node.target is aten.native_batch_norm.default:
            _, weight, bias, mean, variance, *_, epsilon = (known(item) for item in node.args)
            factor = (1 if weight is None else weight) / (variance + epsilon).sqrt()
            shift = (0 if bias is None else bias) - mean * factor
            axes = len(inputs[0].meta["tensor_meta"].shape)
            return tuple(one.view(1, -1, *[1] * (axes - 2)) for one in (factor, shift))
        signals = [self._active(item) for item in node.args[:2]]
        pair = _factor_and_shift(node, [known(item) for item in node.args[:2]], signals)
        if pair is None or node.meta["tensor_meta"].shape != inputs[0].meta["tensor_meta"].shape:
            return None
        output = node.meta["tensor_meta"]
        pair = (torch.as_tensor(one, dtype=output.dtype) for one in pair)
        return tuple(one.view(*[1] * (len(output.shape) - one.ndim), *one.shape) for one in pair)

    def _merge(self, node: fx.Node, before: str, factor: Tensor, shift: Tensor) -> None:
        """Merge a constant factor and shift into the affine step before them, or add them as one of their own."""
        old = self.steps.get(before)
        axes = [axis for axis, size in enumerate(factor.shape) if size > 1]
        if old is not None and old.affine is not None and (old.affine.single or axes in ([], [1])):
            weight = old.affine.weight
            scale = factor.view(-1, 1, 1, 1) if weight.ndim == 4 and not old.affine.single else factor
            affine = old.affine._replace(weight=weight * scale, bias=old.affine.bias * factor + shift)
            self.steps[node.name] = Step("affine", affine, old.inputs, old.operation, affine)
            return
        affine = Affine(lambda x, w: x * w, factor, shift, single=True)
        self.steps[node.name] = Step("affine", affine, [before], node.target, affine)

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """Return what every operation gives on `images`, by its name."""
        found = {self.image: images.detach()}
        with torch.no_grad():
            for name, step in self.steps.items():
                found[name] = step.run(*(found[item] for item in step.inputs))
        return found


def _factor_and_shift(node: fx.Node, values: list[Any], signals: list[bool]) -> tuple[Any, Any] | None:
    """Read off an operation on one signal what it multiplies by and what it adds; None if it is none of these."""
    if sum(signals) > 1:
        return None
    first, second, alpha = values[0], values[-1], node.kwargs.get("alpha", 1)
    if node.target is aten.mul.Tensor:
        return (second if signals[0] else first), 0
    if node.target is aten.div.Tensor and signals[0]:
        return 1 / torch.as_tensor(second, dtype=torch.double), 0
    if node.target in (aten.add.Tensor, aten.sub.Tensor):
        sign = 1 if node.target is aten.add.Tensor else -1
        return (1, sign * alpha * second) if signals[0] else (sign * alpha, first)
    if node.target is aten.rsub.Scalar:
        return -alpha, second
    return (-1, 0) if node.target is aten.neg.default else None


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
