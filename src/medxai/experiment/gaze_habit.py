"""How maps score against a simulated reader's gaze that know where one looks on any film, and nothing of this one.

Films, findings and gaze are those of `medxai.data.chest_phantom`: the reader searches along the anatomy, and dwells on
the finding.
"""

import numpy as np
import pandas as pd

from medxai.data import chest_phantom
from medxai.evaluation import bootstrap, gaze_metrics
from medxai.experiment.gaze_films import SEED, GazeFilms

SIDE = 64
"""Of the films, in pixels."""
PART = "with findings"
SCORES = {
    "NSS": lambda maps, looks, density: gaze_metrics.nss(maps, looks),
    "CC": lambda maps, looks, density: gaze_metrics.correlation(maps, density),
    "AUC-Judd": lambda maps, looks, density: gaze_metrics.auc_judd(maps, looks),
    "sAUC": lambda maps, looks, density: gaze_metrics.shuffled_auc(maps, looks),
    "sNCC": lambda maps, looks, density: gaze_metrics.shuffled_correlation(maps, density),
    "sNCC, to the mean": lambda maps, looks, density: gaze_metrics.shuffled_correlation(
        maps, density, against="mean gaze"
    ),
}
"""What is shown of `medxai.evaluation.gaze_metrics`, of seconds at each pixel or of their density."""


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
    rows, parts = films.rows[PART], []
    looks, density, groups = films.looks(rows), films.films.gaze[rows].astype(float), films.films.images.groups[rows]
    for row, maps in maps_that_know(films).items():
        values = pd.DataFrame({name: score(maps, looks, density) for name, score in SCORES.items()})
        means = bootstrap.mean_intervals(values, groups=groups, resamples=resamples)
        parts.append(means.rename_axis("metric").reset_index().assign(row=row))
    return pd.concat(parts, ignore_index=True)[["row", "metric", "value", "low", "high", "images"]]
