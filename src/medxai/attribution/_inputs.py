"""What every method needs first: checked arguments, the score to explain, and a model that stays as it was."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from medxai.errors import UnsupportedModel

FLOATS = (torch.float32, torch.float64)

Choice = Callable[[Tensor], Tensor]
"""Chooses the classes to explain, integers (n,), from the logits (n, classes) of the same pass."""


@contextmanager
def prepared(model: nn.Module, images: Tensor, target: int | Tensor = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Check the arguments of a method; give it images that it may change, and targets (n,); see `preserved`.

    Parameters
    ----------
    model
        Takes ``images``, returns logits (n, classes); float32 or float64.
    images
        (n, channels, height, width), n at least 1, finite, of the dtype and on the device of the model.
    target
        The class to explain: one for all images, or integers (n,). Methods that explain no class leave it out.

    Raises
    ------
    ValueError
        In one sentence, if an argument is not what it should be.
    """
    _check_model(model, images)
    with preserved(model), torch.inference_mode(False), torch.enable_grad(), _exact(images), _OneImage():
        try:
            yield images.detach().clone(), _checked_target(target, images)
        except RuntimeError as error:
            first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
            if first is None or first.in_channels == images.shape[1] or "channels" not in str(error):
                raise
            raise ValueError(
                f"images have {images.shape[1]} channels: expected {first.in_channels}, as of the first convolution"
            ) from error


@contextmanager
def _exact(images: Tensor) -> Iterator[None]:
    """Leave the caller's automatic mixed precision for what the model itself asks for."""
    with torch.autocast("cpu", enabled=False), torch.autocast(images.device.type, enabled=False):
        yield


class _OneImage(TorchFunctionMode):
    """Hands batch normalisation the gradient of a single image with the strides that those of several have.

    The gradient of one image's tokens may have any stride along its batch axis. PyTorch's processors then take it for
    channels-last, and the derivative by the image is wrong, without a word (2.15; two images are right).
    """

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if function in (torch.batch_norm, functional.batch_norm) and len(output) == 1 and output.requires_grad:
            output.register_hook(lambda slope: slope.as_strided(slope.shape, (slope[0].numel(), *slope.stride()[1:])))
        return output


_ALONE = threading.RLock()
"""Modes, flags and hooks are the model's, and parts of it may be another model's, too: one explanation at a time."""


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode with frozen weights; give each module its mode, each weight its flag back.

    Another thread that comes here waits.
    """
    with _ALONE:
        yield from _preserved(model)


def _preserved(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def _check_model(model: nn.Module, images: Tensor) -> None:
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
    if not isinstance(images, Tensor) or images.ndim != 4:
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images are {found}: expected a tensor (n, channels, height, width)")
    if images.numel() == 0:
        raise ValueError(f"images are empty, {tuple(images.shape)}: expected at least one")
    if images.dtype not in FLOATS:
        raise ValueError(f"images are {images.dtype}: expected float32 or float64, normalised as for training")
    for name, weight in model.named_parameters():
        if weight.dtype not in FLOATS:
            raise ValueError(f"the model's {name} is {weight.dtype}: expected float32 or float64, use model.float()")
        if weight.dtype != images.dtype or weight.device != images.device:
            raise ValueError(
                f"images are {images.dtype} on {images.device}, the model's {name} {weight.dtype} on {weight.device}: "
                "expected the same"
            )
    if not images.isfinite().all():
        raise ValueError("images hold NaN or infinity: expected finite values")
    for name, module in model.named_modules():
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            part = f"the model's {name}" if name else "the model"
            raise UnsupportedModel(f"{part} is compiled by torch.compile: expected it as it was before, uncompiled")
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise UnsupportedModel(f"{name} normalises by its batch: an image's explanation would depend on the others")


def _checked_target(target: int | Tensor, images: Tensor) -> Tensor:
    number = len(images)
    if isinstance(target, Integral) and not isinstance(target, bool):
        target = int(target)
        return torch.full((number,), target, dtype=torch.long, device=images.device)
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        raise ValueError(f"target is {target!r}: expected a class as an integer, or a tensor of one integer an image")
    if target.shape != (number,):
        raise ValueError(f"target has the shape {tuple(target.shape)}: expected ({number},), one class an image")
    return target.to(images.device, torch.long, copy=True)


def scores(model: nn.Module, images: Tensor, target: Tensor | Choice) -> Tensor:
    """Return the logit (n,) of each image's target.

    Raises
    ------
    ValueError
        If the model does not return finite logits (n, classes), or a target is none of its classes.
    """
    logits = model(images.clone())  # the model may change its input in place
    found = scores_of(logits, model, chosen(target, logits, model, images))
    if images.requires_grad and torch.is_grad_enabled():
        check_graph(found)
    return found


def check_graph(score: Tensor) -> None:
    """Say so if autograd knows no way back from a score, as where a frozen part runs under `no_grad`."""
    if not score.requires_grad:
        raise UnsupportedModel("autograd finds no way from the logits back to the images: it was cut inside the model")


def chosen(target: Tensor | Choice, logits: Tensor, model: nn.Module, images: Tensor) -> Tensor:
    """Return the targets (n,): as they are, or as a function chooses them from the logits; checked as of `prepared`."""
    if isinstance(target, Tensor):
        return target
    _check_logits(logits, model, len(images))
    return _checked_target(target(logits.detach()), images)


def _check_logits(logits: Tensor, model: nn.Module, number: int) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != number:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model returns {found}: expected logits ({number}, classes)")
    if not logits.isfinite().all():
        weights = (name for name, weight in model.named_parameters() if not weight.isfinite().all())
        raise ValueError(f"the model's logits are not finite: look at {next(weights, 'its statistics')}")


def scores_of(logits: Tensor, model: nn.Module, target: Tensor) -> Tensor:
    """Return the targets' logits (n,), checked as `scores` says."""
    _check_logits(logits, model, len(target))
    lowest, highest = int(target.min()), int(target.max())
    if lowest < 0 or highest >= logits.shape[1]:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"target {wrong} is out of range: expected a class of the model, 0 to {logits.shape[1] - 1}")
    return logits.gather(1, target[:, None])[:, 0]


def gradient_of_scores(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return the derivative (n, c, h, w) of each image's score by its pixels."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(scores(model, images, target).sum(), images)
    return gradient


def baseline_like(images: Tensor, baseline: Tensor | float | None) -> Tensor:
    """Return the baseline as (n, c, h, w); zero, the mean colour of normalised images, if there is none.

    Raises
    ------
    ValueError
        If it does not broadcast to the images.
    """
    baseline = torch.as_tensor(0.0 if baseline is None else baseline, dtype=images.dtype, device=images.device)
    try:
        return baseline.detach().expand_as(images)
    except RuntimeError as error:
        raise ValueError(
            f"baseline has the shape {tuple(baseline.shape)}: expected one that broadcasts to {tuple(images.shape)}"
        ) from error


def seed_of(generator: torch.Generator | None) -> int:
    """Return the seed that a generator was given, 0 without one.

    The seed and not the state is used, for each image anew: so an image's noise depends neither on its place in the
    batch nor on what was drawn before.
    """
    return 0 if generator is None else generator.initial_seed()
