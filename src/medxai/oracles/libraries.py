"""How other libraries compute the methods of this book, each called as its documentation says."""

import copy
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import torch
from torch import Tensor, nn

from medxai.oracles import trace
from medxai.oracles.cases import ALPHA, EPSILON, GAMMA, Case, Explain


def _parts(library: str, *names: str) -> list[ModuleType]:
    """Import modules of a library that the book can do without."""
    return [import_module(f"{library}.{name}") for name in names]


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy to hook, a failure can leave hooks behind; with modules out of place, as the libraries advise."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model


def _captum(name: str) -> Explain:
    def run(one: Case) -> Tensor:
        from captum import attr

        options = {}
        if name.startswith("DeepLift"):
            options["baselines"] = one.baselines if name == "DeepLiftShap" else one.baselines[:1].expand_as(one.images)
        model = _copy(one.model)
        layer = [model.get_submodule(one.layer)] if name.endswith("GradCam") else []
        if name == "LayerGradCam":
            options["relu_attributions"] = True
        if name == "GuidedGradCam":
            options["interpolate_mode"] = "bilinear"  # as the paper has it
        found = getattr(attr, name)(model, *layer).attribute(one.images.clone(), target=one.target, **options).detach()
        if name == "LayerGradCam":
            found = attr.LayerAttribution.interpolate(found, one.images.shape[2:], "bilinear")
        return found

    return run


def _zennit(name: str, **options: float) -> Explain:
    def run(one: Case) -> Tensor:
        attribution, composites, rules, types = _parts("zennit", "attribution", "composites", "rules", "types")
        model = _copy(one.model)
        if name in ("GuidedBackprop", "DeconvNet"):
            composite = getattr(composites, name)(canonizers=_canonizers(model))
        else:
            rule = getattr(rules, name)(**options)
            layers = [(types.Convolution, rule), (types.Linear, rule), *composites.layer_map_base()]
            composite = composites.LayerMapComposite(layers, canonizers=_canonizers(model))
        with attribution.Gradient(model, composite) as attributor:
            logits = model(one.images)
            chosen = trace.one_hot(logits, one.target)
            start = chosen if name in ("GuidedBackprop", "DeconvNet") else chosen * logits.detach()
            return attributor(one.images, start)[1].detach()

    return run


def _canonizers(model: nn.Module) -> list:
    """The best of those that zennit brings: its own for torchvision's ResNet and VGG, else the general one."""
    canonizers, torchvision = _parts("zennit", "canonizers", "torchvision")
    own = {"ResNet": torchvision.ResNetCanonizer, "VGG": torchvision.VGGCanonizer}
    mine = own.get(type(model).__name__) if type(model).__module__.startswith("torchvision") else None
    return [(mine or canonizers.SequentialMergeBatchNorm)()]


def _shap(one: Case) -> Tensor:
    (explainers,) = _parts("shap", "explainers")
    explainer = explainers.DeepExplainer(_copy(one.model), one.baselines.clone())
    values = torch.as_tensor(explainer.shap_values(one.images.clone()))  # (n, c, h, w, classes)
    return torch.stack([value[..., target] for value, target in zip(values, one.target, strict=True)])


def _torchcam(name: str) -> Explain:
    def run(one: Case) -> Tensor:
        (methods,) = _parts("torchcam", "methods")
        model = _copy(one.model).requires_grad_()
        with getattr(methods, name)(model, one.layer) as extractor:
            (found,) = extractor(one.target.tolist(), model(one.images.clone()), normalized=False)
        return nn.functional.interpolate(found[:, None], one.images.shape[2:], mode="bilinear").detach()

    return run


OFFERED: dict[str, dict[str, Explain]] = {
    "captum": {
        "gradient_x_input": _captum("InputXGradient"),
        "guided_backpropagation": _captum("GuidedBackprop"),
        "deconvnet": _captum("Deconvolution"),
        "lrp_epsilon": _captum("LRP"),
        "deeplift": _captum("DeepLift"),
        "deep_shap": _captum("DeepLiftShap"),
        "grad_cam": _captum("LayerGradCam"),
        "guided_grad_cam": _captum("GuidedGradCam"),
    },
    "zennit": {
        "guided_backpropagation": _zennit("GuidedBackprop"),
        "deconvnet": _zennit("DeconvNet"),
        "lrp_epsilon": _zennit("Epsilon", epsilon=EPSILON),
        "lrp_gamma": _zennit("Gamma", gamma=GAMMA),
        "lrp_alpha_beta": _zennit("AlphaBeta", alpha=ALPHA, beta=ALPHA - 1),
    },
    "shap": {"deep_shap": _shap},
    "torchcam": {"grad_cam": _torchcam("GradCAM"), "grad_cam_plus_plus": _torchcam("GradCAMpp")},
}
"""What each library offers of these methods, called as its documentation says."""


def installed(library: str) -> str:
    """Return the version of a library; empty where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
