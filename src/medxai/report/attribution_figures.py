"""Figures and tables of the attribution chapter: maps beside the painting, failing cases, comparisons of methods."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from medxai.attribution import METHODS, explain
from medxai.data.dermxdb import DISEASES
from medxai.models.normalisation import IMAGENET
from medxai.report import plots, saliency
from medxai.report.findings import DataKind
from medxai.report.plots import table as text_table
from medxai.report.tables import Comparison, compare
from medxai.studies import attribution as study
from medxai.studies.attribution import Trained

SIGNED = "red for the class, blue against, white zero"
UNSIGNED = "dark zero, yellow much"
DOES_NOT_DEPEND = 0.8
"""Rank correlation of the maps of two classes above which a method hardly depends on the class: our line."""


def wide(measured: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Turn a tidy table of the study into one row per method and one column per metric, or the bounds of one metric."""
    if metric:
        return measured[measured["metric"] == metric].set_index("row")[["value", "low", "high"]]
    return measured.pivot(index="row", columns="metric", values="value").loc[measured["row"].drop_duplicates()]


def pair(trained: Trained, row: int, maps: Tensor, method: str) -> Figure:
    """Show a painting and the maps (2, h, w) of a method for its disease and the most probable other.

    Parameters
    ----------
    row
        Of the painting in `trained`; the outline is that of its true characteristics.
    method
        Name in `METHODS`.
    """
    signed = METHODS[method].signed or bool(maps.min() < 0)
    figure, panels = plt.subplots(1, 3, figsize=(5.6, 2.5))
    _picture(panels[0], trained.pictures[row], "the painting")
    for axes, values, target in zip(panels[1:], maps.numpy(), study.classes_of(trained, row), strict=True):
        _map(axes, values, f"for {DISEASES[target].lower()}", signed)
    for axes in panels:
        axes.title.set_fontsize(10.5)
        _outline(axes, trained.truth[row])
    return plots.mark_data(figure, "rendered", SIGNED if signed else UNSIGNED)


