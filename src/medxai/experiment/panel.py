"""Explain one network on some images by every method and control, and ask what the maps are worth.

Each number is defined here, once, for every chapter and for a reader's own network: what a method is told, how maps are
scored, how they are compared with those of random networks and of changed images, what they cost.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from medxai.attribution import CONTROLS, METHODS, explain
from medxai.attribution.propagation.patterns import Patterns, fit_patterns
from medxai.attribution.registry import effort
from medxai.data.labelled_images import LabelledImages
from medxai.errors import NotConverged, NotFinite
from medxai.evaluation import cost, localisation, sanity, stability, suite
from medxai.evaluation.metrics import METRICS
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.folding import folded
from medxai.models.normalisation import Normalisation

MAP_METHODS = tuple(name for name, method in METHODS.items() if method.kind == "map")
"""Every method that gives a map."""
DOUBLE = ("pattern_net", "pattern_attribution")
"""Methods that run in float64: their signals leave the range of float32 in a network with many additions."""
STATISTICS = 32
"""Images that give a random network the statistics of its batch normalisation."""
CHANGE = 3 / 255
"""Largest change of a pixel's channel in the test of stability, as a share of the way from black to white."""
RATES = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1])
"""False positive rates at which ROC curves are kept."""
CURVE_POINTS = 6
"""Of deletion and insertion, that are kept."""
ALIKE = ("rank_correlation", "absolute_rank_correlation", "structural_similarity")
"""Columns of `medxai.evaluation.sanity.similarity_after`."""
REFUSALS = (ValueError, RuntimeError)
"""What a method raises that cannot explain a network: `medxai.errors.UnsupportedModel`, or what torch says."""
SCALES = ("quantile", "rank")
"""Further ways to scale a map for the fuzzy score (`medxai.evaluation.localisation.attention`)."""

Options = Mapping[str, Mapping[str, object]]
Maps = dict[str, np.ndarray]
"""Maps, float32 (n, side, side), by the name of their method or control."""


class Explained(NamedTuple):
    """Maps of some images, which methods refused and why, and what a map cost."""

    maps: Maps
    refused: dict[str, str]
    unconverged: dict[str, str]
    """What a method said that had not converged, by method, of the first such image."""
    costs: pd.DataFrame
    """A line for each map: ``method``, ``images`` that went forward through the network, ``seconds``, and their
    ``ratio`` to one bare pass forward and back."""


class Scored(NamedTuple):
    """Scores of maps and the curves behind some of them."""

    scores: pd.DataFrame
    """A line for each image and map: ``method``, ``image``, ``group``, and each metric, NaN where it is undefined."""
    curves: pd.DataFrame
    """Means over the images, long: ``method``, ``curve`` (roc, deletion, insertion), ``share``, ``value``."""


