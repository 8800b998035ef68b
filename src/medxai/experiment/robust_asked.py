"""One network of the robustness study, asked about its test images and explained on some of them: its tables."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap
from medxai.experiment import robust_compared
from medxai.experiment.robust_network import SEED, VARIANTS, RobustNetwork
from medxai.robustness.saliency_shift import ORIGINAL, SaliencyShift

MAIN = next(iter(VARIANTS))
OUTCOMES = ("all", "right", "wrong")


@dataclass(frozen=True, eq=False)
class Asked:
    """A network, and what tables are made of; columns are said in `medxai.experiment.robust_compared`."""

    trained: RobustNetwork
    rows: np.ndarray
    """int (m,), the test images that are explained."""
    groups: np.ndarray
    """int (n,), of all test images: near copies share a number."""
    weights: np.ndarray
    """As of `medxai.evaluation.bootstrap.resampled`."""
    areas: np.ndarray
    """As of `medxai.experiment.robust_compared.areas`."""

    @classmethod
    def of(cls, trained: RobustNetwork, rows: np.ndarray, groups: np.ndarray, resamples: int) -> "Asked":
        """Ask the network about all versions of all test images, and resample these."""
        weights = bootstrap.resampled(groups, resamples, SEED)
        areas = robust_compared.areas(trained.test.labels, trained.probabilities, weights)
        return cls(trained, rows, groups, weights, areas)

    def scores(self, near_copy: np.ndarray) -> pd.DataFrame:
        """Return `medxai.experiment.robust_compared.scores`, given of which test images training had a near copy."""
        given = self.trained.test.labels, self.trained.probabilities, self.areas, near_copy, self.weights
        return robust_compared.scores(*given)

    def explained(self) -> dict[str, pd.DataFrame]:
        """Explain by the first of `VARIANTS`; say how far maps move, and whether that goes with the answers.

        Returns
        -------
        dict of pandas.DataFrame
            ``rmse`` and ``rmse_by_class``, means with intervals; ``similarity``, the same by the other measures, with
            the column measure; ``relation``, ``separability`` and ``flags``, of the functions of these names.
        """
        labels, table = self.trained.test.labels, self.trained.shift(self.rows, MAIN)
        moved, rmse = _moved(table), robust_compared.with_corrected(_moved(table))
        similar = {name: self._bands(moved, name) for name in SaliencyShift.measures}
        return {
            "rmse": robust_compared.bands(rmse, "rmse", self.groups, outcome=(*OUTCOMES, "lost"), **self._resampling),
            "rmse_by_class": robust_compared.bands_by_class(
                moved, "rmse", self.groups, outcome=OUTCOMES[1:], **self._resampling
            ),
            "similarity": robust_compared.stacked(similar, "measure"),
            "relation": robust_compared.relation(table, labels, self.areas, self.weights),
            "separability": robust_compared.separability(table, labels, self.weights),
            "flags": robust_compared.flags(table, self.weights),
        }

    def variants(self) -> dict[str, pd.DataFrame]:
        """Explain by the other `VARIANTS`, all classes together.

        Returns
        -------
        dict of pandas.DataFrame
            ``variants``, as ``rmse``, and ``variant_relations``, as ``relation``, with the column variant.
        """
        tables = {name: self.trained.shift(self.rows, name) for name in VARIANTS if name != MAIN}
        labels, mean_area = self.trained.test.labels, self.areas[..., :1]
        bands = {name: self._bands(_moved(table), "rmse") for name, table in tables.items()}
        relations = {
            name: robust_compared.relation(table, labels, mean_area, self.weights) for name, table in tables.items()
        }
        return {
            "variants": robust_compared.stacked(bands, "variant"),
            "variant_relations": robust_compared.stacked(relations, "variant"),
        }

    @property
    def _resampling(self) -> dict[str, int]:
        return {"resamples": len(self.weights) - 1, "seed": SEED}

    def _bands(self, table: pd.DataFrame, measure: str) -> pd.DataFrame:
        return robust_compared.bands(table, measure, self.groups, outcome=OUTCOMES, **self._resampling)


def _moved(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the originals, which are compared with themselves."""
    return table[table["corruption"] != ORIGINAL]
