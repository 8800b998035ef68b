"""Slopes, ratios and winners: the coefficients of which the rules of several methods are made."""

import torch
from torch import Tensor
from torch.nn import functional

from medxai.attribution.propagation.operations import Call


def ratio(numerator: Tensor, denominator: Tensor, undefined: Tensor | float = 0.0) -> Tensor:
    """Return numerator / denominator, and `undefined` where the denominator is zero."""
    zero = denominator == 0
    return torch.where(zero, undefined, numerator / torch.where(zero, 1, denominator))


def slope(call: Call) -> Tensor:
    """Return the derivative of an elementwise function at its input, differentiable if the input is.

    That of a function of straight pieces is a constant to autograd, too: nothing is to be differentiated there.
    """
    value = call.signals[0]
    if call.name == "relu":
        return (value > 0).to(value.dtype)
    keep = value.requires_grad and call.name not in RECTIFIERS
    value = value if keep else value.detach().requires_grad_()
    return torch.autograd.grad(call.apply([value]).sum(), value, create_graph=keep)[0]


def gain(call: Call, output: Tensor) -> Tensor:
    """Return f(z) / z of an elementwise function with f(0) = 0, and f'(0) at zero: ReLU's 0 or 1, SiLU's sigmoid(z)."""
    if call.name == "relu":
        return slope(call)
    return ratio(output, call.signals[0], slope(call))


def vanishes_at_zero(call: Call) -> bool:
    """Tell whether a function is zero at zero."""
    return not call.apply([torch.zeros_like(call.signals[0][:1])]).any()


RECTIFIERS = frozenset({"relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min"})
"""What may be a ReLU with an upper bound, depending on its lower one."""


def is_rectifier(call: Call) -> bool:
    """Tell whether a function is ReLU, or ReLU up to an upper bound."""
    if call.name in {"relu", "relu6"}:
        return True
    if call.name not in RECTIFIERS:
        return False
    lower = call.bound().get("min_val" if call.name == "hardtanh" else "min")
    return lower is not None and bool((torch.as_tensor(lower) == 0).all())


def winners(call: Call, value: Tensor) -> Tensor:
    """Return the place of each window's maximum in the flattened maps, (n, c, h, w) of the output's size."""
    given = {**call.bound(), "return_indices": True, "input": value}
    pool = functional.max_pool2d if call.name == "max_pool2d" else functional.adaptive_max_pool2d
    return pool(**given)[1]


def take(value: Tensor, places: Tensor) -> Tensor:
    """Return the elements of maps (n, c, h, w) at `places` (n, c, h', w'), as found by `winners`."""
    # A place that wins several windows is taken as often, and the transpose adds up what comes back to it.
    flat = value.flatten(-2).gather(-1, places.flatten(-2).expand(*value.shape[:-2], -1))
    return flat.view(*value.shape[:-2], *places.shape[-2:])
