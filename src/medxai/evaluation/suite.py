"""All metrics of maps at once: what depends on the image alone is computed once and shared by all maps of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medxai.evaluation import complexity, faithfulness, localisation
from medxai.evaluation.sums import mean_std

EQUAL_AREA = 0.2
"""Share of the pixels, those of the highest values, that are covered so that maps of unlike extent can be compared."""
PIXELS_AT_ONCE = 4 * 288**2
"""Of changed copies of an image that go through the model at once: what stays in a processor's cache is fastest."""
HALF = 0.5
"""Part of the largest value from which a pixel belongs to the explanation's area; the thesis does not say which."""


@dataclass(frozen=True)
class Effort:
    """How many random draws and steps the metrics take."""

    steps: int
    """Of deletion and insertion."""
    subsets: int
    """Of sensitivity-n, for each size."""
    squares: int
    """Of infidelity."""
    sizes: tuple[int, ...] = (4, 16, 32)
    """n of sensitivity-n, in cells of the 64 of a grid."""

    @classmethod
    def of(cls, samples: int) -> "Effort":
        """Scale everything with one number, 50 for a thorough run."""
        return cls(steps=max(4, samples // 3), subsets=2 * samples, squares=4 * samples)


def batch(side: int) -> int:
    """Return how many changed copies of an image of some side, in pixels, go through the model at once."""
    return max(1, PIXELS_AT_ONCE // side**2)


def place(maps: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Score maps (m, h, w) of one image against its reference (h, w) in [0, 1]; each result is float64 (m,).

    Intersection over union is not among them: its threshold is to be chosen on other images.
    """
    repeated = np.broadcast_to(reference, maps.shape)
    shares = localisation.attention(maps)
    fuzzy = localisation.fuzzy_scores(shares, repeated)
    return {
        **{f"fuzzy_{name}": values for name, values in fuzzy._asdict().items()},
        "pixel_auc": localisation.pixel_auc(maps, repeated),
        "hit_rate": localisation.hit_rate(maps, repeated),
        "pointing_game": localisation.pointing_game(maps, repeated),
        "mass": localisation.mass(shares, repeated),
    }


def held_out_iou(maps: np.ndarray, references: np.ndarray, parts: int = 5) -> np.ndarray:
    """Intersection over union of maps (n, h, w) with references (n, h, w), the threshold chosen on the other images.

    Returns
    -------
    numpy.ndarray
        float64 (n,). Image i belongs to part ``i % parts``; its threshold is the best of the images of other parts
        (`localisation.best_threshold`). NaN where a reference is empty, and for fewer than two images.
    """
    shares, part = localisation.attention(maps), np.arange(len(maps)) % parts
    values = np.full(len(maps), np.nan)
    for one in range(min(parts, len(maps)) if len(maps) > 1 else 0):
        threshold = localisation.best_threshold(shares[part != one], references[part != one])
        if np.isfinite(threshold):
            values[part == one] = localisation.iou(shares[part == one], references[part == one], threshold)
    return values


def largest(maps: np.ndarray, share: float = EQUAL_AREA) -> np.ndarray:
    """Return the `share` of the pixels (m, h, w) with the largest values, bool; ties go by a fixed random order."""
    flat = maps.reshape(len(maps), -1)
    noise = np.random.default_rng(0).permutation(flat.shape[1])
    order = np.stack([np.lexsort((noise, -one)) for one in flat])
    chosen = np.zeros(flat.shape, dtype=bool)
    np.put_along_axis(chosen, order[:, : round(share * flat.shape[1])], True, axis=1)
    return chosen.reshape(maps.shape)


@dataclass(frozen=True)
class Faithful:
    """Scores (m,) by metric, and curves (m, steps + 1) by name, of maps of one image."""

    scores: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]


def faithful(
    model: nn.Module,
    image: Tensor,
    target: int,
    maps: np.ndarray,
    effort: Effort,
    *,
    seed: int = 0,
    multi_label: bool = False,
) -> Faithful:
    """Ask whether the model uses what maps (m, h, w) of an image (c, h, w) show.

    Covered pixels get the mean colour, 0 after normalisation. Drops and curves are of the probability of the target,
    as in the thesis and for deletion (Petsiuk et al. 2018), `multi_label` as of `score_of`; sums are compared with the
    logit, which maps explain.
    """
    probability, logit = score_of(model, target, multi_label), score_of(model, target, probability=False)
    size = batch(min(image.shape[1:]))
    areas = localisation.attention(maps) >= HALF
    drops = faithfulness.occlusion_drop(probability, image, np.concatenate([areas, largest(maps)]), batch_size=size)
    curves = {
        "deletion": faithfulness.deletion(probability, image, maps, steps=effort.steps, seed=seed, batch_size=size),
        "insertion": faithfulness.insertion(probability, image, maps, steps=effort.steps, seed=seed, batch_size=size),
    }
    correlations = faithfulness.sensitivity_n(
        logit, image, maps, sizes=effort.sizes, subsets=effort.subsets, seed=seed, batch_size=size
    )
    with torch.no_grad():
        wanted = float(logit(image[None]) - logit(torch.zeros_like(image)[None]))
    scores = {
        "occlusion_drop": drops[: len(maps)],
        "occlusion_drop_equal_area": drops[len(maps) :],
        **{name: faithfulness.area(curve) for name, curve in curves.items()},
        "sensitivity_n": mean_std(correlations, -1, 0)[0],
        "infidelity": faithfulness.infidelity(logit, image, maps, samples=effort.squares, seed=seed, batch_size=size),
        "completeness_gap": faithfulness.completeness_gap(maps.sum((1, 2), dtype=float), wanted),
    }
    return Faithful(scores, curves)


def concentration(maps: np.ndarray) -> dict[str, np.ndarray]:
    """Return how concentrated maps (m, h, w) are."""
    return {"gini": complexity.gini(maps), "entropy": complexity.entropy(maps)}


def score_of(
    model: nn.Module, target: int, multi_label: bool = False, *, probability: bool = True
) -> Callable[[Tensor], Tensor]:
    """Return what gives the probability, or the logit, (n,) of one class for images (n, c, h, w).

    With `multi_label` classes do not exclude each other, and a probability is the sigmoid of a logit, not a softmax.
    """

    def score(images: Tensor) -> Tensor:
        logits = model(images)
        return (probabilities(logits, multi_label) if probability else logits)[:, target]

    return score


def probabilities(logits: Tensor, multi_label: bool) -> Tensor:
    """Return the probabilities (n, classes) that logits stand for, each by itself if classes do not exclude others."""
    return logits.sigmoid() if multi_label else logits.softmax(1)