def _picture(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set_axis_off()
    axes.set_title(title, fontsize=9.5)


def _map(axes: Axes, values: np.ndarray, title: str, signed: bool) -> None:
    _picture(axes, saliency.colours(signed)[saliency.levels(values, signed)], title)


def _outline(axes: Axes, truth: np.ndarray) -> None:
    if truth.any() and not truth.all():
        axes.contour(truth.astype(float), [0.5], colors="black", linewidths=0.9)


def _sheet(
    maps: Sequence[np.ndarray], titles: Sequence[str], signed: Sequence[bool], columns: int, kind: DataKind, note: str
) -> Figure:
    """Draw maps in rows."""
    rows = -(-len(maps) // columns)
    title = 0.6 if any("\n" in title for title in titles) else 0.35
    figure, panels = plt.subplots(rows, columns, figsize=(5.6, rows * (5.6 / columns + title) + 0.3), squeeze=False)
    for axes, values, title, one in zip(panels.flat, maps, titles, signed, strict=True):
        _map(axes, values, title, one)
    return plots.mark_data(figure, kind, note)


class Saturating(nn.Module):
    """One neuron that saturates (Sundararajan et al. 2017, section 2): 1 - max(1 - x, 0) for an image (1, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 1), nn.Linear(1, 1)
        for layer in (self.first, self.last):
            nn.init.constant_(layer.weight, -1.0)
            nn.init.constant_(layer.bias, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logit (n, 1)."""
        return self.last(self.first(images).relu().flatten(1))


def saturated(values: np.ndarray) -> pd.DataFrame:
    """Return what some methods attribute to the only pixel of `Saturating`, indexed by its value; baseline 0."""
    model, images = Saturating().double().requires_grad_(False), torch.as_tensor(values).double()[:, None, None, None]
    given = {"gradient": {}, "gradient_x_input": {}, "integrated_gradients": {"steps": 200}, "deeplift": {}}
    columns = {name: explain(model, images, 0, name, **options).flatten().numpy() for name, options in given.items()}
    return pd.DataFrame({"score": model(images).flatten().numpy(), **columns}, index=values)


def saturation() -> Figure:
    """Draw `saturated` from 0 to 3."""
    table = saturated(np.linspace(0.0, 3.0, 61))
    figure, axes = plt.subplots()
    lines = (("score", "-"), ("gradient_x_input", "--"), ("integrated_gradients", ":"), ("deeplift", "-."))
    for (name, line), colour, width in zip(
        lines, ("#999999", plots.RED, plots.BLUE, plots.GREEN), (7, 2, 4, 2), strict=True
    ):
        label = "the score itself" if name == "score" else METHODS[name].title
        axes.plot(table.index, table[name], line, color=colour, lw=width, label=label)
    axes.set(xlabel="value of the pixel", ylabel="score, or attribution", ylim=(-0.1, 1.5))
    axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=9.5)
    return plots.mark_data(figure, "simulated", "one neuron, one pixel")


class ForAndAgainst(nn.Module):
    """Two maps, what is bright and what is dark, averaged; the first speaks for the class, the second against it."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.last = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(2, 1, bias=False)
        self.relu, self.pool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.maps.weight.data = torch.tensor([1.0, -1.0])[:, None, None, None]
        self.last.weight.data = torch.tensor([[1.0, -0.7]])

    def forward(self, images: Tensor) -> Tensor:
        """Return the logit (n, 1)."""
        return self.last(self.pool(self.relu(self.maps(images))).flatten(1))


def against() -> Figure:
    """Show class activation maps of `ForAndAgainst` for a bright spot and a dark one."""
    y, x = np.mgrid[:32, :32]
    spot = np.hypot(y - 16, x - 8) < 5
    image = torch.tensor(spot.astype(float) - spot[:, ::-1]).float()[None, None]
    model, names = ForAndAgainst().requires_grad_(False), ("cam", "grad_cam", "grad_cam_plus_plus")
    maps = [explain(model, image, 0, name, layer="relu")[0].numpy() for name in names]
    titles = ["image: bright for,\ndark against", *(METHODS[name].title for name in names)]
    grey = image[0, 0].numpy() / 2 + 0.5
    figure, panels = plt.subplots(1, 4, figsize=(5.6, 2.0))
    _picture(panels[0], np.repeat(np.uint8(255 * grey)[..., None], 3, axis=2), titles[0])
    for axes, values, title in zip(panels[1:], maps, titles[1:], strict=True):
        _map(axes, values, title, signed=True)
    return plots.mark_data(figure, "simulated", SIGNED)


def coarse(trained: Trained, row: int) -> Figure:
    """Show CAM as the network computes it, and as it is usually drawn."""
    target, image = int(trained.labels[row]), IMAGENET.apply(trained.pictures[[row]])
    smooth = trained.explain(image, target, "cam")[0].numpy()
    with torch.no_grad():
        maps = trained.network[: int(study.CAM_LAYER) + 1](image)[0]
    values = torch.einsum("k,khw->hw", trained.network[-1].weight[target], maps).numpy()
    blocks = cv2.resize(values, (study.SIDE, study.SIDE), interpolation=cv2.INTER_NEAREST)
    figure, panels = plt.subplots(1, 3, figsize=(5.6, 2.5))
    _picture(panels[0], trained.pictures[row], "the painting")
    _map(panels[1], blocks, f"CAM: {len(values)} × {len(values)} numbers", signed=True)
    _map(panels[2], smooth, "the same, as drawn", signed=True)
    for axes in panels:
        _outline(axes, trained.truth[row])
    return plots.mark_data(figure, "rendered", SIGNED)


def baselines(trained: Trained, row: int) -> Figure:
    """Show integrated gradients and DeepLIFT for four baselines."""
    target, image = int(trained.labels[row]), IMAGENET.apply(trained.pictures[[row]])
    low, high = IMAGENET.bounds()
    blurred = IMAGENET.apply(cv2.GaussianBlur(trained.pictures[row], (0, 0), study.SIDE / 8)[None])
    chosen = {"black": low, "white": high, "mean colour": 0.0, "blurred": blurred}
    methods = ("integrated_gradients", "deeplift")
    maps = [
        trained.explain(image, target, method, baseline=baseline)[0].numpy()
        for method in methods
        for baseline in chosen.values()
    ]
    titles = [f"{name}:\n{baseline}" for name in ("IG", "DeepLIFT") for baseline in chosen]
    return _sheet(maps, titles, [True] * len(maps), 4, "rendered", SIGNED)


def windows(trained: Trained, row: int, sides: Sequence[int] = (8, 16, 32)) -> Figure:
    """Show occlusion with squares of three sizes, filled with the mean colour and with black."""
    target, image = int(trained.labels[row]), IMAGENET.apply(trained.pictures[[row]])
    fills = {"mean colour": 0.0, "black": IMAGENET.bounds()[0]}
    maps = [
        trained.explain(image, target, "occlusion", window=side, stride=side // 2, baseline=fill)[0].numpy()
        for fill in fills.values()
        for side in sides
    ]
    titles = [f"{side} pixels, {name}" for name in fills for side in sides]
    return _sheet(maps, titles, [True] * len(maps), 3, "rendered", SIGNED)


def asked(trained: Trained, row: int) -> Figure:
    """Show images that perturbation methods put to the network, each with the answer."""
    low, _ = IMAGENET.bounds()
    image = IMAGENET.apply(trained.pictures[[row]])[0]
    y, x = np.argwhere(trained.truth[row]).mean(0).astype(int)
    square = np.s_[:, max(y - 12, 0) : y + 12, max(x - 12, 0) : x + 12]
    draw = torch.rand(8, 8, generator=torch.Generator().manual_seed(1)) < 0.5
    off = draw.repeat_interleave(study.SIDE // 8, 0).repeat_interleave(study.SIDE // 8, 1)
    images = {"the painting": image, "a grey square": image.clone(), "a black square": image.clone()}
    images["a grey square"][square] = 0
    images["a black square"][square] = low
    images["half the regions"] = torch.where(off, 0, image)
    images["nothing but grey"] = torch.zeros_like(image)
    images["nothing but black"] = low.expand_as(image)
    figure, panels = plt.subplots(2, 3, figsize=(5.6, 4.8))
    with torch.no_grad():
        answers = trained.network(torch.stack([*images.values()])).softmax(1).numpy()
    for axes, (name, one), answer in zip(panels.flat, images.items(), answers, strict=True):
        title = f"{name}:\n{DISEASES[answer.argmax()]} {answer.max():.2f}"
        _picture(axes, IMAGENET.undo(one[None])[0], title)
    return plots.mark_data(figure, "rendered", "the diagnosis and its probability")


def class_dependence(here: pd.DataFrame, reference: pd.DataFrame | None) -> Figure:
    """Draw how alike the maps of two classes are, for every method, most alike on top; lines are ranges."""
    table = wide(here, "rank_correlation").set_axis(["here", "here_low", "here_high"], axis=1)
    series, labels = ["here"], ["this build"]
    if reference is not None:
        table = table.join(
            wide(reference, "rank_correlation").set_axis(["reference", "reference_low", "reference_high"], axis=1)
        )
        series, labels = ["reference", *series], ["reference", *labels]
    table.index = [METHODS[name].title.replace(" at the ", "\nat the ") for name in table.index]
    figure = plots.intervals(
        table,
        series,
        labels=labels,
        xlabel="rank correlation of maps of two classes",
        kind="rendered",
        order=series[0],
        note="mean and range over paintings; grey: hardly depends on the class",
    )
    figure.axes[0].axvspan(DOES_NOT_DEPEND, 1.02, color="#cccccc", alpha=0.6, lw=0, zorder=0)
    figure.axes[0].axvline(0, color="black", lw=0.8)
    figure.axes[0].set_xlim(-1.02, 1.02)
    return figure


SHOWN_RANDOMISED = ("gradient", "guided_backpropagation", "deconvnet", "cam")
"""Methods whose maps are shown before and after the top of the network is drawn anew."""


def randomised(trained: Trained, row: int) -> Figure:
    """Show maps of the trained network, above, and of the one with a new top, below."""
    target, image = int(trained.labels[row]), IMAGENET.apply(trained.pictures[[row]])
    both = (trained, replace(trained, network=study.with_new_top(trained)))
    maps = [one.explain(image, target, name)[0].numpy() for one in both for name in SHOWN_RANDOMISED]
    short = {"guided_backpropagation": "Guided\nbackpropagation"}
    names = [short.get(name, METHODS[name].title) for name in SHOWN_RANDOMISED]
    titles = [*(f"{name}\n" if "\n" not in name else name for name in names), *["new top"] * len(names)]
    return _sheet(maps, titles, [True] * len(maps), len(names), "rendered", SIGNED)


def randomisation(here: pd.DataFrame, reference: pd.DataFrame | None) -> Comparison:
    """Return the table of how alike maps of the trained network and of the one with a new top are, most alike first."""
    order = wide(here if reference is None else reference, "rank_correlation")["value"].sort_values(ascending=False)
    here = here.set_index("row").loc[order.index].reset_index()
    named = [
        None if one is None else one.assign(row=one["row"].map(lambda name: METHODS[name].title))
        for one in (reference, here)
    ]
    return compare(None, *named, metrics=("rank_correlation",), caption="Maps before and after the top is drawn anew")


def sanity_finding(class_dependence: pd.DataFrame, randomisation: pd.DataFrame) -> tuple[str, Figure, str]:
    """Return the sentence, the figure and its words on what maps take no notice of.

    Parameters
    ----------
    class_dependence, randomisation
        Tables of the study.
    """
    parts = {"other_class": class_dependence, "new_top": randomisation}
    columns = {}
    for name, measured in parts.items():
        bounds = wide(measured, "rank_correlation")
        columns |= {name: bounds["value"], f"{name}_low": bounds["low"], f"{name}_high": bounds["high"]}
    table = pd.DataFrame(columns).loc[list(study.RANDOMISED)]
    guided, plain = table.loc["guided_backpropagation"], table.loc["gradient"]
    sentence = (
        "Guided backpropagation takes little notice of what it explains: its maps of two classes have a rank "
        f"correlation of {guided['other_class']:.2f}, and its maps before and after the upper half of the network is "
        f"drawn at random one of {guided['new_top']:.2f}; the plain gradient's have {plain['other_class']:.2f} and "
        f"{plain['new_top']:.2f}."
    )
    best = [METHODS[name].title for name in table.sort_values("new_top", ascending=False).index[:2]]
    alt = (
        f"Dots with ranges for {len(table)} methods, two a method: rank correlation of maps of two classes, and of "
        "maps before and after the upper layers are drawn anew. "
        f"{best[0]} and {best[1]} have the largest of the latter."
    )
    figure = plots.intervals(
        table.rename(index=lambda name: METHODS[name].title),
        ["other_class", "new_top"],
        labels=["another class", "new top of the network"],
        xlabel="rank correlation with the map as it was",
        kind="rendered",
        order="new_top",
        note="mean and range over paintings; near 1: takes no notice",
    )
    return sentence, figure, alt


def similarity(measured: pd.DataFrame) -> Figure:
    """Draw the rank correlations of all methods' maps by patches as a numbered matrix."""
    found = wide(measured, "patches")["value"]
    names = [name for name in METHODS if any(name in pair.split() for pair in found.index)]
    table = pd.DataFrame(np.eye(len(names)), names, names)
    for pair, value in found.items():
        one, other = pair.split()
        table.loc[one, other] = table.loc[other, one] = value
    figure, axes = plt.subplots(figsize=(5.6, 7.4))
    drawn = axes.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_yticks(range(len(names)), [f"{METHODS[name].title}  {i}" for i, name in enumerate(names, 1)], fontsize=9)
    axes.set_xticks(range(len(names)), [str(i) if i % 2 else "" for i in range(1, len(names) + 1)], fontsize=9)
    axes.grid(visible=False)
    figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=30, location="bottom", label="rank correlation, by patches")
    return plots.mark_data(figure, "rendered", "mean over one painting a disease")


