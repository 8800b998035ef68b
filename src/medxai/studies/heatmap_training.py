"""The study behind the chapter on heat maps in training: eight models on phantoms, and on real films with scored zones.

Phantoms are drawn by the trials, from a seed: they are no data that anybody has to have. Raise the version when
`medxai.data.chest_phantom` draws others.
"""

import pandas as pd

from medxai.experiment import gaze_cost, gaze_films, gaze_trained, gaze_zones
from medxai.experiment.gaze_maps import maps_of
from medxai.experiment.gaze_trained import DEFAULT, SANITY, VARIANTS
from medxai.experiment.gaze_zones import Brixia
from medxai.profiles import Profile
from medxai.results import in_front, joined
from medxai.studies.store import Absent, Record, Study, Trial, optional
from medxai.training.gaze_losses import MODELS

GUIDED = "set_1_guided_backpropagation"
ABLATED = {
    GUIDED: tuple(name for name in VARIANTS if name not in (DEFAULT, "still")),
    "set_2_guided_backpropagation": ("weight_10", "still"),
    "set_3_guided_backpropagation": ("weight_10", "cells_8_weight_10"),
    "u_net": ("edges", "another_image", "centre"),
}
"""Which models are trained in which variants, with one seed."""
MOST = 1000
"""Resamples at most."""
ROUNDS = 9
"""Steps of each model that are timed at full size."""


def _network(profile: Profile, *, model: str, seed: int, variant: str) -> Record:
    """Train one model, and look at its answers and maps."""
    films, choices = gaze_films.phantoms(profile), VARIANTS[variant].choices
    network, training = gaze_trained.trained(films, model, seed, variant, profile.gaze_epochs)
    rows, images = films.rows["test"][: profile.gaze_explained], films.films.images
    maps, few = maps_of(network, images.pictures[rows], images.labels[rows], choices), rows[:SANITY]
    others = gaze_trained.changed(network, films, few, model, seed, choices)
    random = {f"{name}, random weights": some for name, some in others["random weights"].items()}
    resamples = min(profile.bootstrap, MOST)
    tables = {
        "answers": gaze_trained.answers(network, films),
        "history": training.history,
        "chosen": pd.DataFrame([{"epoch": training.epoch}]),
        "maps": gaze_trained.scores(films, rows, maps, resamples),
        "random_maps": gaze_trained.scores(films, few, random, resamples),
        "sanity": gaze_trained.alike({name: some[: len(few)] for name, some in maps.items()}, others),
    }
    if variant == DEFAULT and seed == 0:
        tables["shown"] = gaze_trained.small(maps)
    return {name: in_front(table, model=model, seed=seed, variant=variant) for name, table in tables.items()}


def _controls(profile: Profile) -> Record:
    """Score maps that no network has made."""
    films = gaze_films.phantoms(profile)
    rows = films.rows["test"][: profile.gaze_explained]
    maps = films.controls(rows) | {"the finding": films.findings(rows), "the gaze itself": films.films.gaze[rows]}
    return {"controls": gaze_trained.scores(films, rows, maps, min(profile.bootstrap, MOST))}


def _cost(profile: Profile) -> Record:
    """Time a step of each model."""
    return {"cost": gaze_cost.costs(profile.gaze_side, ROUNDS if profile.name == "full" else 1)}


def _all(profile: Profile) -> Record:
    """Do all of it once, small."""
    parts = [_network(profile, model=model, seed=0, variant=DEFAULT) for model in MODELS]
    tables = {name: joined([part[name] for part in parts]) for name in parts[0]}
    return tables | _controls(profile) | _cost(profile)


def _zones(data: Brixia | Absent, profile: Profile, *, model: str) -> Record:
    """Train one model on real films with scored zones, and score its maps against both readers."""
    if isinstance(data, Absent):
        return {}
    films = data.films(profile.gaze_side)
    logits, maps = gaze_zones.cross_fitted(films, model, gaze_zones.EPOCHS * profile.gaze_epochs)
    zones = gaze_zones.by_zone(films, maps, min(profile.bootstrap, MOST))
    severity = gaze_zones.severity_area(films, logits)
    return {name: table.assign(model=model) for name, table in (("zones", zones), ("severity", severity))}


def _trained(model: str, seed: int, variant: str) -> Trial:
    name = f"{model}-{seed}" if variant == DEFAULT else f"{model}-{variant}"
    return Trial(name, _network, (), (("model", model), ("seed", seed), ("variant", variant)))


def _trials(profile: Profile) -> list[Trial]:
    """Return all models, seeds and variants, and the real films, at full size, else all that is small in one."""
    if profile.name != "full":
        return [Trial("all", _all, ())]
    return [
        *(_trained(model, seed, DEFAULT) for seed in range(profile.gaze_seeds) for model in MODELS),
        *(_trained(model, 0, variant) for model, variants in ABLATED.items() for variant in variants),
        Trial("controls", _controls, ()),
        Trial("cost", _cost, ()),
        *(Trial(f"brixia-{model}", _zones, ("brixia",), (("model", model),)) for model in MODELS),
    ]


STUDY = Study(
    "heatmap_training",
    chapter="07_heatmap_training",
    version=1,
    trials=_trials,
    data={"brixia": lambda _: optional(gaze_zones.open_brixia)},
    seed=gaze_films.SEED,
    digits=5,
)
