"""Is the argument of a DermX what decides? It is asked by other explainers, and by changing what it says or sees."""

import copy
import hashlib

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.data.dermxdb import DermXDB
from medxai.data.masks import area_average
from medxai.evaluation import suite
from medxai.evaluation.attention_occlusion import area, occluded
from medxai.experiment import dermx_scores, image_sets
from medxai.experiment.kept_maps import once
from medxai.experiment.panel import Panel
from medxai.experiment.trained_dermx import SEED, TrainedDermX
from medxai.models.dermx import DermX
from medxai.painting import cache, camera, photograph
from medxai.training.dermx_training import predict

EXPLAINERS = ("integrated_gradients", "occlusion")
"""Methods that no network was trained on."""
SCORES = ("fuzzy_f1", "pixel_auc", "mass")
THRESHOLDS = (0.3, 0.5, 0.7)
"""From which attention on pixels are covered."""
STEPS = 8
"""Samples of the explainers."""
BRANCHES = 3
"""Random explanation branches whose maps are scored."""


class CharacteristicLogits(nn.Module):
    """A DermX as a network with one output for each characteristic, which any method can explain."""

    def __init__(self, model: DermX) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, c) of images (n, 3, h, w)."""
        return self.model(images, attention=False).characteristic_logits


class DiagnosisLogits(CharacteristicLogits):
    """A DermX as a network that only diagnoses."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, d) of images (n, 3, h, w)."""
        return self.model(images, attention=False).diagnosis_logits


