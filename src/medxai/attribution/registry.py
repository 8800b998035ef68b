"""The table of methods: what each is, costs, and cannot do (``methods.csv``), and what computes it."""

import csv
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medxai.attribution import cam, concepts, examples, gradients, perturbation
from medxai.attribution.propagation import deeplift, lrp, patterns, rectifiers


@dataclass(frozen=True)
class Method:
    """One way to explain."""

    title: str
    """As a chapter prints it."""
    kind: Literal["map", "concept", "example"]
    """What comes out: a map of the image, a table of concepts, a table of examples."""
    family: Literal["gradient", "propagation", "class activation", "perturbation", "concept", "example", "control"]
    function: Callable
    """Takes model, images and target, and options by keyword."""
    reference: str
    cost: str
    """In passes of the model for each batch."""
    limits: str
    signed: bool
    """Whether values below zero speak against the target."""
    over_channels: Literal["sum", "max"]
    """How `explain` makes one map of the channels of the input."""

    @property
    def path(self) -> str:
        """Where the function is, as one imports it: ``medxai.attribution.gradients.saliency``."""
        return f"{self.function.__module__}.{self.function.__name__}"

    @property
    def options(self) -> dict[str, bool]:
        """Names of the keyword options that `explain` passes on, and whether each is required."""
        parameters = inspect.signature(self.function).parameters.values()
        return {
            one.name: one.default is one.empty
            for one in parameters
            if one.kind is one.KEYWORD_ONLY and one.name != "create_graph"  # a map from `explain` has no graph
        }


def effort(method: str, samples: int) -> dict[str, int]:
    """Return the options by which one number says how much work a method puts into a map.

    Parameters
    ----------
    method
        A name in `METHODS`; the result is empty for one that has no such option, and for a control.
    samples
        Steps and random draws, 50 for a thorough run; methods that draw whole orders of regions take a tenth of it,
        those that fit a regression five times as many, those that walk two paths half.
    """
    shares = {"lime": 5 * samples, "kernel_shap": 5 * samples, "shapley_value_sampling": max(1, samples // 10)}
    steps = max(2, samples // 2) if method == "expressive_gradients" else samples
    known = METHODS[method].options if method in METHODS else {}
    return {
        name: value for name, value in {"samples": shares.get(method, samples), "steps": steps}.items() if name in known
    }


FUNCTIONS: dict[str, Callable] = {
    "gradient": gradients.gradient,
    "saliency": gradients.saliency,
    "gradient_x_input": gradients.gradient_x_input,
    "integrated_gradients": gradients.integrated_gradients,
    "layer_integrated_gradients": gradients.layer_integrated_gradients,
    "expressive_gradients": gradients.expressive_gradients,
    "smoothgrad": gradients.smoothgrad,
    "gradient_shap": gradients.gradient_shap,
    "cam": cam.cam_map,
    "grad_cam": cam.grad_cam_map,
    "grad_cam_plus_plus": cam.grad_cam_plus_plus_map,
    "guided_grad_cam": cam.guided_grad_cam,
    "occlusion": perturbation.occlusion,
    "shapley_value_sampling": perturbation.shapley_value_sampling,
    "lime": perturbation.lime,
    "kernel_shap": perturbation.kernel_shap,
    "guided_backpropagation": rectifiers.guided_backpropagation,
    "deconvnet": rectifiers.deconvnet,
    "lrp_epsilon": lrp.lrp_epsilon,
    "lrp_gamma": lrp.lrp_gamma,
    "lrp_alpha_beta": lrp.lrp_alpha_beta,
    "deep_taylor": lrp.deep_taylor,
    "deeplift": deeplift.deeplift,
    "deep_shap": deeplift.deep_shap,
    "pattern_net": patterns.pattern_net,
    "pattern_attribution": patterns.pattern_attribution,
    "tcav": concepts.tcav,
    "nearest_neighbours": examples.nearest,
}
"""What computes each method: the functions themselves, not their names. Whoever follows imports then sees that what
reads `METHODS` depends on every one."""


def described(functions: Mapping[str, Callable]) -> dict[str, Method]:
    """Return methods or controls by name: functions with what ``methods.csv`` says of each."""
    with Path(__file__).with_name("methods.csv").open(encoding="utf-8", newline="") as file:
        lines = {line.pop("name"): line for line in csv.DictReader(file)}
    return {
        name: Method(function=function, **lines[name] | {"signed": lines[name]["signed"] == "yes"})
        for name, function in functions.items()
    }


METHODS: dict[str, Method] = described(FUNCTIONS)
"""Every method by the name that `explain` takes."""
