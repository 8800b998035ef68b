"""The study behind the robustness chapter: what corruption does to answers and explanations of small images.

A trial is a set of images and a recipe: it trains a network, asks it about all versions of the test images, explains
some of them, and compares. Other variants of explanations are of the same network, in the trials called plain.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from medxai.data import medmnist, photo_sets
from medxai.data.medmnist import Splits
from medxai.data.photo_sets import ImageSet
from medxai.experiment import image_sets, robust_compared, robust_lesions, robust_network
from medxai.experiment.robust_asked import OUTCOMES, Asked
from medxai.experiment.robust_network import SEED, Recipe, RobustNetwork
from medxai.profiles import Profile
from medxai.results import in_front
from medxai.robustness.saliency_shift import ORIGINAL
from medxai.studies.store import Absent, Record, Study, Trial, optional
from medxai.training.small_images import best_epoch

SETS = {
    "breast": "breastmnist",
    "retina": "retinamnist",
    "pneumonia": "pneumonia-partial",
    "ham10000_28": "ham10000-28",
}
"""How trials call the sets."""
RECIPES = {
    "plain": Recipe(),
    "augmented": Recipe(augmented=True),
    "cross_entropy": Recipe(loss="cross-entropy"),
    "224": Recipe(side=224),
    "native": Recipe(side=28, constants="32"),
}
FOR_ALL = ("plain", "augmented", "cross_entropy")
"""Recipes for every set; the others are for the first alone."""
FIRST = next(iter(SETS))
MOST = 1000
"""Resamples at most: those of areas and correlations take long."""


def _trained(data: Splits | Absent, profile: Profile, *, name: str, recipe: str) -> Record:
    """Train a network, and look at its answers and explanations."""
    if isinstance(data, Absent):
        return {}
    trained = robust_network.train(data, profile, RECIPES[recipe])
    labels = trained.test.labels
    groups = photo_sets.near_copies(data.test.pictures[: len(labels)], medmnist.NEAR_COPY)
    near_copy = medmnist.nearest_in_training(data)["near_copy"].to_numpy(bool)[: len(labels)]
    rows = robust_network.rows_to_explain(labels, profile.robust_explained)
    asked = Asked.of(trained, rows, groups, min(profile.bootstrap, MOST))
    tables = {
        "networks": _network(data, trained),
        "history": trained.history,
        "choosing": robust_compared.choosing(trained.history),
        "answers": _answers(trained, near_copy),
        "scores": asked.scores(near_copy),
        **asked.explained(),
        **(asked.variants() if recipe == "plain" else {}),
    }
    return {title: in_front(table, set=name, recipe=recipe) for title, table in tables.items()}


def _network(data: Splits, trained: RobustNetwork) -> pd.DataFrame:
    """Say what was trained, on what, and how long."""
    kept, epochs = best_epoch(trained.history), trained.history["epoch"].max()
    told = {"name": data.name, "kind": data.kind, "tested": len(trained.test.labels), **asdict(trained.recipe)}
    return pd.DataFrame([{**told, "epochs": epochs, "best_epoch": kept}])


def _answers(trained: RobustNetwork, near_copy: np.ndarray) -> pd.DataFrame:
    """Say what is predicted for each test image, and for how many of its 25 versions that is right."""
    labels, right = trained.test.labels, trained.predicted == trained.test.labels
    told = {"image": np.arange(len(labels)), "label": labels, "predicted": trained.predicted[0], "right": right[0]}
    return pd.DataFrame({**told, "versions_right": right[1:].sum(0), "near_copy": near_copy})


def _lesions(data: Splits, busi: ImageSet | Absent, profile: Profile, *, name: str, recipe: str) -> Record:
    """Say whether maps of images that a network has not seen lie on their lesion."""
    chosen = RECIPES[recipe]
    masks = robust_lesions.masks(data, None if isinstance(busi, Absent) else busi, chosen.side)
    if not masks:
        return {}
    lines, networks, groups = robust_lesions.cross_fitted(data, masks, profile, chosen)
    options = {"outcome": OUTCOMES, "resamples": min(profile.bootstrap, MOST), "seed": SEED}
    tables = {
        "lesions": robust_compared.bands(lines, "on_lesion", groups, **options),
        "lesions_by_class": robust_compared.bands_by_class(lines, "on_lesion", groups, **options),
        "lesion_changes": robust_compared.bands(lines[lines["corruption"] != ORIGINAL], "change", groups, **options),
        "lesion_networks": networks,
    }
    return {title: in_front(table, set=name, recipe=recipe) for title, table in tables.items()}


def _trials(profile: Profile) -> list[Trial]:
    """Return all recipes of all sets at full size, else the plain one of the first set and its lesions."""
    full = profile.name == "full"
    pairs = [(name, recipe) for recipe in RECIPES for name in SETS if recipe in FOR_ALL or name == FIRST]
    pairs = pairs if full else [(FIRST, "plain")]
    lesions = Trial(f"{FIRST}_lesions", _lesions, (FIRST, "busi"), (("name", FIRST), ("recipe", "plain")))
    return [
        *(Trial(f"{n}_{r}", _trained, (n,), (("name", n), ("recipe", r))) for n, r in pairs),
        *([lesions] if profile.name != "quick" else []),
    ]


def _open(name: str) -> Splits | Absent:
    """Open a set; simulated images stand in for the first alone."""
    if name == FIRST:
        return robust_network.open_images(SETS[name])
    return optional(lambda: robust_network.open_images(SETS[name], "real"))


STUDY = Study(
    "robustness",
    chapter="08_saliency_robustness",
    version=1,
    trials=_trials,
    data={
        **{name: lambda _, name=name: _open(name) for name in SETS},
        "busi": lambda _: optional(image_sets.open_ultrasound),
    },
    seed=SEED,
)
