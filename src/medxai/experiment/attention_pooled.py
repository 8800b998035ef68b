"""Attention pooling on paintings: where it looks, what cells do to the answer, and whether other weights say alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.evaluation import localisation
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.experiment.cells import Cells
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.models.attention_pooling import AttentionPooling
from medxai.training.whole_batch import minimise

ATTENTION, MEAN = "attention pooling", "mean pooling"
STEPS, RATE, DECAY = 150, 3e-3, 1.0
"""The decay is strong, since there are few images."""
HIDDEN = 32
WEIGHTS, GRADIENT, CONTRIBUTIONS = "attention", "gradient by the score", "class activation map"
UNTRAINED, ANOTHER, AVERAGE = "attention, untrained", "attention, other image", "attention, mean of all"
DELETED = 0.25
"""Share of the cells that are taken away."""
EXCHANGES = 20
"""Random exchanges of the attention among the cells of an image."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """Networks with attention and with mean pooling, and one with attention as it was before training."""

    cells: Cells
    models: dict[str, AttentionPooling]

    @property
    def held_out(self) -> Tensor:
        """Cells of the held-out images, float32 (m, cells, k)."""
        return self.cells.bags[self.cells.asked]

    def answers(self, name: str) -> Tensor:
        """Return the logits (m, classes) of a network for the held-out images."""
        return self.models[name](self.held_out)


def train(of: Cells, classes: int, *, seed: int) -> Pooled:
    """Train both networks on the training images."""
    bags, labels, models = of.bags[of.seen], of.labels[of.seen], {}
    for name, hidden in ((ATTENTION, HIDDEN), (MEAN, 0), (UNTRAINED, HIDDEN)):
        torch.manual_seed(seed)
        model = AttentionPooling(bags.shape[2], classes, hidden=hidden)
        if name != UNTRAINED:
            _fit(model, bags, labels)
        models[name] = model.eval().requires_grad_(False)
    return Pooled(of, models)


def _fit(model: AttentionPooling, bags: Tensor, labels: Tensor) -> None:
    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(model(bags), labels)

    minimise(loss, model.parameters(), steps=STEPS, rate=RATE, decay=DECAY)


def maps(of: Pooled, *, seed: int) -> dict[str, Tensor]:
    """Return numbers for the cells of the held-out images, float32 (m, cells), by what they are.

    Gradient and class activation map are those of the class that the network answers. `ANOTHER` is the attention of the
    image that comes next in a random order, `AVERAGE` the mean attention of the training images.
    """
    attentive, own = of.models[ATTENTION], of.models[ATTENTION].weights(of.held_out)
    answer, order = of.answers(ATTENTION).argmax(1), np.random.default_rng(seed).permutation(len(own))
    another = torch.empty_like(own)
    another[order] = own[np.roll(order, 1)]
    average = attentive.weights(of.cells.bags[of.cells.seen]).mean(0)
    return {
        WEIGHTS: own,
        GRADIENT: attentive.score_gradient(of.held_out, answer),
        CONTRIBUTIONS: attentive.contributions(of.held_out, answer),
        UNTRAINED: of.models[UNTRAINED].weights(of.held_out),
        ANOTHER: another,
        AVERAGE: average.expand_as(own),
    }


def effects(model: AttentionPooling, bags: Tensor) -> Tensor:
    """Return by how much the logit of the answer falls when one cell is left out of its bag, float32 (n, cells)."""
    answer = model(bags)
    top, cells = answer.argmax(1), torch.arange(bags.shape[1])
    falls = [answer - model(bags, (cells != cell).expand(len(bags), -1)) for cell in cells]
    return torch.stack(falls, 1).take_along_dim(top[:, None, None], 2)[..., 0]


def scores(of: Pooled, shown: ExplainedPaintings, *, seed: int) -> pd.DataFrame:
    """Score maps of the cells of each held-out image.

    Returns
    -------
    pandas.DataFrame
        A line for each image and map: ``image``, ``map``, ``pixel_auc`` (against what dermatologists outlined, as
        `medxai.evaluation.localisation.pixel_auc`), and of the network with attention: ``drop`` (of the answer's logit
        when the highest `DELETED` of the cells are left out), ``effect`` and ``effect_size`` (rank correlation over
        cells with the effects of leaving out one, and of both whatever their sign).
    """
    images, exact = shown.images, effects(of.models[ATTENTION], of.held_out).numpy()
    references = np.stack([images.reference(row) for row in of.cells.asked])
    tables = []
    for name, numbers in maps(of, seed=seed).items():
        columns = {
            "pixel_auc": localisation.pixel_auc(of.cells.at_size(numbers, images.side), references),
            "drop": _drops(of, numbers).numpy(),
            "effect": paired_rank_correlations(numbers.numpy(), exact),
            "effect_size": paired_rank_correlations(numbers.abs().numpy(), np.abs(exact)),
        }
        tables.append(pd.DataFrame({"image": _names(of, shown), "map": name, **columns}))
    return pd.concat(tables, ignore_index=True)


def answers(of: Pooled, shown: ExplainedPaintings, *, seed: int) -> pd.DataFrame:
    """Compare the answers with the truth, and with those for attention that was exchanged among an image's cells.

    Returns
    -------
    pandas.DataFrame
        A line for each held-out image: ``image``; ``attention_right`` and ``mean_right``, whether a network's answer
        is; ``changed``, the total variation distance between the probabilities before and after an exchange, in [0, 1],
        ``same``, the share of exchanges after which the answer is the same, both over `EXCHANGES` exchanges; and
        ``changed_other``, the distance to the probabilities of the next image in a random order.

    Source
    ------
    Jain and Wallace 2019, "Attention is not Explanation", who permute the attention of words.
    """
    model, truth = of.models[ATTENTION], of.cells.labels[of.cells.asked]
    own, weights = of.answers(ATTENTION).softmax(1), model.weights(of.held_out)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.rand(weights.shape, generator=generator).argsort(1) for _ in range(EXCHANGES)]
    mixed = torch.stack([model.answer(of.held_out, weights.gather(1, order)).softmax(1) for order in orders])
    order = torch.randperm(len(own), generator=generator)
    other = torch.empty_like(own)
    other[order] = own[order.roll(1)]
    columns = {
        "attention_right": own.argmax(1) == truth,
        "mean_right": of.answers(MEAN).argmax(1) == truth,
        "changed": _distance(mixed, own).mean(0),
        "same": (mixed.argmax(2) == own.argmax(1)).float().mean(0),
        "changed_other": _distance(other, own),
    }
    table = {name: values.double().numpy() for name, values in columns.items()}
    return pd.DataFrame({"image": _names(of, shown), **table})


def examples(of: Pooled, shown: ExplainedPaintings, *, seed: int) -> pd.DataFrame:
    """Return attention and gradient of the first held-out image of each disease.

    Returns
    -------
    pandas.DataFrame
        A line for each cell: ``image``, ``map``, ``y``, ``x`` (of the grid, from above and from the left), ``value``.
    """
    first, tables = np.unique(of.cells.labels[of.cells.asked].numpy(), return_index=True)[1], []
    y, x = (axis.ravel() for axis in np.indices(of.cells.grid))
    for name, numbers in maps(of, seed=seed).items():
        for place in first if name in (WEIGHTS, GRADIENT) else ():
            known = {"image": _names(of, shown)[place], "map": name, "y": y, "x": x}
            tables.append(pd.DataFrame({**known, "value": numbers[place].double().numpy()}))
    return pd.concat(tables, ignore_index=True)


def _drops(of: Pooled, numbers: Tensor) -> Tensor:
    """Return by how much the answer's logit falls when the cells with the highest numbers are left out, (m,)."""
    rank = numbers.argsort(1, descending=True).argsort(1)
    kept = rank >= max(1, round(DELETED * numbers.shape[1]))
    before, after = of.answers(ATTENTION), of.models[ATTENTION](of.held_out, kept)
    return (before - after).take_along_dim(before.argmax(1)[:, None], 1)[:, 0]


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().sum(-1) / 2


def _names(of: Pooled, shown: ExplainedPaintings) -> list[str]:
    return [shown.images.names[row] for row in of.cells.asked]
