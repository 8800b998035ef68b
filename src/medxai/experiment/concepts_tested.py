"""Concept vectors of one network, tested: against chance, and against what dermatologists see in a disease."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from medxai.attribution import concepts
from medxai.attribution.examples import layer_maps
from medxai.evaluation.auc_tests import holm
from medxai.evaluation.sums import mean_std
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.experiment.trained_network import TrainedNetwork
from medxai.training.transfer import FROZEN, maps_of_flips

LAYER = str(FROZEN + 1)
"""The second of the trained stages; of parts of a sequence, a part keeps its number as its name."""
PICTURES, FEWEST = 24, 10
"""Of a concept at most and at least, and as many at most of a random set."""
RANDOM_CONCEPTS = 5
"""Sets of pictures drawn at random that are tested as if they were concepts."""


class Parts(NamedTuple):
    """A network cut in two, and what its first part, which training left alone, gives for all images."""

    upper: nn.Module
    maps: Tensor


def cut(trained: TrainedNetwork) -> Parts:
    """Cut a network of `medxai.training.transfer` where its trained stages begin: concepts are asked about these."""
    stages = trained.network.as_sequential()
    pixels = trained.normalisation.apply(trained.images.pictures)
    return Parts(stages[FROZEN:].eval(), maps_of_flips(stages[:FROZEN], pixels, ((),))[0])


def tested(shown: ExplainedPaintings, trained: TrainedNetwork, *, random_sets: int, seed: int) -> pd.DataFrame:
    """Test every characteristic as a concept for every disease, in both ways, beside random concepts.

    Pictures of a concept are training images on which a dermatologist marked it; scores are those of held-out images.

    Returns
    -------
    pandas.DataFrame
        A line for each disease with a held-out image and each concept with `FEWEST` pictures: ``disease``,
        ``concept``, ``random`` (whether it is none), the columns of `medxai.attribution.concepts.tcav`, ``adjusted``
        (its p-values by Holm over all lines), and NaN for random ones: ``r2`` and ``relevance`` of the regression on
        the concept's area, ``r2_permuted`` with the areas of other images, ``difference``: how much more often the
        characteristic is marked in this disease than in the others, in [-1, 1].
    """
    parts, generator = cut(trained), np.random.default_rng(seed)
    known = trained.train[shown.explained[trained.train]]
    sets = _concept_rows(shown, known, generator)
    draws = [generator.permutation(trained.train)[:PICTURES] for _ in range(random_sets + RANDOM_CONCEPTS)]
    sets |= {f"random {number}": rows for number, rows in enumerate(draws[random_sets:], start=1)}
    inner = layer_maps(parts.upper, parts.maps, layer=LAYER)
    flat, values = inner.flatten(1).numpy(), inner[known].mean((2, 3)).numpy()
    pictures = {name: flat[rows] for name, rows in sets.items()}
    found = concepts.vectors_of(pictures, [flat[rows] for rows in draws[:random_sets]], seed=seed)
    regressions = _regressions(shown, known, values, [name for name in sets if name in shown.characteristics], seed)
    tables = []
    for target, disease in enumerate(trained.images.classes):
        rows = trained.test[trained.images.labels[trained.test] == target]
        if not len(rows):
            continue
        slopes = concepts.slopes(parts.upper, parts.maps[rows], target, layer=LAYER)
        table = concepts.tcav_scores(found, slopes).reset_index()
        table.insert(0, "disease", disease)
        of_means = slopes.reshape(len(rows), values.shape[1], -1).sum(2)  # adding 1 to all pixels adds 1 to the mean
        tables.append(table.merge(_relevances(regressions, of_means), on="concept", how="left"))
    table = pd.concat(tables, ignore_index=True)
    table.insert(2, "random", ~table["concept"].isin(shown.characteristics))
    differences = _differences(shown, trained.images.classes)
    return table.merge(differences, on=["disease", "concept"], how="left").assign(adjusted=holm(table["p_value"]))


def agreement(table: pd.DataFrame, *, shuffles: int, seed: int) -> pd.DataFrame:
    """Return the rank correlation of scores of concepts with what dermatologists mark.

    Over all pairs of a disease and a characteristic, of the column ``difference`` with the TCAV score and the
    bidirectional relevance; ``shuffled`` is the mean over columns whose diseases were exchanged.
    """
    from scipy.stats import spearmanr

    real = table[~table["random"]]
    truth = real.pivot(index="disease", columns="concept", values="difference")
    generator, lines = np.random.default_rng(seed), []
    for column in ("score", "relevance"):
        said = real.pivot(index="disease", columns="concept", values=column).to_numpy()
        mixed = [
            spearmanr(said[generator.permutation(len(said))].ravel(), truth.to_numpy().ravel())[0]
            for _ in range(shuffles)
        ]
        value = spearmanr(said.ravel(), truth.to_numpy().ravel(), nan_policy="omit")[0]
        chance = float(mean_std(np.array(mixed), axis=0, ddof=0)[0])
        lines.append({"row": column, "value": value, "shuffled": chance, "pairs": truth.size})
    return pd.DataFrame(lines)


def _concept_rows(
    shown: ExplainedPaintings, known: np.ndarray, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return at most `PICTURES` of the rows on which each characteristic was marked, for those with `FEWEST`."""
    marked = {name: known[shown.present[known, column]] for column, name in enumerate(shown.characteristics)}
    return {name: generator.permutation(rows)[:PICTURES] for name, rows in marked.items() if len(rows) >= FEWEST}


def _regressions(
    shown: ExplainedPaintings, known: np.ndarray, values: np.ndarray, names: list[str], seed: int
) -> dict[str, tuple[concepts.Regression, float]]:
    """Return each concept's regression on its area, and R2 of one on areas of other images."""
    generator, found = np.random.default_rng(seed), {}
    for name in names:
        area = shown.maps[known, shown.characteristics.index(name)].mean((1, 2))
        by_chance = concepts.regression_vector(values, generator.permutation(area), seed=seed).r2
        found[name] = concepts.regression_vector(values, area, seed=seed), by_chance
    return found


def _relevances(regressions: dict[str, tuple[concepts.Regression, float]], slopes: np.ndarray) -> pd.DataFrame:
    lines = [
        (name, one.r2, by_chance, concepts.relevance(slopes, one)) for name, (one, by_chance) in regressions.items()
    ]
    return pd.DataFrame(lines, columns=["concept", "r2", "r2_permuted", "relevance"])


def _differences(shown: ExplainedPaintings, diseases: tuple[str, ...]) -> pd.DataFrame:
    """Return how much more often each characteristic is marked in a disease than in the others."""
    lines = []
    for target, disease in enumerate(diseases):
        own = shown.images.labels[shown.explained] == target
        marks = shown.present[shown.explained]
        gaps = marks[own].mean(0) - marks[~own].mean(0) if own.any() else np.full(marks.shape[1], np.nan)
        lines += [(disease, *pair) for pair in zip(shown.characteristics, gaps, strict=True)]
    return pd.DataFrame(lines, columns=["disease", "concept", "difference"])
