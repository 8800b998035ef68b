"""Training of a concept bottleneck on kept features, of both its parts at once or each by itself."""

import torch
from torch import Tensor, nn

from medxai.models.concept_bottleneck import ConceptBottleneck
from medxai.training.whole_batch import minimise

STEPS, RATE, DECAY = 300, 1e-2, 1e-3
"""Of Adam, on all examples at once; the decay is that of weights."""


def train_bottleneck(
    features: Tensor,
    labels: Tensor,
    concepts: Tensor,
    counted: Tensor,
    *,
    classes: int,
    weight: float,
    seed: int,
    independent: bool = False,
) -> ConceptBottleneck:
    r"""Return a concept bottleneck, trained jointly or independently (Koh et al. 2020, section 3), in evaluation mode.

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
    independent
        Whether the second part learns from the true concepts, of the examples where they are known, instead of from
        those that the first part predicts: then no class can reach the first part.
    """
    if weight < 0:
        raise ValueError(f"weight is {weight}: expected at least 0")
    torch.manual_seed(seed)
    model = ConceptBottleneck(features.shape[1], concepts.shape[1], classes)
    wanted = concepts[counted].float()

    def loss() -> Tensor:
        middle = model.to_concepts(features)
        seen, wanted_classes = (wanted, labels[counted]) if independent else (middle.sigmoid(), labels)
        of_classes = nn.functional.cross_entropy(model.to_classes(seen), wanted_classes)
        if not weight:
            return of_classes
        return of_classes + weight * nn.functional.binary_cross_entropy_with_logits(middle[counted], wanted)

    minimise(loss, model.parameters(), steps=STEPS, rate=RATE, decay=DECAY)
    return model.eval()
