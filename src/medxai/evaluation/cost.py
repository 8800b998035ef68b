"""What a map costs: images through the network, and seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medxai.evaluation._checks import positive


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

    Parameters
    ----------
    call
        Uses ``model`` itself, not a copy of it; what it returns is dropped.
    model
        The first argument of its forward pass is a batch of images.
    repeats
        Number of timed calls, at least 1.

    Raises
    ------
    ValueError
        If ``repeats`` is no count. What the call raises passes through; nothing stays on the model.
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
    """Count the images that go forward through a model, and time the block.

    Parameters
    ----------
    model
        As of `measure`; nothing stays on it, after an exception neither.
    """
    meter, seen = Meter(), []
    hook = model.register_forward_pre_hook(
        lambda _, inputs, named: seen.append(len(_images(inputs, named))), with_kwargs=True
    )
    _finish()
    start = perf_counter()
    try:
        yield meter
        _finish()
        meter.cost = Cost(sum(seen), perf_counter() - start)
    finally:
        hook.remove()


def _images(inputs: tuple, named: dict[str, object]) -> Tensor:
    return inputs[0] if inputs else next(iter(named.values()))


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
