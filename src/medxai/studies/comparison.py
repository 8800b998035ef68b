"""The study behind the comparison chapter: every method and control, on the same images, by every metric.

Each trial is one fold of a set of images (`explained_sets`): it trains a network on the other folds, explains some of
its own images that this network gets right, and scores every map. One more trial compares dermatologists with
themselves.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from medxai.attribution import CONTROLS, METHODS
from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.data.photo_sets import ImageSet
from medxai.evaluation import cost, localisation, sanity, stability, suite
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies import explained_sets, optional_data
from medxai.studies.explained_sets import SEED, Images, Trained, outlined, train
from medxai.studies.optional_data import NETWORK
from medxai.studies.store import Absent, Record, Study, Trial
from medxai.training.fit import predict

RADIUS = 0.05
"""Largest change of a pixel's channel in the test of stability, in standard deviations of ImageNet's pixels."""
STATISTICS = 32
"""Training images that give a random network the statistics of its batch normalisation."""
RATES = np.round(np.linspace(0, 1, 11), 1)
"""False positive rates at which ROC curves are stored."""
TRUTH = "truth"
"""A map that no method makes: where the lesion is."""
SIDE = 160
"""Side of the outlines on which dermatologists are compared with themselves, in pixels."""


def names_of_maps() -> list[str]:
    """Return every method that gives a map, then the controls that need no reference."""
    return [*(name for name, method in METHODS.items() if method.kind == "map"), *CONTROLS]


def all_maps(trained: Trained, row: int) -> dict[str, np.ndarray]:
    """Return the map (side, side) of each method and control for an image's own class, and the truth."""
    image, target = trained.image(row), trained.label(row)
    maps = {name: trained.explain(image, target, name)[0].numpy() for name in names_of_maps()}
    return {**maps, TRUTH: trained.images.truth(row)}


def _fold(images: Images, pretrained: Pretrained | Absent, profile: Profile, fold: int) -> Record:
    """Explain some images of a fold, score every map, and test the methods on changed images and networks."""
    trained = train(images, pretrained, profile, fold)
    rows = explained_sets.explained(trained)
    maps, scores, curves = [], [], []
    for row in tqdm(rows, f"{images.name}, fold {fold}", mininterval=5):
        maps.append(all_maps(trained, row))
        table, lines = _scored(trained, row, maps[-1], suite.Effort.of(profile.samples))
        scores.append(table)
        curves.append(lines)
    scores = _with_iou(images, rows, maps, pd.concat(scores))
    other = misled(trained, pretrained)
    checks, cascade = _checked(trained, other, dict(zip(rows[: profile.sanity_images], maps, strict=False)))
    curves = pd.concat(curves).groupby(["method", "curve", "share"], sort=False)["value"].mean().reset_index()
    known = {"set": images.name, "fold": fold}
    return {
        "scores": scores.merge(checks, on=["image", "method"], how="left").assign(**known).round(4),
        "curves": curves.assign(**known, images=len(rows)).round(4),
        "cascade": cascade.assign(**known).round(4),
        "raters": pd.concat([_of_raters(images, row) for row in rows]).assign(**known).round(4),
        "networks": _network(trained, other, rows).assign(**known),
        "costs": _costs(trained, rows[0]).assign(**known),
    }


