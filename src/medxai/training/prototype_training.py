"""Training of prototypes, in the three stages of Chen et al. 2019: prototypes, their projection, the last layer."""

import torch
from torch import Tensor, nn

from medxai.models.prototypes import PrototypeNetwork
from medxai.training.whole_batch import minimise

DIMENSIONS = 32
STEPS, RATE, DECAY = 150, 1e-2, 0.1
LAST_STEPS, LAST_RATE = 150, 1e-2
CLUSTER, SEPARATION = 0.8, 0.08
"""Weights of the two costs beside the cross entropy, as in the paper's experiments."""
SPARSE = 1e-4
"""Weight of the absolute weights by which a prototype speaks for or against other classes than its own."""


def start(bags: Tensor, labels: Tensor, *, classes: int, each: int, seed: int) -> PrototypeNetwork:
    """Return a network whose prototypes are cells of training pictures drawn at random, `each` for every class.

    Bags are float32 (n, cells, k), labels int (n,), from 0; each class needs `each` cells.
    """
    torch.manual_seed(seed)
    layer, drawn = nn.Linear(bags.shape[2], DIMENSIONS), []
    for one in range(classes):
        own = bags[labels == one].flatten(0, 1)
        drawn.append(own[torch.randperm(len(own))[:each]])
    prototypes = layer(torch.cat(drawn)).detach()
    return PrototypeNetwork(layer, prototypes, torch.arange(classes).repeat_interleave(each), classes)


def costs(model: PrototypeNetwork, bags: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean squared distance of pictures to the nearest prototype of their class, and of other classes.

    The first is the cluster cost, the second the separation cost with the opposite sign.
    """
    nearest = model.distances(bags).amin(1)
    own = labels[:, None] == model.owners
    return tuple(nearest.masked_fill(~chosen, torch.inf).amin(1).mean() for chosen in (own, ~own))


def learn(model: PrototypeNetwork, bags: Tensor, labels: Tensor) -> None:
    """Train layer and prototypes, with the last layer as it is."""

    def loss() -> Tensor:
        near, far = costs(model, bags, labels)
        return nn.functional.cross_entropy(model(bags), labels) + CLUSTER * near - SEPARATION * far

    minimise(loss, [model.prototypes, *model.layer.parameters()], steps=STEPS, rate=RATE, decay=DECAY)


def project(model: PrototypeNetwork, bags: Tensor, labels: Tensor) -> Tensor:
    """Make each prototype the nearest cell of a training picture of its class; return picture and cell, int (p, 2)."""
    with torch.no_grad():
        distances = model.distances(bags).masked_fill((labels[:, None] != model.owners)[:, None], torch.inf)
        nearest = distances.flatten(0, 1).argmin(0)
        places = torch.stack([nearest // bags.shape[1], nearest % bags.shape[1]], 1)
        model.prototypes.copy_(model.layer(bags[places[:, 0], places[:, 1]]))
    return places


def finish(model: PrototypeNetwork, bags: Tensor, labels: Tensor) -> None:
    """Train the last layer, with few weights between classes."""
    others = model.owners != torch.arange(model.to_classes.out_features)[:, None]
    similarities = model.similarities(bags).amax(1).detach()

    def loss() -> Tensor:
        weights = model.to_classes.weight
        fit = nn.functional.cross_entropy(similarities @ weights.T, labels)
        return fit + SPARSE * weights[others].abs().sum()

    minimise(loss, [model.to_classes.weight], steps=LAST_STEPS, rate=LAST_RATE, decay=0)
