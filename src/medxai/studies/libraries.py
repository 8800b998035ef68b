"""The study behind the page on libraries: whose maps are right on which network?

One trial for each network, in float64, with biases that are not zero and calibrated batch normalisation: all our
methods, and those of captum, zennit, torchcam and, where it is installed, shap, each against the slow references of
`medxai.oracles`. A value is the agreement in decimal digits, ``-log10`` of the relative error. What is
refused or fails has none, and the words of the refusal are kept.

The lock cannot hold shap, whose numba asks for an older numpy: ``uv pip install shap==0.51.0`` before a reference run.
"""

import copy
import math
import re
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import pandas as pd
import torch
from captum import attr
from torch import Tensor, nn

from medxai.attribution import METHODS
from medxai.models import backbones
from medxai.oracles import trace
from medxai.oracles.cases import ALPHA, EPSILON, GAMMA, SEED, TRUTH, Case, Explain, case, ours, undefined
from medxai.profiles import Profile
from medxai.report import tables as report
from medxai.studies.store import Record, Study, Trial

RIGHT = 2.0
"""Digits from which on a map counts as right: an error of 1 %, which nobody would see."""
FIRST_SENTENCE = re.compile(r".*?(?=[.!] |[.!]?\n|[.!]?$)")
QUICK = ("mobilenet_v2",)
"""The network of the smaller profiles."""


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


CLAIMS: dict[str, dict[str, Explain]] = {
    "medxai": {method: ours(method) for method in TRUTH},
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


def measure(one: Case, method: str, truth: Tensor | None, claim: Explain) -> tuple[float, str]:
    """Return the agreement in digits, and what went wrong: NaN and the library's words where nothing came back.

    A map of a method that is not defined on the network (``truth`` is None) agrees with nothing: 0 digits. So does one
    that is not finite. Class activation maps have no unit, and are compared at the scale at which they agree best.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = claim(one)
    except Exception as error:  # whatever a library raises is the result
        return math.nan, f"{type(error).__name__}: {FIRST_SENTENCE.match(str(error))[0]}"
    if truth is None:
        return 0.0, "gives a map though the method is not defined"
    if METHODS[method].family == "class activation":
        found = found * (found * truth).sum() / found.square().sum()
    unit = truth.abs().max()  # PatternNet reaches 1e239 in a deep network, whose square is infinite
    wrong = ((found - truth) / unit).norm().item() / (truth / unit).norm().item()
    if not math.isfinite(wrong):
        return 0.0, "not finite"
    return min(16.0, max(0.0, -math.log10(max(wrong, 1e-16)))), ""


def network(profile: Profile, *, name: str) -> Record:
    """Return the agreement of all methods of all libraries on one network, ``row`` being ``library: method``."""
    one = case(name)
    rows = []
    for method, reference in TRUTH.items():
        truth = None if undefined(name, method) else reference(one)
        for library, offered in CLAIMS.items():
            if method in offered and installed(library):
                digits, reason = measure(one, method, truth, offered[method])
                rows.append({"row": f"{library}: {method}", "metric": "digits", "value": digits, "reason": reason})
    return {name: pd.DataFrame(rows).reindex(columns=[*report.TIDY, "reason"])}


def versions(profile: Profile) -> Record:
    """Return the versions of the libraries that took part."""
    found = {library: installed(library) for library in CLAIMS if library != "medxai"}
    rows = [{"row": library, "metric": "version", "reason": text} for library, text in found.items() if text]
    return {"versions": pd.DataFrame(rows).reindex(columns=[*report.TIDY, "reason"])}


def installed(library: str) -> str:
    """Return the version of a library; empty where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def names() -> list[str]:
    """Return the networks of the full run."""
    return list(backbones.ARCHITECTURES)


def trials(profile: Profile) -> list[Trial]:
    """Return one trial for each network."""
    chosen = names() if profile.name == "full" else QUICK
    return [
        Trial("versions", versions, ()),
        *(Trial(name, network, (), arguments=(("name", name),)) for name in chosen),
    ]


def matrix(tables: Record) -> pd.DataFrame:
    """Put the networks' tables together: index (library, method), a column for each network, digits."""
    columns = {name: table.set_index("row")["value"] for name, table in tables.items() if name != "versions"}
    found = pd.DataFrame(columns)
    found.index = pd.MultiIndex.from_tuples([tuple(row.split(": ")) for row in found.index])
    return found


def verdict(digits: float) -> str:
    """Return ``right``, ``wrong`` or, where nothing came back, ``refused``."""
    return "refused" if math.isnan(digits) else "right" if digits >= RIGHT else "wrong"


def counts(found: pd.DataFrame) -> pd.DataFrame:
    """Count right, wrong and refused networks in a `matrix`: index (library, method)."""
    number = found.map(verdict).apply(lambda row: row.value_counts(), axis=1)
    return number.reindex(columns=["right", "wrong", "refused"]).fillna(0).astype(int)


STUDY = Study("libraries", chapter="02_libraries", version=3, trials=trials, data={}, seed=SEED)
