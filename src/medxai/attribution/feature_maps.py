"""The maps of a layer, always as (n, channels, h, w): which is the last, and the score's gradient by them.

Networks hold maps in their own ways: (n, channels, h, w) after a convolution, (n, h, w, channels) in a Swin
transformer, (n, tokens, channels) in a plain one, with tokens among them that are no pixels. Shapes do not tell which
is which. So places are followed: beside each tensor of a forward pass of the first image goes another of its shape,
which says for each value where in the image it comes from.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from medxai.attribution import _inputs
from medxai.attribution.checking import checking
from medxai.attribution.propagation import operations
from medxai.errors import UnsupportedModel

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)


@dataclass(frozen=True)
class Layout:
    """How a layer's output holds its maps."""

    channels: int
    """Axis of the channels."""
    grid: tuple[int, int] | None = None
    """Height and width, if the pixels are tokens along one axis, row by row."""
    skipped: int = 0
    """Tokens before the first pixel."""

    def maps(self, output: Tensor) -> Tensor:
        """Return the output, or a gradient by it, as (n, channels, h, w)."""
        first = output.movedim(self.channels, 1)
        if self.grid is None:
            return first
        return first[:, :, self.skipped : self.skipped + self.grid[0] * self.grid[1]].unflatten(2, self.grid)


Layers = str | nn.Module | Sequence[str | nn.Module] | Mapping[str, Layout] | None
"""Names of layers, or the modules themselves; the last that gives maps for None. Where one knows how they hold their
maps, their layouts by name: the first image need then not be run."""


class Layer(NamedTuple):
    """A module, and how its output holds maps."""

    module: nn.Module
    layout: Layout


def named_layers(model: nn.Module, images: Tensor, layers: Layers) -> dict[str, Layer]:
    """Return layers by name; for None, the last that gives maps (see `last_maps`).

    The first image is run, unless layouts are given.

    Raises
    ------
    ValueError
        If a layer is none of the model's, is not run, or gives no maps; as `UnsupportedModel` if the model has no
        convolution.
    """
    modules = dict(model.named_modules())
    if not any(isinstance(module, CONVOLUTIONS) for module in modules.values()):
        raise UnsupportedModel("the model has no convolution, and so no maps that could be weighed")
    if layers is None:
        layers = last_maps(model, images)
    if isinstance(layers, str | nn.Module):
        layers = [layers]
    names = {module: name for name, module in reversed(modules.items())}
    wanted = [_name(layer, names, modules) for layer in layers]
    if not wanted:
        raise ValueError("layers are empty: expected at least one")
    if isinstance(layers, Mapping):
        return {name: Layer(modules[name], layout) for name, layout in layers.items()}
    given = {one.name: one for one in _outputs(model, images)}
    return {name: Layer(modules[name], _layout(name, given.get(name))) for name in wanted}


def _name(layer: str | nn.Module, names: dict[nn.Module, str], modules: dict[str, nn.Module]) -> str:
    name = names.get(layer) if isinstance(layer, nn.Module) else layer
    if name not in modules or name == "":
        near = difflib.get_close_matches(str(layer), modules, 3, 0.3) or [name for name in modules if name][-3:]
        shown = repr(layer) if isinstance(layer, str) else f"a {type(layer).__name__}"
        raise ValueError(f"layer {shown} is no layer of the model: expected a name such as {', '.join(near)}")
    return name


def _layout(name: str, given: "Output | None") -> Layout:
    if given is None:
        raise ValueError(f"the score does not depend on layer {name!r}: expected a layer on the way to the logits")
    if (layout := given.layout) is None:
        ways = "(n, c, h, w), (n, h, w, c), or of tokens in the order of a grid"
        raise ValueError(f"layer {name!r} gives {given.found}: expected a layer that gives maps {ways}")
    return layout


def last_maps(model: nn.Module, images: Tensor) -> str:
    """Name of the module that is last to give maps of more than one pixel on which the logits depend.

    It is found by running the first image. A pooling to fixed size, as VGG's, gives no maps of its own; a block that
    ends in a pooling neither. Where a class token is read at the end, the other tokens of the last block are not: the
    last maps are those that its attention looks at. Linear layers of tokens, as queries and keys, are left out.

    Raises
    ------
    UnsupportedModel
        If there are none, or if the pixels of a layer after them cannot be followed.
    """
    maps: list[Output] = []
    lost = ""
    for one in reversed(_outputs(model, images)):
        if one.lost:  # what comes before it is not the last, whatever it is
            lost = one.name
            break
        if one.passed_on or one.layout is None or one.pixels == 1:
            continue
        if one.layout.grid is None and not maps:
            return one.name
        if one.layout.grid is None or not isinstance(one.module, nn.Linear):
            maps.append(one)
    # Tokens: not all that are there are read. A convolution's maps have no such doubt, and need no gradient.
    used = _used(model, images, {one.name: Layer(one.module, one.layout) for one in maps})
    for one in maps:
        if one.name in used:
            return one.name
    if lost:
        why = "could not be followed, so that the last maps are not known: name a layer"
        raise UnsupportedModel(f"the pixels of what {lost!r} gives {why}")
    size = f"{images.shape[-2]} x {images.shape[-1]}"
    if maps:
        raise UnsupportedModel(f"the logits depend on no pixel of the maps of {maps[0].name!r} or of a layer before it")
    raise UnsupportedModel(f"no layer gives maps of more than one pixel for images of {size}")


