"""Does a concept push the score up? Given by pictures (TCAV), or as a number for each (regression concept vectors)."""

import itertools
from collections.abc import Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.attribution import _inputs, feature_maps
from medxai.attribution.examples import IMAGES_AT_ONCE, layer_maps

TEST_SHARE = 1 / 3
PARTS = 5
"""Of the pictures, each predicted from the others to judge a regression."""
PENALTIES = np.logspace(-2, 5, 15)
"""Of ridge regression, one of which is chosen on the pictures themselves."""


class Vectors(NamedTuple):
    """Concept activation vectors of one layer, for any number of targets and images."""

    concepts: dict[str, tuple[np.ndarray, np.ndarray]]
    """By name: unit vectors (m, k), one against each random set, and the accuracies (m,) of their classifiers."""
    chance: np.ndarray
    """(m (m - 1) / 2, k): those of each random set against each later one."""


class Regression(NamedTuple):
    """The direction in which a measure grows."""

    vector: np.ndarray
    """(k,), of length 1; zeros if the measure does not vary."""
    r2: float
    """Share of the measure's variance that is predicted on pictures that were left out, at most 1; below 0 it is worse
    than the mean; NaN if the measure does not vary."""


def tcav(
    model: nn.Module,
    images: Tensor,
    target: int,
    concepts: Mapping[str, Tensor],
    random_sets: Sequence[Tensor],
    *,
    layer: str | nn.Module | None = None,
    generator: torch.Generator | None = None,
) -> pd.DataFrame:
    """Return the share of images whose score rises along each concept, and whether that is more than chance.

    A linear classifier parts the layer's maps of a concept's pictures from those of random ones; the normal of its
    boundary, towards the concept, is the concept activation vector. The score is the share of the images whose
    derivative along it is positive (Kim et al. 2018, eq. 1 and 2). It is computed against every random set, and the
    scores are compared by Welch's test with those of the random sets against each other (section 3.5).

    Parameters
    ----------
    model
        Returns logits.
    images
        (n, channels, height, width), pictures of the target.
    target
        The class, one for all images.
    concepts
        For each name, pictures (m, channels, height, width) that show it; at least three.
    random_sets
        At least three sets of random pictures, each of at least three.
    layer
        Name or module; the last that gives maps without one.
    generator
        Its seed parts pictures into training and test; 0 without one.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``concept``: ``score`` (mean over the random sets, in [0, 1]) and ``score_std``, ``random_score`` and
        ``random_score_std``, ``p_value`` (two-sided, not corrected for the number of concepts; NaN where all scores are
        equal), ``accuracy`` of the classifiers on the third of the pictures that they did not see: near 0.5, the layer
        does not know the concept and the score means nothing.

    Raises
    ------
    ValueError
        If there are too few sets or pictures; else as `medxai.attribution.explain`.
    """
    found = vectors(model, concepts, random_sets, layer=layer, generator=generator)
    return tcav_scores(found, slopes(model, images, target, layer=layer))


def vectors(
    model: nn.Module,
    concepts: Mapping[str, Tensor],
    random_sets: Sequence[Tensor],
    *,
    layer: str | nn.Module | None = None,
    generator: torch.Generator | None = None,
) -> Vectors:
    """Return the vectors on which `tcav` rests; arguments and errors are those of `tcav`."""
    _check(concepts, random_sets)
    values = {name: _flat(model, pictures, layer) for name, pictures in concepts.items()}
    return vectors_of(values, [_flat(model, one, layer) for one in random_sets], seed=_inputs.seed_of(generator))


def vectors_of(concepts: Mapping[str, np.ndarray], random_sets: Sequence[np.ndarray], *, seed: int = 0) -> Vectors:
    """Return `vectors` of pictures whose features (m, k) are known; errors are those of `tcav`."""
    _check(concepts, random_sets)
    found = {}
    for name, own in concepts.items():
        each, accuracies = zip(*(concept_vector(own, other, seed) for other in random_sets), strict=True)
        found[name] = np.stack(each), np.array(accuracies)
    chance = [concept_vector(one, other, seed)[0] for one, other in itertools.combinations(random_sets, 2)]
    return Vectors(found, np.stack(chance))


def tcav_scores(found: Vectors, slopes: np.ndarray) -> pd.DataFrame:
    """Return the table of `tcav` from vectors and the slopes (n, k) of one target on its images (`slopes`)."""
    random_scores = (slopes @ found.chance.T > 0).mean(0)
    rows = []
    for name, (each, accuracies) in found.concepts.items():
        scores = (slopes @ each.T > 0).mean(0)
        rows.append(
            {
                "concept": name,
                "score": scores.mean(),
                "score_std": scores.std(ddof=1),
                "random_score": random_scores.mean(),
                "random_score_std": random_scores.std(ddof=1),
                "p_value": _welch(scores, random_scores),
                "accuracy": accuracies.mean(),
            }
        )
    return pd.DataFrame(rows).set_index("concept")


