"""The study behind the DermX chapter: networks that explain themselves, and whether guided attention helps."""

from dataclasses import replace

import numpy as np
import pandas as pd

from medxai.data import dermx_folds, real_or_simulated
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.evaluation import agreement, attention_bounds, attention_cases
from medxai.experiment import dermx_baselines, dermx_checks, dermx_scores, trained_dermx
from medxai.experiment.explained_paintings import modelled
from medxai.experiment.trained_dermx import FOLDS, SEED, Recipe
from medxai.experiment.trained_network import start
from medxai.models.weights import DEFAULT, Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies.store import Record, Study, Trial
from medxai.training.guidance import GUIDANCE

MAIN = {
    "Dx": Recipe(characteristics=False),
    "DermX": Recipe(),
    "DermX+": Recipe(guidance="dice"),
}
"""The paper's networks."""
PRINTED = {"Dx": "dx", "DxW": "dxw", "DermX": "dermx", "DermX+": "dermx_plus"}
"""How tables of several networks call them."""
CHECKED = 4
"""Times as many images as are explained, of each fold of the paper's networks and the first of others, are covered and
painted again."""
JUDGED_FOLDS = 3
"""In which the paper's networks are also judged by explainers that they were not trained on, which is slow; others in
the first."""
GRIDS = (5, 9, 10, 17)
"""Cells along a side of the last maps: of 160 and 260 pixels at stride 32, and at stride 16."""
KEPT = (attention_bounds.BLIND, *(attention_bounds.best_on(cells) for cells in (5, 9)))
"""Of the bounds, what is kept case by case."""
WEIGHTS = (1, 3, 10)
LOSSES = tuple(loss for loss in GUIDANCE if loss != "dice_smoothed")
SWEEP = {f"{loss} {weight}": Recipe(guidance=loss, weight=weight) for loss in LOSSES for weight in WEIGHTS}
CONTROL_WEIGHT = 3
CONTROLS = {
    f"dice {CONTROL_WEIGHT}, {maps}": Recipe(guidance="dice", weight=CONTROL_WEIGHT, maps=maps)
    for maps in ("another image", "mean of disease", "gaussian", "coarse")
}
CONTROLS[f"dice_smoothed {CONTROL_WEIGHT}"] = Recipe(guidance="dice_smoothed", weight=CONTROL_WEIGHT)
MORE = {"DxW": Recipe(characteristics=False, weighted_classes=True)}
WHOLE = {f"{name}, whole": replace(recipe, whole=True) for name, recipe in MAIN.items()}
FINE = {f"{name}, stride 16": replace(MAIN[name], fine=True) for name in ("DermX", "DermX+")}
CLINIC = {f"{name}, clinic": replace(recipe, clinic=True) for name, recipe in MAIN.items()}
RECIPES = {**MAIN, **SWEEP, **CONTROLS, **MORE, **FINE, **CLINIC, **WHOLE}
del RECIPES["dice 10"]  # which is DermX+


def _trained(db: DermXDB, pretrained: Pretrained, profile: Profile, *, recipe: str, fold: int) -> Record:
    """Train one network and score it."""
    trained = trained_dermx.train(db, pretrained, profile, RECIPES[recipe], fold)
    tables = {"history": trained.history, "scores": trained.scores(), "said": trained.said()}
    some = profile.explained_images
    if trained.model.characteristics:
        tables |= {
            "cases": trained.cases(fold),
            "intervened": dermx_checks.intervened(trained),
            "permuted": dermx_checks.permuted(trained),
            "randomised": dermx_checks.randomised(trained),
        }
        if fold == 0 or recipe in MAIN:
            tables["covered"] = dermx_checks.covered(trained, CHECKED * some)
            tables["repainted"] = dermx_checks.repainted(trained, db, CHECKED * some)
        if fold == 0 or (recipe in MAIN and fold < JUDGED_FOLDS):
            tables["judged"] = dermx_checks.judged(trained, some)
    return {name: table.assign(recipe=recipe, fold=fold).round(4) for name, table in tables.items()}


def _bounds(db: DermXDB, profile: Profile) -> Record:
    """Score maps that see nothing of an image, and the best that a grid allows, on every case."""
    paintings = trained_dermx.paintings(db, profile)
    present, names = paintings.present & paintings.explained[:, None], paintings.characteristics
    folds = dermx_folds.tested_in(db, paintings.images.names)
    table = attention_bounds.bounds(paintings.maps, present, names, folds, grids=GRIDS)
    table["image"] = np.array(paintings.images.names)[table["image"]]
    parts = table.groupby("map", sort=False, observed=True)
    means = [attention_cases.by_fold(part, names).assign(map=kind) for kind, part in parts]
    kept = table[table["map"].isin(KEPT)].pivot(index=["image", "name", "fold"], columns="map", values="f1")
    return {"bounds": pd.concat(means).round(4), "bounds_cases": kept[list(KEPT)].reset_index().round(4)}


def _baselines(db: DermXDB, profile: Profile) -> Record:
    """Diagnose from what dermatologists marked, without pixels."""
    predicted = dermx_baselines.predictions(db)
    table = dermx_scores.over_folds(dermx_scores.diagnoses_by_fold(predicted, DISEASES)).reset_index()
    expected = agreement.prevalence(db.select("paper"), terms=modelled(db)).rename_axis("name").reset_index()
    return {
        "baselines": table.round(4),
        "units": dermx_baselines.units_tried(db).round(4),
        "expected": expected.round(4),
    }


def trial_name(recipe: str, fold: int) -> str:
    """Return ``dice-3-coarse_0`` for fold 0 of the recipe ``dice 3, coarse``."""
    return f"{recipe.replace(', ', '-').replace(' ', '-')}_{fold}"


def _trials(profile: Profile) -> list[Trial]:
    """Return a trial for each recipe and fold: ten folds of the paper's networks, three of the others, at full size."""
    folds = {recipe: FOLDS if recipe in MAIN else 1 if recipe in WHOLE else 3 for recipe in RECIPES}
    if profile.name != "full":
        folds = dict.fromkeys(MAIN, 1)
    pairs = sorted(((fold, recipe) for recipe, number in folds.items() for fold in range(number)), key=lambda p: p[0])
    return [
        Trial("bounds", _bounds, ("dermxdb",)),
        Trial("baselines", _baselines, ("dermxdb",)),
        *(
            Trial(trial_name(recipe, fold), _trained, ("dermxdb", DEFAULT), (("recipe", recipe), ("fold", fold)))
            for fold, recipe in pairs
        ),
    ]


def ceiling(profile: Profile) -> str:
    """Return which of `KEPT` is the best map on a grid of the size of a network's last maps."""
    cells = -(-profile.painted_size // 32)
    return attention_bounds.best_on(next(grid for grid in GRIDS if grid >= cells))


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """Return the F1 of a tidy table by network with the networks as metrics, as tables 4 and 5 print it."""
    f1 = table[table["metric"].isin(["f1", "f1_std"]) & table["model"].isin(PRINTED)]
    metric = f1["model"].map(PRINTED) + f1["metric"].str.removeprefix("f1")
    return f1.assign(metric=metric).drop(columns="model")


STUDY = Study(
    "dermx",
    chapter="04_dermx",
    version=1 + cache.VERSION,  # other paintings, other results; 1: the smoothing of Dice
    trials=_trials,
    data={"dermxdb": real_or_simulated.open_dermxdb, DEFAULT: lambda _: start()},
    seed=SEED,
)
