"""What the caller's program does at the same time changes no map, or is refused in a sentence that is true."""

import itertools
import threading
import warnings

import numpy as np
import pytest
import torch
from explained_networks import Linear, Small, images
from torch import nn

from medxai.attribution import explain, gradients
from medxai.errors import NotConverged, UnsupportedModel

X = images(8, 2, dtype=torch.double)
METHODS = {
    "gradient": {}, "integrated_gradients": {"steps": 3}, "layer_integrated_gradients": {"steps": 3}, "cam": {},
    "grad_cam": {}, "grad_cam_plus_plus": {}, "occlusion": {}, "deeplift": {}, "lrp_epsilon": {},
}  # fmt: skip


def test_two_threads_explain_one_model():
    """One holds the model in evaluation mode while the other is done with it: neither may undo what the other needs."""
    model = nn.Sequential(Small().first, nn.BatchNorm2d(4).double(), nn.Dropout(), nn.Flatten(), nn.Linear(256, 6))
    model = model.double().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    expected, wrong = explain(model, X, 1, "smoothgrad", samples=8), []

    def work(method: str, **options: int) -> None:
        for _ in range(12):
            found = explain(model, X, 1, method, **options)
            if method == "smoothgrad":
                wrong.append(not torch.equal(found, expected))

    jobs = [("smoothgrad", {"samples": 8}), ("occlusion", {"window": 4}), ("smoothgrad", {"samples": 8})]
    threads = [threading.Thread(target=work, args=(name,), kwargs=options) for name, options in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 24
    assert not any(wrong)
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_inside_of_autocast(method):
    model, x = Small().float(), X.float()
    expected = explain(model, x, 1, method, **METHODS[method])
    with torch.autocast("cpu", torch.bfloat16):
        found = explain(model, x, 1, method, **METHODS[method])
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_compiled_models_are_refused(method):
    whole = torch.compile(Small(), backend="eager")
    part = Small()
    part.second.compile(backend="eager")
    for model, words in ((whole, "the model is compiled"), (part, "the model's second is compiled")):
        with pytest.raises(UnsupportedModel, match=words):
            explain(model, X, 1, method, **METHODS[method])


@pytest.mark.parametrize("method", ["gradient", "saliency", "gradient_x_input", "integrated_gradients", "smoothgrad"])
def test_a_map_that_is_not_finite_is_refused(method):
    class Root(Small):
        def forward(self, batch):
            return super().forward(batch) + batch[:, :1].abs().sqrt().mean((2, 3))  # finite at 0; its slope is not

    x = torch.cat([X[:1], torch.zeros_like(X[:1])])
    if method == "smoothgrad":
        x[0] = 0  # of one value: no noise
    with pytest.raises(ValueError, match=rf"{method}: the map of image [01] is not finite at 64 of 64 pixels"):
        explain(Root(), x, 1, method)


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "smoothgrad", "grad_cam", "guided_grad_cam"])
def test_a_part_under_no_grad_is_refused_where_a_derivative_is_asked_for(method):
    class Frozen(Small):
        def forward(self, batch):
            with torch.no_grad():
                return super().forward(batch)

    with pytest.raises(UnsupportedModel, match="autograd finds no way from the logits back to the images"):
        explain(Frozen(), X, 1, method)


@pytest.mark.parametrize("number", [np.int64(2), torch.tensor(2).numpy()[()], np.uint8(2)])
def test_any_integer_is_an_integer(number):
    assert torch.equal(explain(Small(), X, number, "gradient"), explain(Small(), X, 2, "gradient"))
    options = {"samples": number}
    assert torch.equal(explain(Small(), X, 1, "smoothgrad", **options), explain(Small(), X, 1, "smoothgrad", samples=2))


@pytest.mark.parametrize("value", [True, 0, 2.0, "2", None, np.bool_(True)])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match=r"samples is .*: expected an integer of at least 1"):
        explain(Small(), X, 1, "smoothgrad", samples=value)


def test_integrated_gradients_say_that_they_have_not_converged():
    """One switch at a known place of the path, w (x - 0.37): two points in the middle of each half find half of it."""

    class Switch(Small):
        def forward(self, batch):
            value = (batch.mean((1, 2, 3), keepdim=True)[:, :, 0, 0] - 0.3).relu()
            return super().forward(batch) * 0 + value

    x = torch.ones_like(X)
    with pytest.warns(NotConverged, match=r"not converged at 2 steps.*image 0.*sum to 0.5.*is 0.7, a gap of 29%"):
        explain(Switch(), x, 1, "integrated_gradients", steps=2)
    with pytest.warns(NotConverged, match="about 12 steps would leave 5%"):
        explain(Switch(), x, 1, "expressive_gradients", steps=2, layer="first")
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotConverged)
        explain(Switch(), x, 1, "integrated_gradients", steps=24)
        explain(Linear().double(), X, 1, "integrated_gradients", steps=1)  # exact at any number
        gradients.integrated_gradients(Small(), X, 1, baseline=X, steps=2)  # the scores do not differ


def test_kernel_shap_of_one_coalition_is_refused():
    with pytest.raises(ValueError, match="samples is 1: expected at least 2"):
        explain(Small(), X, 1, "kernel_shap", samples=1)
    assert explain(Small(), X, 1, "kernel_shap", samples=2).any()


def test_a_refused_call_lets_the_next_one_in():
    for method in itertools.islice(METHODS, 2):
        with pytest.raises(ValueError, match="out of range"):
            explain(Small(), X, 99, method)
    done = threading.Thread(target=explain, args=(Small(), X, 1, "gradient"))
    done.start()
    done.join(20)
    assert not done.is_alive()
