"""Prototypes on paintings: do they cost accuracy, does what looks alike lie on the lesion, and is it the same thing?"""

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.data.masks import area_average
from medxai.experiment.cells import Cells
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.models.prototypes import PrototypeNetwork
from medxai.training import prototype_training

BEFORE, PROTOTYPES, DRAWN = "before projection", "prototypes", "prototypes drawn at random"
EACH = 5
"""Prototypes of a class."""
MARKED = 0.25
"""A characteristic is marked at a cell from this share on, averaged over its pixels and the dermatologists."""


@dataclass(frozen=True, eq=False)
class Prototyped:
    """Networks with prototypes, and the training cells that those are."""

    cells: Cells
    models: dict[str, PrototypeNetwork]
    places: dict[str, Tensor]
    """int (p, 2) of `PROTOTYPES` and `DRAWN`: the row of a training picture, and its cell."""


def train(of: Cells, classes: int, *, seed: int) -> Prototyped:
    """Train prototypes, and for the control the last layer alone on prototypes that were drawn at random."""
    bags, labels = of.bags[of.seen], of.labels[of.seen]
    drawn = prototype_training.start(bags, labels, classes=classes, each=EACH, seed=seed)
    learnt = copy.deepcopy(drawn)
    prototype_training.learn(learnt, bags, labels)
    models, places = {BEFORE: copy.deepcopy(learnt)}, {}
    for name, model in ((PROTOTYPES, learnt), (DRAWN, drawn)):
        found = prototype_training.project(model, bags, labels)
        places[name] = torch.stack([torch.from_numpy(of.seen)[found[:, 0]], found[:, 1]], 1)
        models[name] = model
    for model in models.values():
        prototype_training.finish(model, bags, labels)
        model.eval().requires_grad_(False)
    return Prototyped(of, models, places)


def answers(of: Prototyped, shown: ExplainedPaintings) -> pd.DataFrame:
    """Return for each held-out image and network, ``image`` and ``network``, whether its answer is ``right``."""
    bags, truth = of.cells.bags[of.cells.asked], of.cells.labels[of.cells.asked]
    names = [shown.images.names[row] for row in of.cells.asked]
    tables = [
        pd.DataFrame({"image": names, "network": name, "right": (model(bags).argmax(1) == truth).double().numpy()})
        for name, model in of.models.items()
    ]
    return pd.concat(tables, ignore_index=True)


def scores(of: Prototyped, shown: ExplainedPaintings) -> pd.DataFrame:
    """Score the place that each held-out image's answer rests on most, and the prototype that it looks like.

    Returns
    -------
    pandas.DataFrame
        A line for each image of which the characteristics are known, and network: ``image``, ``network``, ``outlined``
        (mean share of dermatologists who outlined the cell), ``area`` (the same over the picture, which is what a cell
        drawn at random has on average), ``shared`` (whether a characteristic is marked both there and at the
        prototype's place, NaN if none is at the prototype's), ``shared_area`` (the same for a cell drawn at random).
    """
    images, asked = shown.images, of.cells.asked[shown.explained[of.cells.asked]]
    outlined = np.stack([area_average(images.reference(row), of.cells.grid).ravel() for row in asked])
    marked, tables = _marked(of, shown), []
    for name in of.places:
        cell, prototype = _fired(of, name, asked)
        at = marked[prototype[:, 0], prototype[:, 1]]
        common = np.where(at.any(1)[:, None], (marked[asked] & at[:, None]).any(2), np.nan)
        rows = np.arange(len(asked))
        columns = {"outlined": outlined[rows, cell], "area": outlined.mean(1)}
        columns |= {"shared": common[rows, cell], "shared_area": common.mean(1)}
        tables.append(pd.DataFrame({"image": [images.names[row] for row in asked], "network": name, **columns}))
    return pd.concat(tables, ignore_index=True)


def examples(of: Prototyped, shown: ExplainedPaintings) -> pd.DataFrame:
    """Return what the answer for the first held-out image of each disease looks like.

    Returns
    -------
    pandas.DataFrame
        A line for each: ``image``, ``answer``, ``y``, ``x`` (of the cell in the grid), ``prototype_image``,
        ``prototype_y``, ``prototype_x``, ``rows``, ``columns`` (of the grid).
    """
    images, (height, width) = shown.images, of.cells.grid
    asked = of.cells.asked[np.unique(of.cells.labels[of.cells.asked].numpy(), return_index=True)[1]]
    cell, prototype = _fired(of, PROTOTYPES, asked)
    answer = of.models[PROTOTYPES](of.cells.bags[asked]).argmax(1).numpy()
    return pd.DataFrame(
        {
            "image": [images.names[row] for row in asked],
            "answer": [images.classes[one] for one in answer],
            "y": cell // width,
            "x": cell % width,
            "prototype_image": [images.names[row] for row in prototype[:, 0]],
            "prototype_y": prototype[:, 1] // width,
            "prototype_x": prototype[:, 1] % width,
            "rows": height,
            "columns": width,
        }
    )


def _fired(of: Prototyped, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell int (m,) that answers for some rows rest on most, and its prototype's place (m, 2)."""
    model, bags = of.models[name], of.cells.bags[rows]
    prototype, cell = model.fired(bags, model(bags).argmax(1))
    return cell.numpy(), of.places[name][prototype].numpy()


def _marked(of: Prototyped, shown: ExplainedPaintings) -> np.ndarray:
    """Return which characteristics are marked at each cell of each image, bool (n, cells, c)."""
    number, characteristics = shown.maps.shape[:2]
    marked = np.zeros((number, of.cells.bags.shape[1], characteristics), bool)
    for row, column in np.argwhere(shown.present):
        marked[row, :, column] = area_average(shown.maps[row, column], of.cells.grid).ravel() >= MARKED
    return marked
