"""Properties of the methods on each of the twelve networks, with biases that are not zero."""

import contextlib

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum")

from explained_networks import SIZES, architecture, images  # noqa: E402

from medxai.attribution import METHODS, explain, perturbation  # noqa: E402
from medxai.errors import UnsupportedModel  # noqa: E402
from medxai.models import backbones  # noqa: E402

FEW = {"steps": 2, "samples": 2}
NAMES = [name for name, one in METHODS.items() if one.kind == "map" and one.family != "propagation"]


@pytest.fixture(scope="module", params=backbones.NETWORKS)
def network(request):
    """Name, network in float64, two images."""
    size = SIZES[request.param]
    return request.param, architecture(request.param).double(), images(size, dtype=torch.double)


def few(name, x):
    """Options that make a method cheap."""
    options = {key: value for key, value in FEW.items() if key in METHODS[name].options}
    if "features" in METHODS[name].options:
        options["features"] = perturbation.grid(*x.shape[-2:], 2)
    if name == "occlusion":
        options = {"window": x.shape[-1] // 2, "stride": x.shape[-1] // 2}
    return options


def state(model):
    """All that a method could leave behind."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "tensors": {key: value.clone() for key, value in model.state_dict().items()},
        "modes": [module.training for module in model.modules()],
        "flags": [weight.requires_grad for weight in model.parameters()],
        "gradients": [weight.grad is None for weight in model.parameters()],
        "hooks": [len(getattr(module, name)) for module in model.modules() for name in hooks],
        "methods": ["forward" in vars(module) for module in model.modules()],
    }


def assert_same(before, after):
    assert all(torch.equal(value, after["tensors"][key]) for key, value in before["tensors"].items())
    assert all(before[key] == after[key] for key in before if key != "tensors")


def defined(network, name):
    """Whether the method is defined on the network; refusals have tests of their own."""
    return not (name == "guided_grad_cam" or (name == "cam" and network == "vgg16"))


def test_a_batch_gives_what_single_images_give(network):
    which, model, x = network
    for name in filter(lambda name: defined(which, name), NAMES):
        options = few(name, x)
        batch = explain(model, x, torch.tensor([1, 3]), name, **options)
        assert batch.isfinite().all(), name
        assert batch.abs().max() > 0, name
        for index, target in enumerate((1, 3)):
            single = explain(model, x[index : index + 1], target, name, **options)[0]
            # Captum's regressions are in float32.
            tolerance = 1e-5 if name in ("lime", "kernel_shap") else 1e-9
            assert (batch[index] - single).abs().max() <= tolerance * batch[index].abs().max(), name


def test_model_and_images_stay(network):
    _, model, x = network
    model.train()
    before, images_before = state(model), x.clone()
    for name in NAMES:
        with contextlib.suppress(UnsupportedModel, ImportError):
            explain(model, x, 1, name, **few(name, x))
        assert_same(before, state(model))
        with pytest.raises(ValueError, match=r"out of range|CAM is not defined"):
            explain(model, x, 6, name, **few(name, x))
        assert_same(before, state(model))
        assert torch.equal(x, images_before)
        assert not x.requires_grad
    model.eval()


@pytest.mark.parametrize("name", backbones.NETWORKS)
def test_integrated_gradients_are_complete(name):
    """To 1 % of the difference of the scores at 256 steps, from a baseline that is not constant."""
    size = {"inception_v3": 75, "inception_resnet_v2": 75}.get(name, 32)
    model, x = architecture(name), images(size, 1)
    baseline = 0.5 * images(size, 1, seed=8)
    found = explain(model, x, 2, "integrated_gradients", steps=256, baseline=baseline)
    with torch.no_grad():
        difference = (model(x) - model(baseline))[0, 2].item()
    assert found.sum().item() == pytest.approx(difference, rel=0.01)
