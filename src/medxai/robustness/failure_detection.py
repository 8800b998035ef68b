"""Scores of doubt: what may tell that a prediction is wrong, without the answer.

Each is higher where a prediction is to be believed less, float64 (n,); `medxai.evaluation.failure_metrics` says what
they are worth. Jaeger et al. 2023, "A call to reflect on evaluation practices for failure detection in image
classification", ICLR (FD-Shifts), compare most of them.

From one network, its logits (n, classes) alone: `LOGITS`, and `medxai.evaluation.doctor`; with its gradient besides:
`DOCTORS`. From features, such as the pooled ones before the last layer: `mahalanobis`, `trust_score`. From several
networks, or several passes with dropout: `ENSEMBLES`. From anything that may be known of an image, such as how far its
explanations move when it is corrupted: `cross_fitted`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp, softmax
from torch import Tensor, nn

from medxai.evaluation import classification, doctor

MAGNITUDE = 0.00035
"""Of the change of a pixel in `Doctor.perturbed`, as the authors' program has it for all of their sets."""
NEIGHBOURS = 10
"""Of an image among the training images of its class, which say how dense they lie there (`trust_score`)."""
OUTLYING = 0.1
"""Of the training images of a class that `trust_score` leaves out, those that lie least dense."""


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits."""
    return softmax(_logits(logits), axis=-1)


def softmax_response(logits: np.ndarray) -> np.ndarray:
    """Return how improbable the predicted class is (Hendrycks and Gimpel 2017, ICLR)."""
    return 1 - probabilities(logits).max(-1)


def entropy(logits: np.ndarray) -> np.ndarray:
    """Return the entropy of the probabilities, in nats."""
    told = log_softmax(_logits(logits), axis=-1)
    return -(np.exp(told) * told).sum(-1)


def margin(logits: np.ndarray) -> np.ndarray:
    """Return one less how much more probable the predicted class is than the next one."""
    second, first = np.sort(probabilities(logits), axis=-1)[..., -2:].T
    return 1 - (first - second).T


def energy(logits: np.ndarray) -> np.ndarray:
    """Return the free energy, less the logarithm of the sum of the exponentials (Liu et al. 2020, NeurIPS, eq. 4)."""
    return -logsumexp(_logits(logits), axis=-1)


def negative_logit(logits: np.ndarray) -> np.ndarray:
    """Return less the highest logit (Hendrycks et al. 2022, ICML)."""
    return -_logits(logits).max(-1)


LOGITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax response": softmax_response,
    "entropy": entropy,
    "margin": margin,
    "energy": energy,
    "highest logit": negative_logit,
}


class Doctor(NamedTuple):
    """A score of `medxai.evaluation.doctor`, and what it is asked with in the partially black box."""

    score: Callable[[np.ndarray], np.ndarray]
    """Of probabilities (n, classes)."""
    agreement: Callable[[Tensor], Tensor]
    """Of the same: falls where the score grows, and is not rounded away where that is near 0."""
    temperature: float
    """That logits are divided by."""

    def perturbed(self, network: nn.Module, images: Tensor) -> np.ndarray:
        r"""Return the score of images that were changed so that it grows.

        Each pixel goes by `MAGNITUDE` in the direction :math:`\mathrm{sign}(\nabla_x \log D)` (Granese et al. 2021, the
        partially black box): a right answer is meant to withstand that better than a wrong one. Images are those that
        the network takes, (n, c, h, w); it is in evaluation mode.
        """
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            shares = (network(images) / self.temperature).softmax(1)
            (gradient,) = torch.autograd.grad(self.agreement(shares).sum(), images)
        with torch.no_grad():
            logits = network(images - MAGNITUDE * gradient.sign()) / self.temperature
        return self.score(probabilities(logits.double().cpu().numpy()))


DOCTORS = {
    "DOCTOR alpha, perturbed": Doctor(doctor.doctor_alpha, lambda shares: shares.square().sum(1), 1.0),
    "DOCTOR beta, perturbed": Doctor(doctor.doctor_beta, lambda shares: shares.amax(1), 1.5),
}
"""At the temperatures that the authors' program has for all of their sets: nothing is tuned here."""


