"""Small networks that answer, and scores that doubt their answers: what the chapter on failure detection is made of.

Networks of several seeds are trained on the training images of a set (`medxai.experiment.robust_network`). Validation
and test images together are judged, as they are and under each corruption, by every score of
`medxai.robustness.failure_detection`. The *fingerprint* of an image is how far its Grad-CAM++ maps move, layer by
layer, when it is corrupted a little.

What is fitted (`FITTED`) learns from other images, and only from images as they are, so that nothing has seen the
shift or the image that it is judged on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from medxai import paths
from medxai.attribution import cam
from medxai.data import photo_sets
from medxai.data.medmnist import Splits
from medxai.evaluation import doctor
from medxai.experiment import robust_network
from medxai.experiment.robust_network import SEED, Recipe, RobustNetwork
from medxai.profiles import Profile
from medxai.robustness import corruptions, failure_detection, saliency_shift
from medxai.robustness.saliency_shift import BLOCKS, SaliencyShift
from medxai.training.small_images import logits_of

RECIPE = Recipe(loss="cross-entropy")
"""Scores of probabilities want those of a softmax."""
MILD, STRONG = 1, 3
"""Severities: of the corruptions of a fingerprint, and of the shifts under which scores are judged."""
AS_THEY_ARE = "as they are"
SHIFTS = (AS_THEY_ARE, *corruptions.KINDS)
DROPPED, DRAWS = 0.2, 30
"""Share of the pooled features that are dropped before the last layer, and how many times."""
NETWORK, ENSEMBLE, DROPOUT = "one network", "ensemble", "dropout"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of n images."""

    logits: np.ndarray
    """float32 (n, classes)."""
    dropped: np.ndarray
    """float32 (draws, n, classes): with some features dropped."""
    features: np.ndarray
    """float32 (n, f), pooled, before the last layer."""
    fingerprint: np.ndarray
    """float32 (n, kinds * layers): the root mean square error of the maps, NaN where a map is constant."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The answers of networks of several seeds to n images, under each of `SHIFTS`."""

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
    """Train a network of each seed, or read it, and let it answer."""
    networks = [robust_network.train(data, profile, RECIPE, seed) for seed in seeds]
    splits = robust_network.examples(data, RECIPE.side, profile.robust_images)
    pixels = np.concatenate([splits[name].pixels for name in ("val", "test")])
    labels = np.concatenate([splits[name].labels for name in ("val", "test")])
    rows = robust_network.rows_to_explain(labels, profile.robust_explained)
    pixels, labels = torch.from_numpy(pixels[rows]), labels[rows]
    keys, train = torch.from_numpy(rows), torch.from_numpy(splits["train"].pixels)
    shifted = {AS_THEY_ARE: pixels}
    shifted |= {kind: corruptions.corrupt(pixels, kind, STRONG, keys, seed=SEED) for kind in corruptions.KINDS}
    answers = {shift: [_answers(one, images, labels) for one in networks] for shift, images in shifted.items()}
    groups = photo_sets.near_copies(pixels.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy())
    trained = [_features(one.folded, train) for one in networks]
    return Judged(labels, groups, answers, trained, splits["train"].labels)


def _answers(trained: RobustNetwork, pixels: Tensor, labels: np.ndarray) -> Answers:
    features = torch.from_numpy(_features(trained.folded, pixels))
    head, generator = trained.folded.fc, torch.Generator().manual_seed(SEED)
    kept = torch.rand((DRAWS, *features.shape), generator=generator) >= DROPPED
    with torch.no_grad():
        logits, dropped = head(features), head(features * kept / (1 - DROPPED))
    return Answers(logits.numpy(), dropped.numpy(), features.numpy(), fingerprint(trained, pixels, labels))


def _features(network: nn.Module, pixels: Tensor) -> np.ndarray:
    """Return what the last layer of a ResNet is given."""
    pooled: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, given: pooled.append(given[0].detach()))
    try:
        logits_of(network, pixels)
    finally:
        hook.remove()
    return torch.cat(pooled).numpy()


def fingerprint(trained: RobustNetwork, pixels: Tensor, labels: np.ndarray) -> np.ndarray:
    """Return how far the maps of what is predicted move under mild corruptions, float32 (n, kinds * layers)."""
    study = SaliencyShift(
        network=trained.folded,
        random=trained.folded,
        explain=partial(cam.grad_cam_plus_plus, layers=BLOCKS),
        severities=(MILD,),
        measures=(),
        seed=SEED,
    )
    keys = np.arange(len(labels))
    table = saliency_shift.table(study, pixels.numpy(), labels, keys, paths.saliency_shifts())
    part = table[table["severity"] == MILD]
    return part["rmse"].to_numpy(np.float32).reshape(len(labels), -1)


def parts() -> list[tuple[str, str]]:
    """Return corruption and layer of each number of a fingerprint."""
    return [(kind, layer) for kind in corruptions.KINDS for layer in BLOCKS]


FITTED = {
    "confidence": ("confidence",),
    "fingerprint": ("fingerprint",),
    "confidence and fingerprint": ("confidence", "fingerprint"),
}
"""Of what a logistic regression learns which predictions are wrong."""


def doubts(of: Judged, shift: str) -> dict[str, dict[str, np.ndarray]]:
    """Return every score of doubt under a shift, float64 (seeds * n,) or (n,) of an ensemble, by system and name.

    With them, as ``wrong``, bool, which answers of the system are.
    """
    each = of.answers[shift]
    logits = np.stack([one.logits for one in each])
    found = {name: score(logits).ravel() for name, score in failure_detection.LOGITS.items()}
    shares = failure_detection.probabilities(logits).reshape(-1, logits.shape[-1])
    found |= {"DOCTOR alpha": doctor.doctor_alpha(shares), "DOCTOR beta": doctor.doctor_beta(shares)}
    pairs = list(zip(each, of.trained, strict=True))
    distances = [failure_detection.mahalanobis(one.features, trained, of.taught) for one, trained in pairs]
    trust = [
        failure_detection.trust_score(one.features, one.logits.argmax(1), trained, of.taught) for one, trained in pairs
    ]
    found |= {"Mahalanobis distance": np.concatenate(distances), "trust score": np.concatenate(trust)}
    found |= {f"{name}, fitted": _fitted(of, shift, sources) for name, sources in FITTED.items()}
    dropped = np.concatenate([one.dropped for one in each], axis=1)
    labels = np.tile(of.labels, len(each))
    return {
        NETWORK: {"wrong": logits.argmax(-1).ravel() != labels, **found},
        DROPOUT: _together(dropped, labels),
        **({ENSEMBLE: _together(logits, of.labels)} if len(each) > 1 else {}),
    }


def _together(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the doubts of members (members, n, classes), whose mean answers."""
    wrong = failure_detection.mean_logits(logits).argmax(1) != labels
    return {"wrong": wrong, **{name: score(logits) for name, score in failure_detection.ENSEMBLES.items()}}


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
    return np.stack([score(answers.logits) for score in failure_detection.LOGITS.values()], axis=1)
