"""Training of a concept bottleneck on kept features, of the classes and the concepts at once."""

import torch
from torch import Tensor, nn

from medxai.models.concept_bottleneck import ConceptBottleneck

STEPS, RATE, DECAY = 300, 1e-2, 1e-3
"""Of Adam, on all examples at once; the decay is that of weights."""


def train_bottleneck(
    features: Tensor, labels: Tensor, concepts: Tensor, counted: Tensor, *, classes: int, weight: float, seed: int
) -> ConceptBottleneck:
    r"""Return a concept bottleneck that was trained jointly (Koh et al. 2020, section 3), in evaluation mode.

    The loss is :math:`L_Y + \lambda L_C`: cross entropy of the classes, and the mean binary cross entropy of the
    concepts. With a weight of 0 it is a plain network of the same size and the same start, whose middle has no names.

    Parameters
    ----------
    features, labels
        float32 (n, k) and int (n,), from 0.
    concepts
        (n, c) of 0 and 1.
    counted
        bool (n,): where the concepts are known; others count for the classes alone.
    classes
        How many there are.
    weight
        :math:`\lambda`, at least 0.
    seed
        Of the start.
    """
    if weight < 0:
        raise ValueError(f"weight is {weight}: expected at least 0")
    torch.manual_seed(seed)
    model = ConceptBottleneck(features.shape[1], concepts.shape[1], classes)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    wanted = concepts[counted].float()
    for _ in range(STEPS):
        middle = model.to_concepts(features)
        loss = nn.functional.cross_entropy(model.to_classes(middle.sigmoid()), labels)
        if weight:
            loss = loss + weight * nn.functional.binary_cross_entropy_with_logits(middle[counted], wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()
