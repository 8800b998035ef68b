"""What the engine knows of PyTorch's operations: their kinds, their arguments, their effects in place."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NoReturn
from weakref import WeakMethod

import torch
from torch import Tensor
from torch.nn import functional

from medxai.errors import UnsupportedModel

_MOVES = (
    "flatten unflatten view view_as reshape reshape_as permute transpose movedim swapaxes t T mT squeeze unsqueeze "
    "expand expand_as repeat tile flip roll narrow select index_select "
    "getitem chunk split tensor_split unbind cat concat concatenate stack hstack vstack "
    "pixel_shuffle pixel_unshuffle channel_shuffle unfold pad"
)
MOVES = frozenset(_MOVES.split())
"""What puts values in other places, and does nothing else to them."""
_SUMS = (
    "to float double type_as add sub subtract rsub neg negative mean sum cumsum avg_pool1d avg_pool2d avg_pool3d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample "
)
WEIGHTED = (
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("linear", "addmm"),
)
"""What multiplies by weights and adds a bias; `x @ weight` is found among the products."""
_ALPHA_DROPOUTS = ["alpha_dropout", "feature_dropout", "feature_alpha_dropout"]
DROPOUTS = ["dropout", "dropout1d", "dropout2d", "dropout3d", *_ALPHA_DROPOUTS]
_ACTIVATIONS = (
    "relu relu6 hardtanh clamp clip clamp_min leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish "
    "sigmoid hardsigmoid tanh softplus softsign hardshrink softshrink tanhshrink logsigmoid"
)

KINDS: dict[str, str] = {
    **dict.fromkeys((_MOVES + " " + _SUMS).split(), "linear"),
    **dict.fromkeys([*DROPOUTS, "clone", "contiguous", "alias"], "identity"),
    **dict.fromkeys(WEIGHTED, "weighted"),
    **dict.fromkeys(["mul", "multiply", "div", "divide", "truediv", "matmul", "mm", "bmm"], "product"),
    **dict.fromkeys(["max_pool2d", "adaptive_max_pool2d"], "max_pool"),
    **dict.fromkeys(_ACTIVATIONS.split(), "activation"),
    "batch_norm": "batch_norm",
}
"""The kind of each known operation; what is not here is refused."""

LIKE = frozenset(
    (
        *("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor"),
        *("zeros_like", "ones_like", "empty_like", "full_like"),
    )
)
"""What takes of a tensor its shape or type, and none of its values."""
NUMBERS = frozenset(["item", "tolist", "numpy", "__array__", "__float__", "__int__", "__bool__", "__index__"])
"""What takes numbers out of a tensor."""
BY_VALUE = frozenset(
    (
        *("add", "sub", "subtract", "rsub", "neg", "negative"),
        *("mul", "multiply", "div", "divide", "truediv"),
    )
)
"""What makes `factor * x + shift` of each value by itself if the other operand is constant."""
QUOTIENTS = frozenset({"div", "divide", "truediv"})

_ADDITIVE = frozenset({"add", "sub", "subtract", "rsub", "cat", "concat", "concatenate", "stack", "hstack", "vstack"})

SIGNATURES = {
    "conv1d": "input weight bias stride padding dilation groups",
    "conv2d": "input weight bias stride padding dilation groups",
    "conv3d": "input weight bias stride padding dilation groups",
    "conv_transpose1d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose2d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose3d": "input weight bias stride padding output_padding groups dilation",
    "linear": "input weight bias",
    "addmm": "bias input weight",
    "batch_norm": "input running_mean running_var weight bias training momentum eps",
    "max_pool2d": "input kernel_size stride padding dilation ceil_mode return_indices",
    "adaptive_max_pool2d": "input output_size return_indices",
    "pad": "input pad mode value",
    "hardtanh": "input min_val max_val inplace",
    "clamp": "input min max",
    "clip": "input min max",
    "clamp_min": "input min",
    **dict.fromkeys(DROPOUTS, "input p training inplace"),
}
TORCHS_OWN = {
    torch.batch_norm: "input weight bias running_mean running_var training momentum eps cudnn_enabled",
    **{getattr(torch, name): "input p training" for name in DROPOUTS if hasattr(torch, name)},
}
"""The order of arguments of what torch and torch.nn.functional call by the same name, and not in the same order."""


def writes(name: str) -> bool:
    """Tell by a function's own name whether it writes into its first argument."""
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in {"__index__", "__int__", "__invert__"})
    return name.endswith("_") and name not in {"requires_grad_"}


