"""Bring your own: explain a model on a folder of images, beside controls that know nothing of the model.

`read_folder` and `load_model` get images and model, `evaluate` explains and scores, `summary` says how sure the scores
are; `medxai.report.your_data_page` makes a page of it.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from medxai.attribution import CONTROLS, METHODS, explain
from medxai.attribution.registry import effort
from medxai.data.image_folder import OwnImages, read_folder
from medxai.errors import UnsupportedModel
from medxai.evaluation import bootstrap, sanity, stability, suite
from medxai.evaluation.metrics import METRICS, verdicts
from medxai.models.networks import load as load_model
from medxai.models.networks import normalisation_of
from medxai.models.normalisation import Normalisation

__all__ = ["QUICK", "OwnImages", "Results", "evaluate", "load_model", "read_folder", "summary"]

QUICK = (
    "gradient",
    "gradient_x_input",
    "integrated_gradients",
    "smoothgrad",
    "grad_cam",
    "guided_backpropagation",
    "lrp_epsilon",
    "occlusion",
)
"""Methods that need nothing but a model and an image: one or two of each family."""
OUTLINE = "outline"
"""The masks themselves as maps: what a map would score that shows exactly what was outlined."""
RADIUS, CHANGES = 0.05, 3
"""Of the test of stability: largest change of a normalised pixel, and changed copies of an image."""
STAGES = 3
"""Of the randomisation of the network, from the head down."""
NOT_COMPARED = ("fuzzy_sensitivity", "fuzzy_specificity", "completeness_gap")
"""Metrics by which no method is compared with controls: a map of everything, or of nothing, has the best of the first
two, and only some methods are made for the sum of which the last speaks."""

Options = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, eq=False)
class Results:
    """What was explained, all maps, and all scores."""

    images: OwnImages
    model: str
    """Its class and size, in words."""
    classes: tuple[str, ...]
    targets: np.ndarray
    """int (n,): the class that is explained for each image."""
    probabilities: np.ndarray
    """float64 (n, classes)."""
    maps: dict[str, np.ndarray]
    """float32 (n, side, side) by name: methods, then controls, then `OUTLINE` where there are masks."""
    scores: pd.DataFrame
    """A line for each image and map: ``image``, ``method``, and each metric, NaN where it is not defined."""
    cascade: pd.DataFrame
    """A line for each checked image, map and stage: ``image``, ``method``, ``share``, ``rank_correlation``."""
    refused: dict[str, str]
    """Why, by method."""
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    samples: int
    seed: int

    @property
    def methods(self) -> list[str]:
        """Names of the methods that gave maps."""
        return [name for name in self.maps if name in METHODS]

    @property
    def checked(self) -> int:
        """How many images the sanity checks were made on."""
        return self.cascade["image"].nunique()


@dataclass(frozen=True, eq=False)
class _Explainer:
    """Explains single images in one way for all networks."""

    network: nn.Module
    pixels: Tensor
    targets: np.ndarray
    options: Options

    def __call__(self, row: int, name: str, network: nn.Module | None = None, image: Tensor | None = None) -> Tensor:
        """Return the map (1, side, side) of an image, of another network or for a changed image if one is given."""
        image = self.pixels[[row]] if image is None else image
        network = self.network if network is None else network
        return explain(network, image, int(self.targets[row]), name, **self.options.get(name, {}))


def evaluate(
    model: nn.Module,
    images: OwnImages,
    *,
    target: int | Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    methods: Sequence[str] | Options | None = None,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    samples: int = 16,
    seed: int = 0,
    checked: int = 2,
    progress: bool = True,
) -> Results:
    """Explain a model's decisions on some images, and ask what the explanations are worth.

    Each control (`medxai.attribution.CONTROLS`) is scored as the methods are. The model itself is not changed: a copy
    in float32 and evaluation mode is used, on the device of the model.

    Parameters
    ----------
    model
        Takes float32 (n, 3, side, side), returns logits (n, classes) of at least two classes, before any softmax.
    images
        From `read_folder`, or made of arrays.
    target
        The class to explain, from 0: one for all images or one for each; ``None`` for the class that is predicted.
    classes
        Their names; numbers without them.
    methods
        Names in `medxai.attribution.METHODS` that give maps, or a dictionary with the options of each; `QUICK` without.
    normalise
        Mean and standard deviation of RGB in [0, 1] that the model was trained with; what timm notes on the model, else
        ImageNet's, without.
    samples
        Steps and random draws of methods and metrics are multiples of it; 50 for a thorough run.
    checked
        On how many images, the first ones, the sanity checks are made; they cost as much as 7 images each.
    progress
        Whether to show a bar.

    Returns
    -------
    Results
        Scores by masks (`medxai.evaluation.suite.place`, intersection over union) are NaN for images whose mask is
        empty, and absent without masks. A method that refuses the model is not scored, but named in ``refused``.

    Raises
    ------
    ValueError
        In one sentence, for an argument that is not what it should be.
    """
    counts = {"samples": samples, "checked": checked}
    for name, value in counts.items():
        if not isinstance(value, int) or value < (1 if name == "samples" else 0):
            raise ValueError(f"{name} is {value!r}: a whole number{' above 0' * (name == 'samples')} is accepted")
    normalise = _checked_normalisation(astuple(normalisation_of(model)) if normalise is None else normalise)
    options = _options(methods, samples, seed, normalise)
    network = copy.deepcopy(model).float().eval().requires_grad_(False)
    pixels = _pixels(network, images.pictures, normalise)
    probabilities = _probabilities(network, pixels)
    names = _names(classes, probabilities.shape[1])
    explainer = _Explainer(network, pixels, _targets(target, probabilities), options)
    with tqdm(total=len(options) + 2 + checked, disable=not progress, desc="explaining", mininterval=1) as bar:
        maps, refused = _maps(explainer, images, bar)
        bar.set_description("scoring")
        scores = _scores(explainer, images, maps, suite.Effort.of(samples), seed)
        bar.update(2)
        bar.set_description("sanity checks")
        checks, cascade = _checks(explainer, images, maps, checked, seed, bar)
    return Results(
        images,
        _described(model),
        names,
        explainer.targets,
        probabilities,
        maps,
        scores.merge(checks, on=["image", "method"], how="left"),
        cascade,
        refused,
        normalise,
        samples,
        seed,
    )


def _checked_normalisation(normalise: tuple) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, spread = (tuple(float(value) for value in values) for values in normalise)
    if len(mean) != 3 or len(spread) != 3 or min(spread) <= 0:
        raise ValueError(f"normalise is {normalise}: three means and three standard deviations above 0 are accepted")
    return mean, spread


def _options(
    methods: Sequence[str] | Options | None, samples: int, seed: int, normalise: tuple
) -> dict[str, dict[str, object]]:
    """Return the options of each method, and of each control, in the order in which they are run."""
    methods = QUICK if methods is None else methods
    if isinstance(methods, str) or not methods:
        raise ValueError(f"methods is {methods!r}: a list of names, at least one, is accepted")
    every = [name for name, method in METHODS.items() if method.kind == "map"]
    found, general = {}, _general(seed, normalise)
    for name in [*methods, *CONTROLS]:
        if name not in every and name not in CONTROLS:
            raise ValueError(f"method {name!r} is unknown, or gives no map: {', '.join(every)} are accepted")
        known = (METHODS.get(name) or CONTROLS[name]).options
        own = dict(methods[name]) if isinstance(methods, Mapping) and name in methods else {}
        every_option = {**general, **effort(name, samples), **own}
        found[name] = {key: value for key, value in every_option.items() if key in known or key in own}
        if missing := [key for key, required in known.items() if required and key not in found[name]]:
            raise ValueError(f"method {name!r} needs {missing[0]}: give methods={{{name!r}: {{{missing[0]!r}: ...}}}}")
    return found


def _general(seed: int, normalise: tuple) -> dict[str, object]:
    """Return what any method may be told: random numbers, images at once, the range of pixels and of changed ones."""
    low, high = Normalisation(*normalise).bounds()
    draws = torch.Generator().manual_seed(seed)
    return {"generator": draws, "batch_size": suite.BATCH, "low": low - RADIUS, "high": high + RADIUS}


def _pixels(network: nn.Module, pictures: np.ndarray, normalise: tuple) -> Tensor:
    """Return images as the network takes them, float32 (n, 3, side, side), on its device."""
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    return Normalisation(*normalise).apply(pictures).contiguous().to(device)


def _probabilities(network: nn.Module, pixels: Tensor) -> np.ndarray:
    with torch.no_grad():
        logits = [network(one[None].clone()) for one in pixels]
    first = logits[0]
    if not isinstance(first, Tensor) or first.ndim != 2 or len(first) != 1 or first.shape[1] < 2:
        found = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
        raise ValueError(
            f"the model returns {found} for one image: logits (1, classes) of at least two classes are accepted; "
            "give a model with one logit z as a model with the logits 0 and z"
        )
    logits = torch.cat(logits)
    if not logits.isfinite().all():
        raise ValueError("the model's logits are not finite: finite ones are accepted")
    return logits.double().softmax(1).cpu().numpy()


def _targets(target: int | Sequence[int] | None, probabilities: np.ndarray) -> np.ndarray:
    images, classes = probabilities.shape
    targets = probabilities.argmax(1) if target is None else np.asarray(target)
    targets = np.full(images, targets) if targets.ndim == 0 else targets
    wrong = targets.shape != (images,) or targets.dtype.kind not in "iu"
    if wrong or targets.min() < 0 or targets.max() >= classes:
        raise ValueError(
            f"target is {target}: a class from 0 to {classes - 1}, for all images or for each of {images}, is accepted"
        )
    return targets


def _names(classes: Sequence[str] | None, number: int) -> tuple[str, ...]:
    names = tuple(f"class {i}" for i in range(number)) if classes is None else tuple(classes)
    if len(names) != number:
        raise ValueError(f"classes are {len(names)} names: {number} are accepted, one for each logit of the model")
    return names


def _described(model: nn.Module) -> str:
    """Name a model by its class, and say how large it is."""
    known = (getattr(model, "pretrained_cfg", None) or {}).get("architecture") or type(model).__name__
    return f"{known}, {sum(weight.numel() for weight in model.parameters()):,} parameters"


def _maps(explainer: _Explainer, images: OwnImages, bar: tqdm) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Explain all images by each method and control; return the maps, and why methods refused."""
    maps, refused = {}, {}
    for name in explainer.options:
        try:
            found = np.stack([explainer(row, name)[0].cpu().numpy() for row in range(len(images.names))])
            if np.isfinite(found).all():
                maps[name] = found
            else:
                refused[name] = f"the map of {images.names[_first_bad(found)]} holds NaN or infinity"
        except UnsupportedModel as error:
            refused[name] = str(error)
        bar.update()
    if images.masks is not None:
        maps[OUTLINE] = images.masks.astype(np.float32)
    return maps, refused


