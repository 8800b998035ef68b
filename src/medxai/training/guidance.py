r"""The losses of DermX, and ways to guide its attention by maps of experts.

:math:`L = \lambda_D L_D + \lambda_C L_C + \lambda_A L_A` (Jalaboi et al. 2023, Medical Image Analysis 83:102647, eq. 4)
with 1, 1 and 10 in the paper.

Every function of `GUIDANCE` takes attention :math:`A` and maps :math:`M`, float (n, c, h, w) in [0, 1], and returns
what an image loses by a characteristic, float (n, c). All are in [0, 1], but for the pixel cross-entropy, and finite,
with finite gradients, whatever is empty. "0 at" says where each is 0. `attention_loss` scales the attention and
averages, for all of them in the same way.

Rao et al. 2023, "Studying how to efficiently and effectively guide models with explanations", ICCV, compare some.
Ross, Hughes and Doshi-Velez 2017, "Right for the right reasons", IJCAI, guide gradients of the input.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

FAINT = 1e-6
"""Maximum of a map below which it is not blown up to 1."""
SMOOTHING = 0.01
"""Cells that are added above and below each ratio. On 9 x 9 cells a comedo fills less than one: with the usual 1 a
silent map loses less than the right one, and what guidance silences it cannot wake (`dice_smoothed`)."""
MARGIN = 0.01
"""The pixel cross-entropy moves its values by so much from 0 and 1, where a logarithm has no end."""
PIXELS = (2, 3)


def diagnosis_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy of the diagnosis (DermX paper, eq. 2, by 1/N and not 1/(ND): erratum D10).

    Parameters
    ----------
    logits, labels
        (n, d) and int (n,).
    weights
        (d,), of the classes: the mean is then a weighted one. `class_weights` gives those of the baseline DxW.
    """
    return functional.cross_entropy(logits, labels, weights)


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """Return weights that let each class count the same, n / (classes times its images), float32 (classes,).

    The paper says "proportional class weights" and prints no formula.

    Raises
    ------
    ValueError
        If a class has no images.
    """
    counts = np.bincount(labels, minlength=classes)
    if len(counts) != classes or not counts.all():
        raise ValueError(f"images by class are {counts.tolist()}: expected {classes} classes with at least one each")
    return torch.tensor(len(labels) / (classes * counts), dtype=torch.float32)