def regression_vector(values: np.ndarray, measure: np.ndarray, *, seed: int = 0) -> Regression:
    """Return the direction of features in which a measure of the concept grows, and how well it is known.

    A linear regression of the measure on the features gives the vector (Graziani, Andrearczyk, Mueller 2018, iMIMIC
    workshop). Theirs is ordinary; ours has a ridge, since a layer has more features than we have pictures.

    Parameters
    ----------
    values
        float (n, k), the features of n pictures, at least ten.
    measure
        float (n,), how much of the concept each shows.
    seed
        Parts the pictures for `Regression.r2`.

    Raises
    ------
    ValueError
        If there are fewer pictures, or the numbers do not go together or are not finite.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    values, measure = np.asarray(values, np.float64), np.asarray(measure, np.float64)
    if values.ndim != 2 or measure.shape != values.shape[:1] or len(values) < 2 * PARTS:
        shapes = f"{values.shape} and {measure.shape}"
        raise ValueError(f"values and measure are {shapes}: expected (n, k) and (n,), n at least {2 * PARTS}")
    if not (np.isfinite(values).all() and np.isfinite(measure).all()):
        raise ValueError("values or measure hold NaN or infinity: expected finite numbers")
    if np.ptp(measure) == 0:
        return Regression(np.zeros(values.shape[1]), float("nan"))
    scaled = (values - values.mean(0)) / (values.std() or 1.0)  # one number for all: the vector keeps its direction
    guess = cross_val_predict(RidgeCV(PENALTIES), scaled, measure, cv=KFold(PARTS, shuffle=True, random_state=seed))
    unexplained = ((measure - guess) ** 2).sum() / ((measure - measure.mean()) ** 2).sum()
    vector = RidgeCV(PENALTIES).fit(scaled, measure).coef_
    return Regression(vector / (np.linalg.norm(vector) or 1.0), float(1 - unexplained))


def relevance(slopes: np.ndarray, regression: Regression) -> float:
    r"""Return the bidirectional relevance of a concept for a class: above 0 it pushes the score up, below 0 down.

    .. math:: Br = R^2 \, \hat\mu / \hat\sigma

    with mean and standard deviation, over images, of the derivative of the score along the vector (Graziani,
    Andrearczyk, Mueller 2018; they divide by the largest of all concepts afterwards). An :math:`R^2` below
    0 counts as 0, since a direction that predicts nothing explains nothing. NaN where the measure or the derivative
    does not vary.

    Parameters
    ----------
    slopes
        (n, k), the derivatives of the class's score by the features.
    """
    along = slopes @ regression.vector
    spread = along.std()
    if np.isnan(regression.r2) or spread == 0:
        return float("nan")
    return float(max(regression.r2, 0.0) * along.mean() / spread)


def concept_vector(concept: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """Return the unit normal (k,) from ``other`` (m, k) to ``concept`` (n, k), and the accuracy on unseen pictures."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    values = np.concatenate([other, concept])
    labels = np.repeat([0, 1], [len(other), len(concept)])
    parts = train_test_split(values, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels)
    seen, unseen, seen_labels, unseen_labels = parts
    scale = seen.std() or 1.0  # one number for all, so that the normal keeps its direction
    classifier = LogisticRegression(max_iter=1000).fit(seen / scale, seen_labels)
    vector = classifier.coef_[0]
    return vector / np.linalg.norm(vector), classifier.score(unseen / scale, unseen_labels)


def _welch(scores: np.ndarray, random_scores: np.ndarray) -> float:
    from scipy.stats import ttest_ind_from_stats

    if np.ptp(scores) == 0 and np.ptp(random_scores) == 0:
        return float("nan")
    statistics = [(np.mean(some), np.std(some, ddof=1), len(some)) for some in (scores, random_scores)]
    return float(ttest_ind_from_stats(*statistics[0], *statistics[1], equal_var=False).pvalue)


def slopes(model: nn.Module, images: Tensor, target: int, *, layer: str | nn.Module | None = None) -> np.ndarray:
    """Return the derivatives (n, k) of a class's score by all values of a layer's maps; raises as `tcav`."""
    with _inputs.prepared(model, images, target) as (images, targets):
        layers = feature_maps.named_layers(model, images, layer)
        (name,) = layers
        parts = zip(images.split(IMAGES_AT_ONCE), targets.split(IMAGES_AT_ONCE), strict=True)
        found = [feature_maps.maps_and_gradients(model, *part, layers)[name][1] for part in parts]
        return torch.cat(found).flatten(1).cpu().numpy()


def _flat(model: nn.Module, pictures: Tensor, layer: str | nn.Module | None) -> np.ndarray:
    return layer_maps(model, pictures, layer=layer).flatten(1).cpu().numpy()


def _check(concepts: Mapping[str, Sized], random_sets: Sequence[Sized]) -> None:
    if not concepts:
        raise ValueError("concepts are empty: expected at least one")
    if len(random_sets) < 3:
        raise ValueError(f"random_sets are {len(random_sets)}: expected at least 3 to compare with chance")
    for name, pictures in (*concepts.items(), *((f"random set {i}", one) for i, one in enumerate(random_sets))):
        if len(pictures) < 3:
            raise ValueError(f"{name!r} has {len(pictures)} pictures: expected at least 3")