def chance(measured: pd.DataFrame) -> Figure:
    """Draw how well maps of different seeds agree, against what they cost; bands are the range."""
    figure, axes = plt.subplots()
    lines = measured.assign(images=measured["metric"].str.removeprefix("images_").astype(int)).groupby(
        "row", sort=False
    )
    for (name, line), marker in zip(lines, plots.MARKERS, strict=False):
        (drawn,) = axes.plot(line["images"], line["value"], marker=marker, label=METHODS[name].title)
        axes.fill_between(line["images"], line["low"], line["high"], color=drawn.get_color(), alpha=0.15, lw=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(study.BUDGETS, [str(budget) for budget in study.BUDGETS])
    axes.set(xlabel="images through the network", ylabel="rank correlation of two seeds", ylim=(-0.4, 1.04))
    figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=10)
    return plots.mark_data(figure, "rendered", "by patches; mean and range, three seeds")


def neighbours(trained: Trained, row: int, found: pd.DataFrame) -> Figure:
    """Show a painting and the training paintings that the network finds most alike."""
    rows = [row, *trained.train[found["reference"]]]
    figure, panels = plt.subplots(2, 3, figsize=(5.6, 4.3))
    for index, (axes, one) in enumerate(zip(panels.flat, rows, strict=True)):
        _picture(axes, trained.pictures[one], f"{index or 'explained'}: {DISEASES[trained.labels[one]]}")
    return plots.mark_data(figure, "rendered")


