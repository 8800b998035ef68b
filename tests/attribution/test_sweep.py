"""Every method on a small network of each family of torchvision and timm: right by an oracle, or refused by name.

All of it each week; at each push a tenth (`make sweep`), two or three methods on each network, by turns. What the whole
finds is published: `medxai run libraries NETWORK --profile full`.
"""

import math
from collections.abc import Iterator

import pytest

from medxai.oracles import families


def cells() -> Iterator:
    """Each network with each method."""
    for number, network in enumerate(families.NETWORKS):
        for place, method in enumerate(families.MAPS):
            turn = (number + place) % 10 == 0
            marks = (pytest.mark.weekly, pytest.mark.pushed) if turn else pytest.mark.weekly
            yield pytest.param(network, method, id=f"{network}-{method}", marks=marks)


@pytest.mark.parametrize(("network", "method"), list(cells()))
def test_right_or_refused(network, method):
    digits, words = families.judged(network, method)
    assert math.isnan(digits) or digits >= families.LEAST.get(method, families.DIGITS), words
