"""Scores of doubt on cases whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis as distance
from scipy.stats import entropy as scipy_entropy
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from medxai.evaluation import failure_metrics
from medxai.robustness import failure_detection as detection

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.98, 0.01, 0.01]])) + np.array([[0.0], [3.0], [-2.0]])


def test_scores_of_probabilities_by_hand() -> None:
    assert detection.softmax_response(LOGITS) == pytest.approx([0.3, 0.6, 0.02])
    assert detection.margin(LOGITS) == pytest.approx([0.5, 0.95, 0.03])
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert detection.entropy(LOGITS) == pytest.approx(scipy_entropy(shares, axis=1))


def test_scores_of_logits_see_what_probabilities_do_not() -> None:
    assert detection.energy(LOGITS) == pytest.approx([0, -3, 2])
    assert detection.negative_logit(LOGITS) == pytest.approx([-np.log(0.7), -np.log(0.4) - 3, -np.log(0.98) + 2])


@pytest.mark.parametrize("score", detection.LOGITS.values())
def test_two_classes_far_from_the_boundary_are_believed(score) -> None:
    logits = np.stack([np.linspace(0, 5, 11), np.zeros(11)], axis=1)
    assert (np.diff(score(logits)) < 0).all()


def line(weight: Tensor) -> nn.Module:
    """A network whose logits are sums of the pixels of an image, weighted."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], weight.shape[0], bias=False)).eval()
    network[1].weight.data = weight
    return network


@pytest.mark.parametrize("name", detection.DOCTORS)
def test_doctor_in_the_partially_black_box_is_its_equation(name: str) -> None:
    """The gradient of the logarithm of the score itself, in double precision."""
    generator = torch.Generator().manual_seed(0)
    network = line(torch.randn(3, 8, generator=generator, dtype=torch.float64))
    images = torch.randn(20, 2, 2, 2, generator=generator, dtype=torch.float64)
    which = detection.DOCTORS[name]
    asked = images.clone().requires_grad_()
    shares = (network(asked) / which.temperature).softmax(1)
    doubt = (1 - shares.square().sum(1)) / shares.square().sum(1) if "alpha" in name else 1 / shares.amax(1) - 1
    doubt.log().sum().backward()
    changed = images - detection.MAGNITUDE * torch.sign(-asked.grad)
    expected = which.score((network(changed) / which.temperature).softmax(1).detach().numpy())
    found = which.perturbed(network, images)
    assert found == pytest.approx(expected, rel=1e-12)
    assert (found > which.score((network(images) / which.temperature).softmax(1).detach().numpy())).all()


@pytest.mark.parametrize("which", detection.DOCTORS.values())
def test_a_certain_answer_is_changed_as_well(which: detection.Doctor) -> None:
    """In single precision one less its probability is 0; the gradient is not."""
    network = line(torch.tensor([[1.0], [0.0]]))
    image = torch.full((1, 1, 1, 1), 20.0)
    expected = torch.tensor([[20 - detection.MAGNITUDE, 0.0]]).double() / which.temperature
    assert which.perturbed(network, image) == pytest.approx(which.score(expected.softmax(1).numpy()), rel=0.01)


