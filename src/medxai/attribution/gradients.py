"""Methods that need nothing but the gradient of the score; each returns (n, channels, height, width), signed.

All take a network that returns logits, images (n, c, h, w) and a target (see `medxai.attribution.explain`), and raise
what `_inputs.prepared` and `_inputs.scores` raise.
"""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medxai.attribution import _inputs, feature_maps
from medxai.attribution.checking import checking
from medxai.errors import NotConverged, positive

IMAGES_AT_ONCE = 32
TOLERANCE = 0.05
"""Of the difference of two scores, from which on integrated gradients that miss it have not converged: our choice."""


def gradient(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return the derivative of the score by each value of the image (Simonyan et al. 2014, section 3)."""
    with _inputs.prepared(model, images, target) as (images, target):
        return _inputs.gradient_of_scores(model, images, target)


def saliency(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return the size of the derivative, without its sign.

    Over the channels the maximum is taken: Simonyan et al. 2014, section 3.1; Jalaboi 2023 (thesis), section 2.4.
    """
    return gradient(model, images, target).abs()


def gradient_x_input(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return derivative times value (Shrikumar et al. 2016); of a linear model without bias, it sums to the score."""
    return gradient(model, images, target) * images.detach()


def smoothgrad(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    samples: int = 50,
    noise: float = 0.15,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the mean gradient over noisy copies of the image (Smilkov et al. 2017, section 3).

    Parameters
    ----------
    samples
        Number of copies.
    noise
        Standard deviation as a share of the image's own range, maximum minus minimum; the paper recommends 0.1 to 0.2.
    generator
        Its seed gives the noise, the same for each image of the batch; 0 without one.
    """
    samples = positive("samples", samples)
    if noise < 0:
        raise ValueError(f"noise is {noise}: expected a share of the image's range, at least 0")
    with _inputs.prepared(model, images, target) as (images, target):
        spread = noise * (images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True))
        draw = torch.Generator().manual_seed(_inputs.seed_of(generator))
        total = torch.zeros_like(images)
        for _ in range(samples):
            field = torch.randn(images.shape[1:], generator=draw, dtype=images.dtype).to(images.device)
            total += _inputs.gradient_of_scores(model, images + spread * field, target)
        return total / samples


def integrated_gradients(
    model: nn.Module, images: Tensor, target: int | Tensor, *, baseline: Tensor | float | None = None, steps: int = 50
) -> Tensor:
    """Return the difference to the baseline times the mean gradient on the way (Sundararajan et al. 2017, eq. 1).

    The sum over an image is its score minus that of the baseline. Captum computes it, by Gauss-Legendre quadrature. If
    the sum is off by more than `TOLERANCE` of that difference, a `NotConverged` warning says how far, and about how
    many steps would do: an error that shrinks with their number is assumed.

    Parameters
    ----------
    baseline
        Image without evidence, broadcast to ``images``; 0, the mean colour of normalised images, without one.
    steps
        Number of gradients.
    """
    from captum.attr import IntegratedGradients

    steps = positive("steps", steps)
    with _inputs.prepared(model, images, target) as (images, target):
        start = _inputs.baseline_like(images, baseline)
        values = (
            IntegratedGradients(lambda x, y: _inputs.scores(model, x, y))
            .attribute(
                images,
                start,
                additional_forward_args=target,
                n_steps=steps,
                internal_batch_size=max(IMAGES_AT_ONCE, len(images)),
            )
            .detach()
        )
        with torch.no_grad(), checking():
            difference = _inputs.scores(model, images, target) - _inputs.scores(model, start, target)
        _warn_of_gaps(values.sum((1, 2, 3)), difference, steps)
        return values


def _warn_of_gaps(sums: Tensor, differences: Tensor, steps: int) -> None:
    """Warn of the image whose values are furthest, as a share, from summing to the difference (n,) of the scores."""
    floor = 100 * torch.finfo(sums.dtype).eps * (1 + differences.abs().max())  # rounding, where scores hardly differ
    shares = (sums - differences).abs() / differences.abs().clamp(min=floor)
    worst = int(shares.argmax())
    if shares[worst] > TOLERANCE:
        enough = math.ceil(steps * float(shares[worst]) / TOLERANCE)
        warnings.warn(
            f"integrated gradients have not converged at {steps} steps: for image {worst} they sum to "
            f"{sums[worst]:.3g} and the logit's difference from the baseline's is {differences[worst]:.3g}, a gap of "
            f"{shares[worst]:.0%}; about {enough} steps would leave {TOLERANCE:.0%}",
            NotConverged,
            stacklevel=4,
        )


def gradient_shap(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None = None,
    samples: int = 50,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return expected gradients: integrated gradients in expectation over baselines (Erion et al. 2021, eq. 4).

    Each sample takes the gradient at a random point between the image and a random baseline.

    Parameters
    ----------
    baseline
        A number or images (baselines, c, h, w) to choose from, as GradientSHAP's background; 0 without any.
    samples
        Number of gradients.
    generator
        Its seed gives points and choices, the same for each image of the batch; 0 without one.
    """
    samples = positive("samples", samples)
    with _inputs.prepared(model, images, target) as (images, target):
        background = torch.as_tensor(0.0 if baseline is None else baseline, dtype=images.dtype, device=images.device)
        background = background if background.ndim == 4 else background[None]
        draw = torch.Generator().manual_seed(_inputs.seed_of(generator))
        total = torch.zeros_like(images)
        for _ in range(samples):
            choice = int(torch.randint(len(background), (1,), generator=draw))
            one = _inputs.baseline_like(images, background[choice])
            share = float(torch.rand(1, generator=draw, dtype=torch.float64))
            difference = images - one
            total += difference * _inputs.gradient_of_scores(model, one + share * difference, target)
        return total / samples


def layer_integrated_gradients(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    layer: str | nn.Module | None = None,
    baseline: Tensor | float | None = None,
    steps: int = 50,
) -> Tensor:
    r"""Return integrated gradients at a convolutional layer as in the thesis, (n, 1, height, width).

    .. math:: E = \sum_k \frac{A_k - A'_k}{m} \sum_{s=1}^m
              \frac{\partial y(I' + \frac{s}{m}(I - I'))}{\partial A_k}

    with maps :math:`A` of the image :math:`I` and :math:`A'` of the baseline :math:`I'`, resized bilinearly. The
    path is straight in the image and not at the layer, so that the sum is the difference of the scores only where
    the maps change linearly along it (Jalaboi 2023, section 2.4, notation corrected).

    Parameters
    ----------
    layer
        Name or module; the last that gives maps without one.
    baseline, steps
        As for `integrated_gradients`.
    """
    steps = positive("steps", steps)
    with _inputs.prepared(model, images, target) as (images, target):
        layers = feature_maps.named_layers(model, images, layer)
        if len(layers) != 1:
            raise ValueError(f"layer names {len(layers)} layers: expected one")
        (name,) = layers
        start = _inputs.baseline_like(images, baseline)
        with torch.no_grad(), feature_maps.recorded(layers) as outputs:
            model(start.clone())
        before = layers[name].layout.maps(outputs[name].detach().clone())
        total = torch.zeros_like(before)
        for step in range(1, steps + 1):
            maps, slope = feature_maps.maps_and_gradients(
                model, start + step / steps * (images - start), target, layers
            )[name]
            total += slope
        attribution = ((maps - before) * total / steps).sum(1, keepdim=True)  # the last step is the image itself
        return feature_maps.resized(attribution, images)


def expressive_gradients(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    baseline: Tensor | float | None = None,
    steps: int = 50,
) -> Tensor:
    """Return integrated gradients at the input enriched by those at higher layers, (n, 1, height, width).

    Yang et al. 2019 (PLoS ONE 14(4): e0215076) add attribution maps of higher layers to the one of the input. How the
    maps are combined here is our choice, since we could not get hold of the paper's formula: each is divided by its
    largest absolute value, and their mean is taken.

    Parameters
    ----------
    layer
        One or more layers above the input; the last that gives maps without one.
    baseline, steps
        As for `integrated_gradients`.
    """
    with _inputs.prepared(model, images, target) as (images, target):
        layers = feature_maps.named_layers(model, images, layer)
        options = {"baseline": baseline, "steps": steps}
        maps = [integrated_gradients(model, images, target, **options).sum(1, keepdim=True)]
        maps += [layer_integrated_gradients(model, images, target, layer=name, **options) for name in layers]
        largest = [one.abs().amax((1, 2, 3), keepdim=True) for one in maps]
        # A map without any attribution has no direction, and stays zero.
        scaled = [one / top.where(top > 0, torch.ones_like(top)) for one, top in zip(maps, largest, strict=True)]
        return torch.stack(scaled).mean(0)