def _used(model: nn.Module, images: Tensor, layers: dict[str, Layer]) -> set[str]:
    """Names of the layers on whose maps the first image's logits depend."""
    if not layers:
        return set()
    with torch.enable_grad(), checking(), recorded(layers) as outputs:
        total = model(images[:1].clone()).sum()
    slopes = torch.autograd.grad(total, list(outputs.values()), allow_unused=True)
    pairs = zip(outputs, slopes, strict=True)
    return {name for name, slope in pairs if slope is not None and layers[name].layout.maps(slope).any()}


@contextmanager
def recorded(layers: dict[str, Layer]) -> Iterator[dict[str, Tensor]]:
    """Record the output of each layer during a forward pass as it is, ready for `torch.autograd.grad`.

    What runs before the first of them stays outside of the graph, unless it needs gradients itself. If the network then
    changes an output in place, as an in-place ReLU does, the record is of the changed values. Of a layer that runs
    more than once, the last output is recorded.
    """
    outputs: dict[str, Tensor] = {}

    def hook(name: str) -> Callable:
        def note(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
            if torch.is_grad_enabled() and not output.requires_grad:
                output = output.detach().requires_grad_().clone()  # a clone may be changed in place, a leaf may not
            outputs[name] = output
            return output

        return note

    handles = [layer.module.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def maps_and_gradients(
    model: nn.Module, images: Tensor, target: Tensor | _inputs.Choice, layers: dict[str, Layer]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each layer's maps and the score's gradient by them, both (n, c, h, w): one forward, one backward pass.

    Raises
    ------
    ValueError
        If the score does not depend on a layer.
    """
    with recorded(layers) as outputs:
        score = _inputs.scores(model, images, target)
    reached = list(outputs)
    if reached:
        _inputs.check_graph(score)
    gradients = (
        torch.autograd.grad(score.sum(), [outputs[name] for name in reached], allow_unused=True) if reached else ()
    )
    slopes = {name: slope for name, slope in zip(reached, gradients, strict=True) if slope is not None}
    for name in layers:
        if name not in slopes:
            raise ValueError(f"the score does not depend on layer {name!r}: expected a layer on the way to the logits")
    read = {name: layer.layout.maps for name, layer in layers.items()}
    return {name: (read[name](outputs[name].detach()), read[name](slopes[name])) for name in layers}


def resized(maps: Tensor, images: Tensor) -> Tensor:
    """Return maps (n, c, h, w) at the size of the images, bilinearly, pixel centres not aligned to corners."""
    return nn.functional.interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)


@dataclass
class Output:
    """What a module has given in a forward pass."""

    order: int
    """Of its end in the pass."""
    name: str
    module: nn.Module
    found: tuple[int, ...] | str
    """Its shape, or what else it is."""
    places: Tensor | None
    """Where its values come from, see `_Places`; None where that could not be followed."""
    lost: bool
    """Whether it depends on the image, and its places could not be followed."""
    passed_on: bool
    """Whether the module itself computes no maps: a pooling, or what ends in one; dropout."""

    @cached_property
    def layout(self) -> Layout | None:
        """How the maps are held; None if there are none."""
        return None if self.places is None else _layout_of(self.places)

    @property
    def pixels(self) -> int:
        """Of a map."""
        return self.layout.maps(self.places)[0, 0].numel()


def _outputs(model: nn.Module, images: Tensor) -> list[Output]:
    """What the modules give for the first image, in the order in which they end; of repeated ones, the last."""
    names = {module: name for name, module in model.named_modules() if name}
    mode, found, pooled, clock = _Places(), {}, [], count()

    def note(module: nn.Module, _: tuple, output: object) -> None:
        tensor = isinstance(output, Tensor)
        if tensor and isinstance(module, POOLINGS):
            pooled.append(output)
        passed = isinstance(module, nn.Identity | nn.Dropout) or any(output is other for other in pooled)
        places = mode.places.get(output) if tensor else None
        lost = (
            tensor and output.requires_grad and places is None and output[0].numel() > max(output.shape[1:], default=1)
        )
        shown = tuple(output.shape) if tensor else type(output).__name__
        found[module] = Output(next(clock), names[module], module, shown, places, lost, passed)

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.enable_grad(), checking():
            image = images[:1].detach().requires_grad_().clone()  # what depends on it is seen by its graph
            mode.places[image] = _grid(image)
            with mode:
                model(image)
    finally:
        for handle in handles:
            handle.remove()
    return sorted(found.values(), key=lambda one: one.order)


class _Places(TorchFunctionMode):
    """Follows where values come from: `places` has for each tensor another of its shape, y + ix for rows and columns.

    Both are between 0 and 1, of the centre of what a value is computed from along its own branch; NaN belongs to no
    place. Attention is no exception: what it adds to a token counts as the token's.
    """

    MAPS = frozenset(
        (
            *("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "lp_pool2d", "adaptive_max_pool2d"),
            *("adaptive_avg_pool2d", "interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle"),
        )
    )
    """What takes maps (n, c, h, w) and gives others, of another size."""
    MIXED = frozenset(["sort", "msort", "argsort", "cumsum", "einsum"])
    """What may keep the shape and yet moves values, in a way that is not followed."""

    ROWS = frozenset(["linear", "matmul", "bmm", "scaled_dot_product_attention"])
    """What makes each row of its output, along the last axis, of the same row of its first input."""

    def __init__(self) -> None:
        super().__init__()
        self.places = WeakTensorKeyDictionary()

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        output = function(*args, **(kwargs or {}))
        call = operations.Call(function, args, kwargs or {}, self.places.__contains__)
        made = [part for part in operations.leaves(output) if not any(part is signal for signal in call.signals)]
        if made and call.name not in self.MIXED:
            places = list(operations.leaves(self._of(call, made)))
            for part, place in zip(made, places, strict=False):
                if place.shape == part.shape:
                    self.places[part] = place
        return output

    def _of(self, call: operations.Call, made: list[Tensor]) -> list[Tensor] | Any:
        output, known = made[0], [self.places[signal] for signal in call.signals]
        if call.name in self.MAPS:
            right = not known or _layout_of(known[0]) == Layout(1)
            return [_grid(output)] if right and output.ndim == 4 and len(output) == 1 else []
        if not known:
            return []
        if call.name in operations.MOVES:
            return _moved(call, known)
        if call.name in self.ROWS:
            first = known[0] if call.args and call.args[0] is call.signals[0] else None
            return [] if first is None else [_middle(first).expand(*first.shape[:-1], output.shape[-1])]
        return [_joined([one for one in known if one.shape == part.shape] or known[:1]) for part in made]


def _moved(call: operations.Call, known: list[Tensor]) -> Any:
    """Do to the places what an operation does that only moves values; what comes from elsewhere has no place."""
    if call.name == "pad":
        constant = call.bound().get("mode", "constant") == "constant"
        return nn.functional.pad(known[0], call.bound()["pad"], value=torch.nan) if constant else []
    there = dict(zip(map(id, call.signals), known, strict=True))
    there |= {
        id(one): torch.full(one.shape, torch.nan, dtype=torch.complex64)
        for one in call.constants
        if one.is_floating_point()
    }
    args, kwargs = operations.mapped((call.args, call.kwargs), lambda one: there.get(id(one), one))
    return call.robust(*args, **kwargs)


def _middle(places: Tensor) -> Tensor:
    """The mean place along the last axis, which is kept; padding does not count, and alone it has no place."""
    known = ~places.isnan()
    return places.where(known, 0).sum(-1, keepdim=True) / known.sum(-1, keepdim=True)


def _joined(places: list[Tensor]) -> Tensor:
    """The place of what is computed from several tensors: of those in order, the first, and else halfway."""
    if all(one is places[0] for one in places):
        return places[0]
    return next((one for one in places if _layout_of(one)), sum(places) / len(places))


def _grid(maps: Tensor) -> Tensor:
    """Return the places of the pixels of maps (1, c, h, w)."""
    rows, columns = ((torch.arange(side) + 0.5) / side for side in maps.shape[-2:])
    return torch.complex(*torch.meshgrid(rows, columns, indexing="ij")).expand(maps.shape)


def _layout_of(places: Tensor) -> Layout | None:
    """Read from places (1, ...) how maps are held; None if there is no axis of channels beside a grid in order."""
    if places.ndim not in (3, 4) or len(places) != 1:
        return None
    for channels in (1, places.ndim - 1):
        each = places.movedim(channels, 1)[0]
        if not torch.allclose(each, each[:1].expand_as(each), atol=1e-4, rtol=0, equal_nan=True):
            continue
        one = each[0]
        if one.ndim == 2:
            return Layout(channels) if _in_order(one) else None
        there = (~one.isnan()).nonzero()[:, 0]
        if not len(there) or there[-1] - there[0] + 1 != len(there):
            return None
        pixels = one[there]
        width = int((pixels.real - pixels.real[0]).abs().le(1e-4).sum())
        if len(pixels) % width or not _in_order(pixels.view(-1, width)):
            return None
        return Layout(channels, (len(pixels) // width, width), int(there[0]))
    return None


def _in_order(grid: Tensor) -> bool:
    """Tell whether places (h, w) are those of a grid, rows downwards and columns to the right."""
    rows, columns = grid.real, grid.imag
    same = (rows - rows[:, :1]).abs().max() <= 1e-4 and (columns - columns[:1]).abs().max() <= 1e-4
    return bool(same and (rows[1:] - rows[:-1] > 1e-4).all() and (columns[:, 1:] - columns[:, :-1] > 1e-4).all())
