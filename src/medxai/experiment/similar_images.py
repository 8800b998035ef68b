"""Explanation by similar images: is what they share with the image more than the diagnosis?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from medxai.attribution.examples import nearest_features
from medxai.evaluation.sums import mean_std, ratio
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.training.embedding_training import train_embedding

PLAIN, BY_DIAGNOSIS, BY_CHARACTERISTICS = "plain features", "trained by diagnosis", "trained by characteristics"
RANDOM = "random images"
"""The control: the mean over all training images, which is what images drawn by lot score on average."""
NEIGHBOURS, SHOWN = 5, 3
"""Of an image: those that are scored, and those that a figure shows."""


@dataclass(frozen=True, eq=False)
class Similar:
    """Spaces in which images lie near each other or not; only images of which the characteristics are known."""

    spaces: dict[str, np.ndarray]
    """float32 (n, d) of all images, by name; the angle between two rows says how far apart they are."""
    seen: np.ndarray
    """int, rows of the images among which neighbours are found, and which trained the spaces."""
    asked: np.ndarray
    """int, rows of the held-out images whose neighbours are found."""


def train(found: np.ndarray, shown: ExplainedPaintings, seen: np.ndarray, unseen: np.ndarray, *, seed: int) -> Similar:
    """Train embeddings of features (n, k) on some rows, by the diagnosis and by the characteristics."""
    seen, asked = seen[shown.explained[seen]], unseen[shown.explained[unseen]]
    scaled = torch.from_numpy((found - found[seen].mean(0)) / (found[seen].std(0) + 1e-6))
    labels, marks = shown.images.labels[seen], shown.present[seen]
    likeness = {
        BY_DIAGNOSIS: (labels[:, None] == labels).astype(np.float32),
        BY_CHARACTERISTICS: np.nan_to_num(jaccard(marks, marks)),  # nothing marked is like nothing
    }
    spaces = {PLAIN: found}
    for name, alike in likeness.items():
        embedding, _ = train_embedding(scaled[seen], torch.from_numpy(alike), seed=seed)
        spaces[name] = embedding(scaled).numpy()
    return Similar(spaces, seen, asked)


def neighbours(of: Similar, space: str, *, number: int = NEIGHBOURS) -> np.ndarray:
    """Return the rows of the images nearest to each that is asked about, by their cosine, int (asked, number)."""
    ours, theirs = of.spaces[space][of.asked], of.spaces[space][of.seen]
    found = nearest_features(ours, theirs, number=number, metric="cosine")["reference"].to_numpy()
    return of.seen[found.reshape(-1, number)]


def scores(of: Similar, shown: ExplainedPaintings) -> pd.DataFrame:
    """Score the neighbours of each held-out image, and random images in their place.

    Returns
    -------
    pandas.DataFrame
        A line for each image and space, and for `RANDOM`: ``image``, ``space``, ``precision`` (share of the
        `NEIGHBOURS` with the image's diagnosis), ``jaccard`` (mean likeness of the marked characteristics) and
        ``jaccard_same`` (the same over those with the image's diagnosis alone, NaN if there is none).
    """
    everything = np.broadcast_to(of.seen, (len(of.asked), len(of.seen)))
    chosen = {name: neighbours(of, name) for name in of.spaces} | {RANDOM: everything}
    names = [shown.images.names[row] for row in of.asked]
    pairs, tables = jaccard(shown.present, shown.present), []
    for name, rows in chosen.items():
        same = shown.images.labels[rows] == shown.images.labels[of.asked][:, None]
        alike = pairs[of.asked[:, None], rows]
        table = {"image": names, "space": name, "precision": same.mean(1), "jaccard": _mean(alike)}
        tables.append(pd.DataFrame(table | {"jaccard_same": _mean(np.where(same, alike, np.nan))}))
    return pd.concat(tables, ignore_index=True)


def examples(of: Similar, shown: ExplainedPaintings) -> pd.DataFrame:
    """Return the `SHOWN` nearest neighbours of the first held-out image of each disease.

    Returns
    -------
    pandas.DataFrame
        A line for each: ``image``, ``disease``, ``space``, ``neighbour``, ``neighbour_disease``, ``jaccard``.
    """
    images, lines = shown.images, []
    first = np.unique(images.labels[of.asked], return_index=True)[1]
    for space in of.spaces:
        for place, rows in zip(first, neighbours(of, space, number=SHOWN)[first], strict=True):
            row = of.asked[place]
            alike = jaccard(shown.present[[row]], shown.present[rows])[0].round(4)
            known = {"image": images.names[row], "disease": images.classes[images.labels[row]], "space": space}
            lines += [
                {**known, "neighbour": images.names[one], "neighbour_disease": images.classes[images.labels[one]]}
                | {"jaccard": float(share)}
                for one, share in zip(rows, alike, strict=True)
            ]
    return pd.DataFrame(lines)


def jaccard(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the share of the marks of either set that both have, bool (n, c) and (m, c): float32 (n, m).

    NaN where neither has any (Jaccard 1912, New Phytologist 11:37-50).
    """
    both = one.astype(np.float32) @ other.T.astype(np.float32)
    return ratio(both, one.sum(1)[:, None] + other.sum(1) - both).astype(np.float32)


def _mean(values: np.ndarray) -> np.ndarray:
    return mean_std(values, axis=1, ddof=0)[0]
