"""Between which scores attention can lie: maps that see nothing of an image, and the best maps that there could be.

Neither paper shows them. A score of localisation (Jalaboi et al. 2023, Medical Image Analysis 83:102647, tables 6 and
7) says little without: it is not 0 for a map that has seen no image, and not 1 for the perfect shape on a coarse grid.
Attention is scored at the size of the maps. Where it is to be scored on its own grid instead, and the paper does not
say which, give maps of that size: other controls and ceilings hold there.
Tables of cases are those of `medxai.evaluation.attention_cases`, with the columns map and fold.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from medxai.evaluation import attention_cases, localisation
from medxai.evaluation.best_grid import STEPS, best_interpolated
from medxai.evaluation.per_class import SCORES
from medxai.evaluation.sums import make_table, ratio

CONSTANT = 0.2
GRIDS = (5, 7, 9, 10, 20)
"""Last maps of a network of stride 32 for 160, 224, 288 and 320 pixels; 10 and 20 also of stride 16."""
BLIND = "mean map"
"""The control that knows most: where on images the characteristic mostly is."""


def shape_on(cells: int) -> str:
    """Return the name of the perfect shape on a grid."""
    return f"shape on {cells} x {cells}"


def best_on(cells: int) -> str:
    """Return the name of the best map on a grid."""
    return f"best on {cells} x {cells}"


def bounds(
    maps: np.ndarray,
    present: np.ndarray,
    names: Sequence[str],
    folds: np.ndarray,
    *,
    grids: Sequence[int] = GRIDS,
    steps: int = STEPS,
) -> pd.DataFrame:
    """Score controls and ceilings on every case.

    Parameters
    ----------
    maps, present, names
        As of `medxai.evaluation.attention_cases.cases`; the maps are square.
    folds
        int (n,): where each image is tested.
    steps
        As of `medxai.evaluation.best_grid.best_interpolated`.

    Returns
    -------
    pandas.DataFrame
        Cases by map, found all True. Controls that see no image: "constant", `CONSTANT` everywhere; "mean map" of the
        characteristic in the other folds, as it is; "scaled mean map", over its maximum as attention is. One that sees
        the image but not the characteristic: "union", the largest of its maps at each pixel, over its maximum.
        Ceilings: "shape", the experts' own map over its maximum; "shape on n x n", averaged to a grid and scored as a
        network's attention of that size is; "best on n x n", what of that size scores highest. Mean maps are NaN where
        the other folds lack the characteristic.
    """
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        raise ValueError(f"maps are {maps.shape}: expected (n, c, side, side)")
    parts = []
    for fold in np.unique(folds):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        there, mean = present[rows], _means(maps, present, others)
        for kind, some in _maps(maps[rows], there, mean, grids, steps):
            known = np.isfinite(some).all(axis=(1, 2))
            some = np.where(known[:, None, None], some, 0)
            table = attention_cases.scored(some, maps[rows][there], there, names, found=there)
            table.loc[~known, list(SCORES)] = np.nan
            parts.append(table.assign(map=kind, image=rows[table["image"]], fold=fold))
    table = pd.concat(parts, ignore_index=True)
    kinds = table.pop("map")
    table.insert(0, "map", pd.Categorical(kinds, kinds.unique()))
    return table.sort_values(["map", "image"], kind="stable", ignore_index=True)


def _means(maps: np.ndarray, present: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the mean map of each characteristic over the rows that have it, (c, side, side), NaN for none."""
    return np.stack(
        [
            maps[some, number].mean(axis=0) if len(some) else np.full(maps.shape[2:], np.nan, maps.dtype)
            for number in range(maps.shape[1])
            for some in [rows[present[rows, number]]]
        ]
    )


def _maps(
    maps: np.ndarray, present: np.ndarray, mean: np.ndarray, grids: Sequence[int], steps: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the maps of every case, (k, side, side), by name."""
    image, name = np.nonzero(present)
    shapes, sides = maps[present], maps.shape[2:]
    yield "constant", np.full_like(shapes, CONSTANT)
    yield BLIND, mean[name]
    yield "scaled mean map", mean[name] / mean[name].max(axis=(1, 2), keepdims=True)
    yield "union", localisation.attention(maps.max(axis=1))[image]
    yield "shape", localisation.attention(shapes)
    for cells in grids:
        coarse = functional.adaptive_avg_pool2d(torch.from_numpy(shapes), cells)
        yield shape_on(cells), attention_cases.fine(coarse, sides)
    for cells in grids:
        best = torch.from_numpy(best_interpolated(shapes, cells, steps=steps))
        yield best_on(cells), attention_cases.fine(best, sides)


def skill(
    values: pd.DataFrame, groups: np.ndarray, control: str, ceiling: str, *, weights: np.ndarray | None = None
) -> pd.DataFrame:
    r"""Say where a score stands between a control and a ceiling: :math:`(s - c) / (t - c)` of mean scores.

    0 at a control that has seen nothing of the image, 1 at the best that the grid allows; below 0 worse than blind.

    Parameters
    ----------
    values, groups
        Of `medxai.evaluation.attention_cases.side_by_side`, networks, control and ceiling. Of each network the cases
        count that all three have.
    weights
        As of `medxai.evaluation.bootstrap.weights`, float (resamples, images): `medxai.evaluation.bootstrap.interval`
        makes intervals of this. Images are the different ones among the groups.

    Returns
    -------
    pandas.DataFrame
        Index: the networks. Columns score, control, ceiling (means over cases) and skill, NaN where the ceiling is not
        above the control.
    """
    networks = values.columns.drop([control, ceiling])
    images, codes = np.unique(groups, return_inverse=True)
    triples = np.stack([values[[name, control, ceiling]].to_numpy(dtype=float) for name in networks], axis=1)
    known = np.isfinite(triples).all(axis=2, keepdims=True)
    parts = np.concatenate([np.where(known, triples, 0), known], axis=2)
    sums = np.zeros((len(images), len(networks), 4))
    np.add.at(sums, codes, parts)

    def finish(sums: np.ndarray) -> np.ndarray:
        means = ratio(sums[..., :3], sums[..., 3:])
        score, low, high = np.moveaxis(means, -1, 0)
        return np.concatenate([means, np.where(high > low, ratio(score - low, high - low), np.nan)[..., None]], axis=-1)

    return make_table([sums], finish, list(networks), ["score", "control", "ceiling", "skill"], weights)
