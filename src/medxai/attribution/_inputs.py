"""What every method needs first: checked arguments, the score to explain, and a model that stays as it was."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medxai.errors import UnsupportedModel

FLOATS = (torch.float32, torch.float64)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)


@contextmanager
def prepared(model: nn.Module, images: Tensor, target: int | Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Check the arguments of a method; give it images that it may change, and targets (n,); see `preserved`.

    Parameters
    ----------
    model
        Takes ``images``, returns logits (n, classes); float32 or float64.
    images
        (n, channels, height, width), n at least 1, finite, of the dtype and on the device of the model.
    target
        The class to explain: one for all images, or integers (n,). With None, for methods that explain no class, the
        targets are zeros.

    Raises
    ------
    ValueError
        In one sentence, if an argument is not what it should be.
    """
    _check_model(model, images)
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
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
def preserved(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode with frozen weights; give each module its mode, each weight its flag back."""
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
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise UnsupportedModel(f"{name} normalises by its batch: an image's explanation would depend on the others")


def _checked_target(target: int | Tensor | None, images: Tensor) -> Tensor:
    number = len(images)
    if target is None:
        return torch.zeros(number, dtype=torch.long, device=images.device)
    if isinstance(target, int) and not isinstance(target, bool):
        return torch.full((number,), target, dtype=torch.long, device=images.device)
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        raise ValueError(f"target is {target!r}: expected a class as an integer, or a tensor of one integer an image")
    if target.shape != (number,):
        raise ValueError(f"target has the shape {tuple(target.shape)}: expected ({number},), one class an image")
    return target.to(images.device, torch.long, copy=True)


def scores(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return the logit (n,) of each image's target.

    Raises
    ------
    ValueError
        If the model does not return finite logits (n, classes), or a target is none of its classes.
    """
    return scores_of(model(images.clone()), model, target)  # the model may change its input in place


def scores_of(logits: Tensor, model: nn.Module, target: Tensor) -> Tensor:
    """Return the targets' logits (n,), checked as `scores` says."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(target):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model returns {found}: expected logits ({len(target)}, classes)")
    if not logits.isfinite().all():
        weights = (name for name, weight in model.named_parameters() if not weight.isfinite().all())
        raise ValueError(f"the model's logits are not finite: look at {next(weights, 'its statistics')}")
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


def positive(name: str, value: int) -> int:
    """Return a count, or say that it is none."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}: expected an integer of at least 1")
    return value


def seed_of(generator: torch.Generator | None) -> int:
    """Return the seed that a generator was given, 0 without one.

    The seed and not the state is used, for each image anew: so an image's noise depends neither on its place in the
    batch nor on what was drawn before.
    """
    return 0 if generator is None else generator.initial_seed()


def named_layers(
    model: nn.Module, images: Tensor, layers: str | nn.Module | Sequence[str | nn.Module] | None
) -> dict[str, nn.Module]:
    """Return modules by name; for None, the last that gives maps (see `last_maps`).

    Raises
    ------
    ValueError
        If a layer is none of the model's; as `UnsupportedModel` if the model has no convolution.
    """
    modules = dict(model.named_modules())
    if not any(isinstance(module, CONVOLUTIONS) for module in modules.values()):
        raise UnsupportedModel("the model has no convolution, and so no maps that could be weighed")
    if layers is None:
        layers = last_maps(model, images)
    if isinstance(layers, str | nn.Module):
        layers = [layers]
    names = {module: name for name, module in reversed(modules.items())}
    found = {}
    for layer in layers:
        name = names.get(layer) if isinstance(layer, nn.Module) else layer
        if name not in modules or name == "":
            near = difflib.get_close_matches(str(layer), modules, 3, 0.3) or [name for name in modules if name][-3:]
            shown = repr(layer) if isinstance(layer, str) else f"a {type(layer).__name__}"
            raise ValueError(f"layer {shown} is no layer of the model: expected a name such as {', '.join(near)}")
        found[name] = modules[name]
    if not found:
        raise ValueError("layers are empty: expected at least one")
    return found


def last_maps(model: nn.Module, images: Tensor) -> str:
    """Name of the module that is last to give maps (n, c, h, w) of more than one pixel, poolings left out.

    It is found by running the first image. A pooling to fixed size, as VGG's, gives no maps of its own; a block that
    ends in a pooling neither.
    """
    names = {module: name for name, module in model.named_modules()}
    pooled: list[Tensor] = []
    found: list[str] = []

    def note(module: nn.Module, _: tuple, output: object) -> None:
        if not isinstance(output, Tensor) or output.ndim != 4 or output.shape[-1] * output.shape[-2] == 1:
            return
        if isinstance(module, POOLINGS):
            pooled.append(output)
        elif not isinstance(module, nn.Identity | nn.Dropout) and all(output is not other for other in pooled):
            found.append(names[module])

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            model(images[:1].clone())
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UnsupportedModel(
            f"no layer gives maps of more than one pixel for images of {images.shape[-2]} x {images.shape[-1]}: "
            "expected larger images"
        )
    return found[-1]


@contextmanager
def recorded(layers: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Record the output of each layer during a forward pass, ready for `torch.autograd.grad`.

    What runs before the first of them stays outside of the graph, unless it needs gradients itself. If the network then
    changes an output in place, as an in-place ReLU does, the record is of the changed values. Of a layer that runs
    more than once, the last output is recorded.

    Raises
    ------
    ValueError
        In the forward pass, if an output is no tensor (n, c, h, w).
    """
    outputs: dict[str, Tensor] = {}

    def hook(name: str):
        def note(_: nn.Module, __: tuple, output: object) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim != 4:
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise ValueError(f"layer {name!r} gives {found}: expected a layer that gives maps (n, c, h, w)")
            if torch.is_grad_enabled() and not output.requires_grad:
                output = output.detach().requires_grad_().clone()  # a clone may be changed in place, a leaf may not
            outputs[name] = output
            return output

        return note

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def maps_and_gradients(
    model: nn.Module, images: Tensor, target: Tensor, layers: dict[str, nn.Module]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each layer's maps and the score's gradient by them, both (n, c, h, w): one forward, one backward pass.

    Raises
    ------
    ValueError
        If the score does not depend on a layer.
    """
    with recorded(layers) as outputs:
        score = scores(model, images, target)
    reached = list(outputs)
    gradients = (
        torch.autograd.grad(score.sum(), [outputs[name] for name in reached], allow_unused=True) if reached else ()
    )
    found = {name: slope for name, slope in zip(reached, gradients, strict=True) if slope is not None}
    for name in layers:
        if name not in found:
            raise ValueError(f"the score does not depend on layer {name!r}: expected a layer on the way to the logits")
    return {name: (outputs[name].detach(), found[name]) for name in layers}


def resized(maps: Tensor, images: Tensor) -> Tensor:
    """Return maps (n, c, h, w) at the size of the images, bilinearly, pixel centres not aligned to corners."""
    return nn.functional.interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)
