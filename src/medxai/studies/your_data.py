"""Bring your own: explain a model on a folder of images, beside controls that know nothing of the model.

`read_folder` and `load_model` get images and model, `evaluate` explains and scores, `summary` says how sure the scores
are; `medxai.report.your_data_page` makes a page of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from medxai.attribution import CONTROLS, METHODS
from medxai.data.image_folder import read_folder
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import score_tables
from medxai.experiment import own_network
from medxai.experiment.own_network import OwnNetwork
from medxai.experiment.panel import Options, Panel
from medxai.models.networks import load as load_model

__all__ = ["QUICK", "Results", "evaluate", "load_model", "read_folder", "summary"]

QUICK = (
    "gradient",
    "gradient_x_input",
    "integrated_gradients",
    "smoothgrad",
    "grad_cam",
    "guided_backpropagation",
    "lrp_epsilon",
    "occlusion",
)
"""Methods that need nothing but a model and an image: one or two of each family."""
OUTLINE = "outline"
"""The outlines themselves as maps: what a map would score that shows exactly what was outlined."""
STAGES = 3
"""Of the randomisation of the network, from the head down."""


@dataclass(frozen=True, eq=False)
class Results:
    """What was explained, all maps, and all scores."""

    images: LabelledImages
    model: OwnNetwork
    """The network, and the class that is explained for each image."""
    maps: dict[str, np.ndarray]
    """float32 (n, side, side) by name: methods, then controls, then `OUTLINE` where there are outlines."""
    scores: pd.DataFrame
    """A line for each image and map: ``image``, ``method``, and each metric, NaN where it is not defined."""
    cascade: pd.DataFrame
    """A line for each checked image, map and stage, see `medxai.experiment.panel.Checked`."""
    refused: dict[str, str]
    """Why, by method."""
    unconverged: dict[str, str]
    """Of methods whose maps need more steps: how far they are off, for the first such image."""
    left_out: tuple[str, ...]
    """Checks that could not be made, a sentence each."""
    samples: int
    seed: int

    @property
    def methods(self) -> list[str]:
        """Names of the methods that gave maps."""
        return [name for name in self.maps if name in METHODS]

    @property
    def checked(self) -> int:
        """How many images the sanity checks were made on."""
        return self.cascade["image"].nunique()


def evaluate(
    model: nn.Module,
    images: LabelledImages,
    *,
    target: int | Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    methods: Sequence[str] | Options | None = None,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    multi_label: bool = False,
    samples: int = 16,
    seed: int = 0,
    checked: int = 2,
    progress: bool = True,
) -> Results:
    """Explain a model's decisions on some images, and ask what the explanations are worth.

    The model is not changed: a copy in float32 and evaluation mode is used, on the device of the model. A method that
    refuses it is not scored, but named in ``refused``.

    Parameters
    ----------
    model
        Takes float32 (n, 3, side, side), returns logits (n, classes) before any softmax or sigmoid.
    images
        From `read_folder`, or `LabelledImages.with_masks`.
    target
        The class to explain, from 0: one for all images or one for each; ``None`` for the most probable one.
    classes
        Their names; numbers without them.
    methods, samples, seed, progress
        As of `medxai.experiment.panel.Panel`; the methods `QUICK` without a choice.
    normalise
        Mean and standard deviation of RGB in [0, 1] that the model was trained with; what timm notes on the model, else
        ImageNet's, without.
    multi_label
        Whether classes are findings that do not exclude each other. Each probability is then the sigmoid of its logit,
        not a softmax over all. So it is for a model of one logit, whose only finding is there or not.
    checked
        On how many images, the first ones, the sanity checks are made.

    Raises
    ------
    ValueError
        In one sentence, for an argument that is not what it should be.
    """
    for name, value, least in (("samples", samples, 1), ("checked", checked, 0)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}: expected a whole number{' above 0' * least}")
    given = {"target": target, "classes": classes, "normalise": normalise, "multi_label": multi_label}
    own = own_network.checked(model, images, **given)
    methods = QUICK if methods is None else methods
    options = {"seed": seed, "progress": progress, "multi_label": own.multi_label}
    panel = Panel(own.network, images, own.targets, own.normalisation, samples, methods, **options)
    rows = range(len(images))
    explained = panel.maps(rows)
    maps, names = dict(explained.maps), list(explained.maps)
    if images.raters is not None:
        maps[OUTLINE] = np.stack([images.reference(row) for row in rows]).astype(np.float32)
    scores = panel.scores(rows, maps).scores
    checks, cascade, left_out = panel.sanity(rows[:checked], names, stages=STAGES)
    scores = scores.merge(checks, on=["image", "method"], how="left")
    return Results(
        images, own, maps, scores, cascade, explained.refused, explained.unconverged, left_out, samples, seed
    )


def summary(results: Results, *, resamples: int = 1000, level: float = 0.95) -> pd.DataFrame:
    """Return `medxai.evaluation.score_tables.summary` with the ``kind`` of each map: method, control or outline.

    Parameters
    ----------
    resamples, level
        Of the bootstrap over images; each image counts as one, so give near copies only once.
    """
    table = score_tables.summary(results.scores, resamples=resamples, seed=results.seed, level=level)
    kinds = dict.fromkeys(CONTROLS, "control") | {OUTLINE: "outline"}
    table.insert(1, "kind", table["method"].map(kinds).fillna("method"))
    return table
