"""The study behind the attribution chapter: every method on one small network, measured where it can be measured.

One trial trains the network on paintings and measures all methods on held-out ones: what a map costs, whether it sums
to what it should, whether it depends on the class, which methods agree, and how much chance is in the random ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from medxai.attribution import METHODS, explain
from medxai.attribution.propagation.patterns import fit_patterns
from medxai.data import sources
from medxai.data.dermxdb import DISEASES, DermXDB, chosen
from medxai.evaluation.complexity import gini
from medxai.evaluation.cost import measure
from medxai.evaluation.similarity import rank_correlation, rank_correlations
from medxai.models.weights import normalised, pixel_range
from medxai.painting import cache
from medxai.painting.swatch import swatch
from medxai.profiles import Profile
from medxai.results import TIDY
from medxai.studies.store import Record, Study, Trial
from medxai.training.fit import fit, predict
from medxai.training.small_convnet import small_convnet

SEED = 0
SIDE = 96
"""Side of the paintings that the network sees, in pixels."""
PASSES_OVER_DATA = 3
"""Times the epochs of the profile: the same network, trained longer than where several are cross-validated."""
RATE = 2e-3
HELD_OUT = 1 / 5
BACKGROUND = 12
"""Training paintings that serve as baselines of DeepSHAP and GradientSHAP."""
COVERED = 0.2
"""Share of the painting that its characteristics should cover, so that a map can be right or wrong about the place."""
CAM_LAYER = "15"
"""The pooling before the average: the logits are a linear layer of the mean of these maps, as CAM asks."""
PATCHES = 8
"""Patches along a side, on which maps of unlike fineness are compared."""
BUDGETS = (64, 128, 256, 512)
"""Images through the network that the random methods may spend, in the trial of chance."""
SEEDS = (1, 2, 3)
RANDOM = {"shapley_value_sampling": 64, "lime": 1, "kernel_shap": 1, "gradient_shap": 1}
"""Random methods, and how many images go through the network for each of their samples."""
SHAPLEY_SAMPLES = 5
"""Orders of the regions; half of the default, as no other method takes nearly as long."""
RANDOMISED = (
    "gradient",
    "gradient_x_input",
    "integrated_gradients",
    "smoothgrad",
    "guided_backpropagation",
    "deconvnet",
    "lrp_epsilon",
    "lrp_alpha_beta",
    "deep_taylor",
    "deeplift",
    "cam",
    "grad_cam",
)
"""Methods whose maps are compared with those of a network with a new top: those that are quick and need no fit."""
NEW_FROM = 8
"""The first layer of that top: the third convolution."""
OVER_GREY, OVER_BACKGROUND, LOGIT = (
    "logit less that of the mean colour",
    "logit less its mean over the background",
    "logit",
)
SUMS_TO = {
    **dict.fromkeys(("integrated_gradients", "deeplift", "shapley_value_sampling", "kernel_shap"), OVER_GREY),
    **dict.fromkeys(("deep_shap", "gradient_shap"), OVER_BACKGROUND),
    **dict.fromkeys(("lrp_epsilon", "lrp_gamma", "lrp_alpha_beta", "deep_taylor", "pattern_attribution"), LOGIT),
    "gradient_x_input": LOGIT,
}
"""What a map is said to sum to, by method; the last two never promised it, and are there to compare."""
CONCEPTS = ("Scale", "Pustule", "Patch")
SWATCHES = 8
"""Pictures of a concept."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network, the paintings that it was trained on and tried on, and how it did."""

    network: nn.Module
    names: np.ndarray
    """Of the paintings, (n,)."""
    pictures: np.ndarray
    """uint8 (n, SIDE, SIDE, 3)."""
    truth: np.ndarray
    """Whether a pixel shows any characteristic, bool (n, SIDE, SIDE)."""
    labels: np.ndarray
    """Diseases, int (n,), from 0."""
    train: np.ndarray
    test: np.ndarray
    """Rows."""
    probabilities: np.ndarray
    """Of the held-out paintings, float64 (len(test), classes)."""

    @property
    def accuracy(self) -> float:
        """Share of the held-out paintings whose disease is the most probable class, in [0, 1]."""
        return float((self.probabilities.argmax(1) == self.labels[self.test]).mean())

    @property
    def background(self) -> Tensor:
        """Some training paintings, spread over the diseases, as the network sees them."""
        order = pd.Series(self.labels[self.train]).groupby(self.labels[self.train]).cumcount().argsort(kind="stable")
        return normalised(self.pictures[self.train[order[:BACKGROUND]]])

    @cached_property
    def options(self) -> dict[str, dict[str, object]]:
        """What methods need beyond image and target, by method; the others do with their defaults."""
        patterns = fit_patterns(self.network, normalised(self.pictures[self.train]))
        low, high = pixel_range()
        return {
            "shapley_value_sampling": {"samples": SHAPLEY_SAMPLES},
            "deep_taylor": {"low": low, "high": high},
            "deep_shap": {"baselines": self.background},
            "gradient_shap": {"baseline": self.background},
            "pattern_net": {"patterns": patterns},
            "pattern_attribution": {"patterns": patterns},
            **{name: {"layer": CAM_LAYER} for name in ("cam", "grad_cam", "grad_cam_plus_plus", "guided_grad_cam")},
        }

    def explain(self, images: Tensor, target: int | Tensor, method: str, **options: object) -> Tensor:
        """Return `medxai.attribution.explain`'s maps (n, h, w), with `options` before those of the method here."""
        return explain(self.network, images, target, method, **(self.options.get(method, {}) | options))


