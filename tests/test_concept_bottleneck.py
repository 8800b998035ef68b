"""Concept bottlenecks: interventions by hand, training on data whose answer is known, scores of descriptions."""

import dataclasses

import numpy as np
import pytest
import torch

from medxai.experiment import bottlenecks
from medxai.experiment.bottlenecks import (
    BOTTLENECK,
    DIAGNOSIS,
    FREQUENT,
    INDEPENDENT,
    PLAIN,
    PREDICTED,
    ROUNDED,
    SHUFFLED,
)
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.models.concept_bottleneck import ConceptBottleneck
from medxai.training.bottleneck_training import train_bottleneck
from toy_paintings import toy_paintings

NUMBER, CONCEPTS, CLASSES = 90, 4, 3


@pytest.fixture(scope="module")
def shown() -> ExplainedPaintings:
    """Images of three classes: concept 0 is class 0, concept 1 class 1, concept 2 neither, concept 3 always there."""
    labels = np.arange(NUMBER) % CLASSES
    draw = np.random.default_rng(0)
    present = np.stack([labels == 0, labels == 1, draw.random(NUMBER) < 0.5, np.ones(NUMBER, bool)], axis=1)
    names = ("Papule", "Plaque", "Scar", "Scale")
    return toy_paintings(labels, present, names=names, explained=np.arange(NUMBER) != 5)


@pytest.fixture(scope="module")
def found(shown: ExplainedPaintings) -> np.ndarray:
    noise = np.random.default_rng(1).normal(scale=0.3, size=(NUMBER, 6))
    return np.concatenate([shown.present + noise[:, :4], noise[:, 4:]], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def trained(shown: ExplainedPaintings, found: np.ndarray) -> bottlenecks.Bottlenecks:
    rows = np.arange(NUMBER)
    return bottlenecks.train(found, shown, rows[rows >= 30], rows[rows < 30], seed=0)


def test_what_is_not_known_comes_from_the_network() -> None:
    torch.manual_seed(0)
    model, given = ConceptBottleneck(5, 3, 2), torch.rand(4, 5)
    truth = torch.tensor([[1, 0, 1]] * 4)
    none, every = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    assert torch.equal(model.intervened(given, truth, none), model(given))
    weight, bias = model.to_classes.weight, model.to_classes.bias
    assert torch.allclose(model.intervened(given, truth, every), (weight[:, 0] + weight[:, 2] + bias).expand(4, 2))
    one = model.intervened(given, truth, torch.tensor([False, True, False]))
    assert torch.allclose(one, model(given) - model.concepts(given)[:, 1:2] * weight[:, 1])


def test_networks_start_alike_and_differ_by_the_weight_alone(found: np.ndarray, shown: ExplainedPaintings) -> None:
    given, labels = torch.from_numpy(found), torch.from_numpy(shown.images.labels)
    known, marks = torch.from_numpy(shown.explained), torch.from_numpy(shown.present)

    def weights(weight: float, concepts: torch.Tensor = marks) -> torch.Tensor:
        model = train_bottleneck(given, labels, concepts, known, classes=CLASSES, weight=weight, seed=3)
        return model.to_concepts.weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert torch.equal(weights(0), weights(0, ~marks))  # a plain network never sees the concepts
    assert not torch.equal(weights(1), weights(1, ~marks))
    with pytest.raises(ValueError, match="weight is -1: expected at least 0"):
        weights(-1)


def test_trained_apart_the_first_part_sees_no_class_and_the_second_no_guess(
    found: np.ndarray, shown: ExplainedPaintings
) -> None:
    given, labels = torch.from_numpy(found), torch.from_numpy(shown.images.labels)
    known, marks = torch.from_numpy(shown.explained), torch.from_numpy(shown.present)
    options = {"classes": CLASSES, "weight": 1, "seed": 3, "independent": True}
    one = train_bottleneck(given, labels, marks, known, **options)
    other = train_bottleneck(given, labels.flip(0), marks, known, **options)
    noise = train_bottleneck(torch.zeros_like(given), labels, marks, known, **options)
    assert torch.equal(one.to_concepts.weight, other.to_concepts.weight)
    assert torch.equal(one.to_classes.weight, noise.to_classes.weight)
    assert not torch.equal(one.to_classes.weight, other.to_classes.weight)


def test_unexplained_images_teach_no_concept_and_are_not_asked_about(
    shown: ExplainedPaintings, found: np.ndarray, trained: bottlenecks.Bottlenecks
) -> None:
    assert len(trained.names) == 29
    assert "i5" not in trained.names
    late = np.arange(NUMBER)[::-1].copy()
    one = bottlenecks.train(found, shown, late[:-30], late[-30:-20], seed=0)
    hidden = shown.explained.copy()
    hidden[40] = False
    changed = shown.present.copy()
    changed[40] ^= True
    two, three = (
        bottlenecks.train(
            found, dataclasses.replace(shown, explained=hidden, present=marks), late[:-30], late[-30:-20], seed=0
        )
        for marks in (shown.present, changed)
    )
    first = [model.models[BOTTLENECK].to_concepts.weight for model in (one, two, three)]
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first[1], first[2])


