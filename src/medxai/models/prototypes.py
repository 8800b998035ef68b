"""A network that answers by how much a picture's cells look like a few cells of training pictures, its prototypes.

Chen, Li, Tao, Barnett, Rudin and Su 2019, "This Looks Like That: Deep Learning for Interpretable Image Recognition",
Advances in Neural Information Processing Systems 32. Here features are fixed but for one linear layer, and
prototypes are single cells.
"""

import torch
from torch import Tensor, nn

EPSILON = 1e-4
"""Keeps the similarity of a cell with itself finite."""
OTHERS = -0.5
"""Weight of a prototype for classes that are not its own, before the last layer is trained; its own has 1."""


class PrototypeNetwork(nn.Module):
    r"""Cells, their likeness to prototypes, logits of classes.

    The similarity of a cell at squared distance :math:`d` from a prototype is :math:`\log((d + 1) / (d + \epsilon))`
    (Chen et al. 2019, the prototype layer). A picture has the similarity of its most similar cell; a linear layer
    without bias makes logits of the similarities with all prototypes.

    Below, cells are float (n, cells, features).

    Parameters
    ----------
    layer
        What cells go through before they are compared, to (n, cells, k): in the paper convolutions of one pixel.
    prototypes
        float (p, k), where they start.
    owners
        int (p,): the class of each, from 0.
    classes
        How many classes there are.
    """

    owners: Tensor

    def __init__(self, layer: nn.Module, prototypes: Tensor, owners: Tensor, classes: int) -> None:
        super().__init__()
        self.layer = layer
        self.prototypes = nn.Parameter(prototypes.clone())
        self.register_buffer("owners", owners)
        self.to_classes = nn.Linear(len(prototypes), classes, bias=False)
        own = owners == torch.arange(classes)[:, None]
        with torch.no_grad():
            self.to_classes.weight.copy_(torch.where(own, 1.0, OTHERS))

    def distances(self, cells: Tensor) -> Tensor:
        """Return the squared distances (n, cells, p) of cells to prototypes."""
        cells = self.layer(cells)
        squares = cells.square().sum(-1, keepdim=True) + self.prototypes.square().sum(1)
        return (squares - 2 * cells @ self.prototypes.T).clamp(min=0)

    def similarities(self, cells: Tensor) -> Tensor:
        """Return the similarities (n, cells, p) of cells and prototypes, above 0, largest at distance 0."""
        distances = self.distances(cells)
        return ((distances + 1) / (distances + EPSILON)).log()

    def forward(self, cells: Tensor) -> Tensor:
        """Return the logits (n, classes) of the classes."""
        return self.to_classes(self.similarities(cells).amax(1))

    def fired(self, cells: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what speaks most for classes int (n,): which prototype, and the cell most similar to it, each (n,)."""
        most, where = self.similarities(cells).max(1)
        strongest = (most * self.to_classes.weight[target]).argmax(1)
        return strongest, where.take_along_dim(strongest[:, None], 1)[:, 0]
