"""A concept bottleneck: a diagnosis that is made from nothing but a few named numbers.

Koh et al. 2020, "Concept Bottleneck Models", International Conference on Machine Learning, section 3. Both parts are
linear here, on features that somebody else computed.
"""

import torch
from torch import Tensor, nn


class ConceptBottleneck(nn.Module):
    """Features to the probabilities of concepts, these to logits of classes.

    Parameters
    ----------
    features, concepts, classes
        How many of each there are.
    """

    def __init__(self, features: int, concepts: int, classes: int) -> None:
        super().__init__()
        self.to_concepts = nn.Linear(features, concepts)
        self.to_classes = nn.Linear(concepts, classes)

    def concepts(self, features: Tensor) -> Tensor:
        """Return the probabilities (n, concepts) of the concepts, each by itself, from features (n, k)."""
        return self.to_concepts(features).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (n, classes) of the classes."""
        return self.to_classes(self.concepts(features))

    def intervened(self, features: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        """Return the logits (n, classes) after an expert has set some of the concepts right.

        Parameters
        ----------
        features
            float (n, k).
        truth
            (n, concepts) of 0 and 1.
        known
            bool, broadcast to (n, concepts): which of them the expert sets; the network's own stand for the others.
        """
        return self.to_classes(torch.where(known, truth.to(features.dtype), self.concepts(features)))
