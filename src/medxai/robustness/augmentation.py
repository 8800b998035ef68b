"""Training on corrupted images that are made as they are needed."""

import numpy as np
import torch
from torch import Tensor

from medxai.robustness import corruptions


def drawn_versions(images: Tensor, rows: np.ndarray, number: int, *, seed: int = 0, constants: str = "224") -> Tensor:
    """Return each image as it is or in one of its 25 versions, all 26 as likely.

    In the mean over passes that is the robustness thesis's training set, 26 times as large, of which nothing but the
    batch is ever in memory. What is drawn depends on the seed, the pass and the row alone.

    Parameters
    ----------
    images
        uint8 (b, c, h, w), as of `medxai.robustness.corruptions`.
    rows
        int (b,), of the images in their set.
    number
        Of the pass over the training images, from 1, so that noise and motion are never those of the same row at the
        same seed in an evaluation.
    """
    drawn = images.clone()
    for i, row in enumerate(rows.tolist()):
        choice = int(np.random.default_rng([seed, number, row]).integers(len(corruptions.VERSIONS) + 1))
        if choice < len(corruptions.VERSIONS):
            options = {"seed": seed + number, "constants": constants}
            drawn[[i]] = corruptions.corrupt(images[[i]], *corruptions.VERSIONS[choice], torch.tensor([row]), **options)
    return drawn
