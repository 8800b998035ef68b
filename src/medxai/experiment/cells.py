"""Pictures as bags of cells: the places of the last feature maps of a network that knows no disease."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medxai.experiment.explained_paintings import ExplainedPaintings

COMPONENTS = 64
"""Of a cell at most: what a small head can learn from a few hundred pictures."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of some pictures, n, in a grid of h times w, and which pictures train and which are asked about."""

    bags: Tensor
    """float32 (n, h * w, k): principal components, centred and scaled by those of the training cells."""
    grid: tuple[int, int]
    """h and w."""
    labels: Tensor
    """int64 (n,)."""
    seen: np.ndarray
    asked: np.ndarray
    """int, rows."""

    def at_size(self, maps: Tensor, side: int) -> np.ndarray:
        """Return numbers of cells (m, h * w) as maps (m, side, side), bilinearly, as other maps of a layer."""
        small = maps.reshape(-1, 1, *self.grid)
        return torch.nn.functional.interpolate(small, (side, side), mode="bilinear", align_corners=False)[:, 0].numpy()


def cells(maps: np.ndarray, shown: ExplainedPaintings, seen: np.ndarray, unseen: np.ndarray) -> Cells:
    """Make bags of feature maps, float32 (n, k, h, w); the principal components are those of the training cells."""
    from sklearn.decomposition import PCA

    flat = maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)
    known = flat[seen].reshape(-1, flat.shape[2])
    components = PCA(min(COMPONENTS, *known.shape), svd_solver="covariance_eigh").fit(known)
    values = components.transform(flat.reshape(-1, flat.shape[2])).reshape(*flat.shape[:2], -1)
    values /= values[seen].std()
    labels = torch.from_numpy(shown.images.labels).long()
    return Cells(torch.from_numpy(values.astype(np.float32)), maps.shape[2:], labels, seen, unseen)
