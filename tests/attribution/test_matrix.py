"""Every method on every network: right by its oracle, or refused with a reason. None merely runs.

The networks are those of the benchmark and the book's own.

In float64: biases that are not zero, calibrated batch normalisation, baselines that are not constant. Each push has
small images and networks with each kind of block, each week has the whole networks at 128 pixels.
"""

import math

import pytest
from explained_networks import slim_and_whole

from medxai.attribution import METHODS
from medxai.models import backbones
from medxai.models.architectures import DEFAULT
from medxai.oracles import cases
from medxai.studies import libraries

EXACT = 8.0
"""Digits; float64 leaves more to whatever has nothing in between in float32."""
IN_FLOAT32 = {"integrated_gradients": 7, "expressive_gradients": 7, "occlusion": 7}
"""Captum keeps the points of the path, and the counts of windows, in float32."""
REGRESSION = {"shapley_value_sampling": 7, "lime": 5, "kernel_shap": 4.5}
"""Captum adds up in float32; of KernelSHAP it gives the constraint a weight of a million, not infinity."""
MAPS = [name for name, method in METHODS.items() if method.kind == "map"]
ON_ONE_NETWORK = ["integrated_gradients", "expressive_gradients", "smoothgrad", "gradient_shap"]
ON_ONE_NETWORK += [name for name in MAPS if METHODS[name].family == "perturbation"]
"""All that these see of a network are scores and their gradients, which have tests of their own on every network."""


KIN = (
    ("gradient", "saliency", "gradient_x_input"),
    ("cam", "grad_cam", "grad_cam_plus_plus", "layer_integrated_gradients"),
    ("guided_backpropagation", "deconvnet", "guided_grad_cam"),
    ("lrp_gamma", "lrp_alpha_beta", "deep_taylor"),
    ("deeplift", "deep_shap"),
    ("pattern_net", "pattern_attribution"),
)
"""Methods that share most of their program: at each push a network has one of each, another than its neighbour."""
WITH_ALL = {"mobilenet_v2", DEFAULT}


def turn(method: str, number: int) -> bool:
    """Whether a method is the one of its kin that this network has at each push."""
    kin = next((kin for kin in KIN if method in kin), (method,))
    return kin.index(method) == number % len(kin)


def pairs():
    """Each network with each method, weekly; what `KIN` and `ON_ONE_NETWORK` say at each push."""
    for number, network in enumerate(slim_and_whole([*backbones.ARCHITECTURES, DEFAULT], cases.SIZE)):
        for method in MAPS:
            here = network.id in WITH_ALL or turn(method, number)
            if network.marks or (here and (network.id == "mobilenet_v2" or method not in ON_ONE_NETWORK)):
                yield pytest.param(network.values[0], method, id=f"{network.id}-{method}", marks=network.marks)


def test_at_each_push_every_network_has_one_of_each_kin_and_every_method_some_networks():
    chosen = [cell.values[0][0:1] + cell.values[1:] for cell in pairs() if not cell.marks]
    for name in [*backbones.ARCHITECTURES, DEFAULT]:
        assert all({method for network, method in chosen if network == name} & set(kin) for kin in KIN)
    for method in set(MAPS) - set(ON_ONE_NETWORK):
        assert len({network for network, other in chosen if other == method}) >= 4


@pytest.fixture(scope="module")
def one(request):
    name, size, create = request.param
    case = cases.case(name, size, create)
    case.model.name = name
    return case


def test_every_map_has_an_oracle():
    assert sorted(cases.TRUTH) == sorted(MAPS)


@pytest.mark.parametrize(("one", "method"), list(pairs()), indirect=["one"], scope="module")
def test_right_or_refused(one, method, record_property):
    why = cases.undefined(one.model.name, method)
    truth = None if why else cases.TRUTH[method](one)
    digits, words = cases.measure(one, method, truth, cases.ours(method))
    if why:
        assert math.isnan(digits)
        assert words.startswith("UnsupportedModel")
        return
    assert truth.abs().max() > 0
    record_property("digits", digits)
    assert digits >= {**IN_FLOAT32, **REGRESSION}.get(method, EXACT), words


def test_the_measure_finds_what_is_wrong():
    one = cases.case("mobilenet_v2")
    assert cases.measure(one, "gradient", one.gradient, lambda _: 1.02 * one.gradient)[0] < libraries.RIGHT
    assert cases.measure(one, "gradient", one.gradient, lambda _: one.gradient * math.nan) == (0.0, "not finite")
    assert cases.measure(one, "grad_cam", one.gradient, lambda _: 3 * one.gradient)[0] > 15
    assert cases.measure(one, "gradient", None, lambda _: one.gradient)[0] == 0
    digits, words = cases.measure(one, "gradient", one.gradient, lambda _: 1 / 0)
    assert math.isnan(digits)
    assert words == "ZeroDivisionError: division by zero"
