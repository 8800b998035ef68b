"""The benchmark's training in steps: on many other paintings, then the last layers on a few with real annotations.

As Jalaboi, Winther and Galimzianova (2023), section 3.2.4, with the settings of their table A2; optimiser and schedule
are those of `medxai.training.fit.optimise`, for which they print none.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai import paths
from medxai.models.benchmark_networks import BENCHMARK, BFLOAT16, fix_early_layers
from medxai.models.normalisation import Normalisation
from medxai.training.augmentation import Changes, augmented
from medxai.training.fit import fit, multiplies_bfloat16, optimise
from medxai.training.guidance import class_weights

TABLE = "benchmark_table_a2_hyperparameters"
FROM_SCRATCH, FROM_SCRATCH_UNNORMALISED = 3e-3, 1e-4
"""Highest learning rates of pre-training from random weights, of networks with batch normalisation and without; the
paper's are for weights of ImageNet. In steps of 16, 4 epochs of 2,000 paintings, DenseNet121 is then right on 78 % of
paintings with real annotations (MobileNet at 1e-3, in steps of 32 and with the changes of table A2, after 10 epochs on
31 %). VGG16 and ViT-S/16 stay near chance at 5e-4 (19 and 25 % after 4 epochs); at 1e-4 VGG16 is right on 32 % after 2.
"""
STEP = 16
"""Images in a step; not printed."""


@dataclass(frozen=True)
class Settings:
    """A network's line of table A2."""

    changes: Changes
    rate: float


def settings(name: str) -> Settings:
    """Read the line of a network, a key of `BENCHMARK`; that of EfficientNet-B0 for those that have none."""
    table = pd.read_csv(paths.published(TABLE), index_col=0)
    lines = {row.lower(): line for row, line in table.iterrows()}
    line = lines.get(BENCHMARK[name].paper_name.lower(), lines["efficientnet-b0"])
    brightness = (float(line["brightness_low"]), float(line["brightness_high"]))
    changes = Changes(float(line["rotation"]), float(line["zoom"]), shear=float(line["shear"]), brightness=brightness)
    return Settings(changes, float(line["learning_rate"]))


def pretrain(
    network: nn.Module,
    name: str,
    pictures: np.ndarray,
    labels: np.ndarray,
    normalisation: Normalisation,
    *,
    epochs: int,
    seed: int,
    from_scratch: bool,
) -> nn.Module:
    """Train a network in place; return it in evaluation mode.

    From random weights the whole network, on pictures flipped and shifted in colour (`medxai.training.fit.fit`): from
    those turned and stretched as in table A2 it learns too slowly. Else what table A2 leaves free, as `fine_tune`.

    Parameters
    ----------
    name
        Of the network, a key of `BENCHMARK`.
    pictures, labels
        uint8 (n, height, width, 3) and int (n,), from 0, of every class some.
    epochs
        Times each picture is seen.
    from_scratch
        Whether the weights are random; the paper's are ImageNet's.
    """
    if not from_scratch:
        return fine_tune(network, name, pictures, labels, normalisation, epochs=epochs, seed=seed)
    normalised = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    rate = FROM_SCRATCH if normalised else FROM_SCRATCH_UNNORMALISED
    options = {"epochs": epochs, "seed": seed, "batch": STEP, "bfloat16": _in_bfloat16(name)}
    fit(lambda: network.requires_grad_(True), pictures, labels, normalisation, rate=rate, **options)
    return network.requires_grad_(False)


def fine_tune(
    network: nn.Module,
    name: str,
    pictures: np.ndarray,
    labels: np.ndarray,
    normalisation: Normalisation,
    *,
    epochs: int,
    seed: int,
) -> nn.Module:
    """Train what table A2 leaves free in place, as `pretrain`; return the network in evaluation mode."""
    fix_early_layers(network, name)
    torch.manual_seed(seed)
    recipe = settings(name)
    network.to(memory_format=torch.channels_last)

    def draw(rows: Tensor) -> Tensor:
        seen, _ = augmented(pictures[rows.numpy()], torch.empty(0), normalisation, recipe.changes)
        return seen.contiguous(memory_format=torch.channels_last)

    options = {"class_weights": class_weights(labels, int(labels.max()) + 1), "bfloat16": _in_bfloat16(name)}
    optimise(network, draw, labels, epochs=epochs, rate=recipe.rate, batch=STEP, **options)
    return network.eval().requires_grad_(False)


def _in_bfloat16(name: str) -> bool:
    return name in BFLOAT16 and multiplies_bfloat16()