def train(db: DermXDB, profile: Profile) -> Trained:
    """Paint, hold every fifth painting out, and train the small ConvNet on the others; same seed, same network."""
    names = chosen(db, profile.painted_images)
    folder = cache.paint_all(db, profile.painted_size, images=names, seed=SEED)
    pictures = np.stack([_square(cache.read(folder, name)) for name in names])
    truth = np.stack([_covered(cache.truth(folder, name), profile.painted_size) for name in names])
    labels = db.images.loc[names, "reference"].map({name: i for i, name in enumerate(DISEASES)}).to_numpy()
    rows = np.arange(len(names))
    seen, unseen = map(np.sort, train_test_split(rows, test_size=HELD_OUT, random_state=SEED, stratify=labels))
    options = {"epochs": PASSES_OVER_DATA * profile.convnet_epochs, "rate": RATE, "seed": SEED}
    network = fit(lambda: small_convnet(len(DISEASES)), pictures[seen], labels[seen], **options)
    network = network.to(memory_format=torch.contiguous_format).requires_grad_(False)
    return Trained(network, np.array(names), pictures, truth, labels, seen, unseen, predict(network, pictures[unseen]))


def _square(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _covered(terms: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Return where at least half of a pixel shows any of the terms."""
    return np.max([_square(term) for term in terms.values()] or [np.zeros((SIDE, SIDE))], axis=0) > 0.5


def shown(trained: Trained) -> list[int]:
    """Return a held-out painting (row) of each disease: the one that the network gets right with most certainty.

    Of a disease that it never gets right, the one to which it gives the largest probability of that disease.
    """
    truth = trained.labels[trained.test]
    own = trained.probabilities[np.arange(len(truth)), truth]
    right = trained.probabilities.argmax(1) == truth
    best = pd.DataFrame({"truth": truth, "right": right, "own": own, "row": trained.test})
    return list(best.sort_values(["right", "own"], ascending=False).groupby("truth")["row"].first())


def explained(trained: Trained) -> int:
    """Return the row of the painting that the chapter explains: of those that are right, a lesion of middling size."""
    rows = shown(trained)
    place = {row: i for i, row in enumerate(trained.test)}
    right = [row for row in rows if trained.probabilities[place[row]].argmax() == trained.labels[row]]
    return min(right or rows, key=lambda row: abs(trained.truth[row].mean() - COVERED))


def classes_of(trained: Trained, row: int) -> tuple[int, int]:
    """Return the disease of a held-out painting, and the most probable of the others."""
    truth = int(trained.labels[row])
    probabilities = trained.probabilities[list(trained.test).index(row)].copy()
    probabilities[truth] = -1
    return truth, int(probabilities.argmax())


def pictures_of(images: Tensor) -> np.ndarray:
    """Turn images as the network sees them (n, 3, h, w) back into pictures, uint8 (n, h, w, 3)."""
    low, high = pixel_range()
    return (((images - low) / (high - low)).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def map_methods() -> list[str]:
    """Return the names of the methods that give maps, in the order of the table of methods."""
    return [name for name, method in METHODS.items() if method.kind == "map"]


def all_maps(trained: Trained, images: Tensor, targets: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the maps (n, h, w) of every method, float32, by its name."""
    where = torch.as_tensor(targets)
    return {name: trained.explain(images, where, name).numpy() for name in map_methods()}


def patches(values: np.ndarray) -> np.ndarray:
    """Return the means (..., PATCHES, PATCHES) of maps (..., SIDE, SIDE) over squares."""
    step = SIDE // PATCHES
    return values.reshape(*values.shape[:-2], PATCHES, step, PATCHES, step).mean((-3, -1))


def with_new_top(trained: Trained) -> nn.Module:
    """Return the network with its upper two blocks and its head drawn anew, not trained; the rest is shared."""
    torch.manual_seed(SEED + 1)  # with the seed of training they would start from the same numbers
    fresh = small_convnet(len(DISEASES))
    return nn.Sequential(*trained.network[:NEW_FROM], *fresh[NEW_FROM:]).eval().requires_grad_(False)


def _measured(db: DermXDB, profile: Profile) -> Record:
    """Train the network and compute every table of the chapter, tidy; rows are names of methods, or pairs of them."""
    trained = train(db, profile)
    rows = shown(trained)
    pairs = [classes_of(trained, row) for row in rows]
    images = normalised(trained.pictures[rows])
    own, other = (all_maps(trained, images, list(targets)) for targets in zip(*pairs, strict=True))
    row = explained(trained)
    image, target = normalised(trained.pictures[[row]]), int(trained.labels[row])
    sparse = {name: [{"metric": "gini", **spread(gini(maps))}] for name, maps in own.items()}
    tables = {
        "network": {
            "network": [
                {"metric": "accuracy", "value": trained.accuracy},
                {"metric": "paintings_seen", "value": len(trained.train)},
                {"metric": "paintings_held_out", "value": len(trained.test)},
            ]
        },
        "costs": _costs(trained, image, target),
        "sparsity": sparse,
        "class_dependence": _correlated(own, other),
        "randomisation": _correlated(own, _of_new_top(trained, images, [pair[0] for pair in pairs])),
        "similarity": _similarity(own),
        "completeness": _completeness(trained, image, target),
        "chance": _chance(trained, image, target),
    }
    return {
        name: pd.DataFrame([{"row": row, **line} for row, lines in table.items() for line in lines]).reindex(
            columns=TIDY
        )
        for name, table in tables.items()
    }


Lines = dict[str, list[dict[str, object]]]
"""Metrics and values by row."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, least and largest of those numbers that are defined, as ``value``, ``low``, ``high``."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    bounds = (known.mean(), known.min(), known.max()) if known.size else (np.nan,) * 3
    return dict(zip(("value", "low", "high"), bounds, strict=True))


def _costs(trained: Trained, image: Tensor, target: int) -> Lines:
    """Time each method on one image, and count the images that go forward through the network meanwhile."""
    lines: Lines = {}
    once = measure(lambda: _bare(trained.network, image, target), trained.network).seconds
    for name in map_methods():
        cost = measure(partial(trained.explain, image, target, name), trained.network)
        values = {"images": cost.images, "seconds": cost.seconds, "ratio": cost.seconds / once}
        lines[name] = [{"metric": metric, "value": value} for metric, value in values.items()]
    return lines


def _bare(network: nn.Module, image: Tensor, target: int) -> Tensor:
    """One pass forward and one back: the yardstick of costs."""
    pixels = image.clone().requires_grad_(True)
    return torch.autograd.grad(network(pixels)[0, target], pixels)[0]


def _correlated(maps: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> Lines:
    """Correlate the ranks of each painting's two maps, for every method that has both; a map of zeros has no ranks."""
    lines: Lines = {}
    for name in others:
        values = [rank_correlation(a, b) for a, b in zip(maps[name], others[name], strict=True)]
        defined = int(np.isfinite(values).sum())
        lines[name] = [
            {"metric": "rank_correlation", **spread(values)},
            {"metric": "paintings", "value": defined},
        ]
    return lines


def _of_new_top(trained: Trained, images: Tensor, targets: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the maps of some methods for the network whose top is not trained."""
    untrained, where = replace(trained, network=with_new_top(trained)), torch.as_tensor(targets)
    return {name: untrained.explain(images, where, name).numpy() for name in RANDOMISED}


def _similarity(maps: dict[str, np.ndarray]) -> Lines:
    """Correlate the maps of each two methods, by pixels and by patches: the mean over the paintings, and the range."""
    by_painting = np.stack(list(maps.values()), axis=1)
    fine = np.stack([rank_correlations(one) for one in by_painting])
    coarse = np.stack([rank_correlations(one) for one in patches(by_painting)])
    return {
        f"{one} {other}": [
            {"metric": "pixels", **spread(fine[:, i, j])},
            {"metric": "patches", **spread(coarse[:, i, j])},
        ]
        for (i, one), (j, other) in combinations(enumerate(maps), 2)
    }


def _completeness(trained: Trained, image: Tensor, target: int) -> Lines:
    """Compare the sums of maps with what they should sum to, see `SUMS_TO`."""
    with torch.no_grad():
        logit, grey = (float(trained.network(one)[0, target]) for one in (image, torch.zeros_like(image)))
        ground = float(trained.network(trained.background)[:, target].mean())
    wanted = {OVER_GREY: logit - grey, OVER_BACKGROUND: logit - ground, LOGIT: logit}
    lines: Lines = {}
    for name, quantity in SUMS_TO.items():
        total = float(trained.explain(image, target, name).double().sum())
        values = {"wanted": wanted[quantity], "sum": total, "share": total / wanted[quantity]}
        lines[name] = [{"metric": metric, "value": value} for metric, value in values.items()]
    return lines


def _chance(trained: Trained, image: Tensor, target: int) -> Lines:
    """Correlate the maps that a random method gives with different seeds, by patches, for several budgets."""
    lines: Lines = {name: [] for name in RANDOM}
    for name, cost in RANDOM.items():
        for budget in BUDGETS:
            drawn = partial(trained.explain, image, target, name, samples=budget // cost)
            maps = [drawn(generator=torch.Generator().manual_seed(seed))[0].numpy() for seed in SEEDS]
            values = [rank_correlation(patches(a), patches(b)) for a, b in combinations(maps, 2)]
            lines[name].append({"metric": f"images_{budget}", **spread(values)})
    return lines


def concept_pictures() -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return painted swatches of some concepts, and four sets of swatches of any characteristics, for TCAV."""
    generator = np.random.default_rng(SEED)
    terms = ("Macule", "Papule", "Plaque", "Nodule", "Closed comedo", "Cyst", "Scar", "Sun damage", "Telangiectasia")

    def painted(names: Sequence[str]) -> Tensor:
        tones = generator.choice(["light", "medium"], len(names))
        seeds = generator.integers(2**31, size=len(names))
        all_ = [
            swatch([term], size=SIDE, tone=tone, seed=int(seed))
            for term, tone, seed in zip(names, tones, seeds, strict=True)
        ]
        return normalised(np.stack([one.finish() for one in all_]))

    concepts = {term: painted([term] * SWATCHES) for term in CONCEPTS}
    return concepts, [painted(list(generator.choice(terms, SWATCHES))) for _ in range(4)]


STUDY = Study(
    "attribution",
    chapter="02_attribution",
    version=3,
    trials=lambda profile: [Trial("measured", _measured, ("dermxdb",))],
    data={"dermxdb": sources.open_dermxdb},
    seed=SEED,
)
