"""What the trials of the benchmark say together: the paper's tables, the watermark, and if better means clearer."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from medxai.evaluation import bootstrap
from medxai.evaluation.benchmark_tables import EXPERTS, reaches_experts
from medxai.evaluation.per_class import MEAN
from medxai.models.benchmark_networks import BENCHMARK
from medxai.results import metric_name, tidy

SCORES = ("f1", "sensitivity", "specificity")
FEWEST = 4
"""Networks of which a rank correlation is worth a number."""


def paper_names(networks: pd.Series) -> pd.Series:
    """Return how the benchmark's tables call networks."""
    return networks.map({name: one.paper_name for name, one in BENCHMARK.items()})


def _over_runs(each: pd.DataFrame, row: str, metric: str) -> pd.DataFrame:
    """Average ``value`` over runs for each row and metric; tidy, with the deviation over runs as ``_std``."""
    found = each.groupby([row, metric], sort=False)["value"].agg(["mean", "std"])
    mean, spread = (found[name].unstack(metric) for name in ("mean", "std"))
    return tidy(mean.join(spread.add_suffix("_std")).rename_axis(index="row", columns=None))


def diagnosis_table(diagnosis: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return table 3, A4 or A5: a score of each network and disease, mean and deviation over runs; tidy."""
    lines = diagnosis[diagnosis["class"] != MEAN]
    lines = lines.assign(row=paper_names(lines["network"]), metric=lines["class"].map(metric_name), value=lines[score])
    return _over_runs(lines, "row", "metric")


def at_expert_level(table: pd.DataFrame, experts: pd.DataFrame) -> pd.DataFrame:
    """Say for each network and metric whether it is at expert level (`reaches_experts`); bool (networks, metrics).

    Both tables are tidy, with deviations as ``_std``; the second has the row `EXPERTS`. A single run has no deviation,
    and counts by its value.
    """
    wide = table[table["row"] != EXPERTS].pivot(index="row", columns="metric", values="value")
    own = experts[experts["row"] == EXPERTS].set_index("metric")["value"]
    metrics = [name for name in own.index if f"{name}_std" in own.index and name in wide]
    spread = wide.reindex(columns=[f"{name}_std" for name in metrics]).fillna(0)
    level = {
        name: [
            reaches_experts(*both, own[name], own[f"{name}_std"])
            for both in zip(wide[name], spread[f"{name}_std"], strict=True)
        ]
        for name in metrics
    }
    return pd.DataFrame(level, index=wide.index)


def place_table(images: pd.DataFrame) -> pd.DataFrame:
    """Return table 4: fuzzy scores of the maps of rightly diagnosed images, mean and deviation over runs; tidy."""
    means = images[images["right"]].groupby(["network", "run"], sort=False)[list(SCORES)].mean().reset_index()
    lines = means.melt(["network", "run"], var_name="metric", value_name="value")
    return _over_runs(lines.assign(row=paper_names(lines["network"])), "row", "metric")


def characteristic_table(characteristics: pd.DataFrame) -> pd.DataFrame:
    """Return figure 5: sensitivity to each characteristic by network, and the mean; tidy, without deviations."""
    lines = characteristics.assign(metric=columns_of(characteristics["network"]), value=characteristics["sensitivity"])
    mean = lines.groupby(["metric", "run"], sort=False)["value"].mean().reset_index().assign(term=MEAN)
    both = pd.concat([lines, mean], ignore_index=True)
    return tidy(
        both.groupby(["term", "metric"], sort=False)["value"].mean().unstack("metric").rename_axis(columns=None)
    )


def columns_of(networks: Iterable[str]) -> list[str]:
    """Return the columns of networks in the published figure 5: ``efficientnet_b0``, ``mobilenetv2``."""
    return [BENCHMARK[name].paper_name.lower().replace("-", "_") for name in networks]


def started_alike(networks: pd.DataFrame) -> list[str]:
    """Return, as the tables call them, the networks of the most frequent start: others are not ranked against them.

    `networks` has the columns network and origin (`medxai.experiment.benchmark_scores.of_network`).
    """
    starts = networks.drop_duplicates("network").set_index("network")["origin"].map(start)
    return list(paper_names(starts.index[starts == starts.mode()[0]].to_series()))


def start(origin: str) -> str:
    """Return ``ImageNet`` or ``random weights``, what training began with."""
    return "ImageNet" if "ImageNet" in origin else "random weights"


def better_and_clearer(diagnosis: pd.DataFrame, place: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, float]:
    """Correlate over networks the macro F1 of the diagnosis with the fuzzy F1 of the maps.

    Parameters
    ----------
    diagnosis, place
        `diagnosis_table` and `place_table`, or the published ones.
    resamples, seed
        Of the bootstrap over networks.

    Returns
    -------
    dict
        ``correlation``, Spearman's, with the ends ``low`` and ``high`` of its 95 % interval, and ``networks``.
    """
    macro = diagnosis[~diagnosis["metric"].str.endswith("_std")].groupby("row")["value"].mean()
    both = pd.concat([macro, place[place["metric"] == "f1"].set_index("row")["value"]], axis=1, join="inner")
    return over_networks(both.to_numpy(), resamples=resamples, seed=seed)


def over_networks(values: np.ndarray, *, resamples: int, seed: int) -> dict[str, float]:
    """Correlate the two columns of values, float64 (networks, 2), by Spearman; as `better_and_clearer`.

    NaN for fewer than `FEWEST` networks, of which a few resamples at most differ.
    """
    if len(values) < FEWEST:
        return {"correlation": np.nan, "low": np.nan, "high": np.nan, "networks": len(values)}
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    drawn = [spearmanr(*values[draw].T).statistic for draw in draws if (np.ptp(values[draw], axis=0) > 0).all()]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (np.nan, np.nan)
    return {"correlation": spearmanr(*values.T).statistic, "low": low, "high": high, "networks": len(values)}


def watermark_table(hans: pd.DataFrame) -> pd.DataFrame:
    """Say of each network, training and version of the test what the letters do.

    Returns
    -------
    pandas.DataFrame
        Columns network, taught, version; ``accuracy`` of all images, ``sensitivity`` to vitiligo, ``false_alarms``,
        the share of the other images taken for vitiligo, of those with letters where some have them; ``mass``, the
        mean share of Grad-CAM on the letters where there are some, and ``area``, their share of the pixels.
    """

    def summed(part: pd.DataFrame) -> pd.Series:
        others = part[~part["vitiligo"]]
        marked = others[others["letters"]]
        return pd.Series(
            {
                "accuracy": part["right"].mean(),
                "sensitivity": part.loc[part["vitiligo"], "found"].mean(),
                "false_alarms": (marked if len(marked) else others)["found"].mean(),
                "mass": part["mass"].mean(),
                "area": part["area"].mean(),
            }
        )

    keys = ["network", "taught", "version"]
    return hans.groupby(keys, sort=False)[hans.columns.difference(keys).tolist()].apply(summed).reset_index()


def turned(hans: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return how often letters turn a diagnosis into vitiligo, by network and training.

    Each unseen image that can have letters is diagnosed with them and without: vitiligo in the versions *as taught* and
    *removed*, other diseases in *swapped* and *removed* (`medxai.experiment.clever_hans.tested`).

    Returns
    -------
    pandas.DataFrame
        Columns network and taught; ``value``, the share of the images that are called vitiligo with letters less that
        without, ``low`` and ``high``, its 95 % interval over images, and ``images``.
    """
    keys = ["network", "taught", "image"]
    without = hans[hans["version"] == "removed"].set_index(keys)["found"].astype(float)
    there = (
        hans[hans["letters"] & hans["version"].isin(["as taught", "swapped"])].set_index(keys)["found"].astype(float)
    )
    change = (there - without).dropna().rename("change").reset_index()
    if change.empty:
        return pd.DataFrame(columns=["network", "taught", "value", "low", "high", "images"])
    wide = change.pivot(index="image", columns=["network", "taught"], values="change")
    wide.columns = wide.columns.to_flat_index()
    means = bootstrap.mean_intervals(wide, resamples=resamples, seed=seed)
    own = pd.DataFrame(list(means.index), columns=["network", "taught"])
    return pd.concat([own, means.reset_index(drop=True)], axis=1)


def betrayed(hans: pd.DataFrame) -> pd.Series:
    """Return by network how much more of Grad-CAM is on the letters if they were taught as a sign, and not: a ratio."""
    seen = hans[(hans["version"] == "as taught") & hans["letters"]]
    mass = seen.groupby(["network", "taught"], sort=False)["mass"].mean().unstack("taught")
    return (mass["tied"] / mass["plain"].where(mass["plain"] > 0)).rename("value")


def sensitivities(found: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the sensitivity to vitiligo of each network in each version of the test, with intervals over images.

    `found` is as of `medxai.experiment.clever_hans.guided`; columns network, version, value, low, high, images. A small
    fold may have no vitiligo; the table is then empty.
    """
    own = found[found["vitiligo"]]
    if own.empty:
        return pd.DataFrame(columns=["network", "version", "value", "low", "high", "images"])
    own = own.assign(found=own["found"].astype(float), both=own["network"] + ", " + own["version"])
    wide = own.pivot(index="image", columns="both", values="found")
    means = bootstrap.mean_intervals(wide, resamples=resamples, seed=seed)
    return own[["network", "version", "both"]].drop_duplicates().join(means, on="both").drop(columns="both")


def followed(maps: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean of ``followed`` over images of each method (`medxai.experiment.suppressor.compared`).

    Columns method, value, low, high, images; methods without any value are left out.
    """
    wide = maps.pivot(index="image", columns="method", values="followed").dropna(axis=1, how="all")
    means = bootstrap.mean_intervals(wide, resamples=resamples, seed=seed)
    return means.rename_axis("method").reset_index()
