r"""The best attention that a grid of few cells can give: a ceiling for attention of a network of that grid.

Attention :math:`E` is scored by :math:`F_1 = 2 \sum \min(E, D) / (\sum E + \sum D)` against a fuzzy reference
:math:`D`, after it was divided by its maximum. A map of cells has one value :math:`g_j` for the :math:`m` pixels of a
cell. At the best one, with the score :math:`\lambda`, no other has
:math:`2 \sum \min(E, D) - \lambda (\sum E + \sum D) > 0` (Dinkelbach 1967, Management Science 13:492-498). That is a
sum over cells, in each concave with the slope :math:`2\, \#\{D > g_j\} - \lambda m`, so :math:`g_j` is the value that
the share :math:`\lambda / 2` of the pixels exceeds: not their mean. One cell has to be 1, that which loses least by it.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medxai.evaluation.sums import ratio

STEPS = 20
"""Of ascent. On the real annotations 20 end at most 0.01 below 300, on average over cases; on six cases of 15 x 15
pixels 0.003 below the exact ceiling of 3 x 3 cells and 0.015 below that of 5 x 5, on average."""
RATE = 0.05
CHUNK = 64


def best_cells(references: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the map of cells x cells values with the highest fuzzy F1, each value over a square of pixels: exactly.

    Parameters
    ----------
    references
        float (k, side, side) in [0, 1]; ``cells`` divides the side.

    Returns
    -------
    grids : numpy.ndarray
        float64 (k, cells, cells) in [0, 1], the largest value of each 1.
    f1 : numpy.ndarray
        float64 (k,): their scores.
    """
    count, side = len(references), references.shape[-1]
    if references.shape != (count, side, side) or side % cells:
        raise ValueError(f"references are {references.shape}: expected (k, side, side), a side divided by {cells}")
    width = side // cells
    pixels = references.astype(np.float64).reshape(count, cells, width, cells, width).swapaxes(2, 3)
    pixels = np.sort(pixels.reshape(count, cells**2, width**2), axis=2)
    return _dinkelbach(pixels, np.zeros(count))


def _dinkelbach(pixels: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve for sorted pixels (k, cells, m), from scores (k,) that can be reached."""
    (count, cells, size), rows = pixels.shape, np.arange(len(pixels))
    inside = pixels.sum(axis=2)
    while True:
        place = np.ceil((1 - level / 2) * size - 1).astype(int).clip(0, size - 1)
        values = np.take_along_axis(pixels, np.broadcast_to(place[:, None, None], (count, cells, 1)), axis=2)
        both = np.minimum(values, pixels).sum(axis=2)
        values = values[..., 0]
        lost = 2 * (both - inside) - level[:, None] * size * (values - 1)
        peak = lost.argmin(axis=1)
        values[rows, peak], both[rows, peak] = 1, inside[rows, peak]
        found = ratio(2 * both.sum(axis=1), size * values.sum(axis=1) + inside.sum(axis=1))
        if (found <= level + 1e-9).all():
            side = int(np.sqrt(cells))
            return values.reshape(count, side, side), found
        level = np.maximum(found, level)


def interpolation(cells: int, side: int) -> Tensor:
    """Return the matrix (side, cells) that interpolates linearly along one axis, as torch's ``bilinear`` along both."""
    return functional.interpolate(torch.eye(cells)[:, None], side, mode="linear")[:, 0].T.contiguous()


def best_interpolated(references: np.ndarray, cells: int, *, steps: int = STEPS) -> np.ndarray:
    """Return maps of cells x cells values with a high fuzzy F1 after interpolation to the size of the references.

    The score is scaled by the maximum after the interpolation, as `medxai.evaluation.attention_cases.fine` does. There
    is no closed form: from `best_cells` it is climbed by Adam (Kingma and Ba 2015), and the best that was met is kept.
    So its score is a lower bound of the ceiling, and not below that of where it starts.

    Parameters
    ----------
    references
        float32 (k, side, side) in [0, 1], not all 0.

    Returns
    -------
    numpy.ndarray
        float32 (k, cells, cells), at least 0.
    """
    found = [_climb(some, cells, steps) for some in torch.from_numpy(references).split(CHUNK)]
    return torch.cat(found).numpy() if found else np.empty((0, cells, cells), np.float32)


def _climb(references: Tensor, cells: int, steps: int) -> Tensor:
    """Climb from the best cells of a few references."""
    matrix = interpolation(cells, references.shape[-1])
    even = functional.interpolate(references[:, None], cells * -(-references.shape[-1] // cells), mode="area")[:, 0]
    grids = torch.from_numpy(best_cells(even.numpy(), cells)[0]).float().requires_grad_()
    best, top = grids.detach().clone(), references.new_full((len(references),), -1)
    adam = torch.optim.Adam([grids], lr=RATE, betas=(0.9, 0.99))
    cooling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in range(steps + 1):
        maps = matrix @ grids @ matrix.T
        maps = maps / maps.amax((1, 2), keepdim=True)
        both = torch.minimum(maps, references).sum((1, 2))
        score = 2 * both / (maps.sum((1, 2)) + references.sum((1, 2)))
        higher = score.detach() > top
        best[higher], top[higher] = grids.detach()[higher], score.detach()[higher]
        if step < steps:
            adam.zero_grad()
            (-score.sum()).backward()
            adam.step()
            cooling.step()
            with torch.no_grad():
                grids.clamp_(0)
                grids /= grids.amax((1, 2), keepdim=True)
    return best
