"""One engine for every method that changes the rules of backpropagation.

A forward pass runs under a `TorchFunctionMode`, which sees every operation: functional, in place, used again, method or
operator. Beside each tensor that depends on the images it carries a **tangent** of the same shape. The rule of an
operation says how tangents pass it, always linearly; the tangent of a plain network is its linearisation. What is
propagated is the transpose of that linear map: the derivative of the target's tangent by the tangent of the images,
from one `torch.autograd.grad`. The map's coefficients are ordinary functions of the activations, so that the result has
true derivatives of its own. The model is only called: nothing in it is hooked, replaced or written to.

In shapes, beside the lines: n images, c channels in and k out of a layer, height h and width w, "..." for any.

In layer-wise relevance propagation it is `c = R / a`, relevance by activation, that is propagated (Montavon et al.
2019, section 10.2.2): what is linear without a constant then needs no rule of its own, skip additions and
concatenations included.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from weakref import WeakMethod

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from medxai.attribution._inputs import prepared, scores_of
from medxai.attribution.propagation import operations
from medxai.attribution.propagation.coefficients import take, winners
from medxai.attribution.propagation.depthwise import depthwise
from medxai.attribution.propagation.operations import Call
from medxai.errors import UnsupportedModel

UNSEEN = "uses what depends on the images by an operation that cannot be seen, such as one of a scripted module"


@contextmanager
def explaining(
    model: nn.Module, images: Tensor, target: int | Tensor, create_graph: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Check the arguments and hold the model in evaluation mode; give the images and the targets (n,).

    Without `create_graph` weights are frozen meanwhile. With it they, and the images, keep their part in the graph.
    """
    with prepared(model, images, target) as (copy, target):
        if not create_graph:
            yield copy, target
            return
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield images, target
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass(frozen=True)
class Affine:
    """`output = linear(input, weight) + bias`: a convolution or linear layer, merged with what follows it and has one
    constant factor for each channel, such as a batch normalisation; or constant factors alone.

    A factor is a factor whatever wrote it: a batch normalisation, frozen or not, `x / 255`, `1 - x`.
    """

    index: int
    """Place in the order of operations; the same in each pass through a model."""
    input: Tensor  # (n, c, h, w), or (..., c) of a linear layer
    tangent: Any  # of the input, with its shape
    weight: Tensor
    """(k, c / groups, h, w) or (k, c); of constant factors alone shaped to be multiplied by the input."""
    bias: Tensor
    """Shaped to be added to the output."""
    linear: Callable[[Tensor, Tensor], Tensor]
    output: Tensor  # (n, k, h, w), or (..., k) of a linear layer
    axis: int | None
    """Of the channels of the output; None for constant factors alone."""
    passed: Callable[[Tensor, Tensor], Tensor] | None = None
    """Does to a tangent what `linear` does, with a derivative that is cheaper to differentiate, where there is one."""
    merged: int = 0
    """How often `scaled`."""

    def scaled(self, factor: Tensor, shift: Tensor, output: Tensor) -> "Affine | None":
        """Return this layer merged with `factor * output + shift`, None if channels do not have one factor each.

        Both are broadcast to the output, and have as many axes.
        """
        by_channel = factor
        if self.axis is not None:
            if factor.numel() != factor.shape[self.axis]:
                return None
            by_channel = factor.view(-1, *[1] * (self.weight.ndim - 1))  # (k, 1, ...) or (1, 1, ...)
        weight, bias = self.weight * by_channel, self.bias * factor + shift
        return replace(self, weight=weight, bias=bias, output=output, merged=self.merged + 1)

    def by_sign(self, inputs: Tensor, at_zero: float = 1.0) -> tuple[Callable[[Tensor], Tensor], ...]:
        """Split the linear map in the contributions `inputs * weight` that are positive and those that are negative.

        The sum of the two maps is `linear`. The positive one takes the share `at_zero` of what an input of zero meets
        with its positive weights, and the rest of what it meets with its negative ones.
        """
        inputs = inputs.detach()
        up = torch.heaviside(inputs, inputs.new_tensor(at_zero))  # like the inputs: 1, 0, or the share at zero
        above, below = self.weight.clamp(min=0), self.weight.clamp(max=0)  # like the weights
        if (up == 1).all():  # after a ReLU, half the work
            return lambda values: self.linear(values, above), lambda values: self.linear(values, below)

        def positive(values: Tensor) -> Tensor:
            return self.linear(values * up, above) + self.linear(values * (1 - up), below)

        def negative(values: Tensor) -> Tensor:
            return self.linear(values * up, below) + self.linear(values * (1 - up), above)

        return positive, negative


