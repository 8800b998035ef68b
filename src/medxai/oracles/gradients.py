"""Gradient methods and class activation maps, from derivatives that are carried back operation by operation.

All take a `Trace`, images (N, C, H, W) of its shape and targets (N,). Methods of the image return (N, C, H, W), those
of a layer's maps (N, 1, H, W), resized bilinearly; `name` is that of the operation that gives the layer's output, and
`read` makes maps (N, K, h, w) of it.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.oracles.trace import Step, Trace, one_hot, walk

Read = Callable[[Tensor], Tensor]


def gradient(trace: Trace, images: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of the target's logit."""
    return _derivatives(trace, images, target, None)[0]


def _derivatives(trace: Trace, images: Tensor, target: Tensor, name: str | None) -> tuple[Tensor, Tensor | None]:
    """Return the derivative by the image, and by the output of the operation `name`."""
    values = trace.values(images)
    arrived_there: list[Tensor] = []

    def rule(step: Step, inputs: list[Tensor], output: Tensor, arrived: Tensor) -> list[Tensor]:
        if output is values.get(name):
            arrived_there.append(arrived)
        return step.back(inputs, arrived)

    result = walk(trace, values, one_hot(values[trace.output], target), rule)
    return result, arrived_there[0] if arrived_there else None


def integrated_gradients(trace: Trace, images: Tensor, target: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Sundararajan et al. (2017), equation 1, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    points = [(float(node + 1) / 2, float(weight) / 2) for node, weight in zip(nodes, weights, strict=True)]
    difference = images - baseline
    return difference * sum(w * gradient(trace, baseline + t * difference, target) for t, w in points)


def smoothgrad(trace: Trace, images: Tensor, target: Tensor, samples: int, noise: float, seed: int) -> Tensor:
    """Smilkov et al. (2017), section 3: the mean over noisy copies, all images with the same standard normal fields."""
    draw = torch.Generator().manual_seed(seed)
    spread = noise * (images.amax((1, 2, 3), True) - images.amin((1, 2, 3), True))
    fields = [torch.randn(images.shape[1:], generator=draw, dtype=images.dtype) for _ in range(samples)]
    return sum(gradient(trace, images + spread * field, target) for field in fields) / samples


def gradient_shap(trace: Trace, images: Tensor, target: Tensor, background: Tensor, samples: int, seed: int) -> Tensor:
    """Erion et al. (2021), equation 4: a random baseline, then a random point on the way, `samples` times."""
    draw = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(images)
    for _ in range(samples):
        start = background[int(torch.randint(len(background), (1,), generator=draw))]
        share = float(torch.rand(1, generator=draw, dtype=torch.float64))
        total += (images - start) * gradient(trace, start + share * (images - start), target)
    return total / samples


def operation_of(trace: Trace, model: nn.Module, images: Tensor, layer: str) -> str:
    """Return the name of the operation that gives what module `layer` has given at the end of a forward pass."""
    seen: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        model(images.clone())
    handle.remove()
    values = trace.values(images)
    same = [name for name in trace.steps if values[name].shape == seen[-1].shape]
    found = min(reversed(same), key=lambda name: float((values[name] - seen[-1]).abs().max()))
    torch.testing.assert_close(values[found], seen[-1], rtol=1e-6, atol=1e-9)
    return found


def _maps(trace: Trace, images: Tensor, target: Tensor, name: str, read: Read) -> tuple[Tensor, Tensor]:
    """Return the maps of a layer, and the derivative by them."""
    return read(trace.values(images)[name]), read(_derivatives(trace, images, target, name)[1])


def layer_integrated_gradients(
    trace: Trace, images: Tensor, target: Tensor, baseline: Tensor, steps: int, name: str, read: Read
) -> Tensor:
    """Jalaboi (2023), section 2.4, with the notation of `medxai.attribution.gradients`."""
    difference = images - baseline
    points = [baseline + step / steps * difference for step in range(1, steps + 1)]
    slope = sum(_maps(trace, point, target, name, read)[1] for point in points) / steps
    change = read(trace.values(images)[name]) - read(trace.values(baseline.expand_as(images))[name])
    return resized((change * slope).sum(1, keepdim=True), images)


def expressive_gradients(
    trace: Trace, images: Tensor, target: Tensor, baseline: Tensor, steps: int, name: str, read: Read
) -> Tensor:
    """Return the mean of the two maps, each divided by its largest absolute value."""
    low = integrated_gradients(trace, images, target, baseline, steps).sum(1, keepdim=True)
    high = layer_integrated_gradients(trace, images, target, baseline, steps, name, read)
    return sum(one / one.abs().amax((1, 2, 3), keepdim=True) for one in (low, high)) / 2


def cam(trace: Trace, images: Tensor, target: Tensor, name: str, read: Read) -> Tensor:
    """Zhou et al. (2016), equation 2, with the weights of the last affine operation."""
    maps = read(trace.values(images)[name])
    head = [step.affine.weight for step in trace.steps.values() if step.kind == "affine"][-1]
    head = head.T if head.ndim == 2 else head.flatten(1)  # (classes, maps)
    return resized(sum_over_maps(head[target], maps), images)


def grad_cam(trace: Trace, images: Tensor, target: Tensor, name: str, read: Read) -> Tensor:
    """Selvaraju et al. (2017), equations 1 and 2."""
    maps, slope = _maps(trace, images, target, name, read)
    return resized(sum_over_maps(slope.mean((2, 3)), maps).clamp(min=0), images)


def grad_cam_plus_plus(trace: Trace, images: Tensor, target: Tensor, name: str, read: Read) -> Tensor:
    """Chattopadhay et al. (2018), equation 19, term by term for Y = exp(logit) as their section 3.3 differentiates it.

    Divided by Y, which is multiplied by a constant beforehand, so that it neither overflows nor vanishes.
    """
    maps, slope = _maps(trace, images, target, name, read)
    logit = trace.values(images)[trace.output].gather(1, target[:, None])[:, :, None, None]
    score = (logit - logit.floor()).exp()
    first, second, third = score * slope, score * slope**2, score * slope**3
    below = 2 * second + (maps.sum((2, 3), keepdim=True) * third)
    alpha = torch.where(slope == 0, 0, second / torch.where(below == 0, 1, below))
    weights = (alpha * first.clamp(min=0)).sum((2, 3))
    return resized((sum_over_maps(weights, maps) / score).clamp(min=0), images)


def sum_over_maps(weights: Tensor, maps: Tensor) -> Tensor:
    """Return sum_k w_k A_k, (N, 1, h, w)."""
    return (weights[:, :, None, None] * maps).sum(1, keepdim=True)


def resized(maps: Tensor, images: Tensor) -> Tensor:
    """Return maps at the size of the images."""
    return functional.interpolate(maps, images.shape[2:], mode="bilinear")
