"""Attention as a way to pool: a weight for each cell of a picture, and a diagnosis from the weighted mean of the cells.

Ilse, Tomczak and Welling 2018, "Attention-based Deep Multiple Instance Learning", International Conference on Machine
Learning. The cells of a feature map are the instances, the picture is their bag.
"""

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    r"""Cells, the weighted mean of them, logits of classes.

    The weights are those of gated attention (Ilse et al. 2018, equation 9), with the scores :math:`s` of cells
    :math:`h`

    .. math:: s_k = w^\top \left(\tanh(V h_k) \odot \mathrm{sigm}(U h_k)\right), \qquad
              a_k = \frac{\exp s_k}{\sum_j \exp s_j} .

    Below, cells are float (n, cells, features); ``kept`` is bool (n, cells), which cells of an image are in its bag,
    all of them if ``None``; at least one must be.

    Parameters
    ----------
    features, classes
        How many of each there are.
    hidden
        Rows of V and U; 0 for equal scores, which is mean pooling.
    """

    def __init__(self, features: int, classes: int, *, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.to_classes = nn.Linear(features, classes)
        if hidden:
            self.content, self.gate = nn.Linear(features, hidden), nn.Linear(features, hidden)
            self.to_score = nn.Linear(hidden, 1, bias=False)

    def weights(self, cells: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the weights (n, cells) of the cells, which sum to 1; 0 for those that are not kept."""
        if self.hidden:
            scores = self.to_score(self.content(cells).tanh() * self.gate(cells).sigmoid()).squeeze(-1)
        else:
            scores = cells.new_zeros(cells.shape[:2])
        return (scores if kept is None else scores.masked_fill(~kept, -torch.inf)).softmax(1)

    def forward(self, cells: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the logits (n, classes) of the classes."""
        return self.answer(cells, self.weights(cells, kept))

    def answer(self, cells: Tensor, weights: Tensor) -> Tensor:
        """Return the logits (n, classes) for weights (n, cells), the network's own or any others."""
        return self.to_classes((weights[..., None] * cells).sum(1))

    def contributions(self, cells: Tensor, target: Tensor) -> Tensor:
        """Return what each cell adds to the logits of classes int (n,), (n, cells): the sum is the logit less its bias.

        That is class activation mapping (Zhou et al. 2016, equation 2) for a weighted mean.
        """
        return self.weights(cells) * (cells * self.to_classes.weight[target][:, None]).sum(-1)

    def score_gradient(self, cells: Tensor, target: Tensor) -> Tensor:
        r"""Return the gradient of the logits of classes int (n,) by the scores of the cells, (n, cells).

        With the evidence :math:`e` of each cell it is :math:`a_k (e_k - \sum_j a_j e_j)`: to attend more to a cell is
        to attend less to the others.
        """
        contributions = self.contributions(cells, target)
        return contributions - self.weights(cells) * contributions.sum(1, keepdim=True)
