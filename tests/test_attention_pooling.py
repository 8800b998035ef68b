"""Attention pooling: by hand in NumPy, its limits, and what its scores say where the answer is known."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from medxai.experiment import attention_pooled
from medxai.experiment.attention_pooled import ANOTHER, ATTENTION, AVERAGE, GRADIENT, MEAN, WEIGHTS, Pooled
from medxai.experiment.cells import Cells, cells
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.models.attention_pooling import AttentionPooling
from toy_paintings import toy_paintings

NUMBER, SIDE, CHANNELS = 90, 4, 12


@pytest.fixture(scope="module")
def lesions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature maps of three classes whose lesion is one cell, the class's channel in it; the labels and the cells."""
    draw, labels = np.random.default_rng(0), np.arange(NUMBER) % 3
    maps = 0.3 * draw.normal(size=(NUMBER, CHANNELS, SIDE, SIDE)).astype(np.float32)
    places = draw.integers(SIDE**2, size=NUMBER)
    for row, place in enumerate(places):
        maps[row, [labels[row], 3], place // SIDE, place % SIDE] += 6
    return maps, labels, places


@pytest.fixture(scope="module")
def shown(lesions: tuple[np.ndarray, ...]) -> ExplainedPaintings:
    _, labels, places = lesions
    outlines = np.zeros((NUMBER, 8, 8), bool)
    for row, place in enumerate(places):
        y, x = 2 * (place // SIDE), 2 * (place % SIDE)
        outlines[row, y : y + 2, x : x + 2] = True
    return toy_paintings(labels, np.zeros((NUMBER, 1), bool), outlines=outlines, side=8)


@pytest.fixture(scope="module")
def bags(lesions: tuple[np.ndarray, ...], shown: ExplainedPaintings) -> Cells:
    rows = np.arange(NUMBER)
    return cells(lesions[0], shown, rows[30:], rows[:30])


@pytest.fixture(scope="module")
def pooled(bags: Cells) -> Pooled:
    return attention_pooled.train(bags, 3, seed=0)


@pytest.fixture(scope="module")
def model() -> AttentionPooling:
    torch.manual_seed(0)
    return AttentionPooling(5, 3, hidden=4).double().requires_grad_(False)


BAG = torch.rand(6, 7, 5, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def test_gated_attention_by_hand(model: AttentionPooling) -> None:
    parts = {name: value.numpy() for name, value in model.named_parameters()}
    for number, bag in enumerate(BAG.numpy()):
        scores = []
        for cell in bag:
            content = np.tanh(parts["content.weight"] @ cell + parts["content.bias"])
            gate = 1 / (1 + np.exp(-parts["gate.weight"] @ cell - parts["gate.bias"]))
            scores.append((parts["to_score.weight"] @ (content * gate)).item())
        weights = np.exp(scores) / np.exp(scores).sum()
        assert model.weights(BAG)[number].numpy() == pytest.approx(weights)
        logits = parts["to_classes.weight"] @ (weights @ bag) + parts["to_classes.bias"]
        assert model(BAG)[number].numpy() == pytest.approx(logits)


def test_weights_sum_to_one_and_follow_their_cells(model: AttentionPooling) -> None:
    order = torch.tensor([3, 0, 6, 1, 2, 5, 4])
    weights = model.weights(BAG)
    assert torch.allclose(weights.sum(1), torch.ones(6).double())
    assert torch.allclose(model.weights(BAG[:, order]), weights[:, order])
    assert torch.allclose(model(BAG[:, order]), model(BAG))


def test_equal_scores_are_mean_pooling(model: AttentionPooling) -> None:
    mean = AttentionPooling(5, 3, hidden=0).double()
    mean.load_state_dict({name: value for name, value in model.state_dict().items() if name.startswith("to_classes")})
    expected = mean.to_classes(BAG.mean(1))
    assert torch.allclose(mean(BAG), expected)
    limit = AttentionPooling(5, 3, hidden=4).double()
    limit.load_state_dict(model.state_dict() | {"to_score.weight": torch.zeros(1, 4).double()})
    assert torch.allclose(limit(BAG), expected)


def test_a_cell_left_out_is_as_if_it_had_never_been(model: AttentionPooling) -> None:
    kept = torch.ones(6, 7, dtype=torch.bool)
    kept[:, 2] = False
    assert torch.allclose(model(BAG, kept), model(torch.cat([BAG[:, :2], BAG[:, 3:]], 1)))
    assert (model.weights(BAG, kept)[:, 2] == 0).all()
    weights, logits = model.weights(BAG), model(BAG)
    top, exact = logits.argmax(1), attention_pooled.effects(model, BAG)
    evidence = (BAG @ model.to_classes.weight.T + model.to_classes.bias).take_along_dim(top[:, None, None], 2)[..., 0]
    logit = logits.take_along_dim(top[:, None], 1)
    assert torch.allclose(exact, weights * (evidence - logit) / (1 - weights))  # of a weighted mean, in closed form


def test_contributions_sum_to_the_logit(model: AttentionPooling) -> None:
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    total = model.contributions(BAG, target).sum(1) + model.to_classes.bias[target]
    assert torch.allclose(total, model(BAG).take_along_dim(target[:, None], 1)[:, 0])


def test_gradient_by_the_score_against_autograd(model: AttentionPooling) -> None:
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    scores = model.weights(BAG).log().requires_grad_()
    logits = model.answer(BAG, scores.softmax(1)).take_along_dim(target[:, None], 1)
    (expected,) = torch.autograd.grad(logits.sum(), scores)
    assert torch.allclose(model.score_gradient(BAG, target), expected)


def test_cells_are_principal_components_of_training_cells(lesions, bags: Cells) -> None:
    flat = lesions[0].reshape(NUMBER, CHANNELS, -1).transpose(0, 2, 1)
    known = flat[30:].reshape(-1, CHANNELS)
    expected = np.abs(PCA(CHANNELS).fit(known).transform(flat[4]))
    expected /= (known - known.mean(0)).std()
    assert bags.bags[4].abs().numpy() == pytest.approx(expected, rel=1e-3, abs=1e-4)  # each up to its sign
    assert bags.grid == (SIDE, SIDE)
    one = torch.zeros(1, 16)
    one[0, 6] = 1
    assert np.unravel_index(bags.at_size(one, 40)[0].argmax(), (40, 40)) in {(14, 24), (14, 25), (15, 24), (15, 25)}


def test_attention_finds_lesions_and_only_the_gradient_knows_the_sign(pooled: Pooled, shown, lesions) -> None:
    table = attention_pooled.scores(pooled, shown, seed=0)
    assert len(table) == 30 * 6
    means = table.groupby("map")[["pixel_auc", "drop", "effect", "effect_size"]].mean()
    assert means.loc[GRADIENT, "effect"] > 0.95  # the effects in closed form differ by 1 - a alone
    assert means.loc[WEIGHTS, "effect"] < 0 < means.loc[WEIGHTS, "effect_size"]  # attention has no sign
    for control in (ANOTHER, AVERAGE):
        assert means.loc[control, "pixel_auc"] < means.loc[WEIGHTS, "pixel_auc"] - 0.2
        assert means.loc[control, "drop"] < means.loc[WEIGHTS, "drop"]
    found = attention_pooled.maps(pooled, seed=0)
    assert (found[WEIGHTS].argmax(1).numpy() == lesions[2][:30]).mean() > 0.6
    assert (found[ANOTHER].sort(0)[0] == found[WEIGHTS].sort(0)[0]).all()  # the same ones,
    assert not (found[ANOTHER] == found[WEIGHTS]).all(1).any()  # none with its own image


def test_answers_and_exchanges(pooled: Pooled, shown: ExplainedPaintings) -> None:
    table = attention_pooled.answers(pooled, shown, seed=0)
    assert table["attention_right"].mean() > 0.9
    assert (
        table["attention_right"].mean()
        == (pooled.answers(ATTENTION).argmax(1) == pooled.cells.labels[:30]).double().mean()
    )
    assert table["changed"].between(0, 1).all()
    assert table["changed"].mean() > 0.2  # here the answer rests on one cell
    assert table["same"].mean() < 0.8
    equal = attention_pooled.answers(
        Pooled(pooled.cells, dict.fromkeys((ATTENTION, MEAN), pooled.models[MEAN])), shown, seed=0
    )
    assert equal["changed"].max() < 1e-6  # equal weights can be exchanged
    assert (equal["same"] == 1).all()
    assert equal["changed_other"].mean() > 0.1


def test_same_seed_same_network(bags: Cells, pooled: Pooled) -> None:
    again = attention_pooled.train(bags, 3, seed=0)
    assert torch.equal(again.answers(ATTENTION), pooled.answers(ATTENTION))
    assert not torch.equal(attention_pooled.train(bags, 3, seed=1).answers(ATTENTION), pooled.answers(ATTENTION))
