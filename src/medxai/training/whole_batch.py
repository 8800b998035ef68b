"""Training of something small on all examples at once."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def minimise(
    loss: Callable[[], Tensor], parameters: Iterable[Tensor], *, steps: int, rate: float, decay: float
) -> float:
    """Lower a loss by Adam with decay of weights; return its last value, NaN if it never was a number.

    Parameters
    ----------
    loss
        Called in each step; a step whose loss is NaN, the mean over nothing, changes nothing.
    parameters
        What to change.
    """
    optimiser, last = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay), float("nan")
    for _ in range(steps):
        value = loss()
        last = value.item()
        if last == last:
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    return last
