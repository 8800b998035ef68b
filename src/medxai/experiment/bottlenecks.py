"""Concept bottlenecks on paintings: set a characteristic right and watch the diagnosis; say in words what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.data.ontology import BASIC_TERMS
from medxai.evaluation.sums import ratio
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.models.concept_bottleneck import ConceptBottleneck
from medxai.training.bottleneck_training import train_bottleneck

BOTTLENECK, INDEPENDENT, PLAIN, SHUFFLED = "bottleneck", "its parts apart", "plain network", "shuffled characteristics"
WEIGHTS = {BOTTLENECK: 1.0, INDEPENDENT: 1.0, PLAIN: 0.0, SHUFFLED: 1.0}
"""Of the loss of the characteristics. Shuffled ones are those of other training images."""
ROUNDED = "bottleneck, rounded"
"""The first network with its characteristics rounded to yes and no: what it says by shades is lost."""
ORDERS = 20
"""Random orders in which characteristics are set right."""
HALF = 0.5
"""Probability from which a characteristic is said to be there."""
PREDICTED, DIAGNOSIS, FREQUENT = "predicted terms", "terms of the predicted disease", "most frequent terms"


@dataclass(frozen=True, eq=False)
class Bottlenecks:
    """Networks of the same size and start, by name, and the held-out images of which the truth is known."""

    models: dict[str, ConceptBottleneck]
    features: Tensor
    """float32 (n, k), scaled by those of the training images."""
    truth: Tensor
    """float32 (n, c)."""
    labels: np.ndarray
    names: list[str]
    usual: np.ndarray
    """float64 (classes + 1, c): how often each characteristic is marked in training, by disease; in all, at the end."""


def train(
    found: np.ndarray, shown: ExplainedPaintings, seen: np.ndarray, unseen: np.ndarray, *, seed: int
) -> Bottlenecks:
    """Train the networks on some rows; those of others on which the truth is known are kept to ask about."""
    mean, spread = found[seen].mean(0), found[seen].std(0) + 1e-6
    scaled = torch.from_numpy((found - mean) / spread)
    labels, marks = torch.from_numpy(shown.images.labels).long(), torch.from_numpy(shown.present).float()
    counted, classes = torch.from_numpy(shown.explained), len(shown.images.classes)
    known = seen[shown.explained[seen]]
    others = marks.clone()
    others[known] = marks[np.random.default_rng(seed).permutation(known)]
    models = {
        name: train_bottleneck(
            scaled[seen],
            labels[seen],
            (others if name == SHUFFLED else marks)[seen],
            counted[seen],
            classes=classes,
            weight=weight,
            seed=seed,
            independent=name == INDEPENDENT,
        )
        for name, weight in WEIGHTS.items()
    }
    asked = unseen[shown.explained[unseen]]
    own = [known[shown.images.labels[known] == one] for one in range(classes)]
    usual = [shown.present[rows].mean(0) if len(rows) else np.zeros(marks.shape[1]) for rows in (*own, known)]
    names = [shown.images.names[row] for row in asked]
    return Bottlenecks(models, scaled[asked], marks[asked], shown.images.labels[asked], names, np.stack(usual))


def interventions(of: Bottlenecks, *, seed: int) -> pd.DataFrame:
    """Set characteristics right, one after the other, in `ORDERS` random orders, the same for all networks.

    Returns
    -------
    pandas.DataFrame
        A line for each image, network and number: ``image``, ``network``, ``known`` (how many were set right),
        ``right`` (share of the orders in which the diagnosis is right). Of `ROUNDED` there is none set right alone.
    """
    number = of.truth.shape[1]
    generator, lines = np.random.default_rng(seed), []
    orders = np.stack([generator.permutation(number) for _ in range(ORDERS)])
    rank = torch.from_numpy(orders.argsort(1))
    for name, model in of.models.items():
        for known in range(number + 1):
            with torch.no_grad():
                answers = [model.intervened(of.features, of.truth, one < known).argmax(1).numpy() for one in rank]
            right = (np.stack(answers) == of.labels).mean(0)
            lines.append(pd.DataFrame({"image": of.names, "network": name, "known": known, "right": right}))
    with torch.no_grad():
        model = of.models[BOTTLENECK]
        answers = model.to_classes((model.concepts(of.features) >= HALF).float()).argmax(1).numpy()
    right = (answers == of.labels).astype(float)
    lines.append(pd.DataFrame({"image": of.names, "network": ROUNDED, "known": 0, "right": right}))
    return pd.concat(lines, ignore_index=True)


def said(of: Bottlenecks) -> dict[str, np.ndarray]:
    """Return which terms each way to describe an image says, bool (n, c), by name.

    What the bottleneck predicts; what more than half of the training images of the disease that it predicts have; what
    more than half of all have, or the most frequent one.
    """
    with torch.no_grad():
        model = of.models[BOTTLENECK]
        predicted, disease = model.concepts(of.features).numpy() >= HALF, model(of.features).argmax(1).numpy()
    frequent = of.usual[-1] >= min(HALF, of.usual[-1].max())
    return {
        PREDICTED: predicted,
        DIAGNOSIS: of.usual[disease] >= HALF,
        FREQUENT: np.broadcast_to(frequent, predicted.shape),
    }


def terms(of: Bottlenecks) -> pd.DataFrame:
    """Score descriptions by their terms: ``image``, ``description``, ``precision``, ``recall``, ``f1``.

    NaN where nothing is said (precision), nothing was marked (recall), or neither (f1).
    """
    truth, tables = of.truth.numpy().astype(bool), []
    for name, spoken in said(of).items():
        both = (spoken & truth).sum(1).astype(float)
        scores = {
            "precision": ratio(both, spoken.sum(1)),
            "recall": ratio(both, truth.sum(1)),
            "f1": ratio(2 * both, spoken.sum(1) + truth.sum(1)),
        }
        tables.append(pd.DataFrame({"image": of.names, "description": name, **scores}))
    return pd.concat(tables, ignore_index=True)


def sentences(of: Bottlenecks, characteristics: Sequence[str]) -> pd.DataFrame:
    """Return each image's description in words: ``image``, ``disease`` (its label), ``said`` and ``marked``."""
    names, columns = np.array(characteristics), {"said": said(of)[PREDICTED], "marked": of.truth.numpy() > 0}
    texts = {name: [sentence(list(names[one])) for one in marks] for name, marks in columns.items()}
    return pd.DataFrame({"image": of.names, "disease": of.labels, **texts})


def sentence(spoken: list[str]) -> str:
    """Return a description of an image from its terms: basic terms first, as dermatologists begin, then the others."""
    if not spoken:
        return "Nothing that has a name here."
    basic = [term.lower() for term in spoken if term in BASIC_TERMS]
    additional = [term.lower() for term in spoken if term not in BASIC_TERMS]
    parts = [", ".join(basic), ("with " if basic else "") + ", ".join(additional) if additional else ""]
    text = " ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."
