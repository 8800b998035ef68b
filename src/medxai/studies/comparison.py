"""The study behind the comparison chapter: every method and control, on the same images, by every metric.

Each trial is one fold of a set of images: it trains a network on the other folds, explains some of its own images that
this network gets right, and scores every map. One more trial compares dermatologists with themselves; one for each fold
paints some of its paintings again without each characteristic, and asks whether maps foretell what the network says.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.data.labelled_images import LabelledImages
from medxai.data.photo_sets import ImageSet
from medxai.evaluation import suite
from medxai.experiment import image_sets, repainting
from medxai.experiment.image_sets import SEED, outlined
from medxai.experiment.panel import Panel
from medxai.experiment.trained_network import TrainedNetwork, misled, start, train
from medxai.models.weights import DEFAULT, Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies.store import Absent, Record, Study, Trial, optional

TRUTH = "truth"
"""A map that no method makes: where the lesion is."""
SIDE = 160
"""Side of the outlines on which dermatologists are compared with themselves, in pixels."""


def _fold(images: LabelledImages, pretrained: Pretrained, profile: Profile, fold: int) -> Record:
    """Explain some images of a fold, score every map, and test the methods on changed images and networks."""
    by_heart = misled(images, pretrained, profile, fold)  # first: another chapter may be training the same network
    trained = train(images, pretrained, profile, fold)
    rows = trained.rows_to_explain(profile.explained_images)
    panel = Panel.of(trained, profile.samples)
    maps, refused, _, costs = panel.maps(rows)
    truth = np.stack([images.truth(row) for row in rows])
    scores, curves = panel.scores(rows, {**maps, TRUTH: truth})
    checks, cascade, _ = panel.sanity(
        rows[: profile.sanity_images], list(maps), stages=profile.random_networks, misled=by_heart.network
    )
    own = pd.DataFrame(
        {
            "image": [images.names[row] for row in rows],
            "class": [images.classes[trained.label(row)] for row in rows],
            "right": trained.right[rows],
        }
    )
    known = {"set": images.name, "fold": fold}
    scores = scores.merge(own, on="image").merge(checks, on=["image", "method"], how="left")
    tables = {
        "scores": scores.assign(**known).round(4),
        "curves": curves.assign(**known, images=len(rows)).round(3),
        "cascade": cascade.assign(**known).round(4),
        "raters": pd.concat([_of_raters(images, row) for row in rows]).assign(**known).round(4),
        "networks": _networks(trained, by_heart, rows).assign(**known).round(4),
        "costs": costs.assign(**known).round(4),
        "refused": pd.DataFrame(refused.items(), columns=["method", "reason"]).assign(**known),
    }
    return {name: table for name, table in tables.items() if len(table)}


def _of_raters(images: LabelledImages, row: int) -> pd.DataFrame:
    """Score each rater against the share of the others, and against each of them (the mean); none if they are alone."""
    drawn = {rater: mask.astype(float) for rater, mask in images.raters(row).items()}
    lines = []
    for rater, own in drawn.items():
        others = [mask for other, mask in drawn.items() if other != rater]
        known = {"image": images.names[row], "rater": rater}
        if others:
            lines.append({**known, "against": "others", **_first(suite.place(own[None], np.mean(others, axis=0)))})
            each = pd.DataFrame([_first(suite.place(own[None], other)) for other in others if other.any()])
            lines.append({**known, "against": "each", **each.mean()})
    return pd.DataFrame(lines)


def _first(values: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(value[0]) for name, value in values.items()}


def _networks(trained: TrainedNetwork, by_heart: TrainedNetwork, rows: Sequence[int]) -> pd.DataFrame:
    """Say how the network does, and how many images it was trained and explained on."""
    lines = {
        "accuracy": trained.accuracy,
        "accuracy_in_training": trained.learnt,
        "random_labels_learnt": by_heart.learnt,
        "images_seen": len(trained.train),
        "images_held_out": len(trained.test),
        "images_without_outline": len(trained.without_outline()),
        "images_explained": len(rows),
        "explained_right": trained.right[rows].mean(),
    }
    return pd.DataFrame({"metric": lines.keys(), "value": lines.values()})


def _twice(db: DermXDB, profile: Profile) -> Record:
    """Score dermatologists against themselves, a round later, and against each other, on the images labelled twice."""
    lines = []
    for image in db.images.index[db.images["second_round"]]:
        rounds = [
            {rater: outlined(count, SIDE).astype(float) for rater, count in db.rater_counts(image, turn).items()}
            for turn in (1, 2)
        ]
        for (first, one), (second, two) in product(*(one.items() for one in rounds)):
            if two.any():
                kind = "intra" if first == second else "inter"
                lines.append({"image": image, "kind": kind, **_first(suite.place(one[None], two))})
    return {"twice": pd.DataFrame(lines).groupby(["image", "kind"]).mean().reset_index().round(4)}


def _of_paintings(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    return _fold(image_sets.paintings(db, profile), pretrained, profile, fold)


def _of_ultrasound(images: ImageSet | Absent, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    if isinstance(images, Absent):
        return {}
    return _fold(image_sets.ultrasound(images, profile), pretrained, profile, fold)


def _trials(profile: Profile) -> list[Trial]:
    folds = range(profile.explained_folds)
    return [
        Trial("twice", _twice, ("dermxdb",)),
        *(Trial(f"paintings_{fold}", _of_paintings, ("dermxdb", DEFAULT), (("fold", fold),)) for fold in folds),
        *(Trial(f"ultrasound_{fold}", _of_ultrasound, ("busi", DEFAULT), (("fold", fold),)) for fold in folds),
        *(Trial(f"repainted_{fold}", repainting.compared, ("dermxdb", DEFAULT), (("fold", fold),)) for fold in folds),
    ]


STUDY = Study(
    "comparison",
    chapter="03_comparison",
    version=cache.VERSION,  # other paintings, other results
    trials=_trials,
    data={
        "dermxdb": real_or_simulated.open_dermxdb,
        "busi": lambda _: optional(image_sets.open_ultrasound),
        DEFAULT: lambda _: start(),
    },
    seed=SEED,
)
