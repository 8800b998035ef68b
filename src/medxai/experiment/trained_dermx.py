"""DermX, its baselines and its variants, each trained on most folds of the paintings and asked about the others."""

import copy
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medxai import paths, training
from medxai.data import dermx_folds
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.evaluation import attention_cases
from medxai.experiment import dermx_scores
from medxai.experiment.explained_paintings import ExplainedPaintings, explained_paintings
from medxai.experiment.kept_maps import once
from medxai.models import concept_cams, dermx
from medxai.models.dermx import DermX, DermXOutput, at_stride_16
from medxai.models.weights import Pretrained
from medxai.painting import camera
from medxai.profiles import Profile
from medxai.training import control_maps, dermx_examples
from medxai.training.dermx_examples import Examples
from medxai.training.dermx_training import predict, train_dermx

SEED = 0
FOLDS = 10
PROGRAMS = (dermx, concept_cams, dermx_scores)
"""Modules on which a network and its history depend, beside those of `medxai.training`."""
COARSE = 3
"""Cells along a side of coarsened maps."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the fields are arguments of a trial."""

    characteristics: bool = True
    """Whether it has them: DermX, or Dx without."""
    guidance: str = ""
    """Key of `medxai.training.guidance.GUIDANCE`; empty for none."""
    weight: float = 10.0
    """Of the loss of attention."""
    maps: str = "experts"
    """What guides: ``experts``, or a control: ``another image``, ``mean of disease``, ``gaussian``, ``coarse``."""
    weighted_classes: bool = False
    """Whether each disease counts the same, as in DxW."""
    whole: bool = False
    """Whether all of the network is trained, and not only the blocks after stride 16."""
    clinic: bool = False
    """Whether pictures are taken by a poor camera (`medxai.painting.camera.clinic`)."""
    fine: bool = False
    """Whether its last maps have stride 16 in place of 32."""


@dataclass(frozen=True, eq=False)
class TrainedDermX:
    """A network and what it says of images that it has not seen."""

    recipe: Recipe
    model: DermX
    paintings: ExplainedPaintings
    rows: dict[str, np.ndarray]
    """By split, ``training``, ``validation`` and ``test``: rows of the paintings."""
    examples: dict[str, Examples]
    """Of validation and test."""
    output: dict[str, DermXOutput]
    """Likewise."""
    history: pd.DataFrame
    """As of `medxai.training.dermx_training.train_dermx`; held out are the validation images."""

    def images(self, cases: Sequence[int]) -> torch.Tensor:
        """Return some of the test images as the network sees them, float32 (n, 3, side, side)."""
        return self.model.normalisation.apply(self.paintings.images.pictures[self.rows["test"][list(cases)]])

    def argument(self, case: int, most: int = 3) -> tuple[list[np.ndarray], list[str]]:
        """Return how the network argues a test image, as pictures and titles for a sheet of `most` + 1 columns.

        Above the image and where the network sees what it finds most probable, below where experts marked the same.
        """
        output, examples, names = self.output["test"], self.examples["test"], self.model.characteristics
        picture = self.paintings.images.pictures[self.rows["test"][case]]
        diagnosis, found = output.diagnosis_logits[case].softmax(0), output.characteristic_logits[case].sigmoid()
        order = found.argsort(descending=True, stable=True)[:most]
        experts = torch.from_numpy(examples.maps[case])[order]
        maps = [attention_cases.fine(some, picture.shape[:2]) for some in (output.attention[case][order], experts)]
        most_probable = int(diagnosis.argmax())
        said = [f"{self.model.diseases[most_probable]} {float(diagnosis[most_probable]):.0%}"]
        said += [f"{names[c]} {float(found[c]):.0%}" for c in order]
        seen = ["experts" if examples.present[case, c] else "experts: nobody" for c in order]
        return [picture, *maps[0], np.full_like(picture, 255), *maps[1]], [*said, "", *seen]

    def scores(self) -> pd.DataFrame:
        """Return `medxai.experiment.dermx_scores.scores` of both splits: columns split, metric, value."""
        lines = [
            (split, *pair)
            for split, output in self.output.items()
            for pair in dermx_scores.scores(output, self.examples[split]).items()
        ]
        return pd.DataFrame(lines, columns=["split", "metric", "value"])

    def said(self) -> pd.DataFrame:
        """Return `medxai.experiment.dermx_scores.said` of the test images."""
        given = self.output["test"], self.examples["test"], self.test_names()
        return dermx_scores.said(*given, self.model.diseases, self.model.characteristics)

    def cases(self, fold: int) -> pd.DataFrame:
        """Return `medxai.experiment.dermx_scores.cases` of the test images."""
        given = self.output["test"], self.examples["test"], self.test_names(), self.model.characteristics
        return dermx_scores.cases(*given, fold)

    def test_names(self) -> list[str]:
        """Return the names of the test images."""
        return [self.paintings.images.names[row] for row in self.rows["test"]]

    def fine_attention(self, case: int) -> np.ndarray:
        """Return the attention of a test image over its maximum, at the size of the experts' maps, (c, side, side)."""
        return attention_cases.fine(self.output["test"].attention[case], self.examples["test"].maps.shape[2:])

    @functools.cached_property
    def pooled(self) -> torch.Tensor:
        """The averaged feature maps of the test images, (n, k), which both branches read."""
        pictures = self.paintings.images.pictures[self.rows["test"]]
        with torch.no_grad():
            batches = self.model.normalisation.apply(pictures).split(dermx_examples.CHUNK)
            return torch.cat([self.model.feature_maps(some).mean((2, 3)) for some in batches])


