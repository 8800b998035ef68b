"""Small networks that answer, and scores that doubt their answers: what the chapter on failure detection is made of.

Networks of several seeds are trained on the training images of a set (`medxai.experiment.robust_network`). Their
answers to validation and test images together are doubted, as the images are and under corruptions (*shifts*), by every
score of `medxai.robustness.failure_detection`. The *fingerprint* of an image is how far its Grad-CAM++ maps move, layer
by layer, when it is corrupted a little; noise is drawn anew for it.

What is fitted (`FITTED`) learns from other images, and only from images as they are, so that nothing has seen the
shift or the image that it is judged on.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from medxai import paths
from medxai.attribution import cam
from medxai.data import photo_sets
from medxai.data.medmnist import NEAR_COPY, Splits
from medxai.evaluation import doctor
from medxai.evaluation.sums import ratio
from medxai.experiment import robust_network
from medxai.experiment.robust_network import SEED, Recipe, RobustNetwork
from medxai.models.normalisation import HALF
from medxai.profiles import Profile
from medxai.robustness import corruptions, failure_detection, saliency_shift
from medxai.robustness.saliency_shift import BLOCKS, SaliencyShift
from medxai.training.small_images import CHUNK, logits_of

RECIPE = Recipe(loss="cross-entropy")
"""Scores of probabilities want those of a softmax."""
MILD, STRONG = 1, 3
"""Severities: of the corruptions of a fingerprint, and of the shifts under which scores are judged."""
AS_THEY_ARE = "as they are"
SHIFTS = (AS_THEY_ARE, *corruptions.KINDS)
DROPPED, DRAWS = 0.2, 30
"""Share of the pooled features that are dropped before the last layer, and how many times."""
NETWORK, ENSEMBLE, DROPOUT = "one network", "ensemble", "dropout"
MEAN_SHIFT = "fingerprint, mean"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of n images."""

    logits: np.ndarray
    """float32 (n, classes)."""
    dropped: np.ndarray
    """float32 (draws, n, classes): with some features dropped."""
    features: np.ndarray
    """float32 (n, f), pooled, before the last layer."""
    doctors: dict[str, np.ndarray]
    """By name of `failure_detection.DOCTORS`: the doubt, float64 (n,)."""
    fingerprint: np.ndarray
    """float32 (n, kinds * layers): the root mean square error of the maps, NaN where a map is constant."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The answers of networks of several seeds to n images, under some of `SHIFTS`."""

    rows: np.ndarray
    """int (n,): of the validation images and, after them, the test images."""
    copies: int
    """How many of these have a near copy in training, and are not asked about."""
    labels: np.ndarray
    """int (n,)."""
    groups: np.ndarray
    """int (n,): near copies share a number."""
    answers: dict[str, list[Answers]]
    """By shift, one for each seed."""
    trained: list[np.ndarray]
    """By seed: the features of the training images, float32 (m, f)."""
    taught: np.ndarray
    """int (m,): the labels of these."""


def judged(data: Splits, profile: Profile, seeds: Sequence[int]) -> Judged:
    """Train a network of each seed, or read it, and let it answer; images with a near copy in training are left out."""
    networks = [robust_network.train(data, profile, RECIPE, seed) for seed in seeds]
    splits = robust_network.examples(data, RECIPE.side, profile.robust_images)
    train, *asked = (splits[name] for name in ("train", "val", "test"))
    pixels, labels = (np.concatenate(parts) for parts in zip(*asked, strict=True))
    alike = photo_sets.pixel_correlation(_pictures(pixels), _pictures(train.pixels)) > NEAR_COPY
    copied, unseen = np.flatnonzero(alike.any(1)), np.flatnonzero(~alike.any(1))
    rows = np.sort(np.random.default_rng(SEED).permutation(unseen)[: profile.failure_images])
    groups = photo_sets.near_copies(_pictures(pixels[rows]), NEAR_COPY)
    originals, keys = torch.from_numpy(pixels[rows]), torch.from_numpy(rows)
    shifted = {AS_THEY_ARE: originals}
    for kind in corruptions.KINDS[: profile.failure_shifts]:
        shifted[kind] = corruptions.corrupt(originals, kind, STRONG, keys, seed=SEED)
    answers = {shift: [_answers(one, images) for one in networks] for shift, images in shifted.items()}
    trained = [_features(one.folded, torch.from_numpy(train.pixels)) for one in networks]
    return Judged(rows, len(copied), labels[rows], groups, answers, trained, train.labels)


def _pictures(pixels: np.ndarray) -> np.ndarray:
    """Return images (n, c, h, w) as (n, h, w, 3)."""
    return np.broadcast_to(pixels.transpose(0, 2, 3, 1), (len(pixels), *pixels.shape[2:], 3))


def _answers(trained: RobustNetwork, pixels: Tensor) -> Answers:
    features = torch.from_numpy(_features(trained.folded, pixels))
    head, generator = trained.folded.fc, torch.Generator().manual_seed(SEED)
    kept = torch.rand((DRAWS, *features.shape), generator=generator) >= DROPPED
    with torch.no_grad():
        logits, dropped = head(features), head(features * kept / (1 - DROPPED))
    parts = [HALF.of_pixels(part, head.weight) for part in pixels.split(CHUNK)]
    doctors = {
        name: np.concatenate([one.perturbed(trained.folded, part) for part in parts])
        for name, one in failure_detection.DOCTORS.items()
    }
    return Answers(logits.numpy(), dropped.numpy(), features.numpy(), doctors, fingerprint(trained, pixels))


