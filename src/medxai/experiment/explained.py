"""What the chapters on attribution explain: one network, some paintings, and for each its disease and another."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import nn

from medxai.evaluation import sanity
from medxai.experiment.kept_maps import kept
from medxai.experiment.panel import MAP_METHODS, STATISTICS, Maps, Panel
from medxai.experiment.trained_network import TrainedNetwork
from medxai.profiles import Profile

SAMPLES = 16  # at most of a method: with them a full run takes a quarter of an hour
PATCHES = 8
"""Along a side: regions of the methods that cover some, and what maps of unlike fineness are compared on."""
SHOWN = 4
"""Paintings at most whose maps are kept for the chapters."""


@dataclass(frozen=True, eq=False)
class Explained:
    """A network and its held-out paintings that are explained, the first of which the chapters show."""

    trained: TrainedNetwork
    panel: Panel
    """What explains it, with the samples of these chapters."""
    rows: list[int]
    """Of the paintings, first that with a lesion of middling size."""

    @classmethod
    def of(cls, trained: TrainedNetwork, profile: Profile) -> "Explained":
        """Choose what is explained, and how."""
        more = {"samples": 2 * PATCHES**2}  # than regions, so that regressions have a solution
        methods = {name: more if name in ("lime", "kernel_shap") else {} for name in MAP_METHODS}
        panel = Panel.of(trained, min(SAMPLES, profile.samples // 2), methods)
        rows = map(int, trained.rows_to_explain(profile.attributed_images))
        middling = sorted(rows, key=lambda row: abs((trained.images.truth(row) > 0.5).mean() - 0.2))
        return cls(trained, panel, middling)

    @cached_property
    def targets(self) -> np.ndarray:
        """int (rows, 2): the disease of each painting, and the most probable of the others."""
        own, probabilities = self.panel.targets[self.rows], self.trained.probabilities[self.rows]
        others = np.where(np.arange(probabilities.shape[1]) == own[:, None], -1, probabilities).argmax(1)
        return np.stack([own, others], axis=1)

    @cached_property
    def maps(self) -> Maps:
        """float32 (paintings, 2, side, side) by method: maps of the first `SHOWN` paintings for both `targets`."""
        made = [self.keep(which) for which in range(2)]
        return {method: np.stack([part[method] for part in made], axis=1) for method in made[0]}

    def keep(self, which: int, maps: Maps | None = None) -> Maps:
        """Return the maps for one of the two targets, (paintings, side, side), as kept; or keep those of all rows."""
        rows, targets = self.rows[:SHOWN], self.targets[:SHOWN, which]
        return kept(self.panel, rows, targets, maps and (lambda: {name: some[:SHOWN] for name, some in maps.items()}))

    @property
    def picture(self) -> np.ndarray:
        """uint8 (side, side, 3): the painting that the chapters show."""
        return self.trained.images.pictures[self.rows[0]]

    @property
    def outline(self) -> np.ndarray:
        """Float (side, side): which share of a pixel of it was painted as a lesion."""
        return self.trained.images.truth(self.rows[0])

    @property
    def image(self) -> torch.Tensor:
        """float32 (1, 3, side, side): the painting as the network sees it."""
        return self.trained.image(self.rows[0])

    @property
    def names(self) -> list[str]:
        """Of both targets of it."""
        return [self.trained.images.classes[target] for target in self.targets[0]]


def with_new_top(panel: Panel) -> nn.Module:
    """Return a copy of the network with the upper half of its layers drawn anew, not trained."""
    stages = sanity.cascade(panel.network, panel.training[:STATISTICS], stages=3, seed=panel.seed)
    return next(islice(stages, 1, None))[1]
