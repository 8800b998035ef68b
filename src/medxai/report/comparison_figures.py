"""Figures and tables of the comparison chapter: maps side by side, scores with intervals, controls, sanity checks."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.text import Text

from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation import bootstrap
from medxai.evaluation.metrics import METRICS, verdicts
from medxai.evaluation.sanity import STILL_ALIKE
from medxai.report import plots, saliency
from medxai.report.findings import DataKind
from medxai.report.tables import Comparison, compare, text_table
from medxai.results import published, tidy
from medxai.studies import comparison as study
from medxai.studies.explained_sets import Trained

TITLES = {name: method.title for name, method in (METHODS | CONTROLS).items()} | {study.TRUTH: "The truth"}
KIND: dict[str, DataKind] = {"paintings": "rendered", "ultrasound": "real"}
THESIS = {
    "Saliency": "saliency",
    "Integrated gradients": "layer_integrated_gradients",
    "Grad-CAM": "grad_cam",
    "Occlusion": "occlusion",
    "LIME": "lime",
}
"""The thesis's names of its five methods, and ours; its integrated gradients are those of the last convolution."""
FUZZY = ("sensitivity", "specificity", "f1")
SCALES = {"fuzzy_f1": "maximum", "fuzzy_f1_quantile": "99th percentile", "fuzzy_f1_rank": "rank"}
COMPARED = (
    *("fuzzy_f1", "pixel_auc", "iou", "hit_rate", "pointing_game", "mass"),
    *("occlusion_drop", "occlusion_drop_equal_area", "deletion", "insertion", "sensitivity_n", "infidelity"),
    *("parameter_randomisation", "label_randomisation", "max_sensitivity"),
)
"""Metrics in which one way is better, and which every map that has values gets."""
JUDGED = ("pixel_auc", "fuzzy_f1", "insertion", "sensitivity_n", "infidelity")
"""Metrics by which methods are compared with the best control, one by one."""
NOISE_SHOWN = (
    *THESIS.values(),
    "gradient",
    "integrated_gradients",
    "deeplift",
    "guided_backpropagation",
    "deep_taylor",
)
"""Methods whose drops are drawn beside those of the controls."""
RESAMPLES, SEED = 2000, 0


def methods_of(scores: pd.DataFrame) -> list[str]:
    """Return the methods, without controls and the truth, in the order of the table of methods."""
    return [name for name in scores["method"].unique() if name in METHODS]


