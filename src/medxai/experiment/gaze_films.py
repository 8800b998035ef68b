"""Chest films with gaze, in three parts: those a network learns from, those it is chosen by, those it is tested on."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medxai.data import chest_films, chest_phantom
from medxai.data.chest_films import ChestFilms
from medxai.data.medmnist import SPLITS
from medxai.experiment.gaze_maps import TARGETS, edges
from medxai.profiles import Profile
from medxai.training.gaze_training import GazeExamples

SEED = 0
"""Of the phantoms, and of splits."""
SHOWN = 3
"""The first test films, one of each class, are shown with their maps."""


@dataclass(frozen=True, eq=False)
class GazeFilms:
    """Films, and which of them are in which part."""

    films: ChestFilms
    rows: Mapping[str, np.ndarray]
    """Rows of each of the `SPLITS`, no patient in two."""

    def examples(self, split: str, target: str = "gaze") -> GazeExamples:
        """Return a part with what a network is guided by, a key of `medxai.experiment.gaze_maps.TARGETS`."""
        rows, images = self.rows[split], self.films.images
        maps = TARGETS[target](images.pictures[rows], self.films.gaze[rows], SEED)
        return GazeExamples(images.pictures[rows], images.labels[rows], maps)

    def looks(self, rows: np.ndarray) -> np.ndarray:
        """Return for how many seconds somebody looked at each pixel of some films, float64 (n, side, side)."""
        names, side = self.films.images.names, self.films.images.side
        by_name = dict(list(self.films.fixations.groupby("image", sort=False)))
        seconds = np.zeros((len(rows), side, side))
        for place, row in enumerate(rows):
            if names[row] in by_name:
                mine = by_name[names[row]]
                at = np.minimum(mine[["y", "x"]].to_numpy().astype(int), side - 1)
                np.add.at(seconds[place], tuple(at.T), mine["duration"].to_numpy())
        return seconds

    def findings(self, rows: np.ndarray) -> np.ndarray | None:
        """Return where the findings of some films are, float (n, side, side), ``None`` where that is not known."""
        truth = self.films.images.truth
        return None if truth is None else np.stack([truth(row) for row in rows])

    def controls(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return maps of some films, float (n, side, side), that no network has made.

        The last two know the gaze on these films, so they are no more than measures: the gaze on the film before, and
        the mean gaze.
        """
        pictures, gaze = self.films.images.pictures[rows], self.films.gaze[rows]
        known = {} if self.films.lungs is None else {"lungs": self.films.lungs[rows].astype(float)}
        mean = np.broadcast_to(gaze.mean(0), gaze.shape)
        return {**known, "edges": edges(pictures), "gaze of another image": np.roll(gaze, 1, axis=0), "mean gaze": mean}


def parted(films: ChestFilms) -> GazeFilms:
    """Part films by patient, such as those of `medxai.data.egd_cxr.read`; films nobody looked at are left out.

    Raises
    ------
    DataError
        As `medxai.data.chest_films.split`.
    """
    seen = np.flatnonzero(np.isfinite(films.gaze).all((1, 2)))
    found = chest_films.split(films.images.labels[seen], films.images.groups[seen], seed=SEED)
    return GazeFilms(films, {name: seen[rows] for name, rows in found.items()})


def phantoms(profile: Profile) -> GazeFilms:
    """Draw as many phantoms as a profile says, once per process; half as many to choose by as to test on."""
    return _phantoms(profile.gaze_training, profile.gaze_test, profile.gaze_side)


@functools.lru_cache(maxsize=2)
def _phantoms(training: int, test: int, side: int) -> GazeFilms:
    films = chest_phantom.draw(test + test // 2 + training, side, SEED)
    parts = np.split(np.arange(len(films.gaze)), [test, test + test // 2])  # tested first: to be drawn alone
    rows = dict(zip(SPLITS, (parts[2], parts[1], parts[0]), strict=True))
    return GazeFilms(films, chest_films.check_split(rows, films.images.groups))


def shown(side: int) -> ChestFilms:
    """Draw the first test films alone, one of each class."""
    return chest_phantom.draw(SHOWN, side, SEED)