@dataclass
class Trace:
    """What the engine knows of a tensor that depends on the images."""

    operation: str
    tangent: Any = None
    """None while `rule` waits for the first use; None for good where no tangent passes: a gate."""
    rule: Callable[[str], Any] | None = None
    """Gives the tangent, told the name of the first operation that uses the tensor. It waits until then, since a batch
    normalisation that follows is merged."""
    affine: Affine | None = None
    summands: Call | None = None
    """The addition of two tensors that made the tensor."""
    source: "Trace | None" = None
    """Of what the tensor was made value by value, by a function or a number."""
    refusal: str = ""
    """Why nothing passes. It counts only if something on the way to the logits uses the tensor."""


class Propagation(TorchFunctionMode):
    """The rules that all methods share; those of activations and products refuse until a method says what they are.

    Parameters
    ----------
    model
        Network in evaluation mode that maps images (n, c, h, w) to logits (n, classes).
    create_graph
        Keep the graph of the activations, so that the result can be differentiated by images and parameters.
    """

    method = "propagation"

    def __init__(self, model: nn.Module, create_graph: bool = False) -> None:
        super().__init__()
        self.model, self.create_graph = model, create_graph
        self.names = {id(value): name.rpartition(".")[0] for name, value in model.named_parameters()}
        self.traces = WeakTensorKeyDictionary()
        self.in_place = operations.InPlace(WeakMethod(self.refuse))
        self.layer = ""
        self.calls = 0
        if create_graph and any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
            # Else found by their graph, when something uses what they return.
            raise UnsupportedModel(f"{self.method}: the model has a scripted module, in which no operation can be seen")

    def propagate(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the propagated quantity (n, c, h, w), from the logit of `target` to the images.

        Rules refer to the engine and the engine to them: without letting go of what was traced, the activations of the
        whole network would wait for Python's collector, which does not see how large they are.
        """
        try:
            return self._propagated(images, target)
        finally:
            self.traces.clear()
            self.in_place.written.clear()

    def _propagated(self, images: Tensor, target: Tensor) -> Tensor:
        seed = torch.zeros_like(images).requires_grad_()  # (n, c, h, w)
        with torch.enable_grad():
            tangent = self.seed_tangent(images, seed)
        logits = self.forward(images, tangent)  # (n, classes)
        if logits not in self.traces and logits.requires_grad and not self.create_graph:
            self.refuse("output", UNSEEN)
        if logits.ndim != 2 or logits not in self.traces:
            self.refuse("output", "does not give logits (n, classes) that depend on the images")
        start = self.start(scores_of(logits, self.model, target))  # (n,), or a number
        with torch.enable_grad():
            score = (start * self.tangent(self.traces[logits], "output").gather(1, target[:, None])[:, 0]).sum()
        (result,) = torch.autograd.grad(score, seed, create_graph=self.create_graph)  # (n, c, h, w)
        return result

    def forward(self, images: Tensor, tangent: Any) -> Tensor:
        """Return the logits, after following tangents from that of the images.

        Beside the engine runs autograd, whose graph keeps no tensor: by it a tensor that depends on the images is known
        even where an operation was not seen. Numbers taken out of a tensor are constants, as they are to autograd.
        """
        # No leaf, since a model may change its input in place.
        images = images.view_as(images) if self.create_graph else images.detach().requires_grad_().view_as(images)
        self.traces[images] = Trace("images", tangent)
        with torch.enable_grad(), self:
            output = self.model(images)
        return self.in_place.newest(output)

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is torch._C._set_grad_enabled:  # a frozen part under `no_grad`: it is followed like any other
            return None
        function, args, kwargs, changed = self.in_place.unfold(function, args, kwargs or {})
        call = Call(function, args, kwargs, self.traces.__contains__)
        for value in call.constants:
            self.layer = self.names.get(id(value), self.layer)
        output = self._computed(call)
        parts = list(operations.leaves(output))
        unseen = not self.create_graph and any(value.requires_grad for value in call.constants)
        if (call.signals or unseen) and call.name not in operations.LIKE:
            if changed is None and operations.writes(function.__name__):
                self.in_place.write(call.args[0], call.name)
            elif parts:
                self._follow(call, output, parts, UNSEEN if unseen else "")
        if changed is not None:
            self.in_place.write(changed, output)
        return output

    def _computed(self, call: Call) -> Any:
        """Do what the model asks for."""
        if self.create_graph:
            return call.function(*call.args, **call.kwargs)
        if call.function.__name__ in operations.NUMBERS:  # as without a graph
            call.args = operations.mapped(call.args, Tensor.detach)
        with torch.autograd.graph.saved_tensors_hooks(lambda _: None, lambda _: None):
            return call.function(*call.args, **call.kwargs)

    def _follow(self, call: Call, output: Any, parts: list[Tensor], refusal: str) -> None:
        """Store what the operation's rule says of its output, or why there is none."""
        self.calls += 1
        origins = [self.traces[signal] for signal in call.signals]
        try:
            if refusal:
                self.refuse(call.name, refusal)
            traces = self._traces(call, origins, output)
        except UnsupportedModel as error:
            traces = [Trace(call.name, refusal=str(error))] * len(parts)
        for part, trace in zip(parts, traces, strict=True):
            if not any(part is signal for signal in call.signals):  # dropout and others give back what they got
                self.traces[part] = trace
            elif operations.KINDS.get(call.name) not in {"identity", "linear"}:
                self.refuse(call.name, "gives back what it got, which may have changed")

    def _traces(self, call: Call, origins: list[Trace], output: Any) -> list[Trace]:
        """Return what the operation's rule says of its output."""
        for origin in origins:
            if origin.refusal:
                raise UnsupportedModel(origin.refusal)
        if call.name not in operations.KINDS or call.kwargs.get("out") is not None:
            self.refuse(call.name, "has no rule")
        unlinked = call.unlinked(self.calls, self.create_graph)
        if not self.create_graph:
            output = operations.mapped(output, Tensor.detach)
        with torch.enable_grad():
            return getattr(self, f"_{operations.KINDS[call.name]}")(unlinked, origins, output)

    def tangent(self, trace: Trace, operation: str) -> Any:
        """Return the tangent of a tensor for an operation that uses it."""
        if trace.refusal:
            raise UnsupportedModel(trace.refusal)
        if trace.rule is not None:
            trace.tangent, trace.rule = trace.rule(operation), None
        if trace.tangent is None:
            self.refuse(operation, f"uses the output of '{trace.operation}', a gate, as if it were a signal")
        return trace.tangent

    def tangents(self, call: Call, origins: list[Trace]) -> list[Any]:
        """Return the tangents of all tensors that an operation uses."""
        return [self.tangent(origin, call.name) for origin in origins]

    def _linear(self, call: Call, origins: list[Trace], output: Any) -> list[Trace]:
        if len(origins) == 1 and origins[0].tangent is origins[0].rule is None:  # a gate in another shape
            return [Trace(origins[0].operation)] * (1 if isinstance(output, Tensor) else len(output))
        if (constants := call.constant_parts(output)) is not None:
            return [self._scaled(call, origins[0], *constants, output)]
        call.tangents = self.tangents(call, origins)
        passed = self.linear(call)
        if not isinstance(output, Tensor):
            return [Trace(call.name, part) for part in passed]
        return [Trace(call.name, passed, summands=call if call.name == "add" and len(origins) == 2 else None)]

    def _identity(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        if call.name in operations.DROPOUTS and call.bound().get("training", True):
            self.refuse(call.name, "is random, though the model is in evaluation mode")
        return origins

    def _weighted(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        given = call.bound()
        if len(origins) > 1 or given["input"] is not call.signals[0]:
            self.refuse(call.name, "has weights that depend on the images")
        weight, linear, axis = operations.weights_of(call, given)
        bias = given.get("bias")
        bias = output.new_zeros(len(weight)) if bias is None else bias
        layer = Affine(
            call.index, call.signals[0], self.tangent(origins[0], call.name), weight,
            bias if axis == -1 else _along(axis, bias, output), linear, output.view_as(output), axis,
            depthwise(call.name, weight, given) if self.create_graph else None,
        )  # fmt: skip
        return [self._layer(call.name, layer)]

    def _batch_norm(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        given = call.bound()
        if given.get("training") or given["running_mean"] is None:
            self.refuse(call.name, "uses the statistics of the batch, though the model is in evaluation mode")
        deviation = (given["running_var"] + given.get("eps", 1e-5)).sqrt()  # (k,), as scale and shift
        scale = 1 / deviation if given.get("weight") is None else given["weight"] / deviation
        shift = -given["running_mean"] * scale + (0 if given.get("bias") is None else given["bias"])
        return [self._scaled(call, origins[0], _along(1, scale, output), _along(1, shift, output), output)]

    def _scaled(self, call: Call, origin: Trace, factor: Tensor, shift: Tensor, output: Tensor) -> Trace:
        """Follow `factor * input + shift`: merged with the layer before it, else a layer of its own."""
        if (factor == 1).all() and not shift.any():  # `sum` of a list begins with 0
            return origin
        output = output.view_as(output)
        layer = origin.affine and origin.affine.scaled(factor, shift, output)
        if layer is None:
            tangent = self.tangent(origin, call.name)
            layer = Affine(call.index, call.signals[0], tangent, factor, shift, torch.mul, output, None)
        return replace(self._layer(call.name, layer), source=origin)

    def _layer(self, operation: str, layer: Affine) -> Trace:
        return Trace(operation, rule=lambda consumer: self.affine(layer, consumer), affine=layer)

    def _max_pool(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        return [Trace(call.name, self.max_pool(call, self.tangent(origins[0], call.name)))]

    def _activation(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        if len(origins) > 1:
            self.refuse(call.name, "has a bound or slope that depends on the images")
        return [Trace(call.name, self.activation(call, origins[0], output.view_as(output)), source=origins[0])]

    def _product(self, call: Call, origins: list[Trace], output: Tensor) -> list[Trace]:
        if call.kwargs.get("rounding_mode") is not None:
            self.refuse(call.name, "rounds")
        if len(origins) == 1 and operations.multiplies_by_weights(call):
            return self._weighted(call, origins, output)
        if len(origins) == 1 and (call.args[0] is call.signals[0] or call.name not in operations.QUOTIENTS):
            return self._linear(call, origins, output)
        if len(origins) == 1 or call.name in operations.QUOTIENTS:
            self.refuse(call.name, "divides by what depends on the images")
        return [Trace(call.name, self.product(call, origins))]

    def seed_tangent(self, images: Tensor, seed: Tensor) -> Any:
        """Return the tangent of the images: the seed, by which the result is differentiated, or linear in it."""
        return seed

    def start(self, logits: Tensor) -> Tensor | float:
        """Return what is propagated from the targets' logits (n,): 1, as for a derivative, if a method says no more."""
        return 1.0

    def linear(self, call: Call) -> Any:
        """Rule of what only moves, scales and adds: itself, without constants."""
        return call.linear_part(call.tangents)

    def affine(self, layer: Affine, consumer: str) -> Any:
        """Rule of convolutions, linear layers and batch normalisation; `consumer` names the operation that follows."""
        return (layer.passed or layer.linear)(layer.tangent, layer.weight)

    def max_pool(self, call: Call, tangent: Any) -> Any:
        """Rule of max-pooling: the winner takes all."""
        return take(tangent, winners(call, call.signals[0]))

    def activation(self, call: Call, origin: Trace, output: Tensor) -> Any:
        """Rule of an elementwise function; None makes the output a gate."""
        self.refuse(call.name, "has no rule")

    def product(self, call: Call, origins: list[Trace]) -> Any:
        """Rule of a product of two tensors that both depend on the images."""
        self.refuse(call.name, "has no rule")

    def refuse(self, operation: str, reason: str) -> NoReturn:
        """Raise UnsupportedModel, which names the operation and the last layer with parameters before it."""
        place = f"layer '{self.layer}' or after it" if self.layer else "the input"
        raise UnsupportedModel(f"{self.method}: '{operation}', at {place}, {reason}")


def _along(axis: int, values: Tensor, output: Tensor) -> Tensor:
    """Return values (channels,) shaped to be broadcast over an output whose channels are on an axis."""
    shape = [1] * output.ndim
    shape[axis] = -1
    return values.view(shape)