def wide(scores: pd.DataFrame, of: str, metric: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one metric of a set, a row for each image and a column for each map, and the group of each image."""
    mine = scores[scores["set"] == of]
    table = mine.pivot(index="image", columns="method", values=metric)[mine["method"].unique()]
    return table, mine.groupby("image")["group"].first().reindex(table.index).to_numpy()


def means(scores: pd.DataFrame, of: str, metric: str) -> pd.DataFrame:
    """Return the mean of a metric for each map: value, low, high (95 %, bootstrap over images), images."""
    values, groups = wide(scores, of, metric)
    return bootstrap.mean_intervals(values, groups=groups, resamples=RESAMPLES, seed=SEED)


def thesis_table(scores: pd.DataFrame, raters: pd.DataFrame) -> pd.DataFrame:
    """Compute table 2.1 of the thesis on the paintings, tidy: rows and metrics as printed.

    Of a method mean and standard deviation over images, with the interval of the mean; of dermatologists each against
    each other, mean and standard deviation over dermatologists.
    """
    columns = [f"fuzzy_{name}" for name in FUZZY]
    mine = scores[(scores["set"] == "paintings") & scores["method"].isin(THESIS.values())]
    table = mine.groupby("method")[columns].agg(["mean", "std"])
    each = raters[raters["against"] == "each"].groupby("rater")[columns].mean().agg(["mean", "std"])
    table.loc["dermatologists"] = [each.loc[what, name] for name, what in table.columns]
    table.columns = [name.removeprefix("fuzzy_") + ("_std" if what == "std" else "") for name, what in table.columns]
    table.index = table.index.map(
        {ours: printed for printed, ours in THESIS.items()} | {"dermatologists": "Dermatologists"}
    )
    bounds = {name: means(scores, "paintings", f"fuzzy_{name}").loc[list(THESIS.values())] for name in FUZZY}
    low, high = (
        pd.DataFrame({name: one[end] for name, one in bounds.items()}).set_axis(list(THESIS)) for end in ("low", "high")
    )
    return tidy(table.loc[[*THESIS, "Dermatologists"]], low, high)


def thesis(reference: pd.DataFrame | None, here: pd.DataFrame) -> Comparison:
    """Return table 2.1: published, reference, this build, each from `thesis_table`."""
    printed = published("thesis_table_2_1_explainability_methods")
    caption = "Table 2.1 of the thesis: maps against dermatologists (published: photographs; ours: paintings)"
    return compare(printed, reference, here, metrics=FUZZY, caption=caption)


def maps(trained: Trained, row: int, names: Sequence[str]) -> Figure:
    """Show an image with its reference outlined, and its maps by some methods and controls."""
    found = study.all_maps(trained, row)
    outline = trained.images.reference(row) >= 0.5
    picture = trained.images.pictures[row]
    figure, panels = plt.subplots(-(-(len(names) + 1) // 3), 3, figsize=(5.6, 2.05 * -(-(len(names) + 1) // 3)))
    for axes in panels.flat:
        axes.set_axis_off()
    panels.flat[0].imshow(picture)
    panels.flat[0].set_title("the image", fontsize=10)
    for axes, name in zip(panels.flat[1:], names, strict=False):
        values = np.maximum(found[name], 0)  # what the metrics of place see
        axes.imshow(saliency.colours(signed=False)[saliency.levels(values, signed=False)])
        axes.set_title(TITLES[name].replace(" at the ", "\nat the "), fontsize=10)
    for axes in panels.flat[: len(names) + 1]:
        axes.contour(
            outline.astype(float), [0.5], colors=["black" if axes is panels.flat[0] else "white"], linewidths=1.0
        )
    return plots.mark_data(figure, KIND[trained.images.name], "dark zero, yellow much; the line: half of the raters")


def roc(curves: pd.DataFrame, raters: pd.DataFrame, names: Sequence[str], note: str) -> Figure:
    """Draw mean ROC curves over pixels of the paintings, and each dermatologist against the others as a point."""
    mean = _mean_curves(curves, "paintings", "roc")
    figure, axes = plt.subplots(figsize=(5.6, 5.0))
    styles = ["-", "-", "-", "-", "-", "--", "--", ":"]
    for name, style in zip(names, styles, strict=False):
        label = TITLES[name].replace(" at the last convolution", ", last layer")
        axes.plot(mean[name].index, mean[name], style, lw=2, label=label)
    points = raters[raters["against"] == "others"].groupby("rater")[["fuzzy_specificity", "fuzzy_sensitivity"]].mean()
    axes.plot(
        1 - points["fuzzy_specificity"],
        points["fuzzy_sensitivity"],
        "*",
        color="black",
        ms=11,
        mec="white",
        label="dermatologists",
    )
    axes.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    axes.set(
        xlabel="false positive rate (1 - specificity)", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01)
    )
    axes.legend(loc="lower right", frameon=False, fontsize=9.5)
    return plots.mark_data(figure, "rendered", note)


def _mean_curves(curves: pd.DataFrame, of: str, what: str) -> pd.Series:
    """Return the mean over images of one kind of curve, by method and share; folds count by their images."""
    mine = curves[(curves["set"] == of) & (curves["curve"] == what)]
    sums = mine.assign(total=mine["value"] * mine["images"]).groupby(["method", "share"])[["total", "images"]].sum()
    return sums["total"] / sums["images"]


def scales(scores: pd.DataFrame, names: Sequence[str]) -> HTML:
    """Return the table of fuzzy F1 under three ways to scale a map to [0, 1], on the paintings."""
    columns = {title: means(scores, "paintings", metric).loc[list(names), "value"] for metric, title in SCALES.items()}
    lines = pd.DataFrame(columns).map("{:.2f}".format).rename(index=TITLES).rename_axis("map")
    return text_table(lines, "Fuzzy F1 on the paintings, by what a map is scaled with", kind="matrix")


def place(scores: pd.DataFrame, raters: pd.DataFrame, of: str, note: str) -> Figure:
    """Draw two metrics of place for every map, sorted by the first; controls, truth and one rater are marked."""
    metrics = ("pixel_auc", "fuzzy_f1")
    table = _beside(scores, of, metrics)
    one = raters[(raters["set"] == of) & (raters["against"] == "others")].groupby("image")[[*metrics]].mean()
    if len(one):
        found = bootstrap.mean_intervals(one, resamples=RESAMPLES, seed=SEED)
        ends = {"": "value", "_low": "low", "_high": "high"}
        table.loc["▸ One dermatologist"] = {
            f"{name}{end}": found.loc[name, column] for name in metrics for end, column in ends.items()
        }
    labels = {"pixel_auc": "pixel AUC", "fuzzy_f1": "fuzzy F1"}
    figure = _dots(table, labels, "score, 0 to 1", of, note)
    figure.axes[0].axvline(0.5, color="#999999", lw=0.8)
    return figure


def _dots(table: pd.DataFrame, labels: dict[str, str], xlabel: str, of: str, note: str) -> Figure:
    """Draw some metrics of a table of `_beside`, sorted by the first; labels by metric, controls in bold."""
    figure = plots.intervals(
        table,
        list(labels),
        labels=list(labels.values()),
        xlabel=xlabel,
        kind=KIND[of],
        order=next(iter(labels)),
        note=note,
    )
    for label in figure.axes[0].get_yticklabels():
        _embolden(label)
    return figure


def _embolden(label: Text) -> None:
    if label.get_text().startswith("▸"):
        label.set_fontweight("bold")


def _beside(scores: pd.DataFrame, of: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the means of some metrics with their intervals, one row for each map, as `plots.intervals` takes them."""
    parts = {}
    for metric in metrics:
        found = means(scores, of, metric)
        parts |= {metric: found["value"], f"{metric}_low": found["low"], f"{metric}_high": found["high"]}
    table = pd.DataFrame(parts)
    return table.set_axis([_marked(name) for name in table.index])


def _marked(name: str) -> str:
    return TITLES[name].replace(" at the ", "\nat the ") if name in METHODS else f"▸ {TITLES[name]}"


def best_control(scores: pd.DataFrame, of: str, metric: str) -> str:
    """Return the control with the best mean of a metric."""
    values = means(scores, of, metric)["value"].reindex(list(CONTROLS)).dropna()
    return str(values.idxmin() if METRICS[metric].better == "lower" else values.idxmax())


def against_control(scores: pd.DataFrame, of: str, metric: str, control: str | None = None) -> pd.Series:
    """Judge every method against a control, the best one by default: ``better``, ``worse`` or ``open``.

    By simultaneous 95 % intervals of the paired differences over all methods (`medxai.evaluation.bootstrap`).
    """
    control = control or best_control(scores, of, metric)
    values, groups = wide(scores, of, metric)
    found = bootstrap.differences(
        values[[*methods_of(scores), control]], control, groups=groups, resamples=RESAMPLES, seed=SEED
    )
    return verdicts(found, metric)


def control_finding(scores: pd.DataFrame) -> tuple[str, Figure, str]:
    """Say how many methods agree with the reference better than a Gaussian at the centre does."""
    sets, control = ("paintings", "ultrasound"), "centre_gaussian"
    counts = {}
    for of in sets:
        found = against_control(scores, of, "pixel_auc", control).value_counts()
        counts[of] = found.reindex(["better", "open", "worse"], fill_value=0)
    table = pd.DataFrame(counts).T
    figure, axes = plt.subplots(figsize=(5.6, 2.4))
    plots.bars(axes, table.rename(columns={"open": "not told apart"}), xlabel="number of methods")
    number, sizes = len(methods_of(scores)), scores.groupby("set")["image"].nunique()
    sentence = (
        "A blurred spot at the centre of the picture is hard to beat: in finding what dermatologists outlined on "
        f"paintings {table.loc['paintings', 'better']} of {number} methods are shown to be better and "
        f"{table.loc['paintings', 'worse']} worse, on real ultrasound {table.loc['ultrasound', 'better']} better and "
        f"{table.loc['ultrasound', 'worse']} worse (area under the pixels' ROC curve, intervals that hold for all "
        "methods at once)."
    )
    alt = (
        f"Two stacked bars of {number} methods: on paintings {table.loc['paintings', 'better']} are better than the "
        f"centre, {table.loc['paintings', 'worse']} worse; on ultrasound {table.loc['ultrasound', 'better']} better, "
        f"{table.loc['ultrasound', 'worse']} worse; the rest cannot be told apart."
    )
    note = f"{sizes['paintings']} paintings, {sizes['ultrasound']} real ultrasound images"
    return sentence, plots.mark_data(figure, "rendered", note), alt


def noise_finding(scores: pd.DataFrame) -> tuple[str, Figure, str]:
    """Say where uniform noise stands when what a map highlights is covered, as the thesis does it and at equal area."""
    metrics, noise = ("occlusion_drop", "occlusion_drop_equal_area"), "uniform_random"
    values = {metric: means(scores, "paintings", metric)["value"] for metric in metrics}
    thesis, equal = (one[methods_of(scores)] < one[noise] for one in values.values())
    truth = values["occlusion_drop"][study.TRUTH]
    sentence = (
        "The thesis's test of faithfulness can be won by noise: covering what a map highlights lowers the probability "
        f"by {values['occlusion_drop'][noise]:.2f} for uniform noise, by {truth:.2f} for what was truly painted, and "
        f"by less than for noise with {thesis.sum()} of {len(thesis)} methods; covering the same share for each map, "
        f"noise still beats {equal.sum()}."
    )
    table = _beside(scores, "paintings", metrics)
    table = table.loc[[_marked(name) for name in (*NOISE_SHOWN, *CONTROLS, study.TRUTH)]]
    alt = (
        "Two dots with intervals for some methods, the controls and the truth: the drop of the probability when all "
        f"above half of the maximum is covered, and when a fifth of the pixels is. By the first uniform noise leads "
        f"{thesis.sum()} methods, by the second {equal.sum()}."
    )
    labels = dict(zip(metrics, ("above half of the maximum", "a fifth of the pixels"), strict=True))
    note = f"{scores.loc[scores['set'] == 'paintings', 'image'].nunique()} paintings, reference run"
    return sentence, _dots(table, labels, "drop of the probability", "paintings", note), alt


def metric_finding(scores: pd.DataFrame) -> tuple[str, Figure, str]:
    """Say which metrics rank the methods as agreement with the reference does."""
    others = [name for name in COMPARED if METRICS[name].family != "place"]
    table = pd.DataFrame(
        {
            of: (found := ranks(scores, of).loc[methods_of(scores)])[others].corrwith(
                found["pixel_auc"], method="spearman"
            )
            for of in ("paintings", "ultrasound")
        }
    )
    order = table.mean(axis=1).sort_values(ascending=False)
    best, worst = order.index[0], order.index[-1]
    sentence = (
        "Whether a metric that needs no expert ranks methods as experts do depends on the metric: "
        f"{METRICS[best].title.lower()} agrees most with the pixel AUC against experts (rank correlation "
        f"{table.loc[best, 'paintings']:.2f} on paintings, {table.loc[best, 'ultrasound']:.2f} on ultrasound), "
        f"{METRICS[worst].title.lower()} least ({table.loc[worst, 'paintings']:.2f}, "
        f"{table.loc[worst, 'ultrasound']:.2f})."
    )
    alt = (
        "Two dots for each metric that needs no expert, one for each set: its rank correlation with the pixel AUC over "
        f"the methods. {METRICS[best].title} is on top, {METRICS[worst].title.lower()} at the bottom."
    )
    table = table.rename(index=lambda name: METRICS[name].title)
    table["mean"] = table[["paintings", "ultrasound"]].mean(axis=1)
    figure = plots.intervals(
        table,
        ["paintings", "ultrasound"],
        labels=["paintings", "real ultrasound"],
        xlabel="rank correlation with pixel AUC, over methods",
        kind="rendered",
        order="mean",
        note="and real ultrasound; reference run",
    )
    figure.axes[0].axvline(0, color="#999999", lw=0.8)
    figure.axes[0].set_xlim(-1.04, 1.04)
    return sentence, figure, alt


def stability(scores: pd.DataFrame) -> HTML:
    """Return the table of maximal sensitivity, most stable first, for both sets."""
    found = {of: means(scores, of, "max_sensitivity")["value"] for of in ("paintings", "ultrasound")}
    table = pd.DataFrame(found).dropna(how="all")
    lines = table.loc[table.mean(axis=1).sort_values().index].map("{:.2f}".format)
    lines.index = pd.Index([_marked(name).replace("\n", " ") for name in lines.index], name="map")
    return text_table(lines, "Maximal sensitivity: relative change of the map, lower is more stable")


def controls(scores: pd.DataFrame, of: str) -> HTML:
    """Return the table of how many methods are better or worse than the best control, for some metrics."""
    lines = {}
    for metric in JUDGED:
        control = best_control(scores, of, metric)
        counts = against_control(scores, of, metric, control).value_counts()
        counts = counts.reindex(["better", "open", "worse"], fill_value=0).map(str)
        lines[METRICS[metric].title] = {"best control": TITLES[control], **counts}
    caption = f"How many of the {len(methods_of(scores))} methods are better or worse than the best control: {of}"
    return text_table(pd.DataFrame(lines).T.rename_axis("metric"), caption)


def ranks(scores: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the rank of each method and control in each metric, 1 the best, ties shared; NaN where undefined."""
    names = [*methods_of(scores), *CONTROLS]
    values = scores[scores["set"] == of].groupby("method")[list(COMPARED)].mean().reindex(names)
    return pd.DataFrame(
        {metric: values[metric].rank(ascending=METRICS[metric].better == "lower") for metric in COMPARED}
    )


def control_ranks(scores: pd.DataFrame) -> HTML:
    """Return the table of the rank of each control among all methods and controls, in each metric, for both sets."""
    found = {of: ranks(scores, of) for of in ("paintings", "ultrasound")}
    lines = pd.DataFrame(
        {
            TITLES[name]: {
                METRICS[metric].title: " / ".join(
                    "–" if np.isnan(rank) else f"{rank:.0f}"
                    for rank in (one.loc[name, metric] for one in found.values())
                )
                for metric in COMPARED
            }
            for name in CONTROLS
        }
    )
    number = len(found["paintings"])
    caption = f"Rank of the controls among {number} methods and controls, 1 the best: paintings / ultrasound"
    return text_table(lines.rename_axis("metric"), caption)


def rank_map(scores: pd.DataFrame, of: str, note: str) -> Figure:
    """Draw the ranks of all methods and controls in all metrics: bright is best."""
    table = ranks(scores, of)
    table = table.loc[table.mean(axis=1).sort_values().index]
    figure, axes = plt.subplots(figsize=(5.6, 9.6))
    drawn = axes.imshow(-table, cmap="viridis", aspect="auto")
    axes.set_yticks(range(len(table)), [_marked(name).replace("\n", " ") for name in table.index], fontsize=9)
    axes.set_xticks(range(len(COMPARED)), [METRICS[name].title for name in COMPARED], rotation=90, fontsize=9)
    axes.grid(visible=False)
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=30, ticks=[-len(table), -1])
    bar.ax.set_xticklabels(["last", "best"])
    for label in axes.get_yticklabels():
        _embolden(label)
    return plots.mark_data(figure, KIND[of], note)


def metric_agreement(scores: pd.DataFrame, note: str) -> Figure:
    """Draw how alike two metrics rank the methods: upper triangle paintings, lower triangle ultrasound."""
    upper, lower = (
        ranks(scores, of).loc[methods_of(scores)].corr("spearman").to_numpy() for of in ("paintings", "ultrasound")
    )
    table = np.where(np.triu(np.ones_like(upper), 1) > 0, upper, lower)
    np.fill_diagonal(table, np.nan)
    figure, axes = plt.subplots(figsize=(5.6, 6.6))
    drawn = axes.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 else "black"
            axes.text(j, i, f"{10 * value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    names = [METRICS[name].title for name in COMPARED]
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
    axes.grid(visible=False)
    figure.colorbar(
        drawn,
        ax=axes,
        location="bottom",
        shrink=0.8,
        aspect=30,
        label="rank correlation of two metrics (numbers: tenths)",
    )
    return plots.mark_data(figure, "rendered", note)


def curve(curves: pd.DataFrame, of: str, names: Sequence[str], note: str) -> Figure:
    """Draw mean deletion and insertion curves of some maps."""
    figure, panels = plt.subplots(1, 2, figsize=(5.6, 3.6), sharey=True)
    for axes, what in zip(panels, ("deletion", "insertion"), strict=True):
        mean = _mean_curves(curves, of, what)
        for name, style in zip(names, ["-", "-", "-", "--", "--", ":"], strict=False):
            axes.plot(mean[name].index, mean[name], style, lw=2, label=TITLES[name])
        axes.set(xlabel="share of the pixels", title=what, ylim=(0, 1.02))
    panels[0].set_ylabel("probability of the class")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9.5)
    return plots.mark_data(figure, KIND[of], note)


def sanity(scores: pd.DataFrame, of: str, note: str) -> Figure:
    """Draw how alike maps are to those of a network with random weights, and of one that learnt random labels."""
    table = _beside(scores, of, ("parameter_randomisation", "label_randomisation"))
    table = table.dropna(subset="parameter_randomisation")
    labels = {"parameter_randomisation": "random weights", "label_randomisation": "random labels"}
    checked = scores.dropna(subset="parameter_randomisation").query("set == @of")["image"].nunique()
    figure = _dots(table, labels, "rank correlation with the map as it was", of, f"{note}, {checked} images")
    figure.axes[0].axvspan(STILL_ALIKE, 1.02, color="#cccccc", alpha=0.6, lw=0, zorder=0)
    figure.axes[0].set_xlim(-1.04, 1.04)
    return figure


def cascade(table: pd.DataFrame, names: Sequence[str], note: str) -> Figure:
    """Draw how alike maps stay while a network becomes random from its head down, over both sets."""
    mine = table[table["method"].isin(names)].copy()
    order = mine["share"].round(2)
    found = mine.groupby(["method", order])["rank_correlation"].mean()
    figure, axes = plt.subplots(figsize=(5.6, 3.8))
    for name, marker in zip(names, plots.MARKERS, strict=False):
        line = found[name]
        axes.plot([0, *line.index], [1, *line], marker=marker, label=TITLES[name])
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set(
        xlabel="share of the layers that are random, from the head down", ylabel="rank correlation", ylim=(-1.05, 1.05)
    )
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9.5)
    return plots.mark_data(figure, "rendered", note)


def report_card(scores: pd.DataFrame) -> HTML:
    """Return the table of what each method stands: against the best control, and in the sanity checks, on both sets."""
    signs = {"better": "✓", "worse": "✗", "open": "·"}
    columns = {}
    for of in ("paintings", "ultrasound"):
        for metric in ("pixel_auc", "insertion", "sensitivity_n"):
            columns[f"{METRICS[metric].title}, {of}"] = against_control(scores, of, metric).map(signs)
        after = means(scores, of, "parameter_randomisation")
        columns[f"random weights, {of}"] = pd.Series(
            np.select([after["high"] < STILL_ALIKE, after["low"] >= STILL_ALIKE], ["✓", "✗"], "·"), after.index
        ).reindex(methods_of(scores))
    lines = pd.DataFrame(columns).loc[methods_of(scores)].rename(index=TITLES).rename_axis("method")
    caption = "✓ better than the best control (random weights: the map changes); ✗ worse (the map stays); · open"
    return text_table(lines, caption, kind="matrix")


def metrics() -> HTML:
    """Return the table of all metrics: what each asks, which way is better, its range, its source."""
    ends = {np.inf: "∞", -np.inf: "-∞"}
    lines = {
        metric.title: {
            "about": metric.family,
            "asks": metric.question,
            "better": metric.better or "–",
            "range": f"{ends.get(metric.low, metric.low)} to {ends.get(metric.high, metric.high)}",
            "source": metric.reference,
        }
        for metric in METRICS.values()
    }
    return text_table(pd.DataFrame(lines).T.rename_axis("metric"), "The metrics")


def costs(table: pd.DataFrame) -> HTML:
    """Return the table of what a map costs: images through the network, and time over a bare pass forward and back."""
    found = table.groupby("method", sort=False)[["images", "ratio"]].median().reindex(methods_of(table))
    lines = pd.DataFrame(
        {"images": found["images"].map("{:.0f}".format), "time": found["ratio"].map("×\u00a0{:.0f}".format)}
    )
    return text_table(
        lines.rename(index=TITLES).rename_axis("method"), "Cost of one map: images, and time as a multiple of one pass"
    )


def ceiling(twice: pd.DataFrame, raters: pd.DataFrame, scores: pd.DataFrame, note: str) -> Figure:
    """Draw fuzzy F1 between dermatologists, of one with himself, of the truth, and of the best methods and controls."""
    rows = {}
    for kind, label in (("intra", "the same dermatologist, later"), ("inter", "another dermatologist")):
        rows[label] = bootstrap.mean_intervals(twice[twice["kind"] == kind][["fuzzy_f1"]], resamples=RESAMPLES).iloc[0]
    one = raters[raters["against"] == "others"].groupby("image")[["fuzzy_f1"]].mean()
    rows["one against all others"] = bootstrap.mean_intervals(one, resamples=RESAMPLES).iloc[0]
    found = means(scores, "paintings", "fuzzy_f1")
    best = found.loc[methods_of(scores), "value"].nlargest(3).index
    for name in [study.TRUTH, *best, *found.loc[list(CONTROLS), "value"].nlargest(2).index]:
        rows["the painted truth" if name == study.TRUTH else _marked(name).replace("\n", " ")] = found.loc[name]
    table = pd.DataFrame(rows).T.rename(columns={"value": "f1", "low": "f1_low", "high": "f1_high"})
    return plots.intervals(
        table, ["f1"], labels=["fuzzy F1"], xlabel="fuzzy F1", kind="rendered", order="f1", note=note
    )


def networks(table: pd.DataFrame) -> HTML:
    """Return the table of the networks: how many images, and how often they are right; means over the folds."""
    found = table.pivot_table(index="metric", columns="set", values="value", sort=False)
    shares = found.index.str.contains("accuracy|right|learnt")
    lines = found.apply(lambda column: [f"{v:.0%}" if s else f"{v:.0f}" for v, s in zip(column, shares, strict=True)])
    lines.index = [name.replace("_", " ") for name in lines.index]
    return text_table(lines.drop(index="pretrained").rename_axis("of one fold"), "The networks, means over folds")


def full_table(scores: pd.DataFrame, of: str) -> HTML:
    """Return all means of a set: maps by metrics."""
    metrics = [name for name in METRICS if name in scores]
    values = scores[scores["set"] == of].groupby("method", sort=False)[metrics].mean()
    lines = values.map(lambda value: "–" if np.isnan(value) else f"{value:.2f}" if abs(value) < 100 else ">100")
    lines = lines.rename(index=TITLES, columns={name: METRICS[name].title for name in metrics}).rename_axis("map")
    return text_table(lines, f"All means, {of}", kind="matrix")
