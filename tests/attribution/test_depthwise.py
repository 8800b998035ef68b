"""Tangents through depthwise convolutions: the same, with the same derivatives, as through torch's."""

import pytest
import torch
from torch.nn import functional

from medxai.attribution.propagation.depthwise import depthwise

CASES = [
    {"stride": 1, "padding": 1},
    {"stride": 2, "padding": 0},
    {"stride": (2, 1), "padding": (2, 0)},
    {"stride": [3], "padding": [1], "dilation": 2},
    {"stride": 2, "padding": 4, "dilation": (2, 3)},
]


@pytest.mark.parametrize("places", CASES)
@pytest.mark.parametrize("shape", [(2, 4, 11, 12), (1, 4, 14, 13)])
def test_first_and_second_derivatives(places, shape):
    torch.manual_seed(0)
    tangent = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, 3, 5, dtype=torch.float64, requires_grad=True)
    ours = depthwise("conv2d", weight, places | {"groups": 4})
    results = []
    for function in (ours, lambda images, weights: functional.conv2d(images, weights, None, groups=4, **places)):
        output = function(tangent, weight)
        torch.manual_seed(1)
        onto = torch.randn_like(output).requires_grad_()
        (slope,) = torch.autograd.grad(output, tangent, onto, create_graph=True)
        results.append([output, slope, *torch.autograd.grad(slope.sin().sum(), (weight, onto))])
    for mine, torchs in zip(*results, strict=True):
        torch.testing.assert_close(mine, torchs)


def test_other_operations_are_left_to_torch():
    weight, places = torch.zeros(4, 1, 3, 3), {"groups": 4}
    assert depthwise("conv2d", weight, places)
    assert not depthwise("conv_transpose2d", weight, places)
    assert not depthwise("conv1d", weight[..., 0], places)
    assert not depthwise("conv2d", weight, {})
    assert not depthwise("conv2d", torch.zeros(8, 1, 3, 3), places)  # two outputs of each channel
    assert not depthwise("conv2d", torch.zeros(4, 2, 3, 3), places)  # one output of each two
    assert not depthwise("conv2d", weight, places | {"padding": "same"})
    assert not depthwise("conv2d", weight, places | {"padding": 3})
