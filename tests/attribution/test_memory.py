"""A map leaves nothing behind: activations are gone when it is there, not when Python's collector comes by."""

import gc

import pytest
import torch

from medxai.attribution import METHODS, explain
from medxai.attribution.propagation.patterns import fit_patterns
from medxai.training.small_convnet import small_convnet

PROPAGATED = [name for name, method in METHODS.items() if method.family == "propagation"]


def tensors() -> int:
    return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())


@pytest.mark.parametrize("name", PROPAGATED)
def test_propagation_leaves_no_tensor_behind(name):
    model = small_convnet(3).eval().requires_grad_(False)
    images = torch.randn(2, 3, 32, 32)
    options = {
        "deep_taylor": {"low": torch.tensor(-9.0), "high": torch.tensor(9.0)},
        "deep_shap": {"baselines": torch.randn(2, 3, 32, 32)},
    }
    if name.startswith("pattern"):
        options[name] = {"patterns": fit_patterns(model, torch.randn(4, 3, 32, 32))}
    explain(model, images, 0, name, **options.get(name, {}))  # what is made once and kept
    gc.collect()
    gc.disable()
    try:
        before = tensors()
        for _ in range(3):
            explain(model, images, 0, name, **options.get(name, {}))
        after = tensors()
    finally:
        gc.enable()
    assert after <= before
