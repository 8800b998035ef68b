"""What the tables of the robustness study amount to: a few numbers for each set of images.

Tables are as `medxai.experiment.robust_compared` makes them, with the columns ``set`` and ``recipe`` in front, of one
recipe unless said otherwise. Results have a row for each set that a table has, in its order. Means over versions or
layers leave out what is NaN.
"""

import pandas as pd

from medxai.experiment.robust_compared import ALL, VERSION
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS

CONTROLS = (ANOTHER_IMAGE, RANDOM_WEIGHTS)


def of_versions(bands: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return the lines of one outcome that are of the five corruptions, neither controls nor corrected."""
    known = ~bands["corruption"].isin(CONTROLS) & ~bands["corruption"].str.contains(",")
    return bands[known & (bands["outcome"] == outcome)]


def by_depth(rmse: pd.DataFrame, outcome: str = "right") -> pd.DataFrame:
    """Return the mean RMSE over the versions: sets by layers, shallow first."""
    cells = of_versions(rmse, outcome).groupby(["set", "layer"], sort=False)["value"].mean().unstack("layer")
    return cells[sorted(cells)]


def over_control(rmse: pd.DataFrame) -> pd.DataFrame:
    """Return the mean RMSE of all images over that to another image's map, by set, corruption, severity and layer.

    Returns
    -------
    pandas.DataFrame
        The lines of the five corruptions, with ``share``: 1 says as far as to another image's map.
    """
    control = rmse[(rmse["outcome"] == ALL) & (rmse["corruption"] == ANOTHER_IMAGE)]
    own = of_versions(rmse, ALL).merge(
        control[["set", "layer", "value"]], on=["set", "layer"], suffixes=("", "_another")
    )
    return own.assign(share=own["value"] / own["value_another"])


def as_far_as_another_image(rmse: pd.DataFrame) -> pd.DataFrame:
    """Return in which share of corruptions and layers maps move as far as to another image's: sets by severities."""
    own = over_control(rmse)
    own["reached"] = own["share"] >= 1
    return own.groupby(["set", "severity"], sort=False)["reached"].mean().unstack("severity")


def right_and_wrong(rmse: pd.DataFrame, severity: int = 1) -> pd.DataFrame:
    """Return how far maps of right and of wrong predictions move, and in how many cells their intervals are apart.

    Returns
    -------
    pandas.DataFrame
        right, wrong (means over corruptions and layers), farther and less far (in how many of the cells the interval of
        wrong ones is wholly above or below that of right ones), cells. No row for a set without wrong or right ones.
    """
    keys = ["set", "corruption", "layer"]
    own = rmse[rmse["severity"] == severity]
    right, wrong = (of_versions(own, outcome).set_index(keys) for outcome in ("right", "wrong"))
    both = right.join(wrong, rsuffix="_wrong", how="inner")
    both["farther"] = both["low_wrong"] > both["high"]
    both["less far"] = both["high_wrong"] < both["low"]
    found = both.groupby("set", sort=False).agg(
        right=("value", "mean"),
        wrong=("value_wrong", "mean"),
        farther=("farther", "sum"),
        less=("less far", "sum"),
        cells=("value", "size"),
    )
    return found.rename(columns={"less": "less far"})


def together(relation: pd.DataFrame, outcome: str = "right") -> pd.DataFrame:
    """Return how many layers have a correlation of Delta AUC and RMSE whose interval is above or below 0.

    Returns
    -------
    pandas.DataFrame
        above, below, layers (those with a correlation), median (over layers).
    """
    own = relation.query("outcome == @outcome and `class` == @ALL and severity == 0").dropna(subset="value")
    own = own.assign(above=own["low"] > 0, below=own["high"] < 0)
    groups = own.groupby("set", sort=False)
    return groups.agg(
        above=("above", "sum"), below=("below", "sum"), layers=("value", "size"), median=("value", "median")
    )


def flagged(flags: pd.DataFrame, severity: int = 3) -> pd.DataFrame:
    """Return how well lost answers are told by the RMSE and by the network's own confidence.

    Returns
    -------
    pandas.DataFrame
        rmse (the median of the layers' areas under the ROC curve), best (the highest of them), confidence, lost.
    """
    own = flags.query("severity == @severity").pivot(index="set", columns="layer", values="value")
    layers = own.drop(columns="confidence")
    lost = flags.query("severity == @severity and layer == 'confidence'").set_index("set")["lost"]
    order = list(dict.fromkeys(flags["set"]))
    table = {"rmse": layers.median(axis=1), "best": layers.max(axis=1), "confidence": own["confidence"], "lost": lost}
    return pd.DataFrame(table).reindex([name for name in order if name in own.index])


def on_lesion(lesions: pd.DataFrame, severity: int = 3) -> pd.DataFrame:
    """Return how far maps lie on the lesion, at the layer where those of all originals do most; 1 is by chance.

    Returns
    -------
    pandas.DataFrame
        By outcome (right, wrong; where there are such): layer, original, corrupted (mean over the five corruptions),
        another (on the lesion of another image, of all outcomes), images.
    """
    keys = ["outcome", "layer"]
    whole = lesions[lesions["corruption"] == ORIGINAL].set_index(keys)
    layer = whole.loc[ALL, "value"].idxmax()
    own = lesions[lesions["layer"] == layer]
    corrupted = own[(own["severity"] == severity)].groupby("outcome")["value"].mean()
    another = own[(own["corruption"] == ANOTHER_IMAGE) & (own["outcome"] == ALL)]["value"].item()
    found = whole.xs(layer, level="layer").reindex(["right", "wrong"]).dropna(subset="value")
    table = {"layer": layer, "original": found["value"], "corrupted": corrupted, "another": another}
    return pd.DataFrame(table).join(found["images"], how="right")


def lost_auc(scores: pd.DataFrame) -> pd.Series:
    """Return the mean Delta AUC over the 25 versions, by set and recipe (of several)."""
    own = scores.query("subset == @ALL and metric == 'delta_auc' and `class` == @ALL")
    return own.groupby(["set", "recipe"], sort=False)["value"].mean()


def points(rmse: pd.DataFrame, scores: pd.DataFrame, outcome: str = "right") -> pd.DataFrame:
    """Join the mean RMSE of each version with its Delta AUC.

    Parameters
    ----------
    rmse
        ``rmse``, or ``rmse_by_class`` for each class by itself: its images, and its AUC against the rest.

    Returns
    -------
    pandas.DataFrame
        set, class, layer, corruption, severity, rmse, delta_auc.
    """
    moved = of_versions(rmse, outcome).rename(columns={"value": "rmse"})
    moved = moved.assign(**{"class": moved["class"].astype(str) if "class" in moved else ALL})
    lost = scores.query("subset == @ALL and metric == 'delta_auc'").rename(columns={"value": "delta_auc"})
    lost = lost.assign(**{"class": lost["class"].astype(str)})
    keys = ["set", "class", *VERSION]
    return moved[[*keys, "layer", "rmse"]].merge(lost[[*keys, "delta_auc"]], on=keys)


def two_meanings(scores: pd.DataFrame, separability: pd.DataFrame) -> pd.DataFrame:
    """Return the least and the largest Delta AUC of the five corruptions at severity 1, in both meanings of the thesis.

    Returns
    -------
    pandas.DataFrame
        By set: low and high of the loss of AUC (``loss``, eq. 2.7) and of the separability of the classes by their
        RMSE (``separability``, median over layers, right predictions), as columns (meaning, end).
    """
    loss = scores.query("subset == @ALL and metric == 'delta_auc' and `class` == @ALL and severity == 1")
    apart = separability.query("outcome == 'right' and severity == 1")
    apart = apart.groupby(["set", "corruption"], sort=False)["value"].median().reset_index()
    ends = {
        (name, end): getattr(table.groupby("set", sort=False)["value"], function)()
        for name, table in {"loss": loss, "separability": apart}.items()
        for end, function in {"low": "min", "high": "max"}.items()
    }
    return pd.DataFrame(ends)


def agreement(rmse: pd.DataFrame, variants: pd.DataFrame) -> pd.Series:
    """Return by variant Spearman's correlation of its mean RMSE with that of the first, over versions and layers."""
    keys = ["set", *VERSION, "layer"]
    first = of_versions(rmse, ALL).set_index(keys)["value"]
    found = {
        name: first.corr(of_versions(table, ALL).set_index(keys)["value"], method="spearman")
        for name, table in variants.groupby("variant", sort=False)
    }
    return pd.Series(found, dtype=float)


def kept_and_best(choosing: pd.DataFrame) -> pd.DataFrame:
    """Return the test AUC of the kept epoch, the highest of any epoch, and what choosing on test buys."""
    by = choosing.set_index("set")
    kept = by.query("split == 'val' and metric == 'loss'")["auc"]
    best = by.query("split == 'test' and metric == 'auc'")["auc"]
    return pd.DataFrame({"kept": kept, "best": best, "bought": best - kept}).reindex(list(dict.fromkeys(by.index)))
