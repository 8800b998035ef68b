"""Methods that change the image and look at the score: no gradients, so they work on any model.

Captum, which takes a second to import, computes them image by image, with many changed copies of an image at once. Each
returns (n, 1, height, width), signed: positive where a region speaks for the target. All take the arguments of
`medxai.attribution.explain`, and raise as `_inputs.prepared` and `_inputs.scores` do.

Common parameters: ``baseline`` is what a region is replaced by, broadcast to the images, 0 (the mean colour of
normalised images) without one; ``features`` numbers each pixel's region, integers (h, w) or (n, h, w), a grid of 8 x 8
patches without any; ``samples`` counts random draws; ``generator``'s seed gives them, the same for each image;
``batch_size`` counts changed copies that go through the model at once.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from medxai.attribution import _inputs
from medxai.errors import positive

BATCH = 64
LIME_KERNEL_WIDTH = 0.25


def grid(height: int, width: int, cells: int = 8) -> Tensor:
    """Return the numbers (height, width) of ``cells`` x ``cells`` patches, row by row."""
    rows = torch.arange(height) * cells // height
    columns = torch.arange(width) * cells // width
    return rows[:, None] * cells + columns


def occlusion(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None = None,
    window: int | None = None,
    stride: int | None = None,
    batch_size: int = BATCH,
) -> Tensor:
    """Return by how much the score drops when a square is covered (Zeiler and Fergus 2014, section 4.2).

    A pixel's value is the mean over the squares that cover it.

    Parameters
    ----------
    window, stride
        Side of the square, and its step, in pixels; a quarter of the shorter side, and half the window, without them.
    """
    from captum.attr import Occlusion

    shorter = min(images.shape[-2:]) if isinstance(images, Tensor) and images.ndim == 4 else 4
    window = positive("window", max(1, shorter // 4) if window is None else window)
    stride = positive("stride", max(1, window // 2) if stride is None else stride)
    if stride > window or window > shorter:
        raise ValueError(f"window is {window} and stride {stride}: expected stride <= window <= {shorter}")

    def one(forward: Callable, image: Tensor, start: Tensor, _: Tensor) -> Tensor:
        channels = image.shape[1]
        return Occlusion(forward).attribute(
            image,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=start,
            perturbations_per_eval=batch_size,
        )

    return _image_by_image(one, model, images, target, baseline=baseline, batch_size=batch_size)


def shapley_value_sampling(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None = None,
    features: Tensor | None = None,
    samples: int = 10,
    generator: torch.Generator | None = None,
    batch_size: int = BATCH,
) -> Tensor:
    """Return Shapley values of regions, over random orders of them (Castro et al. 2009; Strumbelj and Kononenko 2010).

    A region's value is spread evenly over its pixels; an image's values sum to its score minus the baseline's, exactly,
    whatever the number of ``samples`` (orders), each of which costs a pass for each region.
    """
    from captum.attr import ShapleyValueSampling

    return _of_regions(ShapleyValueSampling, model, images, target, baseline, features, samples, generator, batch_size)


def kernel_shap(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None = None,
    features: Tensor | None = None,
    samples: int = 256,
    generator: torch.Generator | None = None,
    batch_size: int = BATCH,
) -> Tensor:
    """Return Shapley values of regions by weighted least squares (Lundberg and Lee 2017, theorem 2).

    ``samples`` random coalitions of regions, one pass each, at least two: none of the regions and all; fewer than the
    regions leave the regression without a unique solution. A region's value is spread evenly over its pixels.
    """
    from captum.attr import KernelShap

    if positive("samples", samples) < 2:
        raise ValueError(f"samples is {samples}: expected at least 2, none of the regions and all of them")

    return _of_regions(KernelShap, model, images, target, baseline, features, samples, generator, batch_size)


def lime(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None = None,
    features: Tensor | None = None,
    samples: int = 256,
    generator: torch.Generator | None = None,
    batch_size: int = BATCH,
) -> Tensor:
    """Return the slopes of a linear surrogate on regions switched on and off (Ribeiro et al. 2016, eq. 1).

    The surrogate is a ridge regression of strength 1, a sample's weight :math:`\\sqrt{\\exp(-d^2 / 0.25^2)}` with the
    cosine distance d between its switches and all on: the settings of the authors' own program for images. Captum's
    default, a lasso of strength 0.01, gives zero everywhere where logits are small. A region's slope is
    spread evenly over its pixels.
    """

    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    def closeness(_: Tensor, __: Tensor, switches: Tensor, **___: object) -> Tensor:
        distance = 1 - switches.double().mean().sqrt()  # the cosine of zeros and ones with all ones
        return torch.exp(-((distance / LIME_KERNEL_WIDTH) ** 2)).sqrt()

    surrogate = partial(Lime, interpretable_model=SkLearnRidge(alpha=1.0), similarity_func=closeness)
    return _of_regions(surrogate, model, images, target, baseline, features, samples, generator, batch_size)


def _of_regions(
    method: Callable[[Callable], object],
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    baseline: Tensor | float | None,
    features: Tensor | None,
    samples: int,
    generator: torch.Generator | None,
    batch_size: int,
) -> Tensor:
    """Run captum's method of regions, and spread each region's value evenly over its pixels."""
    samples = positive("samples", samples)
    if isinstance(images, Tensor) and images.ndim == 4:
        features = grid(*images.shape[-2:]) if features is None else features
        if features.is_floating_point() or features.shape not in (images.shape[-2:], (len(images), *images.shape[-2:])):
            found = f"{features.dtype} {tuple(features.shape)}"
            raise ValueError(
                f"features are {found}: expected integers {tuple(images.shape[-2:])}, for all or each image"
            )

    def one(forward: Callable, image: Tensor, start: Tensor, regions: Tensor) -> Tensor:
        return method(forward).attribute(
            image, baselines=start, feature_mask=regions, n_samples=samples, perturbations_per_eval=batch_size
        )

    painted = _image_by_image(
        one, model, images, target, baseline=baseline, features=features, generator=generator, batch_size=batch_size
    )
    counts = [torch.bincount(regions.flatten())[regions] for regions in _numbered(features, images)[:, 0]]
    return painted / torch.stack(counts)[:, None].to(painted)


def _numbered(features: Tensor, images: Tensor) -> Tensor:
    """Regions (n, 1, h, w) as 0, 1, 2, ..., for each image."""
    features = features.expand(len(images), *images.shape[-2:])
    return torch.stack([one.unique(return_inverse=True)[1] for one in features])[:, None].to(images.device)


def _image_by_image(
    one: Callable,
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    baseline: Tensor | float | None,
    features: Tensor | None = None,
    generator: torch.Generator | None = None,
    batch_size: int,
) -> Tensor:
    """Run captum on each image with the same seed, as if it were the only one; the first channel of what it gives."""
    positive("batch_size", batch_size)
    with (
        _inputs.prepared(model, images, target) as (images, target),
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
    ):
        start = _inputs.baseline_like(images, baseline)
        regions = _numbered(grid(*images.shape[-2:]) if features is None else features, images)
        maps = []
        for index in range(len(images)):
            torch.default_generator.manual_seed(_inputs.seed_of(generator))  # captum draws from it
            where = slice(index, index + 1)
            values = one(_differences(model, target[where]), images[where], start[where], regions[where])
            maps.append(values[:, :1])
        return torch.cat(maps).to(images.dtype)


def _differences(model: nn.Module, target: Tensor) -> Callable[[Tensor], Tensor]:
    """Give scores (n,) of one target for changed copies of one image, less the very first.

    These methods look at differences alone, and captum rounds what it is given to float32: differences that are small
    beside the scores would be lost.
    """
    first: list[Tensor] = []

    def scores(images: Tensor) -> Tensor:
        found = _inputs.scores(model, images, target.expand(len(images)))
        if not first:
            first.append(found[0].clone())
        return found - first[0]

    return scores
