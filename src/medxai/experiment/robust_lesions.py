"""Do maps lie on the lesion, before and after corruption? For images with a true mask, by networks that never saw them.

Of BreastMNIST few of those are test images. So five networks are each trained without a fifth of the images of all
splits, and asked about it. Near copies are in one fold together.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from medxai.data import medmnist, photo_sets
from medxai.data.medmnist import SPLITS, Splits
from medxai.data.photo_sets import ImageSet
from medxai.evaluation import classification, localisation
from medxai.experiment import robust_network
from medxai.experiment.robust_network import ALL_VERSIONS, SEED, Recipe, RobustNetwork
from medxai.profiles import Profile
from medxai.robustness import saliency_shift
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, RANDOM_WEIGHTS
from medxai.training.small_images import Examples, best_epoch

COPY = 0.95
"""Pixel correlation above which images are held together: lower than that of a near copy, and of BreastMNIST no more
than 7 images then make a chain."""


def masks(data: Splits, busi: ImageSet | None, side: int) -> dict[int, np.ndarray]:
    """Return the share of each pixel that a lesion covers, float32 (side, side), by row of all splits in their order.

    Parameters
    ----------
    busi
        The full-size images of BreastMNIST that have masks; not needed where the set has its own.
    """
    first = dict(zip(SPLITS, np.cumsum([0, len(data.train), len(data.val)]), strict=True))
    if data.test.truth is None:
        known = {} if busi is None else medmnist.lesion_masks(busi, side)
        return {int(first[split] + row): mask for (split, row), mask in known.items()}
    own = [
        (first[split] + row, getattr(data, split).truth(row))
        for split in SPLITS
        for row in range(len(getattr(data, split)))
    ]
    return {int(row): cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR) for row, mask in own}


def cross_fitted(
    data: Splits, masks: Mapping[int, np.ndarray], profile: Profile, recipe: Recipe
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Train a network for each fold and see where its maps of the images with masks lie.

    Parameters
    ----------
    profile
        Its ``explained_folds`` of the five are tested. Validation images are those of the next fold.

    Returns
    -------
    lines : pandas.DataFrame
        Of `on_lesion`, with ``image`` the row of all splits.
    networks : pandas.DataFrame
        A line for each fold: fold, train, val, test and masks (how many images), epochs, best_epoch, auc, accuracy.
    groups : numpy.ndarray
        int (n,), of all images: those of one number were held together.
    """
    every = robust_network.examples(data, recipe.side, None)
    pixels, labels = (np.concatenate([every[split][part] for split in SPLITS]) for part in (0, 1))
    small = np.concatenate([getattr(data, split).pictures for split in SPLITS])
    groups = photo_sets.near_copies(small, COPY)
    folds = [held_out for _, held_out in classification.folds(labels, groups=groups, seed=SEED)]
    lines, networks = [], []
    for fold in range(profile.explained_folds):
        test, val = folds[fold], folds[(fold + 1) % len(folds)]
        test = np.array(sorted(test, key=lambda row: row not in masks))  # so that a run of few images has some
        rows = {"train": np.setdiff1d(np.arange(len(labels)), [*test, *val]), "val": val, "test": test}
        rows = {split: some[: profile.robust_images] for split, some in rows.items()}
        splits = {split: Examples(pixels[some], labels[some]) for split, some in rows.items()}
        network, history = robust_network.fit(splits, len(data.classes), recipe, profile.robust_epochs)
        trained = RobustNetwork(network, recipe, history, splits["test"])
        own = _with_mask(rows["test"], labels, masks, profile.robust_explained)
        found = on_lesion(trained, own, [masks[row] for row in rows["test"][own]])
        lines.append(found.assign(image=rows["test"][found["image"]]))
        sizes = {split: len(some) for split, some in rows.items()}
        last = {"masks": len(own), "epochs": history["epoch"].max(), "best_epoch": best_epoch(history)}
        networks.append({"fold": fold, **sizes, **last, **_tested(history)})
    return pd.concat(lines, ignore_index=True), pd.DataFrame(networks), groups


def _tested(history: pd.DataFrame) -> dict[str, float]:
    """Return what the test images scored when the weights that were kept were."""
    last = history[(history["epoch"] == best_epoch(history)) & (history["split"] == "test")]
    return last.set_index("metric").loc[["auc", "accuracy"], "value"].to_dict()


def _with_mask(rows: np.ndarray, labels: np.ndarray, masks: Mapping[int, np.ndarray], per_class: int) -> np.ndarray:
    """Return the places, among some rows, of at most so many of each class that have a mask, int."""
    places = np.flatnonzero([row in masks for row in rows])
    return places[robust_network.rows_to_explain(labels[rows[places]], per_class)]


def on_lesion(trained: RobustNetwork, rows: Sequence[int], masks: Sequence[np.ndarray]) -> pd.DataFrame:
    """Return how much more of each map lies on the lesion than of a map that is the same everywhere.

    The share of the map that lies inside the mask (`medxai.evaluation.localisation.mass`) over the share of the image
    that the mask covers: 1 by chance.

    Parameters
    ----------
    rows
        Of the test images, at least 2.
    masks
        Of those, float (side, side) in [0, 1].

    Returns
    -------
    pandas.DataFrame
        A line for each image, version (and two controls: the original's map on the lesion of another image, and that of
        a network of random weights) and layer: image (its row), label, corruption, severity, layer, right,
        right_before, on_lesion, and change, the difference to the original's. NaN where a map is 0 everywhere.
    """
    others = saliency_shift.derangement(len(rows), SEED)
    random = trained.with_random_weights()
    parts = []
    for i, row in enumerate(rows):
        every = trained.versions(row)
        maps, classes = robust_network.explained(trained.folded, every)
        of_random, _ = robust_network.explained(random, every[:1])
        right = (classes == trained.test.labels[row]).tolist()
        versions = [*ALL_VERSIONS, (ANOTHER_IMAGE, 0), (RANDOM_WEIGHTS, 0)]
        for layer, own in maps.items():
            places = [*_ratio(own, masks[i]), *_ratio(own[:1], masks[others[i]]), *_ratio(of_random[layer], masks[i])]
            part = pd.DataFrame(versions, columns=["corruption", "severity"])
            part = part.assign(layer=layer, right=[*right, right[0], right[0]], on_lesion=places)
            part = part.assign(image=row, label=trained.test.labels[row], right_before=right[0])
            parts.append(part.assign(change=part["on_lesion"] - part["on_lesion"].iloc[0]))
    return pd.concat(parts, ignore_index=True)


def _ratio(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the share of each map (v, h, w) in a mask over the share of the image that it covers, (v,)."""
    return localisation.mass(maps, np.broadcast_to(mask, maps.shape)) / mask.mean()