class Checked(NamedTuple):
    """What the sanity checks found."""

    checks: pd.DataFrame
    """A line for each image and map: ``image``, ``method``, ``parameter_randomisation``, ``label_randomisation`` (if
    another network was given), ``max_sensitivity``."""
    cascade: pd.DataFrame
    """A line for each image, map and random network: ``image``, ``method``, ``share`` of it that is random, and the
    columns of `medxai.evaluation.sanity.similarity_after`."""
    left_out: tuple[str, ...]
    """Checks that could not be made, a sentence each."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A network, images, and the methods and controls that explain one on the other.

    Parameters
    ----------
    network
        In evaluation mode; float32 (n, 3, side, side) to logits (n, classes). Rows below are those of `images`.
    images
        With or without outlines.
    targets
        int (n,): the class to explain for each image.
    normalisation
        What the network expects of its input.
    samples
        Steps and random draws of methods and metrics are multiples of it; 50 for a thorough run.
    methods
        Names, or a dictionary with options of each that go before those of the panel; all that give maps without one.
        Controls are always explained along.
    layer
        Name of the layer for methods that look at one; the last that gives maps of more than one pixel without one.
    training
        Images (m, 3, side, side) that the network was trained on, as it sees them, where they are known: background of
        methods that need one, statistics of random networks. Methods that need them refuse without.
    seed
        Of all random draws.
    progress
        Whether to show bars.
    fold
        Whether to work on a copy of the network with its normalisations folded into its convolutions, which gives the
        same maps to the last digits a quarter faster.
    multi_label
        Whether classes are findings that do not exclude each other: probabilities in scores are then a sigmoid.

    Raises
    ------
    ValueError
        If a method is unknown or gives no map, or needs an option that neither the caller nor the panel has.
    """

    network: nn.Module
    images: LabelledImages
    targets: np.ndarray
    normalisation: Normalisation
    samples: int
    methods: Sequence[str] | Options | None = None
    layer: str | None = None
    training: Tensor | None = None
    seed: int = 0
    progress: bool = True
    fold: bool = False
    multi_label: bool = False
    _fitted: "WeakKeyDictionary[nn.Module, tuple[nn.Module, Patterns]]" = field(
        default_factory=WeakKeyDictionary, repr=False
    )
    _folded: "WeakKeyDictionary[nn.Module, nn.Module]" = field(default_factory=WeakKeyDictionary, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.methods, str) or (self.methods is not None and not self.methods):
            raise ValueError(f"methods is {self.methods!r}: expected a list of names, at least one")
        for name in self.names:
            if name not in MAP_METHODS and name not in CONTROLS:
                raise ValueError(f"method {name!r} is unknown, or gives no map: expected {', '.join(MAP_METHODS)}")
            known = (METHODS | CONTROLS)[name].options
            for key in self._given(name):
                if key not in known:
                    raise ValueError(f"{key!r} is no option of {name}: expected {', '.join(known) or 'none'}")
            has = {*self._given(name), *(() if self.training is None else ("patterns", "baselines")), "low", "high"}
            if missing := [key for key, required in known.items() if required and key not in has]:
                raise ValueError(
                    f"method {name!r} needs {missing[0]}: give methods={{{name!r}: {{{missing[0]!r}: ...}}}}"
                )

    @classmethod
    def of(cls, trained: TrainedNetwork, samples: int, methods: Sequence[str] | Options | None = None) -> "Panel":
        """Return the panel of a network of ours: each image is explained for its own class."""
        return cls(
            trained.network,
            trained.images,
            trained.images.labels,
            trained.normalisation,
            samples,
            methods,
            trained.layer,
            trained.background(max(STATISTICS, samples)),
            fold=True,
        )

    @property
    def names(self) -> list[str]:
        """Methods, then controls, in the order in which they are run."""
        return [*(MAP_METHODS if self.methods is None else self.methods), *CONTROLS]

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Black and white as the network sees them, each (1, 3, 1, 1), on its device."""
        low, high = self.normalisation.bounds()
        return low.to(self._device), high.to(self._device)

    @property
    def _device(self) -> torch.device:
        return next((weight.device for weight in self.network.parameters()), torch.device("cpu"))

    def pixels(self, rows: Sequence[int]) -> Tensor:
        """Return images as the network sees them, float32 (len(rows), 3, side, side), on its device."""
        return self.normalisation.apply(self.images.pictures[list(rows)]).contiguous().to(self._device)

    def options(self, method: str, network: nn.Module | None = None) -> dict[str, object]:
        """Return what a method or control is told on this panel, for its network or for a changed one."""
        known = (METHODS | CONTROLS)[method].options
        low, high = self.bounds
        every = {
            "generator": torch.Generator().manual_seed(self.seed),
            "batch_size": suite.batch(self.images.side),
            "low": low,
            "high": high,
            "layer": self.layer,
            **effort(method, self.samples),
        }
        if self.training is not None:
            background = self.training[: max(2, self.samples // 4)]
            every |= {"baseline": background} if method == "gradient_shap" else {"baselines": background}
            if method in DOUBLE:
                every["patterns"] = self._double(self.network if network is None else network)[1]
        return {key: value for key, value in (every | self._given(method)).items() if key in known}

    def _given(self, method: str) -> dict[str, object]:
        """Options that the caller gave."""
        return dict(self.methods.get(method, {})) if isinstance(self.methods, Mapping) else {}

    def _used(self, network: nn.Module | None, method: str = "") -> nn.Module:
        """Return what runs in place of a network: a folded copy, in float64 for some methods."""
        network = self.network if network is None else network
        if method in DOUBLE and self.training is not None:
            return self._double(network)[0]
        if not self.fold:
            return network
        if network not in self._folded:
            self._folded[network] = folded(network, self.pixels([0])).requires_grad_(False)
        return self._folded[network]

    def _double(self, network: nn.Module) -> tuple[nn.Module, Patterns]:
        """Return a copy of a network in float64, and its patterns; fitted once for each network."""
        if network not in self._fitted:
            used = self._used(network)
            patterns = {place: value.double() for place, value in fit_patterns(used, self.training).items()}
            self._fitted[network] = copy.deepcopy(used).double(), patterns
        return self._fitted[network]

    def explain(
        self,
        rows: Sequence[int],
        method: str,
        *,
        network: nn.Module | None = None,
        pixels: Tensor | None = None,
        targets: Sequence[int] | None = None,
        **options: object,
    ) -> Tensor:
        """Return maps (n, side, side) of some rows.

        Parameters
        ----------
        rows
            Of the images, n.
        network, pixels, targets
            In place of the panel's network, of the rows' own pixels (n, 3, side, side) and of their classes.
        **options
            Of the method, before those of the panel.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConverged)  # `maps` tells it of each method
            return self._explained(rows, method, (network, pixels, targets), **options)

    def _explained(self, rows: Sequence[int], method: str, other: tuple = (None,) * 3, **options: object) -> Tensor:
        """Return the maps of `explain`, with its network, pixels and targets in one, and its warnings."""
        network, pixels, targets = other
        pixels = self.pixels(rows) if pixels is None else pixels
        classes = torch.as_tensor(self.targets[list(rows)] if targets is None else targets)
        used = self._used(network, method)
        pixels = pixels.to(next((weight.dtype for weight in used.parameters()), torch.float32))
        return explain(used, pixels, classes, method, **{**self.options(method, network), **options})

    def map(self, row: int, method: str, **changes: object) -> np.ndarray:
        """Return the map of one row, float32 (side, side); `changes` as of `explain`."""
        return self.explain([row], method, **changes)[0].cpu().numpy()

    def maps(self, rows: Sequence[int], methods: Sequence[str] | None = None) -> Explained:
        """Explain some rows by each method and control, or by some of them; go on where one refuses.

        A method that refuses the network, or gives a map that is not finite, is named with its reason. Rows are
        explained one by one, so that the shortest time of a method is what one map costs.
        """
        maps, refused, unconverged, lines, bare = {}, {}, {}, [], self._bare_seconds(rows[0])
        for name in tqdm(methods or self.names, "explaining", disable=not self.progress, mininterval=2):
            try:
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    maps[name], spent = self._metered(rows, name)
                unconverged |= _first_doubt(name, said)
                lines.append({"method": name, **spent._asdict(), "ratio": spent.seconds / bare})
            except REFUSALS as error:
                refused[name] = str(error).partition("\n")[0]
        return Explained(
            maps, refused, unconverged, pd.DataFrame(lines, columns=["method", "images", "seconds", "ratio"])
        )

    def _bare_seconds(self, row: int) -> float:
        """Time one pass forward and one back, the yardstick of costs; NaN where none goes back."""
        pixels, network = self.pixels([row]).requires_grad_(), self._used(None)

        def bare() -> None:
            torch.autograd.grad(network(pixels.clone())[0, int(self.targets[row])], pixels)

        try:
            return cost.measure(bare, network).seconds
        except REFUSALS:
            return float("nan")

    def _metered(self, rows: Sequence[int], name: str) -> tuple[np.ndarray, cost.Cost]:
        """Explain row by row; return the maps, and the images and the least seconds of one."""
        network = self._used(None, name)
        found, spent = [], []
        for row in rows:
            with cost.metered(network) as meter:
                try:
                    found.append(self._explained([row], name)[0].cpu().numpy())
                except NotFinite as error:
                    raise ValueError(f"the map of {self.images.names[row]} holds NaN or infinity") from error
            spent.append(meter.cost)
        return np.stack(found), cost.Cost(spent[0].images, min(one.seconds for one in spent))

    def scores(self, rows: Sequence[int], maps: Maps) -> Scored:
        """Score maps of some rows; metrics of place where there are outlines, NaN where theirs are empty."""
        tables, lines, names = [], [], list(maps)
        for i, row in enumerate(tqdm(rows, "scoring", disable=not self.progress, mininterval=2)):
            stack = np.stack([one[i] for one in maps.values()])
            values, curves = self._scored(row, stack)
            known = {"method": names, "image": self.images.names[row], "group": self.images.group(row)}
            tables.append(pd.DataFrame({**known, **values}))
            lines += [_long(name, names, shares, curve) for name, (shares, curve) in curves.items()]
        table = pd.concat(tables, ignore_index=True)
        if self.images.raters is not None:
            references = np.stack([self.images.reference(row) for row in rows])
            ious = [suite.held_out_iou(one, references) for one in maps.values()]
            table["iou"] = np.stack(ious, axis=1).ravel()
        mean = pd.concat(lines).groupby(["method", "curve", "share"], sort=False)["value"].mean().reset_index()
        first = ["method", "image", "group", *(name for name in METRICS if name in table)]
        return Scored(table[[*first, *table.columns.difference(first, sort=False)]], mean)

    def _scored(
        self, row: int, stack: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Score maps (m, side, side) of one image: (m,) by metric, and shares and curves (m, k) by name."""
        effort = suite.Effort.of(self.samples)
        image, target = self.pixels([row])[0], int(self.targets[row])
        options = {"seed": self.seed, "multi_label": self.multi_label}
        found = suite.faithful(self._used(None), image, target, stack, effort, **options)
        values = {**found.scores, **suite.concentration(stack)}
        kept = np.linspace(0, effort.steps, CURVE_POINTS).round().astype(int)
        curves = {name: (kept / effort.steps, curve[:, kept]) for name, curve in found.curves.items()}
        if self.images.raters is None or not (reference := self.images.reference(row)).any():
            return values, curves
        values |= suite.place(stack, reference)
        repeated = np.broadcast_to(reference, stack.shape)
        for scale in SCALES:
            scaled = localisation.attention(stack, scale=scale)
            values[f"fuzzy_f1_{scale}"] = localisation.fuzzy_scores(scaled, repeated).f1
        return values, {"roc": (RATES, localisation.roc(stack, repeated, RATES)), **curves}

    def sanity(
        self, rows: Sequence[int], names: Sequence[str], *, stages: int, misled: nn.Module | None = None
    ) -> Checked:
        """Explain some rows again: by networks more and more random, by one that learnt random labels, and changed.

        All maps are made anew with a third of the samples: like is compared with like, and it costs a third.

        Parameters
        ----------
        names
            Of the methods and controls.
        stages
            Of the randomisation, from the head down; fewer where the network has fewer modules.
        misled
            The network that learnt random labels.
        """
        columns = ["image", "method", "share", *ALIKE]
        if not len(rows):
            return Checked(pd.DataFrame(columns=columns[:2]), pd.DataFrame(columns=columns), ())
        panel = replace(self, samples=min(self.samples, max(8, self.samples // 3)))
        own = {name: panel.explain(rows, name).cpu().numpy() for name in names}
        known = pd.MultiIndex.from_product([[self.images.names[row] for row in rows], names], names=["image", "method"])
        checks, cascade, left_out = pd.DataFrame(index=known), [], ()
        bar = {"desc": "random networks", "total": stages, "disable": not self.progress, "mininterval": 2}
        try:
            for share, network in tqdm(panel._random_networks(stages), **bar):
                cascade.append(panel._alike(rows, own, network).assign(share=share))
            checks["parameter_randomisation"] = cascade[-1]["absolute_rank_correlation"]
        except ValueError as error:
            cascade, left_out = [], (f"The check by random weights was left out: {error}.",)
        if misled is not None:
            checks["label_randomisation"] = panel._alike(rows, own, misled)["absolute_rank_correlation"]
        checks["max_sensitivity"] = panel._max_sensitivity(rows, own)
        table = pd.concat(cascade).reset_index()[columns] if cascade else pd.DataFrame(columns=columns)
        return Checked(checks.reset_index(), table, left_out)

    def _random_networks(self, stages: int) -> Iterator[tuple[float, nn.Module]]:
        """Give copies of the network with the share of it that is random."""
        parts = sum(next(part.parameters(recurse=False), None) is not None for part in self.network.modules())
        if parts < 2:
            raise ValueError("the network has a single module with weights: expected at least two")
        some = self.pixels(range(min(STATISTICS, len(self.images)))) if self.training is None else self.training
        yield from sanity.cascade(self.network, some[:STATISTICS], stages=min(stages, parts), seed=self.seed)

    def _alike(self, rows: Sequence[int], own: Maps, network: nn.Module) -> pd.DataFrame:
        """Compare maps with those of another network; NaN where its logits or its maps are not finite."""
        tables = {}
        for name, maps in own.items():
            try:
                again = self.explain(rows, name, network=network).cpu().numpy()
                tables[name] = sanity.similarity_after(maps, again)
            except REFUSALS:
                tables[name] = pd.DataFrame(np.nan, range(len(rows)), ALIKE)
        table = pd.concat(tables, names=["method", "row"]).reset_index("row")
        table["image"] = [self.images.names[rows[i]] for i in table.pop("row")]
        return table.reset_index().set_index(["image", "method"])

    def _max_sensitivity(self, rows: Sequence[int], own: Maps) -> pd.Series:
        """Return the largest relative change of each map when its image hardly changes; NaN where none is finite."""
        (low, high), pixels = self.bounds, self.pixels(rows)
        options = {"radius": CHANGE * float((high - low).mean()), "samples": max(3, self.samples // 16)}
        found = {}
        for name, maps in own.items():

            def explainer(images: Tensor, name: str = name, maps: np.ndarray = maps) -> Tensor:
                if torch.equal(images, pixels):
                    return torch.as_tensor(maps)
                return self.explain(rows, name, pixels=images.clamp(low, high))  # still between black and white

            try:
                found[name] = stability.max_sensitivity(explainer, pixels, seed=self.seed, **options)
            except REFUSALS:
                found[name] = np.nan
        table = pd.DataFrame(found, [self.images.names[row] for row in rows]).rename_axis("image").reset_index()
        return table.melt("image", var_name="method").set_index(["image", "method"])["value"]


def _first_doubt(method: str, said: Sequence[warnings.WarningMessage]) -> dict[str, str]:
    """Return what a method said first of not having converged, by its name; give all other warnings on."""
    doubts = [str(one.message) for one in said if issubclass(one.category, NotConverged)]
    for one in said:
        if not issubclass(one.category, NotConverged):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return {method: doubts[0]} if doubts else {}


def _long(curve: str, names: Sequence[str], shares: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Return curves (m, k) of maps as one line for each map and share."""
    table = pd.DataFrame(values, pd.Index(names, name="method"), np.round(shares, 3)).reset_index()
    return table.melt("method", var_name="share").assign(curve=curve)
