"""Every method on a small network of each family of torchvision and timm: right by an oracle, or refused by name.

All of it each week; at each push a quarter of the methods, by turns, on each of two networks. What the weekly run finds
is published: `medxai run libraries NETWORK --profile full`.
"""

import math
from collections.abc import Iterator

import pytest

from medxai.oracles import families

PUSHED = ("torchvision:shufflenet_v2_x0_5", "timm:vit_tiny_patch16_224")


def cells() -> Iterator:
    """Each network with each method."""
    for number, network in enumerate(families.NETWORKS):
        for place, method in enumerate(families.MAPS):
            quick = network in PUSHED and (number + place) % 4 == 0
            marks = () if quick else pytest.mark.weekly
            yield pytest.param(network, method, id=f"{network}-{method}", marks=marks)


@pytest.mark.parametrize(("network", "method"), list(cells()))
def test_right_or_refused(network, method):
    digits, words = families.judged(network, method)
    assert math.isnan(digits) or digits >= families.LEAST.get(method, families.DIGITS), words