def clouds(seed: int, number: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Three classes as correlated Gaussian clouds in three dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    spread = np.array([[2, 0.5, 0], [0, 1, 0.3], [0, 0, 0.5]])
    return 6 * np.eye(3)[labels] + rng.standard_normal((number, 3)) @ spread, labels


def test_distance_is_that_of_scipy_with_the_shrunk_covariance() -> None:
    trained, labels = clouds(0)
    asked, _ = clouds(1, 20)
    means = [trained[labels == one].mean(0) for one in range(3)]
    precision = LedoitWolf(assume_centered=True).fit(trained - np.array(means)[labels]).precision_
    expected = [min(distance(one, mean, precision) ** 2 for mean in means) for one in asked]
    assert detection.mahalanobis(asked, trained, labels) == pytest.approx(expected)


def test_trust_on_a_line_by_hand() -> None:
    trained, labels = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([4, 4, 7, 7])
    asked = np.array([[2.0], [6.0], [11.5], [3.0]])
    found = detection.trust_score(asked, np.array([4, 4, 4, 5]), trained, labels)
    assert found == pytest.approx([1 / 8, 5 / 4, 10.5 / 0.5, np.nan], nan_ok=True)


def test_trust_leaves_out_what_lies_alone() -> None:
    rng = np.random.default_rng(0)
    points = np.r_[rng.standard_normal((40, 2)), [[30.0, 0.0]], 50 + rng.standard_normal((40, 2))]
    labels = np.r_[np.zeros(41, int), np.ones(40, int)]
    near_outlier = detection.trust_score(np.array([[30.0, 1.0]]), np.array([0]), points, labels)
    assert near_outlier > 0.3  # by the outlier alone it would be 1 / 50


def test_an_ensemble_of_one_opinion_does_not_disagree() -> None:
    same = np.stack([LOGITS, LOGITS + 1])
    assert detection.disagreement(same) == pytest.approx([0, 0, 0], abs=1e-12)
    assert detection.ensemble_response(same) == pytest.approx(detection.softmax_response(LOGITS))


def test_an_ensemble_that_is_certain_of_different_things_disagrees_most() -> None:
    certain = np.array([[[40.0, 0.0]], [[0.0, 40.0]]])
    assert detection.disagreement(certain) == pytest.approx([np.log(2)])
    assert detection.ensemble_response(certain) == pytest.approx([0.5])


def test_a_cross_fitted_score_finds_what_there_is() -> None:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((400, 6))
    wrong = features[:, 2] + 0.5 * rng.standard_normal(400) > 1
    assert failure_metrics.auroc(detection.cross_fitted(features, wrong), wrong) > 0.9


def test_a_cross_fitted_score_has_not_seen_the_labels_it_is_judged_by() -> None:
    """With labels at random the area is one half; a score that had seen them would be near 1 with so many features."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((300, 40))
    areas = []
    for seed in range(20):
        wrong = np.random.default_rng(seed).random(300) < 0.3
        areas.append(failure_metrics.auroc(detection.cross_fitted(features, wrong, seed=seed), wrong)[0])
    assert abs(np.mean(areas) - 0.5) < 4 * np.std(areas) / np.sqrt(len(areas))
    assert max(areas) < 0.65


def test_near_copies_do_not_tell_each_other() -> None:
    rng = np.random.default_rng(4)
    half, wrong = rng.standard_normal((300, 150)), rng.random(300) < 0.5
    features, twice, groups = np.r_[half, half], np.r_[wrong, wrong], np.r_[np.arange(300), np.arange(300)]
    alone = failure_metrics.auroc(detection.cross_fitted(features, twice), twice)
    together = failure_metrics.auroc(detection.cross_fitted(features, twice, groups=groups), twice)
    assert alone > 0.7 > 0.6 > together


def test_what_cannot_be_learnt_is_nan() -> None:
    assert np.isnan(detection.cross_fitted(np.zeros((30, 2)), np.arange(30) < 3)).all()
    features = np.random.default_rng(0).standard_normal((60, 2))
    features[:, 1] = np.nan  # such as the shift of a map that is constant
    wrong = features[:, 0] > 0
    assert failure_metrics.auroc(detection.cross_fitted(features, wrong), wrong) > 0.9


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: detection.entropy(np.zeros(3)), "logits are (3,)"),
        (lambda: detection.entropy(np.zeros((3, 1))), "at least two classes"),
        (lambda: detection.disagreement(np.zeros((3, 2))), "expected (members, n, classes)"),
        (lambda: detection.mahalanobis(np.zeros((3, 2)), np.zeros((4, 3)), np.zeros(4, int)), "expected (n, f)"),
        (lambda: detection.trust_score(np.zeros((3, 2)), np.zeros(3), np.zeros((4, 2)), np.zeros(3)), "with 3 labels"),
    ],
)
def test_other_input_is_refused(call, told: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert told in str(error.value)
