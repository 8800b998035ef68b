"""How alike maps of one image are as pictures of 256 grey levels, hundreds of them at once.

`medxai.evaluation.similarity` compares two maps of any values. Here maps are uint8 (..., height, width) on any device,
as `grey_levels` makes them, so that ranks and the greatest values are looked up by level and nothing is sorted. The
leading axes of the two sides broadcast: the maps of all versions of some images, (versions, images, height, width), are
compared with those of the originals, (images, height, width). Results are float64 of the leading axes, on the device of
the maps, and NaN where one of the two maps is constant.

All functions raise `ValueError`, in one sentence, for maps that are none of these or whose sizes differ.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from medxai.evaluation.similarity import WINDOW

AXES = (-2, -1)
LEVELS = 256
TOP = 0.1
"""Share of the pixels that are the top of a map."""
ROUNDING = 16
"""A map whose values differ by no more than so many units in the last place, as resizing can leave, is constant."""


def grey_levels(maps: Tensor) -> Tensor:
    """Scale each map to its own range, its minimum to 0 and its maximum to 255, and round to uint8.

    A map that is constant, or not finite, is 0 everywhere.

    Parameters
    ----------
    maps
        float32 or float64 (..., height, width).
    """
    if not maps.is_floating_point() or maps.ndim < 2 or maps.numel() == 0:
        raise ValueError(
            f"maps are {maps.dtype} {tuple(maps.shape)}: expected floats (..., height, width), none of it 0"
        )
    lowest, highest = maps.amin(AXES, keepdim=True), maps.amax(AXES, keepdim=True)
    size = ROUNDING * torch.finfo(maps.dtype).eps * torch.maximum(lowest.abs(), highest.abs())
    varies = highest - lowest > size  # false for NaN and infinity
    scaled = (maps - lowest).mul_(((LEVELS - 1) / (highest - lowest)).where(varies, 0)).add_(0.5)
    return (scaled if varies.all() else scaled.where(varies, 0)).to(torch.uint8)


def similarities(maps: Tensor, others: Tensor, measures: Sequence[str] | None = None) -> dict[str, Tensor]:
    r"""Compare maps with others of the same images.

    Parameters
    ----------
    measures
        Some names of `MEASURES`, all without it.

    Returns
    -------
    dict of Tensor
        By name. ``rmse``: the root mean square difference, from 0 for the same to 255 grey levels.
        ``structural_similarity``: as of `medxai.evaluation.similarity.structural_similarity` for a range of 255
        (Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13), in [-1, 1]; maps are at least 7 x 7. ``rank_correlation``:
        Spearman's, ties with their mean rank, in [-1, 1]. ``top_overlap``: the share of the top tenth of the pixels
        that is the top of the other map, too, in [0, 1] (top-k intersection of Ghorbani, Abid, Zou 2019, section 2);
        where the top ends among pixels of one level, each of these belongs to it in part, so that the parts add up, and
        the overlap of two pixels in part is the lesser part. ``centroid_shift``: the distance between the centres of
        mass, :math:`\sum_p M_p p / \sum_p M_p`, in pixels (the same, mass centre).
    """
    _check(maps, others)
    names = list(MEASURES) if measures is None else list(measures)
    if unknown := sorted(set(names) - set(MEASURES)):
        raise ValueError(f"measures hold {', '.join(unknown)}: expected some of {', '.join(MEASURES)}")
    defined = _varies(maps) & _varies(others)
    return {name: MEASURES[name](maps, others).double().where(defined, torch.nan) for name in names}


def shifted_error(maps: Tensor, others: Tensor, shift: Tensor) -> Tensor:
    r"""Root mean square difference of maps whose image was moved by a known shift, once that is taken back.

    .. math:: \sqrt{\frac1{|P|} \sum_{p \in P} (M_{p + s} - O_p)^2}

    over the pixels :math:`p` for which :math:`p + s` is within the map; :math:`M` is bilinear between pixels.

    Parameters
    ----------
    maps, others
        Of the moved images, and of those before.
    shift
        To the right and downwards, in pixels, float (..., 2), its leading axes those of the maps.

    Returns
    -------
    Tensor
        As of `similarities`; NaN where nothing is left within the map, too.
    """
    _check(maps, others)
    if shift.shape != (*maps.shape[:-2], 2):
        raise ValueError(f"shift is {tuple(shift.shape)}: expected {(*maps.shape[:-2], 2)}, right and down of each map")
    height, width = maps.shape[-2:]
    moves = torch.eye(2, 3, device=maps.device).repeat(shift[..., 0].numel(), 1, 1)
    moves[:, :, 2] = 2 * shift.reshape(-1, 2).to(moves) / moves.new_tensor([width - 1, height - 1]).clamp(1)
    flat = maps.reshape(-1, 1, height, width).float()
    places = nn.functional.affine_grid(moves, list(flat.shape), align_corners=True)  # from -1 to 1 across the map
    back = nn.functional.grid_sample(flat, places, padding_mode="border", align_corners=True).view(maps.shape)
    inside = (places.abs() <= 1 + 1e-5).all(-1).view(maps.shape)  # up to rounding
    squares = (back - others.float()).square() * inside
    error = (squares.sum(AXES).double() / inside.sum(AXES)).sqrt()
    return error.where(_varies(maps) & _varies(others), torch.nan)


def _check(maps: Tensor, others: Tensor) -> None:
    for values in (maps, others):
        if values.dtype != torch.uint8 or values.ndim < 2 or 0 in values.shape:
            found = f"{values.dtype} {tuple(values.shape)}"
            raise ValueError(f"maps are {found}: expected uint8 (..., height, width), none of it 0")
    if maps.shape[-2:] != others.shape[-2:]:
        raise ValueError(f"maps are {tuple(maps.shape)} and {tuple(others.shape)}: expected the same height and width")


def _varies(maps: Tensor) -> Tensor:
    return maps.amax(AXES) > maps.amin(AXES)


def _rmse(maps: Tensor, others: Tensor) -> Tensor:
    return torch.linalg.vector_norm(maps.float() - others.float(), dim=AXES) / maps.shape[-2:].numel() ** 0.5


def _structural_similarity(maps: Tensor, others: Tensor) -> Tensor:
    """With variances over n - 1, as scikit-image's default has them; sums over a window are integers, and exact."""
    if min(maps.shape[-2:]) < WINDOW:
        raise ValueError(f"maps are {tuple(maps.shape)}: expected at least {WINDOW} x {WINDOW} pixels")
    x, y, pixels = maps.int(), others.int(), WINDOW**2
    sum_x, sum_y = _window_sums(x), _window_sums(y)
    variances = pixels * (_window_sums(x * x)) - sum_x * sum_x + (pixels * _window_sums(y * y) - sum_y * sum_y)
    covariance = pixels * _window_sums(x * y) - sum_x * sum_y
    first, second = ((part * (LEVELS - 1)) ** 2 for part in (0.01, 0.03))
    first, second = first * pixels**2, second * pixels * (pixels - 1)
    means = (2 * sum_x * sum_y + first) / (sum_x * sum_x + sum_y * sum_y + first)
    return (means * (2 * covariance + second) / (variances + second)).mean(AXES, dtype=torch.float64)