def name_of(function: Callable) -> str:
    """Return the operation's name without what only says how it was written: `__iadd__`, `add_`, `add` are one."""
    name = function.__name__
    if name == "__get__":  # an attribute: `x.T`, `x.data`
        return function.__self__.__name__
    if name.startswith("__"):
        plain = name.strip("_")
        return plain[1:] if plain in {"iadd", "isub", "imul", "itruediv", "radd", "rmul", "rmatmul"} else plain
    return name.removesuffix("_")


def multiplies_by_weights(call: "Call") -> bool:
    """Tell whether a product is a linear layer: `x @ weight`, or `weight @ x`, with a constant matrix."""
    pair = [value for value in call.args if isinstance(value, Tensor)]
    return call.name in {"matmul", "mm"} and len(pair) == 2 and call.constants[0].ndim == 2 and call.signals[0].ndim > 1


def weights_of(call: "Call", given: dict[str, Any]) -> tuple[Tensor, Callable[[Tensor, Tensor], Tensor], int]:
    """Return an operation as weights, outputs first, the linear function of input and weights, and the output's axis.

    So the same linear map has the same weights whatever it is called: (k, c / groups, ...) of a convolution, transposed
    or not, (k, c) of a linear layer or a product with a matrix.
    """
    weight = given["weight"]
    if call.name in {"matmul", "mm"}:
        if call.args[0] is call.signals[0]:
            return weight.mT, functional.linear, -1
        return weight, lambda values, weights: weights @ values, -2
    if call.name == "addmm":
        if any(call.kwargs.get(name, 1) != 1 for name in ("alpha", "beta")):
            raise UnsupportedModel("'addmm' with factors has no rule")
        return weight.mT, functional.linear, -1
    places = {key: value for key, value in given.items() if key not in {"input", "weight", "bias"}}
    if not call.name.startswith("conv_transpose"):
        axis = -1 if call.name == "linear" else 1
        return weight, lambda values, weights: call.function(values, weights, None, **places), axis
    groups = places.get("groups", 1)
    size = weight.shape[2:]

    def turned(weights: Tensor) -> Tensor:
        """Swap inputs and outputs of each group, the first two axes."""
        return weights.unflatten(0, (groups, -1)).transpose(1, 2).reshape(-1, len(weights) // groups, *size)

    return turned(weight), lambda values, weights: call.function(values, turned(weights), None, **places), 1


class Call:
    """One operation with its arguments; `signals` are those that depend on the images, in order."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict, is_signal: Callable[[Tensor], bool]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.name = name_of(function)
        self.signals: list[Tensor] = []
        self.constants: list[Tensor] = []
        for value in leaves((args, kwargs)):
            (self.signals if is_signal(value) else self.constants).append(value)
        self.index = 0
        """Place in the order of operations; the same in each pass through a model."""
        self.tangents: list[Any] = []

    def unlinked(self, index: int, graph: bool) -> "Call":
        """Return this call on views of its signals, which may be kept without keeping alive what is known of them.

        Without `graph` the views are no part of the graph that the signals are in.
        """
        views = [signal.view_as(signal) if graph else signal.detach() for signal in self.signals]  # other objects
        args, kwargs = _swapped((self.args, self.kwargs), self.signals, iter(views))
        call = Call(self.function, args, kwargs, lambda value: any(value is view for view in views))
        call.index = index
        return call

    def bound(self) -> dict[str, Any]:
        """Return the arguments by name, as far as they were given."""
        if self.name in {"matmul", "mm"}:
            return {"input": self.signals[0], "weight": self.constants[0]}
        names = TORCHS_OWN.get(self.function, SIGNATURES[self.name]).split()
        given = {"mat1": "input", "mat2": "weight", "train": "training"}  # what torch calls them as keywords
        given = {given.get(name, name): value for name, value in self.kwargs.items()}
        return {**dict(zip(names, self.args, strict=False)), **given}

    def robust(self, *args: Any, **kwargs: Any) -> Any:
        """Do the operation with other tensors of the same shapes; their strides need not allow for a view."""
        return (Tensor.reshape if self.name == "view" else self.function)(*args, **kwargs)

    def apply(self, values: Sequence[Tensor]) -> Any:
        """Return the operation's result for other values of the signals."""
        remaining = iter(values)
        args, kwargs = _swapped((self.args, self.kwargs), self.signals, remaining)
        return self.robust(*args, **kwargs)

    def linear_part(self, tangents: Sequence[Tensor]) -> Any:
        """Return the operation's result for tangents: its constants, such as what is added, are left out."""
        if self.name == "pad":
            given = self.bound()
            mode = given.get("mode", "constant")
            return functional.pad(tangents[0], given["pad"], mode, 0 if mode == "constant" else None)
        if self.name not in _ADDITIVE:
            return self.apply(tangents)
        zeros = [torch.zeros_like(value) for value in self.constants]
        remaining = iter(tangents)
        args, kwargs = _swapped((self.args, self.kwargs), self.signals, remaining)
        args, kwargs = _swapped((args, kwargs), self.constants, iter(zeros))
        if self.name in {"add", "sub", "subtract", "rsub"}:
            args = tuple(0 if isinstance(value, (int, float)) else value for value in args)
            kwargs = {
                key: 0 if key == "other" and isinstance(value, (int, float)) else value for key, value in kwargs.items()
            }
        return self.function(*args, **kwargs)

    def constant_parts(self, output: Any) -> tuple[Tensor, Tensor] | None:
        """Return factor and shift of what makes `factor * x + shift` of its one signal, broadcastable; else None."""
        if self.name not in BY_VALUE or len(self.signals) > 1 or output.shape != self.signals[0].shape:
            return None
        one = output.new_ones([1] * output.ndim)
        factor = self.linear_part([one])
        if self.name in _ADDITIVE:  # the same everywhere, whatever the shape of what is added
            factor = factor[(slice(1),) * factor.ndim]
        return factor, self.apply([torch.zeros_like(one)])


def leaves(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(mapped(part, change) for part in value)
    if isinstance(value, dict):
        return {key: mapped(part, change) for key, part in value.items()}
    return value


def _swapped(value: Any, old: Sequence[Tensor], new: Iterator[Tensor]) -> Any:
    """Return `value` with each tensor that is in `old` replaced by the next of `new`."""
    return mapped(value, lambda tensor: next(new) if any(tensor is known for known in old) else tensor)


@cache
def _place_of_inplace(function: Callable) -> int | None:
    """Position of the argument `inplace` of a function that has one."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # written in C, and without a signature
        return None
    return names.index("inplace") if "inplace" in names else None


class InPlace:
    """Turns operations in place into ordinary ones: the old tensor stays, and later uses of it get the new one.

    What writes in a way that cannot be turned, as `x[:, 0] = 0` does, is followed no further: whatever uses the tensor
    after that is refused.
    """

    def __init__(self, refuse: WeakMethod[Callable[[str, str], NoReturn]]) -> None:
        self.refuse = refuse  # weak: the engine holds this, and a circle would keep the network's activations
        self.written: dict[int, tuple[Tensor, Tensor | str]] = {}
        """By address of the storage: the tensor that was written to, kept so that its address stays its own, and its
        new value, or the name of the operation that is not followed."""

    def newest(self, tensor: Tensor) -> Tensor:
        """Return what `tensor` would hold now; a view of a tensor that was written to is refused."""
        while self.written and (entry := self.written.get(_address(tensor))):
            old, new = entry
            if isinstance(new, str):
                self.refuse()(new, "writes into a tensor in a way that is not followed")
            if _geometry(old) != _geometry(tensor):
                self.refuse()("view", "uses another view of a tensor that was changed in place, which is not followed")
            tensor = new
        return tensor

    def unfold(self, function: Callable, args: tuple, kwargs: dict) -> tuple[Callable, tuple, dict, Tensor | None]:
        """Return the call with current values and without effect in place, and the tensor that it would write to."""
        args, kwargs = mapped(args, self.newest), mapped(kwargs, self.newest)
        name = function.__name__
        place = _place_of_inplace(function)
        if place is not None and (kwargs.get("inplace") or args[place : place + 1] == (True,)):
            args = args[:place] + (False,) * (len(args) > place) + args[place + 1 :]
            return function, args, {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs, args[0]
        if writes(name) and isinstance(args[0], Tensor):
            for owner in (Tensor, torch, functional):
                if callable(plain := getattr(owner, name_of(function), None)):
                    return plain, args, kwargs, args[0]
        return function, args, kwargs, None

    def write(self, old: Tensor, new: Tensor | str) -> None:
        """Note that an operation in place would have changed `old` to `new`, or has, by an operation of that name."""
        if isinstance(new, str) or _address(old) != _address(new):
            self.written[_address(old)] = (old, new)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _geometry(tensor: Tensor) -> tuple:
    return tensor.data_ptr(), tensor.shape, tensor.stride()