def explorer(trained: Trained, number: int = 3) -> HTML:
    """Return the saliency explorer for the paintings of `number` diseases, and for these diseases as classes."""
    rows = sorted(study.shown(trained), key=lambda row: row != study.explained(trained))[:number]
    targets = [int(trained.labels[row]) for row in rows]
    images = IMAGENET.apply(trained.pictures[np.repeat(rows, number)])
    maps = study.all_maps(trained, images, targets * number)
    shape = (number, number, study.SIDE, study.SIDE)
    methods = [
        saliency.Maps(METHODS[name].title, values.reshape(shape), METHODS[name].signed or bool(values.min() < 0))
        for name, values in maps.items()
    ]
    pictures = {f"Painted {DISEASES[trained.labels[row]].lower()}": trained.pictures[row] for row in rows}
    return saliency.explorer(pictures, [DISEASES[target] for target in targets], methods, kind="rendered")


def costs(measured: pd.DataFrame) -> HTML:
    """Return the table of all methods: passes, cost measured on one image, sign."""
    found = wide(measured)
    lines = {
        method.title: {
            "images": f"{found['images'][name]:.0f}" if name in found.index else "–",
            "time": f"×\u00a0{found['ratio'][name]:.0f}" if name in found.index else "–",
            "signed": "yes" if method.signed else "no",
            "passes": method.cost,
        }
        for name, method in METHODS.items()
    }
    caption = "Costs of one image: images through the network, and time as a multiple of one pass"
    return text_table(pd.DataFrame(lines).T.rename_axis("method"), caption)


