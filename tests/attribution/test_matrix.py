"""Every method on every network of the benchmark: right by its oracle, or refused with a reason. None merely runs.

In float64 at 128 pixels: biases that are not zero, calibrated batch normalisation, baselines that are not constant.
"""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")

from medxai.attribution import METHODS  # noqa: E402
from medxai.models import backbones  # noqa: E402
from medxai.oracles import cases  # noqa: E402
from medxai.studies import libraries  # noqa: E402

EXACT = 8.0
"""Digits; float64 leaves more to whatever has nothing in between in float32."""
IN_FLOAT32 = {"integrated_gradients": 7, "expressive_gradients": 7, "occlusion": 7}
"""Captum keeps the points of the path, and the counts of windows, in float32."""
REGRESSION = {"shapley_value_sampling": 7, "lime": 5, "kernel_shap": 4.5}
"""Captum adds up in float32; of KernelSHAP it gives the constraint a weight of a million, not infinity."""
MAPS = [name for name, method in METHODS.items() if method.kind == "map"]


@pytest.fixture(scope="module", params=backbones.ARCHITECTURES)
def one(request):
    case = cases.case(request.param)
    case.model.name = request.param
    return case


def test_every_map_has_an_oracle():
    assert sorted(cases.TRUTH) == sorted(MAPS)


@pytest.mark.parametrize("method", MAPS)
def test_right_or_refused(one, method, record_property):
    why = cases.undefined(one.model.name, method)
    truth = None if why else cases.TRUTH[method](one)
    digits, words = libraries.measure(one, method, truth, cases.ours(method))
    if why:
        assert math.isnan(digits)
        assert words.startswith("UnsupportedModel")
        return
    assert truth.abs().max() > 0
    record_property("digits", digits)
    assert digits >= {**IN_FLOAT32, **REGRESSION}.get(method, EXACT), words


def test_the_measure_finds_what_is_wrong():
    one = cases.case("mobilenet_v2")
    assert libraries.measure(one, "gradient", one.gradient, lambda _: 1.02 * one.gradient)[0] < libraries.RIGHT
    assert libraries.measure(one, "gradient", one.gradient, lambda _: one.gradient * math.nan) == (0.0, "not finite")
    assert libraries.measure(one, "grad_cam", one.gradient, lambda _: 3 * one.gradient)[0] > 15
    assert libraries.measure(one, "gradient", None, lambda _: one.gradient)[0] == 0
    digits, words = libraries.measure(one, "gradient", one.gradient, lambda _: 1 / 0)
    assert math.isnan(digits)
    assert words == "ZeroDivisionError: division by zero"
