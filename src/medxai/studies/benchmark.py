"""The study behind chapter 05: eleven architectures, trained alike, and whether they look where dermatologists look.

One trial is one training of one architecture; one more computes the dermatologists' rows from their annotations alone.
"""

import functools

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from medxai.attribution import explain
from medxai.attribution.cam import grad_cam
from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.evaluation import benchmark_tables, cost, localisation, per_class
from medxai.evaluation.benchmark_tables import TERMS
from medxai.experiment import benchmark_network, clever_hans
from medxai.experiment.explained_paintings import fuzzy_maps
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.benchmark_networks import BENCHMARK
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies import dataset
from medxai.studies.store import Absent, Record, Study, Trial, optional

SEED = 0
BATCH = 16
SMOKE = ("mobilenet_v2", "vgg16", "vit_small")
"""Architectures that stand for all in the tests."""
METHOD = "grad_cam"


def _raters(db: DermXDB, profile: Profile) -> Record:
    """Score the dermatologists on the benchmark's images, and on random halves of them."""
    test = min(benchmark_tables.TEST, int(db.images["benchmark"].sum()) // 2 or 1)
    return benchmark_tables.dermatologists(db, dataset.overlaps(db), number=profile.bootstrap, seed=SEED, test=test)


def _run(db: DermXDB, start: Pretrained | Absent, profile: Profile, *, network: str, run: int) -> Record:
    """Train one architecture and score its diagnoses, and its maps against what the dermatologists outlined."""
    begin = None if isinstance(start, Absent) else start
    images = benchmark_network.paintings(db, profile)
    trained = benchmark_network.train(images, begin, profile, name=network, run=run)
    found = trained.probabilities[trained.test].argmax(1)
    number = len(trained.images.classes)
    there = per_class.one_hot(trained.images.labels[trained.test], number)
    diagnosis = per_class.scores(there, per_class.one_hot(found, number), trained.images.classes)
    maps, seconds = _maps(trained)
    known = {"network": network, "run": run}
    tables = {
        "diagnosis": diagnosis.rename_axis("class").reset_index(),
        "images": _at_images(trained, maps),
        "characteristics": _at_characteristics(db, trained, maps),
        "networks": _of_network(trained, seconds),
        "shown": _shown(trained),
    }
    return {name: table.assign(**known).round(4) for name, table in tables.items()}


def _maps(trained: TrainedNetwork) -> tuple[np.ndarray, float]:
    """Return Grad-CAM of the predicted class of the images tested on, in [0, 1], and the seconds for one image."""
    maps = []
    with cost.metered(trained.network) as meter:
        for rows in np.array_split(trained.test, -(-len(trained.test) // BATCH)):
            pixels = trained.normalisation.apply(trained.images.pictures[rows])
            target = torch.from_numpy(trained.probabilities[rows].argmax(1))
            maps.append(explain(trained.network, pixels, target, METHOD, layer=trained.layer).numpy())
    return localisation.attention(np.concatenate(maps)), meter.cost.seconds / len(trained.test)


def _at_images(trained: TrainedNetwork, maps: np.ndarray) -> pd.DataFrame:
    """Score each map against the share of all dermatologists who outlined anything at a pixel."""
    references = np.stack([trained.images.reference(row) for row in trained.test])
    own = {"image": [trained.images.names[row] for row in trained.test], "right": trained.right[trained.test]}
    return pd.DataFrame({**own, **localisation.fuzzy_scores(maps, references)._asdict()})


def _at_characteristics(db: DermXDB, trained: TrainedNetwork, maps: np.ndarray) -> pd.DataFrame:
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


def _of_network(trained: TrainedNetwork, seconds: float) -> pd.DataFrame:
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


def _shown(trained: TrainedNetwork) -> pd.DataFrame:
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


def _watermark(db: DermXDB, start: Pretrained | Absent, profile: Profile, *, network: str) -> Record:
    """Teach one architecture a watermark, and test whether it reads it."""
    begin = None if isinstance(start, Absent) else start
    return {"watermark": clever_hans.compared(db, begin, profile, name=network).assign(network=network).round(4)}


def _trials(profile: Profile) -> list[Trial]:
    networks = SMOKE if profile.name == "smoke" else tuple(BENCHMARK)
    return [
        Trial("raters", _raters, ("dermxdb",)),
        *(
            Trial(f"{network}_{run}", _run, ("dermxdb", network), (("network", network), ("run", run)))
            for run in range(profile.benchmark_runs)
            for network in networks
        ),
        *(
            Trial(f"watermark_{network}", _watermark, ("dermxdb", network), (("network", network),))
            for network in networks
        ),
    ]


@functools.cache
def _start(network: str, profile: Profile) -> Pretrained:
    return benchmark_network.imagenet(network, profile)


STUDY = Study(
    "benchmark",
    chapter="05_benchmark",
    version=cache.VERSION,  # other paintings, other results
    trials=_trials,
    data={
        "dermxdb": real_or_simulated.open_dermxdb,
        **{name: lambda profile, name=name: optional(lambda: _start(name, profile)) for name in BENCHMARK},
    },
    seed=SEED,
)
