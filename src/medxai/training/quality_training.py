"""Training ImageQX: reasons and quality together, by the settings of appendix C of the thesis of Jalaboi 2023.

Blocks up to stride 16 stay as they are and run once on each picture and its flips, as in `medxai.training.transfer`.
"""

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from medxai.data.photo_quality import CLASSES, QualityPhotos
from medxai.models.dermx import DermX, DermXOutput
from medxai.training import dermx_examples
from medxai.training.dermx_training import RATE
from medxai.training.fit import BATCH
from medxai.training.guidance import characteristic_loss, diagnosis_loss

REASONS_WEIGHT = 5.0
"""Of the loss of the reasons; that of the quality counts once."""
MOST = 10.0
"""Weight of a rare class at most."""
FIRST_PERIOD, LONGER = 3, 3
"""Epochs until the first restart, and how many times as long each next period is: 3, 9 and 27 make 39 (ERRATA Q12)."""


def clipped_weights(labels: np.ndarray) -> Tensor:
    r"""Return the weights of the classes, :math:`\min(n_{max} / n_c, 10)`, float32 (4,); 10 for one without images."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    ratio = np.divide(counts.max(), counts, out=np.full(len(counts), MOST), where=counts > 0)
    return torch.tensor(np.minimum(ratio, MOST), dtype=torch.float32)


def quality_loss(output: DermXOutput, quality: Tensor, reasons: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the loss of some photographs: cross entropy of the quality, and five times that of the reasons.

    Both are means, as in the corrected form of ERRATA Q1.

    Parameters
    ----------
    quality
        int (n,), classes; or float (n, 4), shares of the raters' votes.
    reasons
        float (n, c), 0 or 1.
    weights
        float (4,), of the classes.
    """
    loss = diagnosis_loss(output.diagnosis_logits, quality, weights)
    return loss + REASONS_WEIGHT * characteristic_loss(output.characteristic_logits, reasons)


def train_quality(
    model: DermX, photos: QualityPhotos, *, epochs: int, seed: int, soft: bool = False, rate: float = RATE
) -> list[float]:
    """Train a network in place, and leave it in evaluation mode; return the mean loss of each epoch.

    Parameters
    ----------
    model
        Of `medxai.models.image_quality.make`; one without reasons learns the quality alone.
    photos
        What to learn from, all of it.
    epochs
        Passes over the photographs. Rates restart after 3, 12 and 39: weights in between are of a high rate.
    seed
        Of order, flips and dropout.
    soft
        Whether to learn the shares of the raters' votes in place of the class that most of them chose; these need no
        weights, since what is rare is not alone in its photographs.
    rate
        The highest.

    Raises
    ------
    UnsupportedModel
        As `medxai.training.dermx_examples.parts`.
    FloatingPointError
        If a loss is not finite.
    """
    torch.manual_seed(seed)
    early = dermx_examples.early_maps(model, photos.pictures)
    late = dermx_examples.parts(model)[1]
    quality = torch.from_numpy(photos.votes if soft else photos.labels.astype(np.int64))
    reasons = torch.from_numpy(photos.reasons[:, : len(model.characteristics)]).float()
    weights = None if soft else clipped_weights(photos.labels)
    batches = max(len(photos) // BATCH, 1)  # a last batch of one picture could not be normalised
    trained = [late, model.reduction, model.diagnosis, *([] if model.explanation is None else [model.explanation])]
    optimiser = torch.optim.AdamW([one for part in trained for one in part.parameters()], lr=rate)
    schedule = CosineAnnealingWarmRestarts(optimiser, FIRST_PERIOD * batches, LONGER)
    model.to(memory_format=torch.channels_last).train()
    model.backbone.eval()
    late.train()
    history = []
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(photos)).tensor_split(batches):
            seen = early[torch.randint(len(early), (len(rows),)), rows].contiguous(memory_format=torch.channels_last)
            loss = quality_loss(model.heads(late(seen), attention=False), quality[rows], reasons[rows], weights)
            if not loss.isfinite():
                raise FloatingPointError(f"the loss is {loss.item()} in epoch {epoch + 1}: a lower rate may help")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows) / len(photos)
        history.append(total)
    model.eval()
    return history
