"""What is measured of a trained architecture of the benchmark: its maps, where they lie, and what it costs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from medxai.attribution import attention_rollout, explain
from medxai.attribution.cam import grad_cam
from medxai.data.dermxdb import DermXDB
from medxai.errors import UnsupportedModel
from medxai.evaluation import cost, localisation, suite
from medxai.evaluation.benchmark_tables import TERMS
from medxai.experiment.explained_paintings import fuzzy_maps
from medxai.experiment.panel import Panel
from medxai.experiment.trained_network import TrainedNetwork
from medxai.profiles import Profile

BATCH = 16
METHOD = "grad_cam"
OTHERS = ("grad_cam_plus_plus", "integrated_gradients", "guided_backpropagation", "lrp_epsilon", "occlusion")
"""Methods beside Grad-CAM, on fewer images; and attention rollout where a network has attention."""


def maps_of_all(trained: TrainedNetwork) -> tuple[np.ndarray, float]:
    """Return Grad-CAM of the predicted class of the images tested on, in [0, 1], and the seconds for one image."""
    maps = []
    with cost.metered(trained.network) as meter:
        for rows in np.array_split(trained.test, -(-len(trained.test) // BATCH)):
            pixels = trained.normalisation.apply(trained.images.pictures[rows])
            target = torch.from_numpy(trained.probabilities[rows].argmax(1))
            maps.append(explain(trained.network, pixels, target, METHOD, layer=trained.layer).numpy())
    return localisation.attention(np.concatenate(maps)), meter.cost.seconds / len(trained.test)


def at_images(trained: TrainedNetwork, maps: np.ndarray) -> pd.DataFrame:
    """Score each map against the share of all dermatologists who outlined anything at a pixel."""
    references = np.stack([trained.images.reference(row) for row in trained.test])
    own = {"image": [trained.images.names[row] for row in trained.test], "right": trained.right[trained.test]}
    return pd.DataFrame({**own, **localisation.fuzzy_scores(maps, references)._asdict()})


def at_characteristics(db: DermXDB, trained: TrainedNetwork, maps: np.ndarray) -> pd.DataFrame:
    """Return the mean sensitivity to each characteristic of the images that have it and are diagnosed rightly."""
    right = trained.right[trained.test]
    names = [trained.images.names[row] for row in trained.test]
    references = fuzzy_maps(db, names, TERMS, trained.images.side)
    lines = []
    for column, term in enumerate(TERMS):
        there = right & references[:, column].any(axis=(1, 2))
        sensitivity = localisation.fuzzy_scores(maps[there], references[there, column]).sensitivity
        lines.append({"term": term, "sensitivity": sensitivity.mean() if there.any() else np.nan, "cases": there.sum()})
    return pd.DataFrame(lines)


def of_network(trained: TrainedNetwork, seconds: float) -> pd.DataFrame:
    """Say how large a network is, what it started from, and what it and a map of it cost."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        trained.network(trained.image(int(trained.test[0])))
    weights = sum(weight.numel() for weight in trained.network.parameters())
    line = {
        "origin": trained.origin,
        "accuracy": trained.accuracy,
        "accuracy_in_training": trained.learnt,
        "million_parameters": weights / 1e6,
        "billion_multiply_adds": counter.get_total_flops() / 2e9,
        "seconds_a_map": seconds,
        "trained_on": len(trained.train),
        "tested_on": len(trained.test),
    }
    return pd.DataFrame([line])


def by_methods(trained: TrainedNetwork, profile: Profile) -> pd.DataFrame:
    """Score other methods on a few images against the dermatologists; NaN and a reason where one refuses."""
    rows = trained.rows_to_explain(profile.benchmark_explained)
    panel = Panel.of(trained, profile.samples, (METHOD, *OTHERS))
    maps, refused, *_ = replace(panel, progress=False).maps(rows)
    try:
        pixels = trained.normalisation.apply(trained.images.pictures[rows])
        maps["attention_rollout"] = attention_rollout(trained.network, pixels).numpy()
    except UnsupportedModel:
        pass  # has no attention
    lines = []
    for place, row in enumerate(rows):
        stack, names = np.stack([of[place] for of in maps.values()]), list(maps)
        values = suite.place(stack, trained.images.reference(row))
        lines.append(pd.DataFrame({"image": trained.images.names[row], "method": names, **values}))
    none = pd.DataFrame(refused.items(), columns=["method", "reason"])
    return pd.concat([*lines, none], ignore_index=True)


def maps_shown(trained: TrainedNetwork) -> pd.DataFrame:
    """Return Grad-CAM at its own size for the first test image of each disease, a line for each cell."""
    labels = trained.images.labels[trained.test]
    rows = np.array([trained.test[labels == disease][0] for disease in np.unique(labels)])
    found = trained.probabilities[rows].argmax(1)
    pixels = trained.normalisation.apply(trained.images.pictures[rows])
    maps = localisation.attention(
        grad_cam(trained.network, pixels, torch.from_numpy(found), trained.layer)[trained.layer].numpy()
    )
    image, y, x = np.indices(maps.shape).reshape(3, -1)
    own = {"image": np.array(trained.images.names)[rows], "found": np.array(trained.images.classes)[found]}
    return pd.DataFrame(
        {**{name: values[image] for name, values in own.items()}, "y": y, "x": x, "value": maps.ravel()}
    )
