"""Do decisions rest on what maps call critical? Impact scores on paintings, and patches whose effect is known."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.evaluation import impact, suite
from medxai.experiment.panel import Panel
from medxai.experiment.trained_network import TrainedNetwork
from medxai.profiles import Profile

ASKED = ("gradient_shap", "integrated_gradients", "guided_backpropagation", "grad_cam")
"""Methods of the families that Lin et al. 2019 compare (the first is their Expected Gradients) and of class activation
maps; LIME needs so many passes that it is left out."""
PARTS = 4
"""A patch's side is the image's, divided by this; a critical region has as many pixels."""
STEPS = 10
"""Of an attack."""
SAMPLES = 16
"""At most, of a method."""


def measured(trained: TrainedNetwork, profile: Profile, *, seed: int) -> pd.DataFrame:
    """Cover what maps call critical, and look for patches in maps, on held-out images that the network gets right.

    Maps are of the decision: of the image's for the impact score, of the patched image's for the coverage.

    Returns
    -------
    pandas.DataFrame
        A line for each image and method or control: ``image``, ``method``, ``changed`` and ``strong``
        (`medxai.evaluation.impact.Impact`), ``attacked`` (whether the patch changed the decision), each 0 or 1, and
        ``coverage``, NaN where it did not.
    """
    panel = Panel.of(trained, min(SAMPLES, profile.samples // 2), ASKED)
    rows, side = trained.rows_to_explain(profile.impact_images), trained.images.side
    plain = panel.pixels(rows)
    places = impact.patch_places(len(rows), side, side // PARTS, seed=seed)
    patched = torch.cat(
        [impact.attacked(trained.network, plain[[i]], places[[i]], panel.bounds, steps=STEPS) for i in range(len(rows))]
    )
    tables = []
    for row, own, other, place in zip(rows, plain, patched, places, strict=True):
        before, after = _decision(trained, own), _decision(trained, other)
        found = impact.impact(trained.network, own, _critical(panel, row, own, before))
        covers = impact.coverage(_critical(panel, row, other, after), place) if before != after else np.nan
        lines = pd.DataFrame({"image": trained.images.names[row], "method": panel.names, **found._asdict()})
        tables.append(lines.assign(attacked=before != after, coverage=covers))
    return pd.concat(tables, ignore_index=True).astype(dict.fromkeys(("changed", "strong", "attacked"), int))


def _decision(trained: TrainedNetwork, image: Tensor) -> int:
    with torch.no_grad():
        return int(trained.network(image[None]).argmax())


def _critical(panel: Panel, row: int, image: Tensor, target: int) -> np.ndarray:
    """Return the pixels with the highest values of each map of the panel, bool (m, side, side)."""
    maps = [panel.map(row, name, pixels=image[None], targets=[target]) for name in panel.names]
    return suite.largest(np.stack(maps), 1 / PARTS**2)
