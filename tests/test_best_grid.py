"""The best maps on a grid, against linear programs that solve the same exactly."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch.nn import functional

from medxai.evaluation import attention_cases, best_grid, localisation

SIDE = 6


@pytest.fixture(scope="module")
def references() -> np.ndarray:
    """A few fuzzy shapes: a blob of steps, a corner, specks, and noise."""
    generator = np.random.default_rng(0)
    maps = np.zeros((4, SIDE, SIDE), np.float32)
    maps[0, 1:5, 1:4] = 0.25
    maps[0, 2:4, 2:4] = 0.75
    maps[1, :2, 3:] = 1
    maps[2] = (generator.random((SIDE, SIDE)) < 0.15) * 0.5
    maps[3] = generator.random((SIDE, SIDE)) ** 2
    return maps


def _exact(reference: np.ndarray, spread: np.ndarray) -> float:
    """Return the best F1 of ``spread @ grid`` over its maximum, (pixels, cells): a linear program for each peak.

    By Charnes and Cooper the grid and the minima are divided by the denominator, whose inverse is the last variable.
    """
    d, (pixels, cells) = reference.ravel().astype(float), spread.shape
    zeros, ones = np.zeros((pixels, pixels)), np.ones(pixels)
    gain = np.concatenate([np.zeros(cells), -2 * ones, [0]])
    at_most = np.block(
        [
            [-spread, np.eye(pixels), np.zeros((pixels, 1))],  # minima below the map,
            [np.zeros_like(spread), np.eye(pixels), -d[:, None]],  # and below the reference;
            [spread, zeros, -ones[:, None]],  # the map at most 1
        ]
    )
    denominator = np.concatenate([spread.sum(0), 0 * ones, [d.sum()]])
    best = 0.0
    for peak in spread:
        one = np.concatenate([peak, 0 * ones, [-1]])
        found = linprog(gain, at_most, np.zeros(3 * pixels), np.stack([denominator, one]), [1, 0])
        best = max(best, -found.fun if found.success else 0)
    return best


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_best_cells_are_exact(references: np.ndarray, cells: int) -> None:
    grids, f1 = best_grid.best_cells(references, cells)
    maps = np.kron(grids, np.ones((SIDE // cells, SIDE // cells)))
    np.testing.assert_array_equal(maps.max((1, 2)), 1)
    np.testing.assert_allclose(f1, localisation.fuzzy_scores(maps, references).f1)
    squares = np.kron(np.eye(cells), np.ones((SIDE // cells, 1)))
    expected = [_exact(reference, np.kron(squares, squares)) for reference in references]
    np.testing.assert_allclose(f1, expected, atol=1e-7)


def test_best_cells_by_hand() -> None:
    # One cell has to be 1: it covers all pixels.
    np.testing.assert_allclose(best_grid.best_cells(np.full((1, 4, 4), 0.5), 1)[1], 2 * 8 / (16 + 8))
    # As many cells as pixels: the map itself, but for its largest value.
    reference = np.array([[[0.5, 0.25], [0, 0]]])
    grids, f1 = best_grid.best_cells(reference, 2)
    np.testing.assert_allclose(grids, [[[1, 0.25], [0, 0]]])
    np.testing.assert_allclose(f1, 2 * 0.75 / (1.25 + 0.75))
    with pytest.raises(ValueError, match=r"references are \(1, 2, 2\): .* a side divided by 3"):
        best_grid.best_cells(reference, 3)


def test_interpolation_is_torchs() -> None:
    grids = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    matrix = best_grid.interpolation(5, 13)
    expected = functional.interpolate(grids[:, None], (13, 13), mode="bilinear")[:, 0]
    torch.testing.assert_close(matrix @ grids @ matrix.T, expected)


@pytest.mark.parametrize("cells", [2, 3, 4])
def test_the_climb_comes_near_the_exact_ceiling_and_never_above(references: np.ndarray, cells: int) -> None:
    matrix = best_grid.interpolation(cells, SIDE).double().numpy()

    def scored(grids: np.ndarray) -> np.ndarray:
        return localisation.fuzzy_scores(attention_cases.fine(torch.from_numpy(grids), (SIDE, SIDE)), references).f1

    ceilings = np.array([_exact(reference, np.kron(matrix, matrix)) for reference in references])
    found = scored(best_grid.best_interpolated(references, cells, steps=300))
    assert (found <= ceilings + 1e-6).all()
    assert (found >= ceilings - 0.05).all()
    np.testing.assert_allclose(found.mean(), ceilings.mean(), atol=0.02)
    start = scored(best_grid.best_interpolated(references, cells, steps=0))
    assert (found >= start - 1e-6).all()
    assert (found > start + 0.01).any()
    # A network's way to make the grid, the mean of the shape, is worse.
    pooled = functional.adaptive_avg_pool2d(torch.from_numpy(references), cells).numpy()
    assert (scored(pooled) <= ceilings + 1e-6).all()
    assert scored(pooled).mean() < found.mean()
