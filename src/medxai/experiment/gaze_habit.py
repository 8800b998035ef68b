"""How maps score against a simulated reader's gaze that know where one looks on any film, and nothing of this one.

Films, findings and gaze are those of `medxai.data.chest_phantom`: the reader searches along the anatomy, and dwells on
the finding.
"""

import numpy as np
import pandas as pd

from medxai.data import chest_phantom
from medxai.evaluation import gaze_metrics
from medxai.experiment import gaze_trained
from medxai.experiment.gaze_films import SEED, GazeFilms

SIDE = 64
"""Of the films, in pixels."""
PART = "with findings"
SCORES = {name: gaze_trained.SCORES[name] for name in ("NSS", "CC", "AUC-Judd", "sAUC", "sNCC")} | {
    "sNCC, to the mean": lambda maps, looks, density: gaze_metrics.shuffled_correlation(
        maps, density, against="mean gaze"
    ),
}
"""Of the kind of `medxai.experiment.gaze_trained.SCORES`."""


def looked(number: int) -> GazeFilms:
    """Draw films; those that show a finding, two of three, are the one part `PART`."""
    films = chest_phantom.draw(number, SIDE, SEED)
    return GazeFilms(films, {PART: np.flatnonzero(films.images.labels != chest_phantom.NORMAL)})


def maps_that_know(films: GazeFilms) -> dict[str, np.ndarray]:
    """Return maps by what they know: the finding, that of another film, the mean lungs, where one looks on average."""
    rows = films.rows[PART]
    findings = films.findings(rows).astype(float)

    def all_alike(some: np.ndarray) -> np.ndarray:
        return np.broadcast_to(some.mean(0, dtype=float), findings.shape)

    return {
        "The finding of the film": findings,
        "▸ Another film's finding": np.roll(findings, 1, axis=0),
        "▸ The outline of the lungs": all_alike(films.films.lungs[rows]),
        "▸ The mean gaze": all_alike(films.films.gaze[rows]),
    }


def scored(films: GazeFilms, resamples: int) -> pd.DataFrame:
    """Score them: means over films with intervals by a bootstrap over patients, tidy, ``row`` being the map."""
    found = gaze_trained.scores(films, films.rows[PART], maps_that_know(films), resamples, SCORES)
    found = found[found["metric"].isin(SCORES)].rename(columns={"map": "row"})
    return found[["row", "metric", "value", "low", "high", "images"]].reset_index(drop=True)
