"""Any network by name, with a file of weights in the shapes in which people keep them."""

import re
import urllib.error

import pytest
import torch
from torchvision.models import get_model_weights

from medxai.errors import DataError
from medxai.models import architectures, networks
from medxai.models.normalisation import HALF, IMAGENET

TINY = "timm:test_resnet"
"""A ResNet of timm's own tests, with 470,000 parameters."""


def built(name: str, classes: int) -> torch.nn.Module:
    return architectures.build(architectures.known(name), classes).eval()


def without_counters(state: dict) -> dict:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", [TINY, "torchvision:squeezenet1_0", "efficientnet_lite0"])
def test_a_file_of_weights_comes_back(tmp_path, name):
    model = built(name, 3)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    loaded = networks.load(name, 3, tmp_path / "w.pth")
    pixels = torch.rand(1, 3, 64, 64)
    assert not loaded.training
    torch.testing.assert_close(loaded(pixels), model(pixels), rtol=0, atol=0)


@pytest.mark.parametrize(
    "kept",
    [
        without_counters,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
        lambda state: {key: value.half() if value.is_floating_point() else value for key, value in state.items()},
        lambda state: {"epoch": 3, "state_dict": state, "best": 0.9},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in without_counters(state).items()}},
    ],
    ids=["without counters", "of DataParallel", "compiled", "in 16 bits", "a checkpoint", "all of it"],
)
def test_files_as_people_keep_them(tmp_path, kept):
    model = built(TINY, 3)
    torch.save(kept(model.state_dict()), tmp_path / "w.pth")
    loaded = networks.load(TINY, 3, tmp_path / "w.pth").state_dict()
    for key, value in kept_values(kept(model.state_dict())).items():
        assert torch.equal(loaded[key], value.to(loaded[key].dtype))


def kept_values(saved: dict) -> dict:
    """The tensors of a file by the names of the network."""
    state = saved.get("state_dict", saved)
    return {key.replace("module.", "").replace("_orig_mod.", ""): value for key, value in state.items()}


def test_heads_for_training_alone_are_left_out(tmp_path):
    from torchvision.models import googlenet

    state = googlenet(num_classes=3, init_weights=False).state_dict()
    torch.save(state, tmp_path / "w.pth")
    loaded = networks.load("torchvision:googlenet", 3, tmp_path / "w.pth").state_dict()
    assert any(key.startswith("aux1.") for key in state)
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnet", {}, "unknown network 'resnet': expected torchvision:NAME, timm:NAME or one of densenet121, "),
        ("keras:resnet18", {}, "expected torchvision:NAME, timm:NAME"),
        ("timm:", {}, "expected torchvision:NAME, timm:NAME"),
        ("timm:resnt18", {}, "timm has no classifier 'resnt18': expected a name such as resnet18"),
        ("torchvision:fcn_resnet50", {}, "torchvision has no classifier 'fcn_resnet50'"),
        (TINY, {"classes": 0}, "classes is 0: expected a number of at least 1"),
        (TINY, {"classes": 3}, "are for 1000: give a file of weights that you trained"),
        ("resnet18", {"classes": 3}, "are for 1000: give a file of weights that you trained"),
    ],
)
def test_bad_arguments_are_told_in_one_sentence(name, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        networks.load(name, **options)


def changed(how) -> dict[str, torch.Tensor]:
    """Weights of which the first is another kind of tensor."""
    state = tiny(3)
    return state | {"conv1.0.weight": how(state["conv1.0.weight"])}


def tiny(classes: int) -> dict[str, torch.Tensor]:
    return built(TINY, classes).state_dict()


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (lambda path: None, "w.pth is not there"),
        (lambda path: path.write_bytes(b"nothing"), "w.pth is no file of weights alone"),
        (lambda path: torch.save(torch.nn.Linear(1, 1), path), "w.pth is no file of weights alone"),
        (lambda path: torch.save(torch.zeros(3), path), "w.pth holds Tensor: expected model.state_dict() alone"),
        (
            lambda path: torch.save({"epoch": 3, "lr": 0.1}, path),
            "holds a dictionary of epoch, lr: expected model.state",
        ),
        (lambda path: torch.save({"0.weight": torch.zeros(1)}, path), "expected conv1.0.weight, got none"),
        (lambda path: torch.save(tiny(5), path), "expected fc.weight of shape (3, 96), got (5, 96)"),
        (lambda path: torch.save({**tiny(3), "more": torch.zeros(1)}, path), "expected no more"),
        (
            lambda path: torch.save({7: torch.zeros(1)}, path),
            "holds a dictionary of 7: expected model.state_dict() alone",
        ),
        (lambda path: torch.save({"a\nb": torch.zeros(1)}, path), "holds a dictionary of a b: expected"),
        (lambda path: torch.save({"k" * 999: 1}, path), f"holds a dictionary of {'k' * 40}: expected"),
        (lambda path: torch.save(changed(torch.Tensor.to_sparse), path), "holds a dictionary of conv1.0.weight, "),
        (lambda path: torch.save(changed(lambda w: w.to("meta")), path), "holds a dictionary of conv1.0.weight, "),
        (lambda path: torch.save(changed(torch.Tensor.int), path), "of the kind torch.float32, got torch.int32"),
        (lambda path: torch.save(changed(lambda w: w + 1j), path), "of the kind torch.float32, got torch.complex64"),
        (
            lambda path: torch.save(changed(lambda w: w[0, 0, 0, :1].expand(10**6, 10**6)), path),
            "conv1.0.weight of shape",
        ),
        (lambda path: path.write_bytes(b"\x80\x02" + b"(" * 9 + b"."), "w.pth is no file of weights alone"),
        (lambda path: path.mkdir(), "w.pth is no file of weights alone"),
    ],
)
def test_bad_files_are_told_in_one_sentence(tmp_path, save, said):
    save(tmp_path / "w.pth")
    with pytest.raises(DataError, match=re.escape(said)) as error:
        networks.load(TINY, 3, tmp_path / "w.pth")
    assert "\n" not in str(error.value)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(type(get_model_weights("resnet18").DEFAULT), "get_state_dict", offline)
    with pytest.raises(DataError, match=r"resnet18 .* cannot be had .*no route.*or give a file of weights"):
        networks.load("torchvision:resnet18")


def test_normalisation_is_what_timm_notes_else_that_of_imagenet():
    assert networks.normalisation_of(torch.nn.Linear(1, 1)) == IMAGENET
    assert networks.normalisation_of("resnet50") == IMAGENET
    for name in ("xception", "efficientnet_lite0", "timm:test_vit"):
        assert networks.normalisation_of(name) == HALF
    assert networks.normalisation_of(built("efficientnet_lite0", 2)) == HALF