def judged(trained: TrainedDermX, images: int) -> pd.DataFrame:
    """Ask explainers that the network was not trained on where its characteristics are, in some test images.

    Parameters
    ----------
    images
        How many test images; each of their characteristics, as the experts say, is a case.

    Returns
    -------
    pandas.DataFrame
        A row for each case and method, its own attention among them: image, name, method, and some of
        `medxai.evaluation.suite.place` at the size of the experts' maps.
    """
    examples, rows, names = trained.examples["test"], trained.rows["test"], trained.model.characteristics
    panel = Panel(
        CharacteristicLogits(trained.model).eval().requires_grad_(False),
        trained.paintings.images,
        trained.paintings.images.labels,
        trained.model.normalisation,
        STEPS,
        EXPLAINERS,
        progress=False,
    )
    tables = [pd.DataFrame(columns=["image", "name", "method", *SCORES])]
    for case in np.flatnonzero(examples.present.any(1) & examples.explained)[:images]:
        there = np.flatnonzero(examples.present[case])
        found = {"attention": trained.fine_attention(case)[there]}
        for method in EXPLAINERS:
            maps = panel.explain([rows[case]] * len(there), method, targets=there).numpy()
            found[method] = np.stack([area_average(one, examples.maps.shape[-1]) for one in maps])
        for place, characteristic in enumerate(there):
            maps = np.stack([some[place] for some in found.values()])
            scores = suite.place(maps, examples.maps[case, characteristic])
            known = {"image": trained.paintings.images.names[rows[case]], "name": names[characteristic]}
            tables.append(pd.DataFrame({**known, "method": list(found), **{name: scores[name] for name in SCORES}}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def covered(trained: TrainedDermX, images: int) -> pd.DataFrame:
    """Return `medxai.evaluation.attention_occlusion.occluded` of the first test images, with their names."""
    output, cases = trained.output["test"], list(range(min(images, len(trained.rows["test"]))))

    def probabilities(pixels: Tensor) -> Tensor:
        with torch.no_grad():
            return trained.model(pixels, attention=False).diagnosis_logits.softmax(1)

    found = dermx_scores.found(output)[cases]
    pixels = trained.images(cases)
    table = occluded(probabilities, pixels, output.attention[cases], found, thresholds=THRESHOLDS, seed=SEED)
    return table.assign(image=np.array(trained.test_names())[table["image"]])


def contrasted(trained: TrainedDermX, case: int, threshold: float = 0.5) -> tuple[np.ndarray, pd.DataFrame]:
    """Cover what a network looks at in a test image, in the mean colour of the image.

    Parameters
    ----------
    threshold
        Attention of any found characteristic, over its maximum, is covered from there on.

    Returns
    -------
    picture : numpy.ndarray
        uint8 (side, side, 3).
    said : pandas.DataFrame
        Index: the diseases. Columns before and after, their probabilities.
    """
    picture, output = trained.paintings.images.pictures[trained.rows["test"][case]], trained.output["test"]
    seen = area(output.attention[case], dermx_scores.found(output)[case], picture.shape[:2])
    changed = np.where((seen >= threshold)[:, :, None], picture.mean((0, 1)).round(), picture).astype(np.uint8)
    with torch.no_grad():
        pixels = trained.model.normalisation.apply(np.stack([picture, changed]))
        said = trained.model(pixels, attention=False).diagnosis_logits.softmax(1)
    return changed, pd.DataFrame(said.T.numpy(), trained.model.diseases, ["before", "after"])


def repainted(trained: TrainedDermX, db: DermXDB, images: int) -> pd.DataFrame:
    """Paint the first test images again, each without one of its characteristics, and ask whether the network notices.

    Returns
    -------
    pandas.DataFrame
        A row for each image, characteristic that was left out, and characteristic or disease that was asked for: image,
        without, name, and its probability before and after. Diseases are only the image's own.
    """
    side, names = trained.paintings.images.side, trained.test_names()[:images]
    pictures = _without_each(db, names, side, trained.model.characteristics)
    diseases, rows = trained.model.diseases, []
    for (name, without), picture in pictures.items():
        row = trained.rows["test"][names.index(name)]
        if trained.recipe.clinic:
            picture = camera.clinic(picture[None], [name], seed=SEED)[0]
        both = np.stack([trained.paintings.images.pictures[row], picture])
        with torch.no_grad():
            said = trained.model(trained.model.normalisation.apply(both), attention=False)
        own = diseases[trained.paintings.images.labels[row]]
        marks, disease = said.characteristic_logits.sigmoid(), said.diagnosis_logits.softmax(1)
        told = dict(zip(trained.model.characteristics, marks.T.tolist(), strict=True))
        told[own] = disease[:, diseases.index(own)].tolist()
        rows += [(name, without, asked, *pair) for asked, pair in told.items()]
    return pd.DataFrame(rows, columns=["image", "without", "name", "before", "after"])


def _without_each(
    db: DermXDB, names: list[str], side: int, characteristics: tuple[str, ...]
) -> dict[tuple[str, str], np.ndarray]:
    """Return paintings of images without each characteristic, by image and characteristic; painted once for all."""

    def make() -> dict[str, np.ndarray]:
        cases = [photograph.case(db, name, side) for name in names]
        painted = {
            f"{one.name}|{term}": photograph.repaint(one, term, seed=image_sets.SEED).image
            for one in cases
            for term in characteristics
            if term in one.regions
        }
        return painted or {"": np.zeros((0, 0, 3), np.uint8)}

    told = repr([db.digest, names, side, characteristics, cache.VERSION])
    found = once(f"repainted-{hashlib.sha256(told.encode()).hexdigest()[:16]}", make)
    return {tuple(key.split("|")): picture for key, picture in found.items() if key}


def intervened(trained: TrainedDermX, by: float = 3.0) -> pd.DataFrame:
    """Change the logit of one characteristic of the test images after the other, and see how the diagnosis follows.

    Parameters
    ----------
    by
        Added to the logit; 3 turns an even chance into one of 95 %.

    Returns
    -------
    pandas.DataFrame
        A row for each characteristic and disease: name, disease, and change, the mean change of its probability.
    """
    model = trained.model
    with torch.no_grad():
        pooled, logits = trained.pooled, trained.output["test"].characteristic_logits
        before = model.diagnose(pooled, logits).softmax(1)
        rows = []
        for number, name in enumerate(model.characteristics):
            changed = logits.clone()
            changed[:, number] += by
            after = (model.diagnose(pooled, changed).softmax(1) - before).mean(0)
            rows += [(name, disease, float(value)) for disease, value in zip(model.diseases, after, strict=True)]
    return pd.DataFrame(rows, columns=["name", "disease", "change"])


def permuted(trained: TrainedDermX) -> pd.DataFrame:
    """Diagnose the test images with the characteristics, or the features, of others, and with those of chance.

    Returns
    -------
    pandas.DataFrame
        A row for each image and input: image, input, and whether the diagnosis is right. Inputs are "as it is";
        "characteristics of another image"; "features of another image"; "characteristics of a random branch"
        (`random_branch`).
    """
    model, labels = trained.model, torch.from_numpy(trained.examples["test"].labels)
    pooled, logits = trained.pooled, trained.output["test"].characteristic_logits
    other = torch.from_numpy(np.random.default_rng(SEED).permutation(len(labels)))
    with torch.no_grad():
        inputs = {
            "as it is": (pooled, logits),
            "characteristics of another image": (pooled, logits[other]),
            "features of another image": (pooled[other], logits),
            "characteristics of a random branch": (pooled, random_branch(model, 0).explanation(pooled)),
        }
        right = {name: (model.diagnose(*some).argmax(1) == labels).numpy() for name, some in inputs.items()}
    return pd.DataFrame({"image": trained.test_names()} | right).melt("image", var_name="input", value_name="right")


def random_branch(model: DermX, seed: int) -> DermX:
    """Return a copy of a network in evaluation mode whose explanation branch has the weights of an untrained one."""
    copied = copy.deepcopy(model).eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in copied.explanation:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return copied


def randomised(trained: TrainedDermX) -> pd.DataFrame:
    """Score attention of untrained explanation branches on the trained backbone: what is not learnt stays.

    As the sanity check of Adebayo et al. 2018, of the last layers alone.

    Returns
    -------
    pandas.DataFrame
        A row for each case of the test images: image, name, and the fuzzy F1 of its attention, ``trained`` and
        ``random``, the mean over branches.
    """
    given = trained.examples["test"], trained.test_names(), trained.model.characteristics
    branches = [random_branch(trained.model, seed) for seed in range(BRANCHES)]
    frozen = not trained.recipe.whole
    drawn = [dermx_scores.cases(predict(one, given[0], frozen=frozen), *given, 0)["f1"] for one in branches]
    table = dermx_scores.cases(trained.output["test"], *given, 0).rename(columns={"f1": "trained"})
    return table[["image", "name", "trained"]].assign(random=np.mean(drawn, axis=0))
