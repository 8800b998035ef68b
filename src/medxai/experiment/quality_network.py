"""ImageQX, trained on photographs of good and bad quality, and what it says of others."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medxai import paths, training
from medxai.data.photo_quality import CLASSES, REASONS, QualityPhotos
from medxai.experiment.quality_scores import Answers
from medxai.models import dermx
from medxai.models.dermx import DermX
from medxai.profiles import Profile
from medxai.training.dermx_examples import Examples
from medxai.training.dermx_training import predict, train_dermx


@dataclass(frozen=True, eq=False)
class TrainedQuality:
    """A network that was trained on photographs."""

    model: DermX

    def __call__(self, pictures: np.ndarray) -> Answers:
        """Return what it says of pictures, uint8 (n, side, side, 3)."""
        output = predict(self.model, unlabelled(pictures, len(self.model.characteristics)), frozen=False)
        maps = None if output.attention is None else output.attention.numpy()
        return Answers(output.diagnosis_logits.softmax(1).numpy(), output.characteristic_logits.sigmoid().numpy(), maps)


def examples(photos: QualityPhotos, reasons: bool = True) -> Examples:
    """Return photographs as they are learnt from; maps of faults are no part of what is learnt."""
    c = len(REASONS) if reasons else 0
    blank = unlabelled(photos.pictures, c)
    return Examples(
        blank.pictures, photos.labels, photos.reasons[:, :c] > 0, blank.maps, blank.counted, blank.explained
    )


def unlabelled(pictures: np.ndarray, c: int) -> Examples:
    """Return pictures of which nothing is known, with c reasons."""
    n, side = pictures.shape[:2]
    nothing = np.zeros((n, c), bool)
    maps = np.zeros((n, c, side // 4, side // 4), np.float32)
    return Examples(pictures, np.zeros(n, np.int64), nothing, maps, nothing, np.ones(n, bool))


def trained(
    photos: QualityPhotos, held_out: QualityPhotos, profile: Profile, *, run: int = 0, reasons: bool = True
) -> TrainedQuality:
    """Train a network on photographs, or read it from ``results/networks`` where that was done before.

    Parameters
    ----------
    held_out
        What is only watched: nothing is chosen by it.
    run
        Of equal trainings: the seed of new weights, order and dropout.
    reasons
        Whether it gives reasons; without, it is a network of the four classes alone.
    """
    torch.manual_seed(run)
    model = dermx.make(characteristics=REASONS if reasons else (), diseases=CLASSES)
    epochs = profile.quality_epochs
    train_dermx(
        model,
        examples(photos, reasons),
        examples(held_out, reasons),
        frozen=True,
        epochs=epochs,
        seed=run,
        folder=paths.trained(f"quality-{_digest(model, photos, epochs, run)}").with_suffix(""),
        weighted_classes=True,
    )
    return TrainedQuality(model)


def _digest(model: DermX, photos: QualityPhotos, epochs: int, run: int) -> str:
    """Return 16 hexadecimal digits for all that training depends on, the program among it."""
    total = hashlib.sha256(repr((model.origin, model.characteristics, epochs, run)).encode())
    for part in (photos.pictures, photos.labels, photos.reasons, photos.votes):
        total.update(np.ascontiguousarray(part))
    for program in (*sorted(Path(training.__file__).parent.glob("*.py")), Path(dermx.__file__)):
        total.update(program.read_bytes())
    return total.hexdigest()[:16]
