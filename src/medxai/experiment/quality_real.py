"""Real photographs: dermoscopic ones that are spoilt on purpose, and a folder of one's own with labels."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from medxai import paths
from medxai.data import photo_quality, photo_sets, pictures
from medxai.data.photo_quality import CLASSES, REASONS, QualityPhotos
from medxai.data.photo_sets import ImageSet
from medxai.errors import DataError
from medxai.evaluation import bootstrap
from medxai.evaluation.classification import area_under_curve
from medxai.experiment.quality_scores import SEED, Answers, Network
from medxai.painting import faults, noise
from medxai.painting.faults import FAULTS

STRENGTH = 0.8
AS_IT_IS = "as it is"


@dataclass(frozen=True, eq=False)
class RealPhotos:
    """What there is of real photographs; ``None`` for what is not there."""

    dermoscopy: ImageSet | None
    """The photographs of ISIC UDA-1, without labels of quality."""
    own: QualityPhotos | None
    """The user's, with labels."""
    kind: ClassVar[str] = "real"

    @property
    def digest(self) -> str:
        """SHA-256 of pictures and labels, in hexadecimal digits."""
        total = hashlib.sha256((self.dermoscopy.digest if self.dermoscopy else "").encode())
        for part in (self.own.pictures, self.own.labels, self.own.reasons) if self.own else ():
            total.update(np.ascontiguousarray(part))
        return total.hexdigest()


def open_photographs(side: int) -> RealPhotos:
    """Open what there is of ``isic_uda1`` and ``photo_quality`` below MEDXAI_DATA.

    Raises
    ------
    DataError
        If neither is there, or there is a table of photographs of one's own and something is wrong with it.
    """
    root = paths.data_root()
    table = root / photo_quality.FOLDER / photo_quality.TABLE
    own = photo_quality.read_folder(side=side) if table.exists() else None
    try:
        return RealPhotos(photo_sets.isic_uda1(root / "isic_uda1"), own)
    except DataError:
        if own is None:
            raise
    return RealPhotos(None, own)


def squares(images: ImageSet, most: int, side: int) -> np.ndarray:
    """Return the middle squares of the first images of a set, uint8 (n, side, side, 3)."""
    found = []
    for name in images.images.index[:most]:
        image = images.image(name)
        room = min(image.shape[:2])
        top, left = ((length - room) // 2 for length in image.shape[:2])
        found.append(pictures.square(image[top : top + room, left : left + room], side))
    return np.stack(found)


def spoilt(shown: np.ndarray, reason: str, kind: str) -> np.ndarray:
    """Return pictures with a fault of `STRENGTH`, uint8 (n, side, side, 3)."""
    fault = FAULTS[reason][kind]
    rngs = (noise.generator(SEED, f"real {row}", kind) for row in range(len(shown)))
    each = (fault(one.astype(np.float32) / 255, STRENGTH, rng)[0] for one, rng in zip(shown, rngs, strict=True))
    return faults.to_bytes(np.stack(list(each)))


def asked(shown: np.ndarray, network: Network, resamples: int) -> pd.DataFrame:
    """Ask a network about photographs as they are and with each kind of fault.

    Returns
    -------
    pandas.DataFrame
        ``row`` (a kind of fault, or `AS_IT_IS`), ``metric``: each of `CLASSES`, the share of the photographs that are
        said to be so; "named", the share for which the right reason is given, and "named as it is", for which it is
        given without the fault; "AUC", how often the reason is more probable for a spoilt photograph than for one as it
        is; ``value``, ``low``, ``high``.
    """
    weights = bootstrap.resampled(np.arange(len(shown)), resamples, SEED)
    before = network(shown)
    lines = _said(AS_IT_IS, before, weights)
    for reason, kinds in FAULTS.items():
        column = REASONS.index(reason)
        for kind in kinds:
            after = network(spoilt(shown, reason, kind))
            lines += _said(kind, after, weights)
            named = {
                "named": weights @ after.given[:, column] / weights.sum(1),
                "named as it is": weights @ before.given[:, column] / weights.sum(1),
            }
            both = np.concatenate([after.reasons[:, column], before.reasons[:, column]])
            area = area_under_curve(np.arange(len(both)) < len(shown), both, np.hstack([weights, weights]))
            lines += [(kind, metric, *bootstrap.ends(values)) for metric, values in (named | {"AUC": area}).items()]
    return pd.DataFrame(lines, columns=["row", "metric", "value", "low", "high"])


def _said(row: str, answers: Answers, weights: np.ndarray) -> list[tuple]:
    shares = {name: weights @ (answers.said == number) / weights.sum(1) for number, name in enumerate(CLASSES)}
    return [(row, name, *bootstrap.ends(values)) for name, values in shares.items()]