def _window_sums(values: Tensor) -> Tensor:
    """Sums over all squares of 7 x 7 pixels within (..., h, w), one axis after the other: 7 = 4 + 2 + 1."""
    for axis in (-2, -1):
        size = values.shape[axis]
        two = values.narrow(axis, 0, size - 1) + values.narrow(axis, 1, size - 1)
        four = two.narrow(axis, 0, size - 3) + two.narrow(axis, 2, size - 3)
        values = four.narrow(axis, 0, size - 6) + two.narrow(axis, 4, size - 6) + values.narrow(axis, 6, size - 6)
    return values


def _rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    return (_by_level(maps, _standard_ranks) * _by_level(others, _standard_ranks)).sum(-1)


def _standard_ranks(counts: Tensor) -> Tensor:
    """Mean rank of each level, less the mean of all pixels, over its norm: the correlation is then a plain product."""
    ranks = counts.cumsum(1) - counts / 2
    ranks -= counts.sum(1, keepdim=True) / 2
    return ranks / (counts * ranks.square()).sum(1, keepdim=True).sqrt()


def _top_overlap(maps: Tensor, others: Tensor) -> Tensor:
    lesser = torch.minimum(_by_level(maps, _top_parts), _by_level(others, _top_parts))
    return lesser.sum(-1) / _top_size(maps.shape[-2] * maps.shape[-1])


def _top_parts(counts: Tensor) -> Tensor:
    """How far the pixels of each level belong to the top, in [0, 1]."""
    above = counts.sum(1, keepdim=True) - counts.cumsum(1)
    return ((_top_size(int(counts[0].sum())) - above) / counts).clamp(0, 1)


def _top_size(pixels: int) -> int:
    return max(1, round(TOP * pixels))


def _by_level(maps: Tensor, table: Callable[[Tensor], Tensor]) -> Tensor:
    """Look up each pixel's value in a table (m, 256) made of how many pixels have each level; (..., h w), float32."""
    levels = maps.reshape(-1, maps.shape[-2] * maps.shape[-1]).long()
    first = LEVELS * torch.arange(len(levels), device=maps.device)[:, None]
    places = (levels + first).flatten()
    counts = torch.bincount(places, minlength=LEVELS * len(levels)).view(-1, LEVELS).double()
    return table(counts).float().flatten()[places].view(*maps.shape[:-2], -1)


def _centroid_shift(maps: Tensor, others: Tensor) -> Tensor:
    return torch.linalg.vector_norm(_centroids(maps) - _centroids(others), dim=-1)


def _centroids(maps: Tensor) -> Tensor:
    """Centres of mass (..., 2), down and right, in pixels."""
    masses = [maps.sum(axis, dtype=torch.int64).double() for axis in (-1, -2)]
    moments = [mass @ torch.arange(mass.shape[-1], dtype=torch.float64, device=maps.device) for mass in masses]
    return torch.stack(moments, -1) / masses[0].sum(-1)[..., None]


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "rmse": _rmse,
    "structural_similarity": _structural_similarity,
    "rank_correlation": _rank_correlation,
    "top_overlap": _top_overlap,
    "centroid_shift": _centroid_shift,
}
