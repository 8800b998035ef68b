"""Tangents through depthwise convolutions, with a derivative that is cheap to differentiate.

Torch differentiates the derivative of a grouped convolution group by group. In a depthwise one each channel is a
group, so that the gradient of a loss of a map took thousands of small convolutions (torch 2.11, on a processor). Here
the derivative is a depthwise convolution itself, of a gradient spread over the stride by the kernel turned upside down,
and the derivative of that is what torch is fast at.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, autograd
from torch.nn import functional


def depthwise(call_name: str, weight: Tensor, places: dict[str, Any]) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return what a depthwise convolution does to a tangent (n, c, h, w), given its weights; None for another call.

    The result is differentiable by the tangent, and that derivative by the weights. By the weights alone it is not:
    what is propagated never depends on the value of a tangent.
    """
    groups, padding = places.get("groups", 1), places.get("padding", 0)
    if call_name != "conv2d" or groups == 1 or weight.shape[:2] != (groups, 1) or isinstance(padding, str):
        return None
    geometry = _pair(places.get("stride", 1)), _pair(padding), _pair(places.get("dilation", 1))
    if any(before > most for before, most in zip(geometry[1], _reach(weight, geometry[2]), strict=True)):
        return None
    return lambda tangent, weights: _Depthwise.apply(tangent, weights, *geometry)


class _Depthwise(autograd.Function):
    @staticmethod
    def forward(ctx: Any, tangent: Tensor, weight: Tensor, stride: tuple, padding: tuple, dilation: tuple) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.geometry, ctx.shape = (stride, padding, dilation), tangent.shape
        return functional.conv2d(tangent, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), (stride, padding, dilation) = ctx.saved_tensors, ctx.geometry
        reach = _reach(weight, dilation)
        if stride != (1, 1):
            size = [side - far + 2 * p for side, far, p in zip(ctx.shape[2:], reach, padding, strict=True)]
            spread = gradient.new_zeros(*gradient.shape[:2], *size)
            spread[:, :, :: stride[0], :: stride[1]] = gradient
            gradient = spread
        left = [far - p for far, p in zip(reach, padding, strict=True)]
        turned = functional.conv2d(gradient, weight.flip(2, 3), None, 1, left, dilation, len(weight))
        return turned, None, None, None, None


def _reach(weight: Tensor, dilation: tuple[int, int]) -> list[int]:
    """Return how many pixels further than its first one a kernel looks, down and to the right."""
    return [step * (side - 1) for step, side in zip(dilation, weight.shape[2:], strict=True)]


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))
