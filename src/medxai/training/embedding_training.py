"""Training of an embedding in which images that somebody calls alike lie near each other, by triplets."""

import torch
from torch import Tensor, nn

from medxai.training.whole_batch import minimise

DIMENSIONS, STEPS = 32, 200
RATE, DECAY = 1e-3, 1e-2
"""Of Adam; the decay is that of weights."""
MARGIN = 0.2
"""As of Schroff et al. 2015, "FaceNet", section 3."""


def train_embedding(features: Tensor, likeness: Tensor, *, seed: int) -> tuple[nn.Linear, float]:
    r"""Train a linear embedding by the triplet loss (Schroff et al. 2015, "FaceNet", section 3.1).

    With unit vectors :math:`f`, anchor :math:`a`, :math:`p` more alike to it and :math:`n` less alike, the loss of a
    triplet is :math:`\max(0, \|f_a - f_p\| - \|f_a - f_n\| + \mathrm{margin})`, here with distances that are not
    squared. In each of `STEPS` steps every image is an anchor once, and two others are drawn for it; those that are
    equally alike make no triplet.

    Parameters
    ----------
    features
        float32 (n, k).
    likeness
        float (n, n): how alike two images are, in any unit, 1 for the same diagnosis and 0 for another or in shades.
    seed
        Of the start and the draws.

    Returns
    -------
    embedding : torch.nn.Linear
        Gives (n, `DIMENSIONS`), of which only the directions are trained: compare them by their cosine.
    loss : float
        Mean over the triplets of the last step; NaN if there was none.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    number = len(features)
    if likeness.shape != (number, number):
        raise ValueError(f"likeness is {tuple(likeness.shape)}: expected ({number}, {number}), a row for each image")
    generator = torch.Generator().manual_seed(seed)
    embedding = nn.Linear(features.shape[1], DIMENSIONS, bias=False)
    with torch.no_grad():  # reproducible whatever else draws
        embedding.weight.copy_(torch.randn(embedding.weight.shape, generator=generator) / features.shape[1] ** 0.5)
    triplet_loss = nn.TripletMarginLoss(MARGIN)

    def loss() -> Tensor:
        anchor, near, far = _triplets(likeness, generator)
        unit = nn.functional.normalize(embedding(features), dim=1)
        return triplet_loss(unit[anchor], unit[near], unit[far])

    last = minimise(loss, embedding.parameters(), steps=STEPS, rate=RATE, decay=DECAY)
    return embedding.requires_grad_(False), last


def _triplets(likeness: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows of anchors, of images more alike to them, and of images less alike, each int (t,)."""
    number = len(likeness)
    anchor = torch.arange(number)
    one, other = (anchor + torch.randint(1, number, (2, number), generator=generator)) % number  # never itself
    gap = likeness[anchor, one] - likeness[anchor, other]
    near, far = torch.where(gap > 0, one, other), torch.where(gap > 0, other, one)
    return anchor[gap != 0], near[gap != 0], far[gap != 0]