def _first_bad(maps: np.ndarray) -> int:
    return int(np.argmin(np.isfinite(maps).all((1, 2))))


def _scores(
    explainer: _Explainer, images: OwnImages, maps: dict[str, np.ndarray], effort: suite.Effort, seed: int
) -> pd.DataFrame:
    """Score all maps: a line for each image and map."""
    tables = []
    for row, image in enumerate(images.names):
        stack, target = np.stack([one[row] for one in maps.values()]), int(explainer.targets[row])
        found = suite.faithful(explainer.network, explainer.pixels[row], target, stack, effort, seed=seed)
        values = {**found.scores, **suite.concentration(stack)}
        if images.masks is not None and images.masks[row].any():
            values |= suite.place(stack, images.masks[row].astype(float))
        tables.append(pd.DataFrame({"image": image, "method": list(maps), **values}))
    table = pd.concat(tables, ignore_index=True)
    if images.masks is not None:
        ious = [suite.held_out_iou(one, images.masks.astype(float)) for one in maps.values()]
        table["iou"] = np.stack(ious, axis=1).ravel()
    return table


def _checks(
    explainer: _Explainer, images: OwnImages, maps: dict[str, np.ndarray], checked: int, seed: int, bar: tqdm
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Explain the first images again: by networks more and more random, and slightly changed."""
    networks = _random_networks(explainer, seed) if checked else {}
    checks, cascade = [], []
    for row in range(min(checked, len(images.names))):
        for name in (name for name in maps if name != OUTLINE):
            known = {"image": images.names[row], "method": name}
            alike = {share: _alike(explainer, row, name, other, maps[name]) for share, other in networks.items()}
            cascade += [{**known, "share": share, "rank_correlation": value} for share, value in alike.items()]
            last = {"parameter_randomisation": alike[max(alike)]} if alike else {}
            checks.append({**known, **last, "max_sensitivity": _max_sensitivity(explainer, row, name, seed)})
        bar.update()
    columns = ["image", "method"]
    return (
        pd.DataFrame(checks, columns=None if checks else columns),
        pd.DataFrame(cascade, columns=[*columns, "share", "rank_correlation"]),
    )


def _random_networks(explainer: _Explainer, seed: int) -> dict[float, nn.Module]:
    """Return copies of the network by the share of it that is random; none of a network of a single module."""
    parts = sum(next(part.parameters(recurse=False), None) is not None for part in explainer.network.modules())
    if parts < 2:
        return {}
    some = explainer.pixels[: suite.BATCH]  # also for the statistics of batch normalisation
    return dict(sanity.cascade(explainer.network, some, stages=min(STAGES, parts), seed=seed))


def _alike(explainer: _Explainer, row: int, name: str, other: nn.Module, maps: np.ndarray) -> float:
    """Compare a map with that of a random network; NaN where that one's logits or maps are not finite."""
    try:
        again = explainer(row, name, network=other).cpu().numpy()
        return float(sanity.similarity_after(maps[[row]], again)["rank_correlation"].iloc[0])
    except ValueError:
        return float("nan")


def _max_sensitivity(explainer: _Explainer, row: int, name: str, seed: int) -> float:
    def explained(images: Tensor) -> Tensor:
        return explainer(row, name, image=images)

    image = explainer.pixels[[row]]
    return float(stability.max_sensitivity(explained, image, radius=RADIUS, samples=CHANGES, seed=seed)[0])


def summary(results: Results, *, resamples: int = 1000, level: float = 0.95) -> pd.DataFrame:
    """Average the scores over images, with intervals, and compare each method with the best control.

    The best control of a metric is the one with the best mean on these images, which is hard on the methods: by chance
    alone one of several is ahead. Intervals and p-values of the differences hold for all methods of a metric together
    (`medxai.evaluation.bootstrap.differences`), not for all metrics together.

    Parameters
    ----------
    resamples, level
        Of the bootstrap over images; each image counts as one, so give near copies only once.

    Returns
    -------
    pandas.DataFrame
        A line for each metric and map: ``metric``, ``method``, ``kind`` (``method``, ``control`` or ``outline``),
        ``value``, ``low``, ``high``, ``images`` (how many have a value); for methods, by the metrics of
        `compared`, ``control`` (the best one), ``difference`` (method less control), ``difference_low``,
        ``difference_high``, ``p``, and ``verdict``: ``better`` or ``worse`` where the interval leaves out 0, else
        ``open``.
    """
    tables = []
    for metric in (metric for metric in METRICS if metric in results.scores):
        wide = results.scores.pivot(index="image", columns="method", values=metric)
        wide = wide.loc[list(results.images.names), list(results.maps)].astype(float)
        means = bootstrap.mean_intervals(wide, resamples=resamples, seed=results.seed, level=level)
        control = _best_control(means["value"], metric)
        if control is not None and results.methods:
            means = means.join(
                _against(wide[[*results.methods, control]], control, metric, results.seed, resamples, level)
            )
        tables.append(means.rename_axis("method").reset_index().assign(metric=metric))
    table = pd.concat(tables, ignore_index=True)
    kinds = dict.fromkeys(CONTROLS, "control") | {OUTLINE: "outline"}
    table.insert(0, "kind", table["method"].map(kinds).fillna("method"))
    table.insert(0, "metric", table.pop("metric"))
    return table


def compared() -> list[str]:
    """Return the metrics by which methods are compared with controls: of place and faithfulness, but `NOT_COMPARED`."""
    families = ("place", "faithfulness")  # a control depends on nothing that a sanity check changes
    return [name for name, metric in METRICS.items() if metric.family in families and name not in NOT_COMPARED]


def _best_control(means: pd.Series, metric: str) -> str | None:
    """Return the control with the best mean, ``None`` where methods are not compared with controls."""
    means = means[[name for name in means.index if name in CONTROLS]].dropna()
    if metric not in compared() or means.empty:
        return None
    return means.idxmax() if METRICS[metric].better == "higher" else means.idxmin()


def _against(wide: pd.DataFrame, control: str, metric: str, seed: int, resamples: int, level: float) -> pd.DataFrame:
    found = bootstrap.differences(wide, control, resamples=resamples, seed=seed, level=level)
    verdict = verdicts(found, metric)
    names = {"low": "difference_low", "high": "difference_high"}
    return found.drop(columns="images").rename(columns=names).assign(control=control, verdict=verdict)
