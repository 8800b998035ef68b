"""Prototypes: the layer by hand, what projection and costs promise, and scores where the truth is known."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from medxai.experiment import prototyped
from medxai.experiment.cells import Cells
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.experiment.prototyped import BEFORE, DRAWN, PROTOTYPES, Prototyped
from medxai.models.prototypes import EPSILON, OTHERS, PrototypeNetwork
from medxai.training import prototype_training
from toy_paintings import toy_paintings

NUMBER, SIDE = 300, 3


@pytest.fixture(scope="module")
def bags() -> Cells:
    """Pictures of three classes whose lesion is one cell, which alone has the class's feature."""
    draw, labels = np.random.default_rng(0), np.arange(NUMBER) % 3
    values = 0.2 * draw.normal(size=(NUMBER, SIDE**2, 5)).astype(np.float32)
    values[np.arange(NUMBER), places(), labels] += 3
    values /= values.std()
    rows = np.arange(NUMBER)
    return Cells(torch.from_numpy(values), (SIDE, SIDE), torch.from_numpy(labels), rows[20:], rows[:20])


def places() -> np.ndarray:
    return np.random.default_rng(1).integers(SIDE**2, size=NUMBER)


@pytest.fixture(scope="module")
def shown(bags: Cells) -> ExplainedPaintings:
    """Characteristic and outline of a picture are its lesion; the characteristic's number is the class."""
    labels = bags.labels.numpy()
    present = labels[:, None] == np.arange(3)
    maps = np.zeros((NUMBER, 3, SIDE, SIDE), np.float32)
    maps.reshape(NUMBER, 3, -1)[np.arange(NUMBER), labels, places()] = 1
    known = np.arange(NUMBER) != 4
    return toy_paintings(labels, present, explained=known, maps=maps, outlines=maps.max(1) > 0, side=SIDE)


@pytest.fixture(scope="module")
def trained(bags: Cells) -> Prototyped:
    return prototyped.train(bags, 3, seed=0)


def small() -> tuple[PrototypeNetwork, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    prototypes, cells = torch.randn(4, 3, generator=draw), torch.randn(5, 6, 3, generator=draw)
    return PrototypeNetwork(nn.Identity(), prototypes, torch.tensor([0, 0, 1, 1]), 2), cells


def test_similarities_and_logits_by_hand() -> None:
    model, cells = small()
    distances = ((cells.numpy()[:, :, None] - model.prototypes.detach().numpy()) ** 2).sum(3)
    similarities = np.log((distances + 1) / (distances + EPSILON))
    assert model.similarities(cells).detach().numpy() == pytest.approx(similarities, abs=1e-4)
    weights = np.array([[1, 1, OTHERS, OTHERS], [OTHERS, OTHERS, 1, 1]])
    assert model(cells).detach().numpy() == pytest.approx(similarities.max(1) @ weights.T, abs=1e-4)
    prototype, cell = model.fired(cells, torch.tensor([0, 1, 0, 1, 0]))
    spoken = similarities.max(1) * weights[[0, 1, 0, 1, 0]]
    assert prototype.tolist() == spoken.argmax(1).tolist()
    assert cell.tolist() == [similarities[row, :, one].argmax() for row, one in enumerate(prototype)]


def test_similarity_is_largest_at_the_prototype_itself() -> None:
    model, _ = small()
    with torch.no_grad():
        itself = model.similarities(model.prototypes[None])[0].diagonal()
    assert itself.numpy() == pytest.approx(np.log(1 / EPSILON), rel=0.05)


def test_costs_by_hand() -> None:
    model, cells = small()
    labels = torch.tensor([0, 1, 1, 0, 1])
    nearest = ((cells.numpy()[:, :, None] - model.prototypes.detach().numpy()) ** 2).sum(3).min(1)
    own = labels.numpy()[:, None] == np.array([0, 0, 1, 1])
    near, far = prototype_training.costs(model, cells, labels)
    assert near.item() == pytest.approx(np.where(own, nearest, np.inf).min(1).mean(), rel=1e-4)
    assert far.item() == pytest.approx(np.where(own, np.inf, nearest).min(1).mean(), rel=1e-4)


@pytest.mark.parametrize("name", [PROTOTYPES, DRAWN])
def test_after_projection_each_prototype_is_a_training_cell_of_its_class(trained: Prototyped, bags, name: str) -> None:
    model = trained.models[name]
    for prototype, owner, (row, cell) in zip(model.prototypes, model.owners, trained.places[name], strict=True):
        assert row in bags.seen
        assert bags.labels[row] == owner
        assert torch.allclose(prototype, model.layer(bags.bags[row, cell]), atol=1e-6)


def test_projection_takes_the_nearest(bags: Cells) -> None:
    model = prototype_training.start(bags.bags, bags.labels, classes=3, each=2, seed=0)
    with torch.no_grad():
        model.prototypes += 0.1
        before = model.prototypes.clone()
        own = [model.layer(bags.bags[bags.labels == owner]).flatten(0, 1) for owner in model.owners]
    prototype_training.project(model, bags.bags, bags.labels)
    for old, new, cells in zip(before, model.prototypes, own, strict=True):
        assert (old - new).norm().item() == pytest.approx((cells - old).norm(dim=1).min().item(), rel=1e-4)


def test_prototypes_are_lesions_where_only_these_tell_the_class(trained: Prototyped, shown: ExplainedPaintings) -> None:
    right = prototyped.answers(trained, shown).groupby("network")["right"].mean()
    assert set(right.index) == {BEFORE, PROTOTYPES, DRAWN}
    assert right[PROTOTYPES] > 0.9
    table = prototyped.scores(trained, shown)
    assert len(table) == 2 * 19
    assert "i4" not in set(table["image"])
    means = table.groupby("network")[["outlined", "area", "shared", "shared_area"]].mean()
    assert means.loc[PROTOTYPES, "outlined"] > 0.5
    assert means["area"].tolist() == pytest.approx([1 / 9, 1 / 9])
    assert means.loc[PROTOTYPES, "shared"] > 0.5
    assert means.loc[PROTOTYPES, "shared_area"] < 0.2
    found = prototyped.examples(trained, shown)
    cell, prototype = prototyped._fired(trained, PROTOTYPES, np.array([0, 1, 2]))
    assert found["image"].tolist() == ["i0", "i1", "i2"]
    assert (SIDE * found["y"] + found["x"]).tolist() == cell.tolist()
    assert (SIDE * found["prototype_y"] + found["prototype_x"]).tolist() == prototype[:, 1].tolist()
    assert found["prototype_image"].tolist() == [f"i{row}" for row in prototype[:, 0]]


def test_nothing_marked_at_the_prototype_is_undefined(trained: Prototyped, shown: ExplainedPaintings) -> None:
    nothing = dataclasses.replace(shown, present=np.zeros_like(shown.present))
    assert prototyped.scores(trained, nothing)[["shared", "shared_area"]].isna().all(axis=None)


def test_same_seed_same_network(trained: Prototyped, bags: Cells) -> None:
    again, other = prototyped.train(bags, 3, seed=0), prototyped.train(bags, 3, seed=1)
    one, two, three = (of.models[PROTOTYPES].prototypes for of in (trained, again, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