def splits(db: DermXDB, names: Sequence[str], fold: int) -> dict[str, np.ndarray]:
    """Return the rows of some images by split: a fold of the paper is the test, the next one is for validation."""
    folds = dermx_folds.tested_in(db, names)
    test, validation = folds == fold, folds == (fold + 1) % FOLDS
    parts = {"training": ~(test | validation), "validation": validation, "test": test}
    return {split: np.flatnonzero(rows) for split, rows in parts.items()}


def examples_of(paintings: ExplainedPaintings, pictures: np.ndarray | torch.Tensor) -> Examples:
    """Return all paintings as examples; what counts for attention is where experts marked something."""
    labels = paintings.images.labels
    return Examples(pictures, labels, paintings.present, paintings.maps, paintings.present, paintings.explained)


def train(
    db: DermXDB,
    pretrained: Pretrained,
    profile: Profile,
    recipe: Recipe,
    fold: int,
    *,
    epochs: int | None = None,
    shown: ExplainedPaintings | None = None,
) -> TrainedDermX:
    """Train a network by a recipe, or read it from ``results/networks`` where that was done before.

    Parameters
    ----------
    pretrained
        The network that is its backbone.
    fold
        From 0 to 9, that of the test.
    epochs
        As many as the profile says, or fewer, to see a network on its way.
    shown
        In place of the profile's paintings.
    """
    epochs = epochs or profile.dermx_epochs
    shown = shown or paintings(db, profile, clinic=recipe.clinic)
    model = _untrained(pretrained, shown.characteristics if recipe.characteristics else (), fine=recipe.fine)
    rows = splits(db, shown.images.names, fold)
    pictures = shown.images.pictures if recipe.whole else _early_maps(shown, pretrained)
    digest = _digest(shown, pretrained, epochs, recipe, fold)
    every = replace(examples_of(shown, pictures), made_of="" if recipe.whole else digest)
    if not recipe.characteristics:
        nothing = {name: getattr(every, name)[:, :0] for name in ("present", "maps", "counted")}
        every = replace(every, **nothing)
    data = _guided(every.rows(rows["training"]), recipe.maps)
    held_out = {split: every.rows(rows[split]) for split in ("validation", "test")}
    history = train_dermx(
        model,
        data,
        held_out["validation"],
        frozen=not recipe.whole,
        epochs=epochs,
        seed=SEED,
        folder=paths.trained(f"dermx-{digest}").with_suffix(""),
        guidance=recipe.guidance or None,
        weight=recipe.weight,
        weighted_classes=recipe.weighted_classes,
        judge=dermx_scores.scores,
    )
    output = {split: predict(model, some, frozen=not recipe.whole) for split, some in held_out.items()}
    return TrainedDermX(recipe, model, shown, rows, held_out, output, history)


def _untrained(pretrained: Pretrained, characteristics: Sequence[str], *, fine: bool = False) -> DermX:
    torch.manual_seed(SEED)
    network = at_stride_16(pretrained.network) if fine else copy.deepcopy(pretrained.network)
    return DermX(network, characteristics, DISEASES, origin=pretrained.origin).eval()


def _guided(data: Examples, maps: str) -> Examples:
    """Return training examples with other maps in place of the experts'."""
    if maps == "experts":
        return data
    counted = data.present & data.explained[:, None]
    made = {
        "another image": lambda: control_maps.of_another_image(data.maps, counted, seed=SEED),
        "mean of disease": lambda: control_maps.mean_of_disease(data.maps, counted, data.labels),
        "gaussian": lambda: control_maps.centred_gaussian(data.maps, counted),
        "coarse": lambda: control_maps.coarsened(data.maps, COARSE),
    }
    return replace(data, maps=made[maps]())


@functools.lru_cache(maxsize=2)
def paintings(db: DermXDB, profile: Profile, *, clinic: bool = False) -> ExplainedPaintings:
    """Return the paintings on which recipes are trained, with maps of a quarter of their side."""
    side = profile.painted_size
    found = explained_paintings(db, profile, side=side, map_side=side // 4)
    if not clinic:
        return found
    pictures = camera.clinic(found.images.pictures, found.images.names, seed=SEED)
    return replace(found, images=replace(found.images, pictures=pictures))


@functools.lru_cache(maxsize=2)
def _early_maps(paintings: ExplainedPaintings, pretrained: Pretrained) -> torch.Tensor:
    """Return what the blocks up to stride 16, which recipes share, make of all pictures and their flips.

    They are kept in ``results/maps``: to read them takes a second, to make them half a minute at 160 pixels.
    """
    pictures = paintings.images.pictures
    total = hashlib.sha256(pretrained.digest.encode())
    for part in (pictures, *(Path(one.__file__).read_bytes() for one in (dermx, dermx_examples))):
        total.update(part)

    def make() -> dict[str, np.ndarray]:
        return {"maps": dermx_examples.early_maps(_untrained(pretrained, ()), pictures).numpy()}

    return torch.from_numpy(once(f"early-{total.hexdigest()[:16]}", make)["maps"])


def _digest(paintings: ExplainedPaintings, pretrained: Pretrained, epochs: int, recipe: Recipe, fold: int) -> str:
    """Return 16 hexadecimal digits for all that training depends on, the program among it."""
    programs = [*sorted(Path(training.__file__).parent.glob("*.py")), *(Path(one.__file__) for one in PROGRAMS)]
    told = [recipe, fold, epochs, pretrained.digest, paintings.characteristics, paintings.images.names]
    total = hashlib.sha256(repr(told).encode())
    images, known = paintings.images, (paintings.present, paintings.explained)
    for part in (images.pictures, images.labels, paintings.maps, *known):
        total.update(np.ascontiguousarray(part))
    for program in programs:
        total.update(program.read_bytes())
    return total.hexdigest()[:16]
