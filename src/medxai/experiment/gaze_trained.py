"""A gaze-supervised network trained on films, and what it says of test films: classes, and where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from medxai.evaluation import bootstrap, gaze_metrics, localisation, sanity
from medxai.experiment.gaze_films import SHOWN, GazeFilms
from medxai.experiment.gaze_maps import maps_of
from medxai.models import gaze_unet
from medxai.models.gaze_unet import GazeUNet
from medxai.training.gaze_losses import MODELS, Choices
from medxai.training.gaze_training import Training, class_logits, train

SCORES = {
    "NSS": lambda maps, looks, density: gaze_metrics.nss(maps, looks),
    "CC": lambda maps, looks, density: gaze_metrics.correlation(maps, density),
    "SIM": lambda maps, looks, density: gaze_metrics.similarity(maps, density),
    "KL": lambda maps, looks, density: gaze_metrics.divergence(maps, density),
    "AUC-Judd": lambda maps, looks, density: gaze_metrics.auc_judd(maps, looks),
    "sAUC": lambda maps, looks, density: gaze_metrics.shuffled_auc(maps, looks),
    "sNCC": lambda maps, looks, density: gaze_metrics.shuffled_correlation(maps, density),
}
"""Scores of maps against gaze, of seconds at each pixel or of their density (`medxai.evaluation.gaze_metrics`)."""
SANITY = 24
"""Test films of which maps are compared with those of changed networks."""
SHOWN_SIDE = 48
"""Of the maps that are kept, in pixels."""


@dataclass(frozen=True)
class Variant:
    """How a network is trained, where it is not as by default."""

    choices: Choices = field(default_factory=Choices)
    target: str = "gaze"
    """A key of `medxai.experiment.gaze_maps.TARGETS`."""


DEFAULT = "default"
VARIANTS = {
    DEFAULT: Variant(),
    "weight_10": Variant(Choices(weight=10)),
    "cells_8": Variant(Choices(cells=8)),
    "cells_8_weight_10": Variant(Choices(cells=8, weight=10)),
    "prediction": Variant(Choices(target="prediction")),
    "positive": Variant(Choices(channels="positive")),
    "signed": Variant(Choices(channels="signed")),
    "quantile": Variant(Choices(scaling="quantile")),
    "logit": Variant(Choices(reading="logit")),
    "still": Variant(Choices(moving=False)),
    "edges": Variant(target="edges"),
    "another_image": Variant(target="gaze of another image"),
    "centre": Variant(target="centre"),
}
"""The default, what the paper leaves open, and targets that know nothing of the gaze."""


def untrained(model: str, seed: int, classes: int) -> GazeUNet:
    """Return the network of a model before training: ImageNet's encoder, the rest drawn by the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return gaze_unet.make(classes=classes, decoder=MODELS[model].decoder)


def trained(films: GazeFilms, model: str, seed: int, variant: str, epochs: int) -> tuple[GazeUNet, Training]:
    """Train a model, a key of `MODELS`, in a variant, a key of `VARIANTS`; the epoch is chosen on validation films."""
    how = VARIANTS[variant]
    network = untrained(model, seed, len(films.films.images.classes))
    parts = films.examples("train", how.target), films.examples("val")
    return network, train(network, MODELS[model], *parts, epochs=epochs, seed=seed, choices=how.choices)


def answers(network: GazeUNet, films: GazeFilms) -> pd.DataFrame:
    """Return the logits of each test film: ``image``, ``label``, and a column for each class."""
    rows, images = films.rows["test"], films.films.images
    logits = class_logits(network, images.pictures[rows]).double().numpy()
    told = pd.DataFrame(logits, columns=list(images.classes))
    return pd.concat([pd.DataFrame({"image": rows, "label": images.labels[rows]}), told], axis=1)


def scores(
    films: GazeFilms,
    rows: np.ndarray,
    maps: Mapping[str, np.ndarray],
    resamples: int,
    metrics: Mapping[str, Callable[..., np.ndarray]] = SCORES,
) -> pd.DataFrame:
    """Score maps of some films against the gaze on them, and against their findings where these are known.

    ``metrics`` are of the kind of `SCORES`.

    Returns
    -------
    pandas.DataFrame
        Means over films, tidy: ``map``, ``metric``, ``value``, ``low``, ``high``, ``images`` (how many have a value);
        intervals by a bootstrap over patients.
    """
    looks, density, findings = films.looks(rows), films.films.gaze[rows].astype(float), films.findings(rows)
    parts = []
    for name, some in maps.items():
        some = some.astype(float)
        values = {name: metric(some, looks, density) for name, metric in metrics.items()}
        if findings is not None:
            values["finding AUC"] = localisation.pixel_auc(some, findings)
        groups = films.films.images.groups[rows]
        means = bootstrap.mean_intervals(pd.DataFrame(values), groups=groups, resamples=resamples)
        parts.append(means.rename_axis("metric").reset_index().assign(map=name))
    return pd.concat(parts, ignore_index=True)[["map", "metric", "value", "low", "high", "images"]]


def changed(
    network: GazeUNet, films: GazeFilms, rows: np.ndarray, model: str, seed: int, choices: Choices
) -> dict[str, dict[str, np.ndarray]]:
    """Explain the label of some films by changed networks; return maps by name, by what was changed.

    That is: with a random head, and with random weights throughout (`medxai.evaluation.sanity.cascade`), whose batch
    normalisation takes its statistics from training films; and before training, with the weights of ImageNet.
    """
    images = films.films.images
    pictures, labels = images.pictures[rows], images.labels[rows]
    some = network.normalisation.apply(images.pictures[films.rows["train"][:SANITY]])
    found = {"before training": untrained(model, seed, len(images.classes))}
    stages = sanity.cascade(network.classifier, some, stages=2)
    for name, (_, classifier) in zip(("random head", "random weights"), stages, strict=True):
        found[name] = GazeUNet(classifier, None, network.normalisation)
    maps = {what: maps_of(other, pictures, labels, choices) for what, other in found.items()}
    return {what: {name: some for name, some in of.items() if name != "decoder"} for what, of in maps.items()}


def alike(maps: Mapping[str, np.ndarray], others: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Say how alike maps are to those of changed networks: ``map``, ``changed``, ``value``, ``low``, ``high``.

    The value is the mean over films of the absolute rank correlation (`medxai.evaluation.sanity`).
    """
    lines = []
    for what, own in others.items():
        for name in maps.keys() & own.keys():
            each = sanity.similarity_after(maps[name], own[name])[["absolute_rank_correlation"]]
            (mean,) = bootstrap.mean_intervals(each).to_dict("records")
            lines.append({"map": name, "changed": what, **mean})
    return pd.DataFrame(lines).sort_values(["map", "changed"], ignore_index=True)


def small(maps: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Keep the maps of the first films small: ``map``, ``image`` (its place), and pixels as hexadecimal digits."""
    lines = []
    for name, values in maps.items():
        grey = localisation.attention(values[:SHOWN])
        shrunk = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(grey)[:, None], SHOWN_SIDE)[:, 0].numpy()
        shrunk = np.rint(255 * localisation.attention(shrunk)).astype(np.uint8)
        lines += [{"map": name, "image": image, "pixels": one.tobytes().hex()} for image, one in enumerate(shrunk)]
    return pd.DataFrame(lines)


def enlarged(pixels: str) -> np.ndarray:
    """Return a map of `small`, float64 (SHOWN_SIDE, SHOWN_SIDE) in [0, 1]."""
    return np.frombuffer(bytes.fromhex(pixels), np.uint8).reshape(SHOWN_SIDE, SHOWN_SIDE) / 255