def _features(network: nn.Module, pixels: Tensor) -> np.ndarray:
    """Return what the last layer of a ResNet is given."""
    pooled: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, given: pooled.append(given[0].detach()))
    try:
        logits_of(network, pixels)
    finally:
        hook.remove()
    return torch.cat(pooled).numpy()


def fingerprint(trained: RobustNetwork, pixels: Tensor) -> np.ndarray:
    """Return how far the maps of what is predicted move under mild corruptions, float32 (n, kinds * layers)."""
    study = SaliencyShift(
        network=trained.folded,
        random=None,
        explain=partial(cam.grad_cam_plus_plus, layers=BLOCKS),
        severities=(MILD,),
        measures=(),
        seed=SEED + 1,  # another noise than that of a shift
    )
    no_labels = np.zeros(len(pixels), int)
    table = saliency_shift.table(study, pixels.numpy(), no_labels, np.arange(len(pixels)), paths.saliency_shifts())
    part = table[table["severity"] == MILD]
    return part["rmse"].to_numpy(np.float32).reshape(len(pixels), -1)


def parts() -> list[tuple[str, str]]:
    """Return corruption and layer of each number of a fingerprint."""
    return [(kind, layer) for kind in corruptions.KINDS for layer in BLOCKS]


FITTED = {
    "confidence": ("confidence",),
    "fingerprint": ("fingerprint",),
    "confidence and mean": ("confidence", "mean"),
    "confidence and fingerprint": ("confidence", "fingerprint"),
}
"""Of what a logistic regression learns which predictions are wrong: "mean" is that of the fingerprint."""


class Doubted(NamedTuple):
    """The answers of a system, and every score of doubt about them."""

    wrong: np.ndarray
    """bool (m,); of one network, all images for the first seed, then for the next."""
    scores: dict[str, np.ndarray]
    """By name, float64 (m,)."""


@functools.lru_cache(maxsize=len(SHIFTS))
def doubts(of: Judged, shift: str) -> dict[str, Doubted]:
    """Return by system every score of doubt about its own answers under a shift."""
    each = of.answers[shift]
    logits = np.stack([one.logits for one in each])
    dropped = np.concatenate([one.dropped for one in each], axis=1)
    labels = np.tile(of.labels, len(each))
    found = {
        NETWORK: Doubted(logits.argmax(-1).ravel() != labels, _of_network(of, shift, logits)),
        DROPOUT: _together(dropped, labels),
    }
    return found | ({ENSEMBLE: _together(logits, of.labels)} if len(each) > 1 else {})


def _of_network(of: Judged, shift: str, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Return the doubts about each network for itself, of its logits (seeds, n, classes)."""
    each = of.answers[shift]
    found = {name: score(logits).ravel() for name, score in failure_detection.LOGITS.items()}
    shares = failure_detection.probabilities(logits).reshape(-1, logits.shape[-1])
    found |= {"DOCTOR alpha": doctor.doctor_alpha(shares), "DOCTOR beta": doctor.doctor_beta(shares)}
    found |= {name: np.concatenate([one.doctors[name] for one in each]) for name in failure_detection.DOCTORS}
    pairs = list(zip(each, of.trained, strict=True))
    distances = [failure_detection.mahalanobis(one.features, trained, of.taught) for one, trained in pairs]
    trust = [
        failure_detection.trust_score(one.features, one.logits.argmax(1), trained, of.taught) for one, trained in pairs
    ]
    found |= {"Mahalanobis distance": np.concatenate(distances), "trust score": np.concatenate(trust)}
    found[MEAN_SHIFT] = np.concatenate([mean_shift(one.fingerprint) for one in each])
    return found | {f"{name}, fitted": _fitted(of, shift, sources) for name, sources in FITTED.items()}


def mean_shift(fingerprint: np.ndarray) -> np.ndarray:
    """Return the mean of the numbers of a fingerprint that are defined, float64 (n,): what needs no wrong answers."""
    known = np.isfinite(fingerprint)
    return ratio(np.where(known, fingerprint, 0).sum(1, dtype=float), known.sum(1))


def _together(logits: np.ndarray, labels: np.ndarray) -> Doubted:
    """Return the doubts of members (members, n, classes), whose mean answers."""
    wrong = failure_detection.mean_logits(logits).argmax(1) != labels
    return Doubted(wrong, {name: score(logits) for name, score in failure_detection.ENSEMBLES.items()})


def _fitted(of: Judged, shift: str, sources: Sequence[str]) -> np.ndarray:
    """Learn from images as they are which answers are wrong, and tell of other images under a shift; seeds in turn."""

    def known(answers: Answers) -> np.ndarray:
        return np.concatenate([_numbers(answers, source) for source in sources], axis=1)

    learnt, asked = (np.concatenate([known(one) for one in of.answers[name]]) for name in (AS_THEY_ARE, shift))
    wrong = np.concatenate([one.logits.argmax(1) != of.labels for one in of.answers[AS_THEY_ARE]])
    groups = np.tile(of.groups, len(of.trained))
    return failure_detection.cross_fitted(learnt, wrong, asked=asked, groups=groups, seed=SEED)


def _numbers(answers: Answers, source: str) -> np.ndarray:
    if source == "fingerprint":
        return answers.fingerprint
    if source == "mean":
        return mean_shift(answers.fingerprint)[:, None]
    return np.stack([score(answers.logits) for score in failure_detection.LOGITS.values()], axis=1)