def completeness(here: pd.DataFrame, reference: pd.DataFrame | None) -> HTML:
    """Return the table of what maps sum to and should sum to, in this build and as a share in both."""
    found = wide(here)
    shares = found["share"] if reference is None else wide(reference)["share"]
    lines = pd.DataFrame(
        {
            "sum": found["sum"].map("{:.3f}".format),
            "should be": found["wanted"].map("{:.3f}".format),
            "share, this build": found["share"].map("{:.1%}".format),
            "share, reference": "–" if reference is None else shares.reindex(found.index).map("{:.1%}".format),
            "which is": pd.Series(study.SUMS_TO).reindex(found.index),
        }
    )
    lines.index = pd.Index([METHODS[name].title for name in found.index], name="method")
    return text_table(lines, "What the maps sum to, in units of the logit, and as a share of what it should be")


def concepts(found: pd.DataFrame) -> HTML:
    """Return the table of what TCAV found."""
    names = {
        "score": "TCAV",
        "random_score": "of random sets",
        "p_value": "p value",
        "accuracy": "accuracy of the classifiers",
    }
    lines = found[list(names)].rename(columns=names).map(lambda value: "–" if np.isnan(value) else f"{value:.2f}")
    return text_table(lines, "Concepts, tested on one class")


CLAIMS = (
    ("gradient × input is close to occlusion, on some networks", "gradient_x_input", "occlusion"),
    ("integrated gradients correlate strongly with DeepLIFT's rescale rule", "integrated_gradients", "deeplift"),
    ("DeepLIFT's rescale rule resembles LRP-ε", "deeplift", "lrp_epsilon"),
)
"""Claims of the review's table 1, in our words, on how alike two methods are."""


def claims(here: pd.DataFrame, reference: pd.DataFrame | None) -> Comparison:
    """Return the table of the review's claims with the correlations found here and in the reference run."""
    pairs = {" ".join(names): claim for claim, *names in CLAIMS}
    pairs |= {" ".join(reversed(pair.split())): claim for pair, claim in pairs.items()}
    named = [
        None if one is None else one[one["row"].isin(pairs)].assign(row=lambda found: found["row"].map(pairs))
        for one in (here, reference)
    ]
    return compare(None, named[1], named[0], metrics=("pixels", "patches"), caption="Rank correlations of two maps")
