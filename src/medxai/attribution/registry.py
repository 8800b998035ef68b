"""The table of methods: what each is, costs, and cannot do."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
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
    """Takes model, images and target, and options by keyword. The function itself, not its name: whoever follows
    imports then sees that what reads this table depends on every method."""
    reference: str
    cost: str
    """In passes of the model for each batch."""
    limits: str
    signed: bool = True
    """Whether values below zero speak against the target."""
    over_channels: Literal["sum", "max"] = "sum"
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


ONE_PASS = "1 forward, 1 backward"
COARSE = "Coarse: as many values as the layer has pixels; tells places, not edges."
REGIONS = "Values belong to whole regions; a replaced region makes images that the model never saw."

METHODS: dict[str, Method] = {
    "gradient": Method(
        "Gradient",
        "map",
        "gradient",
        gradients.gradient,
        "Simonyan, Vedaldi, Zisserman 2014, section 3",
        ONE_PASS,
        "What an infinitely small change would do, not what the value contributes; noisy, and zero where saturated.",
    ),
    "saliency": Method(
        "Saliency",
        "map",
        "gradient",
        gradients.saliency,
        "Simonyan, Vedaldi, Zisserman 2014, section 3.1",
        ONE_PASS,
        "As the gradient, and evidence for and against look alike.",
        signed=False,
        over_channels="max",
    ),
    "gradient_x_input": Method(
        "Gradient × input",
        "map",
        "gradient",
        gradients.gradient_x_input,
        "Shrikumar, Greenside, Shcherbina, Kundaje 2016",
        ONE_PASS,
        "Depends on what value is zero: a pixel of the mean colour gets nothing, whatever it shows.",
    ),
    "integrated_gradients": Method(
        "Integrated gradients",
        "map",
        "gradient",
        gradients.integrated_gradients,
        "Sundararajan, Taly, Yan 2017, eq. 1",
        "steps × (1 forward, 1 backward)",
        "Depends on the baseline; pixels that equal it get nothing.",
    ),
    "layer_integrated_gradients": Method(
        "Integrated gradients at the last convolution",
        "map",
        "gradient",
        gradients.layer_integrated_gradients,
        "Jalaboi 2023 (thesis), section 2.4",
        "steps × (1 forward, 1 backward)",
        COARSE + " The path is straight in the image, so it need not sum to the difference of the scores.",
    ),
    "expressive_gradients": Method(
        "Expressive gradients",
        "map",
        "gradient",
        gradients.expressive_gradients,
        "Yang, Kim, Kim et al. 2019",
        "2 × steps × (1 forward, 1 backward)",
        "No unit: maps of layers are scaled before they are put together, by a rule of ours.",
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "map",
        "gradient",
        gradients.smoothgrad,
        "Smilkov, Thorat, Kim, Viégas, Wattenberg 2017, section 3",
        "samples × (1 forward, 1 backward)",
        "Smooth by construction, which is not the same as right; depends on the noise.",
    ),
    "gradient_shap": Method(
        "GradientSHAP",
        "map",
        "gradient",
        gradients.gradient_shap,
        "Erion, Janizek, Sturmfels, Lundberg, Lee 2021, eq. 4",
        "samples × (1 forward, 1 backward)",
        "A random estimate: it sums to the difference of the scores only on average.",
    ),
    "cam": Method(
        "CAM",
        "map",
        "class activation",
        cam.cam_map,
        "Zhou, Khosla, Lapedriza, Oliva, Torralba 2016, eq. 2",
        "1 forward",
        COARSE + " Only for networks that end in global average pooling and one linear layer.",
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "map",
        "class activation",
        cam.grad_cam_map,
        "Selvaraju, Cogswell, Das et al. 2017, eq. 1 and 2",
        ONE_PASS,
        COARSE + " Evidence against the target is cut off; below the last layer mean gradients mean little.",
        signed=False,
    ),
    "grad_cam_plus_plus": Method(
        "Grad-CAM++",
        "map",
        "class activation",
        cam.grad_cam_plus_plus_map,
        "Chattopadhay, Sarkar, Howlader, Balasubramanian 2018, eq. 19",
        ONE_PASS,
        COARSE + " Its weights assume maps that are not negative.",
        signed=False,
    ),
    "guided_grad_cam": Method(
        "Guided Grad-CAM",
        "map",
        "class activation",
        cam.guided_grad_cam,
        "Selvaraju, Cogswell, Das et al. 2017, section 3.2",
        "2 × (1 forward, 1 backward)",
        "Needs ReLU. Its edges are guided backpropagation's, which hardly depend on the class.",
    ),
    "occlusion": Method(
        "Occlusion",
        "map",
        "perturbation",
        perturbation.occlusion,
        "Zeiler, Fergus 2014, section 4.2",
        "1 forward for each window",
        REGIONS + " What two windows hide together is never tried.",
    ),
    "shapley_value_sampling": Method(
        "Shapley value sampling",
        "map",
        "perturbation",
        perturbation.shapley_value_sampling,
        "Castro, Gómez, Tejada 2009; Štrumbelj, Kononenko 2010",
        "samples × regions × 1 forward",
        REGIONS + " A random estimate; costly.",
    ),
    "lime": Method(
        "LIME",
        "map",
        "perturbation",
        perturbation.lime,
        "Ribeiro, Singh, Guestrin 2016, eq. 1",
        "samples × 1 forward",
        REGIONS + " A linear stand-in, whose settings matter as much as the model does.",
    ),
    "kernel_shap": Method(
        "KernelSHAP",
        "map",
        "perturbation",
        perturbation.kernel_shap,
        "Lundberg, Lee 2017, theorem 2",
        "samples × 1 forward",
        REGIONS + " A random estimate; needs several times more samples than regions.",
    ),
    "guided_backpropagation": Method(
        "Guided backpropagation",
        "map",
        "propagation",
        rectifiers.guided_backpropagation,
        "Springenberg, Dosovitskiy, Brox, Riedmiller 2015, figure 1",
        ONE_PASS,
        "Needs ReLU. Shows edges of the image, hardly what tells one class from another.",
    ),
    "deconvnet": Method(
        "DeConvNet",
        "map",
        "propagation",
        rectifiers.deconvnet,
        "Zeiler, Fergus 2014, section 2.1",
        ONE_PASS,
        "Needs ReLU. Without max-pooling it hardly depends on the image.",
    ),
    "lrp_epsilon": Method(
        "LRP-ε",
        "map",
        "propagation",
        lrp.lrp_epsilon,
        "Bach, Binder, Montavon et al. 2015, eq. 58",
        ONE_PASS,
        "Near gradient × input for networks of ReLU; biases keep their share.",
    ),
    "lrp_gamma": Method(
        "LRP-γ",
        "map",
        "propagation",
        lrp.lrp_gamma,
        "Montavon, Binder, Lapuschkin, Samek, Müller 2019, section 10.2.1",
        ONE_PASS,
        "Prefers what speaks for the target, by a free parameter.",
    ),
    "lrp_alpha_beta": Method(
        "LRP-αβ",
        "map",
        "propagation",
        lrp.lrp_alpha_beta,
        "Bach, Binder, Montavon et al. 2015, eq. 60",
        ONE_PASS,
        "Evidence for and against is weighed by fixed numbers, not by what the network makes of it.",
    ),
    "deep_taylor": Method(
        "Deep Taylor decomposition",
        "map",
        "propagation",
        lrp.deep_taylor,
        "Montavon, Lapuschkin, Binder, Samek, Müller 2017, table 1",
        ONE_PASS,
        "Positive evidence only, if the logit is positive; needs ReLU and the range of the pixels.",
        signed=False,
    ),
    "deeplift": Method(
        "DeepLIFT",
        "map",
        "propagation",
        deeplift.deeplift,
        "Shrikumar, Greenside, Kundaje 2017, sections 3.5.2 and 3.5.3",
        "2 forward, 1 backward",
        "Depends on the baseline; products have no rule in the paper.",
    ),
    "deep_shap": Method(
        "DeepSHAP",
        "map",
        "propagation",
        deeplift.deep_shap,
        "Lundberg, Lee 2017, section 4.2",
        "baselines × (2 forward, 1 backward)",
        "Depends on the background images; near Shapley values only as far as DeepLIFT is.",
    ),
    "pattern_net": Method(
        "PatternNet",
        "map",
        "propagation",
        patterns.pattern_net,
        "Kindermans, Schütt, Alber et al. 2018, section 4",
        ONE_PASS + ", and a fit of the patterns to many images",
        "Needs patterns of images like these; shows the signal that the network finds, not what it makes of it.",
    ),
    "pattern_attribution": Method(
        "PatternAttribution",
        "map",
        "propagation",
        patterns.pattern_attribution,
        "Kindermans, Schütt, Alber et al. 2018, section 4",
        ONE_PASS + ", and a fit of the patterns to many images",
        "Needs patterns of images like these.",
    ),
    "tcav": Method(
        "TCAV",
        "concept",
        "concept",
        concepts.tcav,
        "Kim, Wattenberg, Gilmer et al. 2018, eq. 1 and 2",
        "1 forward for each picture of a concept; 1 forward, 1 backward for each image",
        "Needs pictures of each concept; speaks of a set of images, not of one, nor of a place.",
    ),
    "nearest_neighbours": Method(
        "Nearest neighbours",
        "example",
        "example",
        examples.nearest,
        "Codella, Lin, Halpern et al. 2018",
        "1 forward for each image and each reference",
        "Shows what is alike to the network, not why.",
        signed=False,
    ),
}
"""Every method by the name that `explain` takes."""