def test_setting_concepts_right(trained: bottlenecks.Bottlenecks) -> None:
    table = bottlenecks.interventions(trained, seed=0)
    means = table.groupby(["network", "known"])["right"].mean()
    assert set(table["network"]) == {BOTTLENECK, INDEPENDENT, PLAIN, SHUFFLED, ROUNDED}
    assert len(table) == 29 * (4 * (CONCEPTS + 1) + 1)
    assert means[BOTTLENECK, 0] > 0.9
    assert means[INDEPENDENT, CONCEPTS] == 1  # two concepts decide the class, and it has learnt from true ones
    for name, model in trained.models.items():
        with torch.no_grad():  # none set right, and all: the logits of the features, and those of the truth
            ends = {0: model(trained.features), CONCEPTS: model.to_classes(trained.truth)}
        for number, logits in ends.items():
            assert means[name, number] == pytest.approx((logits.argmax(1).numpy() == trained.labels).mean())
    again = bottlenecks.interventions(trained, seed=0)
    assert table.equals(again)


def test_terms_by_hand(trained: bottlenecks.Bottlenecks) -> None:
    few = dataclasses.replace(
        trained,
        features=trained.features[:3],
        truth=torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]]),
        names=["x", "y", "z"],
        labels=trained.labels[:3],
    )
    spoken = bottlenecks.said(few)
    assert set(spoken) == {PREDICTED, DIAGNOSIS, FREQUENT}
    assert spoken[FREQUENT][:, 3].all()
    assert (spoken[FREQUENT] == spoken[FREQUENT][0]).all()
    table = bottlenecks.terms(few).set_index(["description", "image"])
    for name, says in spoken.items():
        for place, image in enumerate(few.names):
            own, marked = says[place], few.truth[place].numpy() > 0
            line = table.loc[(name, image)]
            assert line["precision"] == pytest.approx(np.mean(marked[own]) if own.any() else np.nan, nan_ok=True)
            assert line["recall"] == pytest.approx(np.mean(own[marked]) if marked.any() else np.nan, nan_ok=True)


def test_nothing_said_of_nothing_is_undefined(trained: bottlenecks.Bottlenecks, monkeypatch) -> None:
    few = dataclasses.replace(trained, truth=torch.zeros_like(trained.truth))
    nothing = np.zeros(few.truth.shape, bool)
    monkeypatch.setattr(bottlenecks, "said", lambda of: {PREDICTED: nothing})
    assert bottlenecks.terms(few)[["precision", "recall", "f1"]].isna().all(axis=None)


def test_sentences_of_images_say_what_the_network_and_the_experts_say(
    shown: ExplainedPaintings, trained: bottlenecks.Bottlenecks
) -> None:
    table = bottlenecks.sentences(trained, shown.characteristics).set_index("image")
    assert list(table.index) == trained.names
    assert table.loc["i3", "marked"] == bottlenecks.sentence(
        [name for name, there in zip(shown.characteristics, shown.present[3], strict=True) if there]
    )
    spoken = bottlenecks.said(trained)[PREDICTED]
    for place, image in enumerate(trained.names):
        own = [name for name, says in zip(shown.characteristics, spoken[place], strict=True) if says]
        assert table.loc[image, "said"] == bottlenecks.sentence(own)
        assert table.loc[image, "disease"] == trained.labels[place]


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        ([], "Nothing that has a name here."),
        (["Scar"], "Scar."),
        (["Scale", "Plaque"], "Scale, plaque."),
        (["Sun damage", "Plaque", "Scale"], "Plaque, scale with sun damage."),
    ],
)
def test_sentences(spoken: list[str], text: str) -> None:
    assert bottlenecks.sentence(spoken) == text
