"""Names and tables of the comparison chapter; its figures are drawn by `medxai.report.plots` where they stand."""

from collections.abc import Mapping

import pandas as pd
from IPython.display import HTML

from medxai.attribution import CONTROLS, METHODS
from medxai.evaluation.metrics import METRICS
from medxai.report.findings import DataKind
from medxai.report.plots import table

KIND: dict[str, DataKind] = {"paintings": "rendered", "ultrasound": "real"}
TITLES = {name: method.title for name, method in METHODS.items()}
TITLES |= {name: f"▸ {control.title}" for name, control in CONTROLS.items()}
TITLES |= {
    "truth": "▸ The truth",
    "covered": "▸ The same pixels in grey",
    "dermatologist": "▸ One dermatologist",
    "inter": "▸ Two dermatologists",
    "intra": "▸ One dermatologist,\ntwice",
}
"""What a map or a rater is called; ``▸`` marks what is no method."""
SHORT = TITLES | {"layer_integrated_gradients": "IG, last convolution"}
THESIS = {
    "Saliency": "saliency",
    "Integrated gradients": "layer_integrated_gradients",
    "Grad-CAM": "grad_cam",
    "Occlusion": "occlusion",
    "LIME": "lime",
}
"""The thesis's names of its five methods, and ours; its integrated gradients are those of the last convolution."""


def named(values: pd.DataFrame, short: bool = False) -> pd.DataFrame:
    """Put titles in place of the names of maps and metrics in a tidy table, `short` ones if asked."""
    titles = values.rename(columns={"method": "row"})
    names = titles["row"].map(SHORT if short else TITLES)
    titles["row"] = names.str.replace(" at the last convolution", ", last layer")
    if "metric" in titles:
        titles["metric"] = titles["metric"].map({name: metric.title for name, metric in METRICS.items()})
    return titles


def metrics() -> HTML:
    """Return the table of all metrics: what each asks, which way is better, its range, its source."""
    lines = {
        metric.title: {
            "about": metric.family,
            "asks": metric.question,
            "better": metric.better,
            "range": f"{metric.low:g} to {metric.high:g}".replace("inf", "∞"),
            "source": metric.reference,
        }
        for metric in METRICS.values()
    }
    return table(pd.DataFrame(lines).T.rename_axis("metric"), "The metrics")


def networks(means: pd.DataFrame) -> HTML:
    """Return the table of the networks, from their numbers by name and set: shares in percent, others as counts."""
    shares = means.index.str.contains("accuracy|right|learnt")
    lines = pd.DataFrame(
        {of: [f"{v:.0%}" if s else f"{v:.0f}" for v, s in zip(means[of], shares, strict=True)] for of in means},
        means.index.str.replace("_", " "),
    )
    return table(lines.rename_axis("of one fold"), "The networks, means over folds")


def report_card(cards: Mapping[str, pd.DataFrame]) -> HTML:
    """Return the table of where each method stands, from `medxai.evaluation.score_tables.report_card` by set."""
    signs = {"better": "✓", "worse": "✗", "open": "·"}
    parts = [
        card.map(signs.get).rename(columns=lambda name, of=of: f"{METRICS[name].title}, {of}")
        for of, card in cards.items()
    ]
    lines = pd.concat(parts, axis=1).rename(index=TITLES).rename_axis("method")
    caption = "✓ better than the best control (random weights: the map changes); ✗ worse (the map stays); · open"
    return table(lines, caption, style="matrix")


def all_means(means: pd.DataFrame, caption: str) -> HTML:
    """Return the table of means: maps by metrics."""
    lines = means.rename(index=TITLES, columns={name: METRICS[name].title for name in means}).rename_axis("map")
    return table(lines.astype(object).mask(lines.abs() >= 100, ">100"), caption, form=".2f", style="matrix")
