"""Gaze-supervised networks on real chest films whose zones were scored by two radiologists: Brixia's.

Nobody's gaze is known there. The senior reader's scores, painted into the zones, take its place, and the class to learn
is whether their sum is above the median. Networks are cross-fitted: each film is answered and explained by one that has
seen no film of its case. A map says of a zone its mean in the zone, and is scored by how it ranks zones against each
reader, beside how one reader ranks them against the other.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medxai.data import brixia
from medxai.data.brixia import HIGHEST, READERS, ScoredFilms
from medxai.data.datasets import DATASETS
from medxai.errors import DataError
from medxai.evaluation import auc_tests, bootstrap
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.experiment.gaze_maps import maps_of
from medxai.models import gaze_unet
from medxai.training.gaze_losses import MODELS
from medxai.training.gaze_training import GazeExamples, class_logits, train

FOLDS, SEED, CLASSES = 5, 0, ("less severe", "more severe")
EPOCHS = 2
"""Times as many as of phantoms: there are fewer films."""


@dataclass(frozen=True)
class Brixia:
    """Where the films are; they are read when they are needed."""

    root: Path
    kind: str = "real"

    @functools.cached_property
    def digest(self) -> str:
        """Of the list, which holds the checksums of the films."""
        return hashlib.sha256((self.root / "manifest.csv").read_bytes()).hexdigest()

    def films(self, side: int) -> ScoredFilms:
        """Read the films at a side in pixels, once per process."""
        return _read(self.root, side)


_read = functools.lru_cache(maxsize=1)(brixia.read)


def open_brixia() -> Brixia:
    """Say where Brixia's films are; DataError if they are not there."""
    place = DATASETS["brixia-cxr"].place
    if not (place / "manifest.csv").is_file():
        raise DataError(f"{place} does not hold Brixia's films (see data/README.md)")
    return Brixia(place)


def examples(films: ScoredFilms) -> GazeExamples:
    """Return all films with classes and severity maps: scores over `HIGHEST` in zones, 0 outside of them."""
    senior = films.scores[:, 0]
    maps = (films.zones * (senior / HIGHEST)[:, :, None, None]).max(1).astype(np.float32)
    total = senior.sum(1)
    return GazeExamples(films.images.pictures, (total > np.median(total)).astype(int), maps)


def cross_fitted(films: ScoredFilms, model: str, epochs: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train a model once for each fold, and ask it about the films left out.

    The epoch is chosen on the fold after the one left out, which is not learnt from either.

    Returns
    -------
    tuple
        Logits float64 (n, classes), and maps float32 (n, side, side) by name, of the class that is predicted.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    every = examples(films)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    folds = [rows for _, rows in splitter.split(every.labels, every.labels, films.images.groups)]
    logits, maps = np.zeros((len(every.labels), len(CLASSES))), {}
    for number, test in enumerate(folds):
        val = folds[(number + 1) % FOLDS]
        rest = np.setdiff1d(np.arange(len(every.labels)), np.concatenate([test, val]))
        learnt, chosen = (GazeExamples(*(part[rows] for part in every)) for rows in (rest, val))
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            network = gaze_unet.make(classes=len(CLASSES), decoder=MODELS[model].decoder)
        train(network, MODELS[model], learnt, chosen, epochs=epochs, seed=SEED)
        logits[test] = class_logits(network, every.pictures[test]).double().numpy()
        for name, values in maps_of(network, every.pictures[test], logits[test].argmax(1)).items():
            maps.setdefault(name, np.zeros(every.gaze.shape, np.float32))[test] = values
    return logits, maps


def by_zone(films: ScoredFilms, maps: Mapping[str, np.ndarray], resamples: int) -> pd.DataFrame:
    """Say how maps rank the six zones of a film against each reader, and how the other reader does.

    Returns
    -------
    pandas.DataFrame
        ``map`` ("the other reader" among them), ``reader``, ``value``, ``low``, ``high``, ``images``: the mean over
        films of Spearman's correlation over zones, NaN left out (a reader who scores all zones alike); intervals by a
        bootstrap over cases.
    """
    area = np.maximum(films.zones.sum((2, 3)), 1)
    sums = {name: np.einsum("nhw,nzhw->nz", some.astype(float), films.zones) for name, some in maps.items()}
    means = {name: (some / area).round(9) for name, some in sums.items()}  # else rounding breaks ties
    parts = []
    for number, reader in enumerate(READERS):
        own = films.scores[:, number].astype(float)
        values = {**means, "the other reader": films.scores[:, 1 - number].astype(float)}
        found = {name: paired_rank_correlations(some, own) for name, some in values.items()}
        table = bootstrap.mean_intervals(pd.DataFrame(found), groups=films.images.groups, resamples=resamples)
        parts.append(table.rename_axis("map").reset_index().assign(reader=reader))
    return pd.concat(parts, ignore_index=True)


def severity_area(films: ScoredFilms, logits: np.ndarray) -> pd.DataFrame:
    """Return the area under the ROC curve of the more severe class with DeLong's interval: ``value``, ``low``..."""
    table = auc_tests.delong(examples(films).labels, logits, CLASSES)
    return table.loc[[CLASSES[1]]].reset_index(drop=True)
