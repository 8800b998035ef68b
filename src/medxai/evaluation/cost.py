"""What a map costs: images through the network, and seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

import torch
from torch import nn

from medxai.attribution.checking import CHECKING
from medxai.errors import positive


class Cost(NamedTuple):
    """What a call costs; lower is better for both."""

    images: int
    """Images that go forward through the model, at least 0; the same on every machine."""
    seconds: float
    """Wall-clock time of the shortest call, of this machine."""


def measure(call: Callable[[], object], model: nn.Module, *, repeats: int = 3) -> Cost:
    """Count the images that a call sends forward through a model, and time the call.

    A first call counts and warms up; then ``repeats`` calls are timed, and the shortest is kept, so that other
    programs on the machine count least.

    The call uses the model itself, not a copy of it; what it returns is dropped, and what it raises passes through. The
    first argument of the model's forward pass is a batch of images; nothing stays on the model. ``repeats`` below 1 are
    a ValueError.
    """
    positive("repeats", repeats)
    with metered(model) as first:
        call()
    return Cost(first.cost.images, min(_seconds(call) for _ in range(repeats)))


class Meter:
    """What the block of `metered` cost, once it has ended."""

    cost: Cost


@contextmanager
def metered(model: nn.Module) -> Iterator[Meter]:
    """Count the images that go forward through a model, on which nothing stays in any case, and time the block.

    Images that only check (`medxai.attribution.checking`) are not counted, though their time is.
    """
    meter, seen = Meter(), []

    def count(_: nn.Module, inputs: tuple, named: dict[str, object]) -> None:
        if not CHECKING.get():
            seen.append(len(inputs[0] if inputs else next(iter(named.values()))))

    hook = model.register_forward_pre_hook(count, with_kwargs=True)
    _finish()
    start = perf_counter()
    try:
        yield meter
        _finish()
        meter.cost = Cost(sum(seen), perf_counter() - start)
    finally:
        hook.remove()


def _seconds(call: Callable[[], object]) -> float:
    """Time one call, with what it leaves running on a GPU."""
    _finish()
    start = perf_counter()
    call()
    _finish()
    return perf_counter() - start


def _finish() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