def _scored(
    trained: Trained, row: int, maps: dict[str, np.ndarray], effort: suite.Effort
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the maps of one image: a line for each; and the curves, long."""
    images, names, stack = trained.images, list(maps), np.stack(list(maps.values()))
    reference = np.broadcast_to(images.reference(row), stack.shape)
    found = suite.faithful(trained.network, trained.image(row)[0], trained.label(row), stack, effort)
    values = {**suite.place(stack, reference[0]), **found.scores, **suite.concentration(stack)}
    for scale in ("quantile", "rank"):
        scaled = localisation.attention(stack, scale=scale)
        values[f"fuzzy_f1_{scale}"] = localisation.fuzzy_scores(scaled, reference).f1
    right = bool(trained.right[list(trained.test).index(row)])
    known = {"image": images.names[row], "group": int(images.groups[row]), "class": images.classes[trained.label(row)]}
    table = pd.DataFrame({"method": names, **known, "right": right, **values})
    curves = {"roc": (RATES, localisation.roc(stack, reference, RATES))}
    curves |= {name: (np.linspace(0, 1, curve.shape[1]), curve) for name, curve in found.curves.items()}
    lines = [
        pd.DataFrame(curve, pd.Index(names, name="method"), np.round(shares, 3))
        .reset_index()
        .melt("method", var_name="share")
        .assign(curve=name)
        for name, (shares, curve) in curves.items()
    ]
    return table, pd.concat(lines)


def _of_raters(images: Images, row: int) -> pd.DataFrame:
    """Score each rater against the share of the others, and against each of them (the mean); none if he is alone."""
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


def _with_iou(
    images: Images, rows: Sequence[int], maps: Sequence[dict[str, np.ndarray]], scores: pd.DataFrame
) -> pd.DataFrame:
    """Add the intersection over union of each map, its threshold chosen on the other images of the fold."""
    references = np.stack([images.reference(row) for row in rows])
    lines = [
        pd.DataFrame({"image": images.names[rows], "method": name, "iou": values})
        for name in maps[0]
        for values in [suite.held_out_iou(np.stack([one[name] for one in maps]), references)]
    ]
    return scores.merge(pd.concat(lines), on=["image", "method"], how="left")


def _checked(
    trained: Trained, wrong: Trained, maps: dict[int, dict[str, np.ndarray]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Explain some images again: slightly changed, by networks more and more random, by the `misled` one.

    Returns one line per image and method, and one per image, method and stage of the randomisation.
    """
    images = trained.images
    stages = sanity.cascade(
        trained.network, trained.some(STATISTICS), stages=trained.profile.random_networks, seed=SEED
    )
    others = {share: replace(trained, network=network) for share, network in stages}
    others["labels"] = wrong
    checks, cascade = [], []
    for row, own in tqdm(maps.items(), "sanity checks", mininterval=5):
        known = {"image": images.names[row]}
        for name in names_of_maps():
            after = {share: _alike(own[name], other, row, name) for share, other in others.items()}
            labels = after.pop("labels")
            cascade += [{**known, "method": name, "share": share, **line} for share, line in after.items()]
            checks.append(
                {
                    **known,
                    "method": name,
                    "parameter_randomisation": after[max(after)]["rank_correlation"],
                    "label_randomisation": labels["rank_correlation"],
                    "max_sensitivity": _max_sensitivity(trained, row, name),
                }
            )
    return pd.DataFrame(checks), pd.DataFrame(cascade)


def misled(trained: Trained, pretrained: Pretrained | Absent) -> Trained:
    """Train the same network on the same images with labels in random order."""
    return train(trained.images, pretrained, trained.profile, trained.fold, labels=permuted(trained.images))


def permuted(images: Images) -> np.ndarray:
    """Return the labels of some images in a random order, int (n,); those of the training images are among them."""
    return sanity.label_permutation(images.labels, seed=SEED)


def _alike(own: np.ndarray, other: Trained, row: int, name: str) -> dict[str, float]:
    """Compare a map with that of another network for the same image and class."""
    again = other.explain(other.image(row), other.label(row), name).numpy()
    return sanity.similarity_after(own[None], again).iloc[0].to_dict()


def _max_sensitivity(trained: Trained, row: int, name: str) -> float:
    low, high = trained.normalisation.bounds()

    def explainer(images: Tensor) -> Tensor:  # a changed pixel is still one between black and white
        return trained.explain(images.clamp(low, high), trained.label(row), name)

    image = trained.image(row)
    return float(
        stability.max_sensitivity(
            explainer, image, radius=RADIUS, samples=max(1, trained.profile.samples // 16), seed=SEED
        )[0]
    )


def _network(trained: Trained, other: Trained, rows: Sequence[int]) -> pd.DataFrame:
    """Say how the network does, and how many images it was trained on."""
    seen = trained.train
    learned, by_heart = (
        (predict(one.network, one.images.pictures[seen], one.normalisation).argmax(1) == labels[seen]).mean()
        for one, labels in ((trained, trained.images.labels), (other, permuted(trained.images)))
    )
    lines = {
        "accuracy": trained.right.mean(),
        "accuracy_in_training": learned,
        "random_labels_learnt": by_heart,
        "images_seen": len(trained.train),
        "images_held_out": len(trained.test),
        "images_explained": len(rows),
        "explained_right": np.isin(rows, trained.test[trained.right]).mean(),
        "pretrained": float(trained.layer == explained_sets.CAM_LAYER),
    }
    return pd.DataFrame({"metric": lines.keys(), "value": lines.values()})


def _costs(trained: Trained, row: int) -> pd.DataFrame:
    """Measure what a map of one image costs: images that go forward, seconds, and those over a bare pass and back."""
    image, target = trained.image(row), trained.label(row)
    pixels = image.clone().requires_grad_(True)
    bare = cost.measure(lambda: torch.autograd.grad(trained.network(pixels)[0, target], pixels), trained.network)
    lines = []
    for name in names_of_maps():
        network = trained.network_of(name)
        found = cost.measure(lambda name=name: trained.explain(image, target, name), network, repeats=1)
        lines.append((name, found.images, found.seconds, found.seconds / bare.seconds))
    return pd.DataFrame(lines, columns=["method", "images", "seconds", "ratio"])


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


def _of_paintings(db: DermXDB, pretrained: Pretrained | Absent, profile: Profile, *, fold: int) -> Record:
    return _fold(explained_sets.paintings(db, profile), pretrained, profile, fold)


def _of_ultrasound(
    images: ImageSet | Absent, pretrained: Pretrained | Absent, profile: Profile, *, fold: int
) -> Record:
    if isinstance(images, Absent):
        return {}
    return _fold(explained_sets.ultrasound(images, profile), pretrained, profile, fold)


def _trials(profile: Profile) -> list[Trial]:
    folds = range(profile.explained_folds)
    return [
        Trial("twice", _twice, ("dermxdb",)),
        *(Trial(f"paintings_{fold}", _of_paintings, ("dermxdb", NETWORK), (("fold", fold),)) for fold in folds),
        *(Trial(f"ultrasound_{fold}", _of_ultrasound, ("busi", NETWORK), (("fold", fold),)) for fold in folds),
    ]


STUDY = Study(
    "comparison",
    chapter="03_comparison",
    version=cache.VERSION,  # other paintings, other results
    trials=_trials,
    data={
        "dermxdb": real_or_simulated.open_dermxdb,
        "busi": optional_data.busi,
        NETWORK: optional_data.imagenet,
    },
    seed=SEED,
)
