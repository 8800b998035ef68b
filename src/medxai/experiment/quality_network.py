"""ImageQX, trained on the photographs of a profile, and what it says of others."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medxai import files, paths, training
from medxai.data.photo_quality import QualityPhotos
from medxai.experiment import quality_photos
from medxai.experiment.quality_scores import Answers
from medxai.models import dermx, image_quality
from medxai.models.dermx import DermX, DermXOutput
from medxai.profiles import Profile
from medxai.training.dermx_examples import CHUNK, joined
from medxai.training.quality_training import train_quality


@dataclass(frozen=True, eq=False)
class TrainedQuality:
    """A network that was trained on photographs."""

    model: DermX

    def __call__(self, pictures: np.ndarray) -> Answers:
        """Return what it says of pictures, uint8 (n, side, side, 3)."""
        output = joined([self._output(some) for some in np.array_split(pictures, -(-len(pictures) // CHUNK))])
        maps = None if output.attention is None else output.attention.numpy()
        return Answers(output.diagnosis_logits.softmax(1).numpy(), output.characteristic_logits.sigmoid().numpy(), maps)

    def _output(self, pictures: np.ndarray) -> DermXOutput:
        with torch.no_grad():
            return self.model(self.model.normalisation.apply(pictures))


def trained(profile: Profile, *, run: int = 0, reasons: bool = True, soft: bool = False) -> TrainedQuality:
    """Train a network on a profile's training photographs, or read it from ``results/networks`` where that was done.

    Parameters
    ----------
    run
        Of equal trainings: the seed of new weights, order and dropout.
    reasons
        Whether it gives reasons; without, it is a network of the four classes alone.
    soft
        Whether it learns the shares of the raters' votes in place of the class that most of them chose.
    """
    photos, epochs = quality_photos.photos(profile), profile.quality_epochs
    learnt = photos.rows(quality_photos.split(photos.groups)["training"])
    torch.manual_seed(run)
    model = image_quality.make(reasons=reasons)
    path = paths.trained(f"quality-{_digest(model, learnt, (epochs, run, soft))}")

    def content() -> bytes:
        train_quality(model, learnt, epochs=epochs, seed=run, soft=soft)
        written = io.BytesIO()
        torch.save(model.state_dict(), written)
        return written.getvalue()

    files.once(path, content)
    return TrainedQuality(dermx.load(model, path).eval())


def _digest(model: DermX, photos: QualityPhotos, told: tuple) -> str:
    """Return 16 hexadecimal digits for all that training depends on, the program among it."""
    total = hashlib.sha256(repr((model.origin, model.characteristics, *told)).encode())
    for part in (photos.pictures, photos.labels, photos.reasons, photos.votes):
        total.update(np.ascontiguousarray(part))
    programs = (Path(one.__file__) for one in (dermx, image_quality))
    for program in (*sorted(Path(training.__file__).parent.glob("*.py")), *programs):
        total.update(program.read_bytes())
    return total.hexdigest()[:16]
