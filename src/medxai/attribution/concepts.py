"""Testing with concept activation vectors (TCAV): does a concept, given by pictures, push the score up?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.attribution import _inputs, feature_maps
from medxai.attribution.examples import IMAGES_AT_ONCE, layer_maps

TEST_SHARE = 1 / 3


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
    _check(concepts, random_sets)
    slopes = _slopes(model, images, target, layer)
    sets = {name: _flat(model, pictures, layer) for name, pictures in concepts.items()}
    chance = [_flat(model, pictures, layer) for pictures in random_sets]
    seed = _inputs.seed_of(generator)
    pairs = [(one, other) for i, one in enumerate(chance) for j, other in enumerate(chance) if i < j]
    random_scores = [_score(one, other, slopes, seed)[0] for one, other in pairs]
    rows = []
    for name, pictures in sets.items():
        scores, accuracies = np.transpose([_score(pictures, other, slopes, seed) for other in chance])
        rows.append(
            {
                "concept": name,
                "score": scores.mean(),
                "score_std": scores.std(ddof=1),
                "random_score": np.mean(random_scores),
                "random_score_std": np.std(random_scores, ddof=1),
                "p_value": _welch(scores, random_scores),
                "accuracy": accuracies.mean(),
            }
        )
    return pd.DataFrame(rows).set_index("concept")


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


def _score(concept: np.ndarray, other: np.ndarray, slopes: np.ndarray, seed: int) -> tuple[float, float]:
    vector, accuracy = concept_vector(concept, other, seed)
    return float((slopes @ vector > 0).mean()), accuracy


def _welch(scores: np.ndarray, random_scores: list[float]) -> float:
    from scipy.stats import ttest_ind_from_stats

    if np.ptp(scores) == 0 and np.ptp(random_scores) == 0:
        return float("nan")
    statistics = [(np.mean(some), np.std(some, ddof=1), len(some)) for some in (scores, random_scores)]
    return float(ttest_ind_from_stats(*statistics[0], *statistics[1], equal_var=False).pvalue)


def _slopes(model: nn.Module, images: Tensor, target: int, layer: str | nn.Module | None) -> np.ndarray:
    """Gradients (n, k) of the target's score by the layer's maps."""
    with _inputs.prepared(model, images, target) as (images, targets):
        layers = feature_maps.named_layers(model, images, layer)
        (name,) = layers
        parts = zip(images.split(IMAGES_AT_ONCE), targets.split(IMAGES_AT_ONCE), strict=True)
        slopes = [feature_maps.maps_and_gradients(model, *part, layers)[name][1] for part in parts]
        return torch.cat(slopes).flatten(1).cpu().numpy()


def _flat(model: nn.Module, pictures: Tensor, layer: str | nn.Module | None) -> np.ndarray:
    return layer_maps(model, pictures, layer=layer).flatten(1).cpu().numpy()


def _check(concepts: Mapping[str, Tensor], random_sets: Sequence[Tensor]) -> None:
    if not concepts:
        raise ValueError("concepts are empty: expected at least one")
    if len(random_sets) < 3:
        raise ValueError(f"random_sets are {len(random_sets)}: expected at least 3 to compare with chance")
    for name, pictures in (*concepts.items(), *((f"random set {i}", one) for i, one in enumerate(random_sets))):
        if len(pictures) < 3:
            raise ValueError(f"{name!r} has {len(pictures)} pictures: expected at least 3")
