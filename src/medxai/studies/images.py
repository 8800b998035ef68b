"""The study behind the images chapter: can the painted diseases be told apart by colour, and by a ConvNet?"""

import functools
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from medxai.data import dermxdb, sources
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.data.render.cache import paint_all, read
from medxai.errors import DataError
from medxai.evaluation import classification
from medxai.profiles import Profile
from medxai.report import tables as report
from medxai.studies import references, store
from medxai.studies.store import Record, Trial
from medxai.training.small_convnet import fit_predict

CHAPTER = "01_images"
VERSION = 1
SEED = 0
FOLDS = 5
CONVNET_SIZE = 96
"""Side of the images that the ConvNet sees, in pixels."""


@functools.lru_cache(maxsize=1)
def _load(root: Path) -> DermXDB:
    return dermxdb.load(root)


def open_data(profile: Profile) -> DermXDB:
    """Load DermXDB, real or simulated as `medxai.data.sources` decides; once per process."""
    return _load(sources.dermxdb_root(profile))


def chosen(db: DermXDB, number: int | None) -> list[str]:
    """Return the images of the paper, or `number` of them spread evenly over the diseases, in a fixed order."""
    paper = db.images[db.images["paper"]].sort_index()
    if number is None:
        return list(paper.index)
    turn = paper.groupby("reference").cumcount()
    return list(paper.assign(turn=turn).sort_values(["turn", "reference"], kind="stable").index[:number])


def example(db: DermXDB, disease: str, source: str | None = None) -> str:
    """Return the image of `disease` (and `source`) with the median number of outlined regions."""
    mine = db.images["paper"] & (db.images["reference"] == disease)
    if source:
        mine &= db.images["source"] == source
    regions = db.instances.query("round == 1").groupby("image").size().reindex(db.images.index[mine], fill_value=0)
    return regions.sort_values(kind="stable").index[len(regions) // 2]


def trials(profile: Profile) -> list[Trial]:
    """Return the study's one trial."""
    return [Trial("images", "separability")]


def record_path(trial: Trial, profile: Profile) -> Path:
    """Return where the record of `trial` is kept, for the data that this profile uses."""
    return store.record_path(trial, profile, VERSION, open_data(profile).digest)


def run_trial(trial: Trial, profile: Profile) -> Record:
    """Return the tables of the trial, computed or as stored."""
    return store.stored(record_path(trial, profile), lambda: _separability(open_data(profile), profile))


def collect(trials: list[Trial], profile: Profile) -> dict[str, pd.DataFrame]:
    """Return all tables of some trials by name; what is not stored is computed."""
    return {name: table for trial in trials for name, table in run_trial(trial, profile).items()}


def write_reference(profile: Profile, command: str) -> Path:
    """Write the tables to ``data/reference/images`` with their provenance, and return that folder.

    Raises
    ------
    DataError
        If the annotations are simulated: a reference comes from real ones.
    """
    db = open_data(profile)
    if db.kind != "real":
        raise DataError("reference results of 'images' need the real annotations: set MEDXAI_DATA to where they are")
    tables = collect(trials(profile), profile)
    return references.write("images", tables, profile, command=command, seed=SEED, data={"dermxdb": db})


def _separability(db: DermXDB, profile: Profile) -> Record:
    """Predict the disease of each painting from its colour and with a small ConvNet, by cross-validation."""
    names = chosen(db, profile.painted_images)
    folder = paint_all(db, profile.painted_size, images=names, seed=SEED)
    images = np.stack([_small(read(folder, name)) for name in names])
    labels = db.images.loc[names, "reference"].map({name: i for i, name in enumerate(DISEASES)}).to_numpy()
    predicted = {
        "Mean colour, linear model": _linear(images, labels, spread=False),
        "Mean and spread of colour, linear model": _linear(images, labels, spread=True),
        "Small ConvNet": _convnet(images, labels, profile.convnet_epochs),
    }
    scores = {name: classification.f1_by_class(labels, guess, list(DISEASES)) for name, guess in predicted.items()}
    table = pd.DataFrame(scores).T
    table.columns = ["macro_f1" if name == "Mean" else f"f1_{report.metric_name(name)}" for name in table.columns]
    return {"separability": report.tidy(table).reindex(columns=report.TIDY)}


def _small(image: np.ndarray) -> np.ndarray:
    """Return a painting as the ConvNet sees it: uint8 (96, 96, 3), averaged over area."""
    return cv2.resize(image, (CONVNET_SIZE, CONVNET_SIZE), interpolation=cv2.INTER_AREA)


def _linear(images: np.ndarray, labels: np.ndarray, *, spread: bool) -> np.ndarray:
    features = classification.colour_statistics(images, spread=spread)
    return classification.linear_predictions(features, labels, FOLDS, SEED)


def _convnet(images: np.ndarray, labels: np.ndarray, epochs: int) -> np.ndarray:
    predicted = np.empty_like(labels)
    for train, test in classification.folds(labels, FOLDS, SEED).split(images, labels):
        predicted[test] = fit_predict(images, labels, train, test, epochs=epochs, seed=SEED)
    return predicted