def mahalanobis(features: np.ndarray, trained: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the squared distance to the nearest class mean, by one covariance (Lee et al. 2018, NeurIPS, eq. 2).

    The covariance is shrunk (Ledoit and Wolf 2004), since there may be fewer images than features.

    Parameters
    ----------
    features
        float (n, f).
    trained, labels
        Those of the images that the network has learnt from, float (m, f) and int (m,).
    """
    from sklearn.covariance import LedoitWolf

    features, trained = _features(features, trained, labels)
    classes = np.unique(labels)
    means = np.stack([trained[labels == one].mean(0) for one in classes])
    centred = trained - means[np.searchsorted(classes, labels)]
    precision = LedoitWolf(assume_centered=True).fit(centred).precision_
    gaps = features[:, None] - means
    return np.einsum("ncf,fg,ncg->nc", gaps, precision, gaps).min(1)


def trust_score(features: np.ndarray, predicted: np.ndarray, trained: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how far the predicted class is, over how far the nearest other one is.

    Jiang et al. 2018, "To trust or not to trust a classifier", NeurIPS, algorithm 1. The paper's trust is the inverse.
    A class is a set of training images, without those that lie least dense: a tenth, by the distance to their tenth
    neighbour in the class. An image that is among those of two classes gives NaN.

    Parameters
    ----------
    features, trained, labels
        As of `mahalanobis`.
    predicted
        int (n,); a class that nobody learnt from gives NaN.
    """
    features, trained = _features(features, trained, labels)
    classes = np.unique(labels)
    away = np.stack([_distance(features, _dense(trained[labels == one])) for one in classes], axis=1)
    own = predicted[:, None] == classes
    nearest = np.where(own, away, np.inf).min(1)
    other = np.where(own, np.inf, away).min(1)
    known = own.any(1) & np.isfinite(other) & (other > 0)
    return np.where(known, nearest / np.where(known, other, 1), np.nan)


def _dense(points: np.ndarray) -> np.ndarray:
    """Return the points of a class without the outlying ones; all, where they are few."""
    if len(points) <= NEIGHBOURS:
        return points
    radius = _distance(points, points, NEIGHBOURS + 1)  # the nearest of each is itself
    return points[radius <= np.quantile(radius, 1 - OUTLYING)]


def _distance(points: np.ndarray, others: np.ndarray, which: int = 1) -> np.ndarray:
    """Return how far the nearest of the others is from each point, or the second, and so on."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=which).fit(others).kneighbors(points)[0][:, -1]


def mean_logits(logits: np.ndarray) -> np.ndarray:
    """Return the logits (n, classes) of the mean probabilities of an ensemble, whose own are (members, n, classes)."""
    told = log_softmax(_logits(logits, 3), axis=-1)
    return logsumexp(told, axis=0) - np.log(len(told))


def disagreement(logits: np.ndarray) -> np.ndarray:
    """Return the mutual information of an ensemble's answer and its member, of logits (members, n, classes), in nats.

    The entropy of the mean probabilities less the mean entropy (Depeweg et al. 2018, ICML, eq. 1); 0 where all agree.
    """
    return entropy(mean_logits(logits)) - entropy(logits).mean(0)


def ensemble_response(logits: np.ndarray) -> np.ndarray:
    """Return how improbable the predicted class is by the mean of the members (Lakshminarayanan et al. 2017)."""
    return softmax_response(mean_logits(logits))


ENSEMBLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "response of the mean": ensemble_response,
    "disagreement": disagreement,
}


def cross_fitted(
    features: np.ndarray,
    wrong: np.ndarray,
    *,
    asked: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Return how probable a wrong prediction is, by a logistic regression that other images were used for.

    Its weights are shrunk as much as is scikit-learn's default for standardised features: nothing is tuned.

    Parameters
    ----------
    features
        float (n, f), of any scale; NaN counts as the mean of those that it is learnt from.
    wrong
        bool (n,). That of an image is not seen when its own doubt is computed.
    asked
        Features of the same images under a shift, float (n, f), if these are to be doubted; it is learnt from
        `features` all the same.
    groups
        int (n,): images that share one, such as near copies, are learnt from together.

    Returns
    -------
    numpy.ndarray
        float64 (n,) in [0, 1]; NaN for all where there are fewer right or wrong predictions than folds.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(wrong.sum(), (~wrong).sum()) < classification.FOLDS:
        return np.full(len(wrong), np.nan)
    found, asked = np.full(len(wrong), np.nan), features if asked is None else asked
    for train, test in classification.folds(wrong.astype(int), groups=groups, seed=seed):
        steps = SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=2000)
        model = make_pipeline(*steps).fit(features[train], wrong[train])
        found[test] = model.predict_proba(asked[test])[:, 1] if model.classes_.size == 2 else np.nan
    return found


def _logits(logits: np.ndarray, dimensions: int | None = None) -> np.ndarray:
    values = np.asarray(logits, float)
    if values.ndim < 2 or (dimensions and values.ndim != dimensions) or values.shape[-1] < 2:
        shape = "(members, n, classes)" if dimensions == 3 else "(n, classes)"
        raise ValueError(f"logits are {values.shape}: expected {shape}, at least two classes")
    return values


def _features(features: np.ndarray, trained: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64, unless they do not fit each other."""
    features, trained = np.asarray(features, float), np.asarray(trained, float)
    if features.ndim != 2 or trained.ndim != 2 or features.shape[1] != trained.shape[1] or len(labels) != len(trained):
        told = f"features are {features.shape}, trained ones {trained.shape} with {len(labels)} labels"
        raise ValueError(f"{told}: expected (n, f) and (m, f) with m labels")
    return features, trained
