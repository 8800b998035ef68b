"""Attention of a DermX beside the experts' maps, case by case: a case is an image and a characteristic that it has.

Jalaboi et al. 2023, Medical Image Analysis 83:102647, equations 6 to 8: tables 6, 7, B.18 and B.20 are over the agreed
cases, in which the network finds the characteristic, too; B.19 and B.21 over all. Each network chooses the agreed ones
for itself, so that only over all cases two networks are compared on the same.

A table of cases has the columns image (number of the row, from 0, or its name), name (of the characteristic), found
(bool), and f1, sensitivity and specificity of `medxai.evaluation.localisation.fuzzy_scores`, NaN where undefined.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from medxai.evaluation import localisation
from medxai.evaluation.per_class import MEAN, SCORES


def fine(attention: Tensor, sides: tuple[int, int]) -> np.ndarray:
    """Return attention (..., h, w), at least 0, interpolated linearly to a height and width, over its maximum."""
    flat = attention.detach().float().reshape(-1, 1, *attention.shape[-2:])
    maps = functional.interpolate(flat, sides, mode="bilinear").reshape(*attention.shape[:-2], *sides)
    return localisation.attention(maps.numpy())


def cases(
    attention: Tensor, maps: np.ndarray, present: np.ndarray, found: np.ndarray, names: Sequence[str]
) -> pd.DataFrame:
    """Score the attention of every case at the size of the experts' maps.

    Parameters
    ----------
    attention
        (n, c, h, w), at least 0, on the CPU.
    maps
        float (n, c, height, width) in [0, 1], of the experts.
    present, found
        bool (n, c): what the experts and the network say. False in ``present`` where nothing is known.
    names
        Of the c characteristics.
    """
    shapes = (tuple(attention.shape[:2]), maps.shape[:2], present.shape, found.shape, (len(maps), len(names)))
    if len(set(shapes)) != 1:
        told = ", ".join(map(str, shapes[:4]))
        raise ValueError(f"attention, maps, present and found are of {told}: expected {shapes[4]} of all")
    there = torch.from_numpy(present)
    return scored(fine(attention[there], maps.shape[2:]), maps[present], present, names, found)


def scored(
    some: np.ndarray, references: np.ndarray, present: np.ndarray, names: Sequence[str], found: np.ndarray
) -> pd.DataFrame:
    """Return the table of cases for fuzzy maps and references, each (k, height, width), in the order of ``present``."""
    image, name = np.nonzero(present)
    scores = localisation.fuzzy_scores(some, references)._asdict()
    return pd.DataFrame({"image": image, "name": np.array(names)[name], "found": found[present], **scores})


def agreed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the cases in which the network finds the characteristic, too."""
    return table[table["found"]]


def by_fold(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the mean scores of each fold and characteristic, as `medxai.evaluation.per_class.over_folds` takes them.

    Parameters
    ----------
    table
        Cases with a column fold: where the image was tested.
    names
        Of all characteristics, also those without a case, which are NaN.

    Returns
    -------
    pandas.DataFrame
        Columns fold, name, f1, sensitivity, specificity, and samples, the number of cases. Mean is that of the
        characteristics.
    """
    groups = table.groupby(["fold", "name"])
    means = groups[list(SCORES)].mean().assign(samples=groups.size())
    wanted = pd.MultiIndex.from_product([sorted(table["fold"].unique()), names], names=["fold", "name"])
    means = means.reindex(wanted).fillna({"samples": 0})
    mean = means.groupby("fold").mean().assign(name=MEAN).reset_index()
    return pd.concat([means.reset_index(), mean]).sort_values("fold", kind="stable", ignore_index=True)


def side_by_side(tables: Mapping[str, pd.DataFrame], score: str = "f1") -> tuple[pd.DataFrame, np.ndarray]:
    """Put one score of several networks side by side, to be compared in pairs over images.

    Returns
    -------
    values : pandas.DataFrame
        A row for each case, a column for each network, NaN where it has no such case.
    groups : numpy.ndarray
        int: the number of the image of each row. `medxai.evaluation.bootstrap.differences` and `mean_intervals` take
        both.
    """
    columns = {name: table.set_index(["image", "name"])[score] for name, table in tables.items()}
    values = pd.DataFrame(columns)
    return values, pd.factorize(values.index.get_level_values("image"))[0]
