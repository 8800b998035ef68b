"""The study behind the attribution chapter: every method on one network and a few paintings, in tidy tables.

What a map costs, what it sums to, whether it depends on class and network, which methods agree, how much is chance.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations, product

import numpy as np
import pandas as pd
import torch

from medxai.attribution import METHODS
from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.evaluation.complexity import gini
from medxai.evaluation.similarity import rank_correlation, rank_correlations
from medxai.experiment import image_sets
from medxai.experiment.explained import PATCHES, Explained, with_new_top
from medxai.experiment.panel import MAP_METHODS, Maps, Panel
from medxai.experiment.trained_network import start, train
from medxai.models.architectures import DEFAULT
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.results import TIDY
from medxai.studies.store import Record, Study, Trial

ONE_PASS = [name for name in MAP_METHODS if METHODS[name].cost in ("1 forward", "1 forward, 1 backward")]
"""Methods whose maps are compared with those of a network with a new top."""
BUDGETS = {"shapley_value_sampling": 64, "lime": 64, "kernel_shap": 64, "gradient_shap": 16}
"""Random methods, and the least number of images that they may spend; one that goes back, too, gets fewer."""
DRAWS = {"full": ((1, 2, 4), 3), "quick": ((1, 2), 2), "smoke": ((1,), 2)}
"""By profile: the multiples of these budgets at which chance is measured, and with how many seeds."""
SUMS_TO = {
    "logit less that of grey": "integrated_gradients deeplift shapley_value_sampling kernel_shap",
    "logit less its mean over the background": "deep_shap gradient_shap",
    "logit": "lrp_epsilon lrp_gamma lrp_alpha_beta deep_taylor pattern_attribution gradient_x_input",
}
"""What maps are said to sum to; the last two never promised it, and are there to compare."""


def patches(maps: np.ndarray) -> np.ndarray:
    """Return the means (..., PATCHES, PATCHES) of maps (..., side, side) over squares."""
    step = maps.shape[-1] // PATCHES
    whole = maps[..., : step * PATCHES, : step * PATCHES]
    return whole.reshape(*maps.shape[:-2], PATCHES, step, PATCHES, step).mean((-3, -1))


def tidied(lines: Iterable[tuple]) -> pd.DataFrame:
    """Return lines as a tidy table: of each row and metric the mean of what is defined, and the range of several."""
    values = pd.DataFrame(lines, columns=["row", "metric", "value"]).groupby(["row", "metric"], sort=False)["value"]
    table = values.agg(value="mean", low="min", high="max", count="count").reset_index()
    return table.assign(**table[["low", "high"]].where(table["count"] > 1))[TIDY]


def _measured(db: DermXDB, pretrained: Pretrained, profile: Profile) -> Record:
    """Compute every table of the chapter; rows are names of methods, or pairs of them."""
    trained = train(image_sets.paintings(db, profile), pretrained, profile, fold=0)
    explained = Explained.of(trained, profile)
    panel, rows, other = explained.panel, explained.rows, explained.targets[:, 1]
    own, refused, _, costs = panel.maps(rows, MAP_METHODS)
    another, new_top = {name: panel.explain(rows, name, targets=other).numpy() for name in own}, with_new_top(panel)
    for which, maps in enumerate((own, another)):  # for the chapters
        explained.keep(which, maps)
    anew = {name: panel.explain(rows, name, network=new_top).numpy() for name in ONE_PASS if name in own}
    counts = {"seen": len(trained.train), "held_out": len(trained.test), "explained": len(rows)}
    lines = {
        "network": [("network", *pair) for pair in {"accuracy": trained.accuracy, **counts}.items()],
        "costs": costs.melt("method").to_numpy(),
        "sparsity": [(name, "gini", value) for name, maps in own.items() for value in gini(maps)],
        "class_dependence": _alike(own, another),
        "randomisation": _alike(own, anew),
        "similarity": _similarity(own),
        "completeness": _completeness(panel, rows[0], {name: maps[0] for name, maps in own.items()}),
        "chance": _chance(panel, rows[0], *DRAWS[profile.name]),
        "refused": [(name, reason, 1) for name, reason in refused.items()],
    }
    return {name: table for name, part in lines.items() if len(table := tidied(part))}


def _alike(maps: Maps, others: Maps) -> Iterator[tuple]:
    """Correlate the ranks of each painting's two maps, signs left out; a map of zeros has no ranks."""
    for name, again in others.items():
        for pair in zip(maps[name], again, strict=True):
            yield name, "absolute_rank_correlation", rank_correlation(*np.abs(pair))


def _similarity(maps: Maps) -> Iterator[tuple]:
    """Correlate the maps of each two methods for each painting, by pixels and by patches."""
    for stack in np.stack(list(maps.values()), axis=1):  # (methods, side, side)
        tables = {"pixels": rank_correlations(stack), "patches": rank_correlations(patches(stack))}
        for (metric, found), ((i, one), (j, other)) in product(tables.items(), combinations(enumerate(maps), 2)):
            yield f"{one} {other}", metric, found[i, j]


def _completeness(panel: Panel, row: int, maps: Maps) -> Iterator[tuple]:
    """Compare the sums of a painting's maps with what they should sum to."""
    seen = (image := panel.pixels([row]), torch.zeros_like(image), panel.options("deep_shap")["baselines"])
    with torch.no_grad():
        logit, grey, ground = (panel.network(some)[:, panel.targets[row]].mean().item() for some in seen)
    for wanted, names in zip((logit - grey, logit - ground, logit), SUMS_TO.values(), strict=True):
        for name in filter(maps.__contains__, names.split()):
            total = maps[name].sum(dtype=float)
            yield from ((name, "wanted", wanted), (name, "sum", total), (name, "share", total / wanted))


def _chance(panel: Panel, row: int, budgets: tuple[int, ...], seeds: int) -> Iterator[tuple]:
    """Correlate the maps that a random method gives with different seeds, by patches."""
    for name, budget in ((name, times * least) for name, least in BUDGETS.items() for times in budgets):
        samples = budget // PATCHES**2 if name == "shapley_value_sampling" else budget  # it takes all regions in turn
        drawn = [torch.Generator().manual_seed(seed) for seed in range(1, 1 + seeds)]
        maps = [patches(panel.map(row, name, samples=samples, generator=one)) for one in drawn]
        yield from ((name, f"images_{budget}", rank_correlation(*pair)) for pair in combinations(maps, 2))


STUDY = Study(
    "attribution",
    chapter="02_attribution",
    version=10 + cache.VERSION,  # other paintings, other results
    trials=lambda profile: [Trial("measured", _measured, ("dermxdb", DEFAULT))],
    data={"dermxdb": real_or_simulated.open_dermxdb, DEFAULT: lambda _: start()},
)
