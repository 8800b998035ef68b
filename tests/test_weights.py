"""ImageNet weights: from the folder of the data sets, else downloaded, else one sentence."""

import copy
import socket
import urllib.error

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

from torchvision.models import get_model, get_model_weights  # noqa: E402

from medxai import paths  # noqa: E402
from medxai.errors import DataError  # noqa: E402
from medxai.models import weights  # noqa: E402

NAME = "squeezenet1_0"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where our own file of weights would lie."""
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights" / weights.FILES[NAME]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "names"), [("mobilenet_v2", {"palace"}), (NAME, {"bell cote", "monastery"})])
def test_real_weights_recognise_a_photograph(name, names):
    if not (paths.data_root() / "weights" / weights.FILES[name]).is_file():
        pytest.skip("no weights under MEDXAI_DATA")
    from sklearn.datasets import load_sample_image

    photograph = cv2.resize(load_sample_image("china.jpg")[:, 106:533], (224, 224), interpolation=cv2.INTER_AREA)
    values = (photograph / 255 - np.array(weights.MEAN)) / np.array(weights.STANDARD_DEVIATION)
    network, origin = weights.imagenet(name)
    with torch.no_grad():
        best = network(torch.tensor(values, dtype=torch.float32).permute(2, 0, 1)[None]).topk(3).indices[0]
    assert names & {get_model_weights(name).IMAGENET1K_V1.meta["categories"][i] for i in best}
    assert origin == weights.FILES[name]
    assert not network.training


def test_the_file_beside_the_data_sets_is_taken(place):
    torch.manual_seed(0)
    state = get_model(NAME, weights=None).state_dict()
    torch.save(state, place)
    network, origin = weights.imagenet(NAME)
    assert origin == place.name
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_else_torchvisions(place, monkeypatch):
    public = get_model_weights(NAME).IMAGENET1K_V1
    state = get_model(NAME, weights=None).state_dict()
    monkeypatch.setattr(type(public), "get_state_dict", lambda *_, **__: state)
    network, origin = weights.imagenet(NAME)
    assert "IMAGENET1K_V1" in origin
    assert torch.equal(network.features[0].weight, state["features.0.weight"])


def test_a_download_that_hangs_is_given_up_and_nothing_is_said_meanwhile(place, monkeypatch, capsys):
    def fail(*_, **__):
        print("Downloading")
        waits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    waits, before = [], socket.getdefaulttimeout()
    monkeypatch.setattr(type(get_model_weights(NAME).IMAGENET1K_V1), "get_state_dict", fail)
    with pytest.raises(DataError, match="timed out"):
        weights.imagenet(NAME)
    assert waits == [weights.SILENCE]
    assert socket.getdefaulttimeout() == before
    assert capsys.readouterr().out == ""


def test_the_digest_is_that_of_the_weights(place):
    torch.manual_seed(0)
    first = weights.Pretrained(torch.nn.Linear(2, 2), "a")
    same = weights.Pretrained(copy.deepcopy(first.network), "b")
    assert first.digest == same.digest
    with torch.no_grad():
        same.network.bias[1] += 1
    assert first.digest != same.digest


def test_without_a_network_one_sentence(place, monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(type(get_model_weights(NAME).IMAGENET1K_V1), "get_state_dict", fail)
    with pytest.raises(DataError, match=r"cannot be had .*no route.*put a sound copy at .*weights"):
        weights.imagenet(NAME)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_damaged_file(place, content):
    place.write_bytes(content)
    with pytest.raises(DataError, match="cannot be had"):
        weights.imagenet(NAME)


def test_code_in_a_file_is_not_run(place):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    torch.save({"features.0.weight": Trap()}, place)
    with pytest.raises(DataError, match="cannot be had"):
        weights.imagenet(NAME)


@pytest.mark.parametrize("state", [{"a": torch.zeros(1)}, [1]])
def test_weights_of_another_network(place, state):
    torch.save(state, place)
    with pytest.raises(DataError, match=f"not those of torchvision's {NAME}"):
        weights.imagenet(NAME)


def test_unknown_network():
    with pytest.raises(ValueError, match="use one of mobilenet_v2, squeezenet1_0"):
        weights.imagenet("resnet")