def characteristic_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Return the mean binary cross entropy over images and characteristics, both (n, c); 0 without any (eq. 3)."""
    if logits.shape[1] == 0:
        return logits.sum()
    return functional.binary_cross_entropy_with_logits(logits, present.to(logits.dtype))


def scaled(attention: Tensor) -> Tensor:
    """Return attention, at least 0, divided by the maximum of each map: in [0, 1], float (n, c, h, w).

    A map of zeros stays one. One whose maximum is below `FAINT` is divided by that, so that gradients have a bound.
    """
    return attention / attention.amax(PIXELS, keepdim=True).clamp_min(FAINT)


def dice(attention: Tensor, maps: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    r"""Return :math:`1 - (2 \sum A M + s) / (\sum A + \sum M + s)`: the paper's (eq. 5 with sums: erratum D11).

    0 at the map if that is binary, also where both are empty. A fuzzy map has no attention that gives 0.
    """
    both = (attention * maps).sum(PIXELS)
    return 1 - (2 * both + smoothing) / (attention.sum(PIXELS) + maps.sum(PIXELS) + smoothing)


def dice_smoothed(attention: Tensor, maps: Tensor) -> Tensor:
    """Return `dice` with the smoothing of 1 that is common, here of a whole cell: a control."""
    return dice(attention, maps, 1.0)


def sensitivity_specificity(attention: Tensor, maps: Tensor) -> Tensor:
    r"""Return 1 less the mean of soft sensitivity and specificity, the loss of the paper's public notebook.

    Sensitivity is :math:`(\sum A M + s) / (\sum M + s)`, specificity that of both complements. The notebook adds up the
    pixels of the whole batch; here, as for Dice, each map is its own. 0 at the map if that is binary.
    """
    sensitivity = ((attention * maps).sum(PIXELS) + SMOOTHING) / (maps.sum(PIXELS) + SMOOTHING)
    outside = 1 - maps
    specificity = (((1 - attention) * outside).sum(PIXELS) + SMOOTHING) / (outside.sum(PIXELS) + SMOOTHING)
    return 1 - (sensitivity + specificity) / 2


def energy(attention: Tensor, maps: Tensor) -> Tensor:
    r"""Return the share of attention outside of the map, :math:`1 - \sum A M / \sum A` (energy loss, Rao et al. 2023).

    0 at any attention inside of a binary map: its shape there is free. 1 without gradient at an empty map. Scaled
    attention adds up to at least 1 unless it is faint, and by that a fainter sum is divided: 1 at an empty one.
    """
    return 1 - (attention * maps).sum(PIXELS) / attention.sum(PIXELS).clamp_min(1)


def l1(attention: Tensor, maps: Tensor) -> Tensor:
    """Return the mean absolute difference of the pixels (L1 loss, Rao et al. 2023); 0 at the map."""
    return (attention - maps).abs().mean(PIXELS)


def pixel_cross_entropy(attention: Tensor, maps: Tensor) -> Tensor:
    r"""Return the mean binary cross entropy of the pixels less that of the map with itself; 0 at the map.

    What is taken off does not depend on the attention. Both are first moved to :math:`m + (1 - 2m) A`, since attention
    over its maximum is 1 somewhere and often 0. Rao et al. 2023 count the pixels inside alone, which the whole
    picture would satisfy.
    """
    attention, maps = (MARGIN + (1 - 2 * MARGIN) * values for values in (attention, maps))
    inside = maps * (maps.log() - attention.log())
    outside = (1 - maps) * ((1 - maps).log() - (1 - attention).log())
    return (inside + outside).mean(PIXELS)


def outside_squared(attention: Tensor, maps: Tensor) -> Tensor:
    r"""Return the mean of :math:`(A (1 - M))^2`, right for the right reasons (Ross et al. 2017).

    0 at any attention inside of a binary map, and at none.
    """
    return (attention * (1 - maps)).square().mean(PIXELS)


GUIDANCE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dice": dice,
    "sensitivity_specificity": sensitivity_specificity,
    "energy": energy,
    "l1": l1,
    "pixel_cross_entropy": pixel_cross_entropy,
    "outside_squared": outside_squared,
    "dice_smoothed": dice_smoothed,
}
"""Ways to guide attention by their names."""


def attention_loss(attention: Tensor, maps: Tensor, counted: Tensor, guidance: str = "dice") -> Tensor:
    """Return the mean loss of attention over the images and characteristics that count.

    Grad-CAM is rectified, so a map that is zero gives no gradient: guidance can silence a map and cannot wake it. Watch
    how many are zero, too.

    Parameters
    ----------
    attention
        (n, c, h, w), at least 0, as a network gives it; `scaled` here.
    maps
        (n, c, h, w) in [0, 1], of the same size.
    counted
        (n, c), bool or weights of at least 0. In the paper all count alike, also those with an empty map.
    guidance
        A key of `GUIDANCE`.

    Returns
    -------
    Tensor
        One number; 0 if nothing counts.

    Raises
    ------
    ValueError
        If shapes differ, or there is no such guidance.
    """
    if guidance not in GUIDANCE:
        raise ValueError(f"guidance is {guidance!r}: expected one of {', '.join(GUIDANCE)}")
    if attention.ndim != 4 or attention.shape != maps.shape:
        found = f"{tuple(attention.shape)} and {tuple(maps.shape)}"
        raise ValueError(f"attention and maps are {found}: expected (n, c, h, w), the same")
    if counted.shape != attention.shape[:2]:
        raise ValueError(f"counted is {tuple(counted.shape)}: expected {tuple(attention.shape[:2])}, as of the maps")
    counted = counted.to(attention.dtype)
    total = counted.sum()
    lost = (counted * GUIDANCE[guidance](scaled(attention), maps)).sum()
    return lost / torch.where(total > 0, total, 1)
