"""The study of maps under corruption: against a plain loop, torchcam and closed forms; stopped, and run again."""

import functools
from collections import OrderedDict
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import mean_squared_error
from torch import nn
from torchcam.methods import GradCAMpp
from torchvision.models import resnet18

from medxai.attribution import cam, explain, feature_maps
from medxai.attribution.feature_maps import Layout
from medxai.errors import DataError
from medxai.robustness import corruptions, saliency_shift
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, BLOCKS, ORIGINAL, RANDOM_WEIGHTS, SaliencyShift, table

LAYERS = {"first": Layout(1), "second": Layout(1)}
SIDE, CLASSES = 18, 3
PIXELS = np.random.default_rng(0).integers(0, 256, (19, 1, SIDE, SIDE), dtype=np.uint8)
LABELS, KEYS = np.arange(19) % CLASSES, 100 + np.arange(19)
EXPLAIN = partial(cam.grad_cam_plus_plus, layers=LAYERS)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    parts = {
        "first": nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU()),
        "second": nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU()),
        "end": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)),
    }
    model = nn.Sequential(OrderedDict(parts)).eval()
    with torch.no_grad():
        model.end[2].weight *= 20  # so that noise changes what is predicted
    return model


TRAINED, RANDOM = network(1), network(2)


def study(**options: object) -> SaliencyShift:
    return SaliencyShift(**{"network": TRAINED, "random": RANDOM, "explain": EXPLAIN, "measures": ()} | options)


def measured(folder, number=4, processes=1, **options):
    return table(study(**options), PIXELS[:number], LABELS[:number], KEYS[:number], folder, processes=processes)


def as_input(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture / 127.5 - 1).float().expand(1, 3, -1, -1)


def torchcams(model: nn.Module, picture: np.ndarray, target: int) -> dict[str, np.ndarray]:
    with GradCAMpp(model, list(LAYERS)) as extractor:
        found = extractor(target, model(as_input(picture)), normalized=False)
    return {name: one[0].detach() for name, one in zip(LAYERS, found, strict=True)}


def by_equation(model: nn.Module, picture: np.ndarray, target: int) -> dict[str, np.ndarray]:
    return {
        name: one[0] for name, one in cam.grad_cam_plus_plus(model, as_input(picture), target, list(LAYERS)).items()
    }


def one_by_one(method, target):
    """Explain each version of four images by itself, as floating point numbers; errors by image, version and layer."""
    rows = {}
    others = saliency_shift.derangement(4)
    for i in range(4):
        corrupted = corruptions.versions(torch.from_numpy(PIXELS[[i]]), torch.tensor(KEYS[[i]])).numpy()
        pictures = {(ORIGINAL, 0): PIXELS[i], ANOTHER_IMAGE: PIXELS[others[i]], RANDOM_WEIGHTS: PIXELS[i]}
        pictures |= dict(zip(corruptions.VERSIONS, corrupted[:, 0], strict=True))
        fixed, greys = None, {}
        for version, picture in pictures.items():
            model = RANDOM if version == RANDOM_WEIGHTS else TRAINED
            logits = model(as_input(picture))[0].detach()
            fixed = int(logits.argmax()) if fixed is None else fixed
            maps = method(model, picture, fixed if target == "original" else int(logits.argmax()))
            for layer, found in maps.items():
                resized = nn.functional.interpolate(found[None, None], (SIDE, SIDE), mode="bilinear")[0, 0].numpy()
                grey = np.uint8(np.round(255 * (resized - resized.min()) / np.ptp(resized)))
                first = greys.setdefault(layer, grey)
                key = (int(KEYS[i]), *(version if isinstance(version, tuple) else (version, 0)), layer)
                rows[key] = mean_squared_error(first, grey) ** 0.5, spearmanr(first, grey, axis=None)[0], logits.numpy()
    return rows


@pytest.mark.parametrize("target", ["version", "original"])
@pytest.mark.parametrize(("divided", "method"), [(True, by_equation), (False, torchcams)])
def test_the_table_is_that_of_a_plain_loop(tmp_path, target, divided, method):
    found = measured(tmp_path, explain=partial(EXPLAIN, divided=divided), target=target, measures=("rank_correlation",))
    found = found.set_index(["image", "corruption", "severity", "layer"])
    expected = one_by_one(method, target)
    assert sorted(found.index) == sorted(expected)
    rmse, ranks, logits = (np.array(part) for part in zip(*(expected[key] for key in found.index), strict=True))
    np.testing.assert_allclose(found["rmse"], rmse, atol=0.1)  # a value halfway between two levels may go to either
    np.testing.assert_allclose(found["rank_correlation"], ranks, atol=2e-3)
    np.testing.assert_allclose(found.filter(like="logit_"), logits, atol=1e-4)
    np.testing.assert_array_equal(found["predicted"], logits.argmax(1))
    assert found["rmse"].max() > 50


@pytest.mark.parametrize("target", ["version", "original"])
def test_without_controls_the_other_rows_are_the_same(tmp_path, target):
    whole, part = (measured(tmp_path, target=target, random=random) for random in (RANDOM, None))
    kept = whole[~whole["corruption"].isin([ANOTHER_IMAGE, RANDOM_WEIGHTS])].reset_index(drop=True)
    assert len(part) == 4 * 26 * len(LAYERS)
    exact = ["image", "label", "corruption", "severity", "layer", "predicted", "right"]
    pd.testing.assert_frame_equal(part[exact], kept[exact])
    np.testing.assert_allclose(part["rmse"], kept["rmse"], atol=0.1)  # batches of another size round otherwise
    np.testing.assert_allclose(part.filter(like="logit_"), kept.filter(like="logit_"), atol=1e-5)


def test_the_class_that_is_explained_matters(tmp_path):
    """Only where a version is predicted otherwise: else the two tables are the same."""
    by_version, fixed = (measured(tmp_path, target=target) for target in ("version", "original"))
    original = by_version["image"].map(
        by_version[by_version["corruption"] == ORIGINAL].groupby("image")["predicted"].first()
    )
    same = by_version["predicted"] == original
    assert 0.3 < same.mean() < 0.95
    np.testing.assert_allclose(by_version["rmse"][same], fixed["rmse"][same], atol=1e-3)
    assert (by_version["rmse"] - fixed["rmse"])[~same].abs().mean() > 1


def test_what_is_right(tmp_path):
    found = measured(tmp_path, 5)
    others = dict(zip(KEYS, LABELS[saliency_shift.derangement(5)], strict=False))
    truth = found["label"].where(found["corruption"] != ANOTHER_IMAGE, found["image"].map(others))
    assert found["right"].dtype == bool
    np.testing.assert_array_equal(found["right"], found["predicted"] == truth)
    assert found["label"].tolist() == np.repeat(LABELS[:5], 28 * 2).tolist()
    originals = found[found["corruption"] == ORIGINAL]
    assert (originals[["rmse", "rmse_shift_corrected"]] == 0).all(axis=None)


def test_one_pass_for_all_versions_and_layers(tmp_path):
    passes = {"forward": [], "backward": 0}
    real = torch.autograd._engine_run_backward

    def counted(*arguments, **options):
        passes["backward"] += 1
        return real(*arguments, **options)

    handle = TRAINED.register_forward_pre_hook(lambda _, images: passes["forward"].append(len(images[0])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "_engine_run_backward", counted)
        found = measured(tmp_path, 10)
    handle.remove()
    assert passes == {"forward": [8 * 27, 2 * 27], "backward": 4}  # the control of random weights has its own
    assert len(found) == 10 * 28 * len(LAYERS)


@functools.cache
def spots() -> np.ndarray:
    """A bright spot in the middle of a dark image of 64 pixels."""
    rows, columns = np.mgrid[:64, :64] - np.array([33, 35])[:, None, None]
    spot = np.uint8(20 + 200 * np.exp(-(rows**2 + columns**2) / 50))
    return np.stack([spot, spot.T])[:, None]


def brightness(model, images, choose):
    """A map that follows what is in the image exactly."""
    choose(model(images))
    return images[:, 0]


def test_motion_blur_is_taken_back(tmp_path):
    found = table(study(explain=brightness), spots(), LABELS[:2], KEYS[:2], tmp_path)
    assert set(found["layer"]) == {"input"}
    moved = found["corruption"] == "motion_blur"
    mean = found[moved].groupby("severity")[["rmse", "rmse_shift_corrected"]].mean()
    assert (mean["rmse_shift_corrected"] < 0.8 * mean["rmse"]).all()
    assert mean["rmse_shift_corrected"][1] < 0.3 * mean["rmse"][1]  # the more blur, the more than a shift
    assert (found["rmse_shift_corrected"] == found["rmse"])[~moved].all()
    assert (found["rmse_shift_corrected"] != found["rmse"])[moved].all()


def single_pixel(model, images, choose):
    """Layers of which one has a single pixel, as the last of a ResNet for 28 pixels, and one is rectified to zero."""
    found = EXPLAIN(model, images, choose)
    return {**found, "pixel": found["second"].mean((1, 2), keepdim=True), "zero": 0 * found["first"]}


def test_constant_maps_are_not_defined(tmp_path):
    names = ["rmse", "rmse_shift_corrected", *SaliencyShift.measures]
    found = measured(tmp_path, explain=single_pixel, measures=SaliencyShift.measures)
    assert found.columns.tolist() == [
        *("image", "label", "corruption", "severity", "layer", "predicted", "right"),
        *(*names, "logit_0", "logit_1", "logit_2"),
    ]
    constant = found["layer"].isin(["pixel", "zero"])
    assert found.loc[constant, names].isna().all(axis=None)
    assert found.loc[~constant, names].notna().all(axis=None)


calls = 0


def interrupted(model, images, choose):
    """As of a run that is stopped at its fifth pass."""
    global calls
    calls += 1
    if calls == 5:
        raise KeyboardInterrupt
    return EXPLAIN(model, images, choose)


def test_a_stopped_run_goes_on(tmp_path):
    """19 images are three parts, each of which takes a pass of the network and one of the random one."""
    global calls
    calls = 0
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path / "stopped", 19, explain=interrupted)
    assert len(list((tmp_path / "stopped").glob("*.00000?.csv.gz"))) == 2
    found = measured(tmp_path / "stopped", 19, explain=interrupted)
    assert calls == 5 + 2
    calls = 10
    measured(tmp_path / "whole", 19, explain=interrupted)
    assert calls == 10 + 6
    (stopped,), (whole,) = (list((tmp_path / name).glob("*.csv.gz")) for name in ("stopped", "whole"))
    assert stopped.name == whole.name
    assert stopped.read_bytes() == whole.read_bytes()
    assert found["image"].unique().tolist() == KEYS.tolist()
    measured(tmp_path / "whole", 19, explain=interrupted)
    assert calls == 10 + 6  # it is read


@pytest.mark.weekly  # each push runs that of `test_parts`
def test_other_processes_give_the_same(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measured(tmp_path / "one", 19)
    torch.set_num_threads(threads)
    measured(tmp_path / "two", 19, processes=2)
    (one,), (two,) = (list((tmp_path / name).glob("*.csv.gz")) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_file_that_is_mapped_into_memory(tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS[:4])
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r", allow_pickle=False)
    found = table(study(), mapped, LABELS[:4], KEYS[:4], tmp_path / "mapped")
    assert found.equals(measured(tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"network": network(3)},
        {"random": network(3)},
        {"explain": partial(EXPLAIN, divided=False)},
        {"target": "original"},
        {"kinds": ("contrast",)},
        {"constants": "32"},
        {"seed": 1},
        {"measures": ("top_overlap",)},
    ],
)
def test_a_table_of_something_else_is_not_read(tmp_path, options):
    first = measured(tmp_path, 2)
    assert not measured(tmp_path, 2, **options).equals(first)
    assert measured(tmp_path, 2).equals(first)


def test_images_labels_and_keys_count(tmp_path):
    arrays = PIXELS[:2], LABELS[:2], KEYS[:2]
    for changed in ((PIXELS[2:4], *arrays[1:]), (arrays[0], LABELS[1:3], arrays[2]), (*arrays[:2], KEYS[1:3])):
        assert not table(study(), *changed, tmp_path).equals(table(study(), *arrays, tmp_path))


def test_any_method_can_explain(tmp_path):
    options = {"method": "grad_cam", "layer": "first"}
    found = measured(tmp_path, 2, explain=partial(saliency_shift.explained_by, **options))
    row = found[(found["corruption"] == "brightness") & (found["severity"] == 2)].iloc[0]
    bright = corruptions.corrupt(torch.from_numpy(PIXELS[:1]), "brightness", 2, torch.tensor(KEYS[:1])).numpy()[0]
    greys = []
    for picture in (PIXELS[0], bright):
        target = int(TRAINED(as_input(picture)).argmax())
        one = explain(TRAINED, as_input(picture), target, **options)[0].numpy()
        greys.append(np.round(255 * (one - one.min()) / np.ptp(one)))
    assert row["rmse"] == pytest.approx(mean_squared_error(*greys) ** 0.5, abs=0.1)


def test_the_blocks_of_resnet18():
    """What the constant says of their layout is what following the pixels says."""
    found = feature_maps.named_layers(resnet18().eval(), torch.zeros(1, 3, 64, 64), list(BLOCKS))
    assert {name: layer.layout for name, layer in found.items()} == BLOCKS


def test_random_weights():
    torch.manual_seed(0)
    images = torch.randn(4, 3, SIDE, SIDE)
    random = saliency_shift.with_random_weights(TRAINED, images, seed=1)
    pairs = list(zip(TRAINED.parameters(), random.parameters(), strict=True))
    assert not any(torch.equal(one, other) for one, other in pairs)
    assert not random.training


@pytest.mark.parametrize("number", [2, 3, 10, 57])
def test_derangement(number):
    found = saliency_shift.derangement(number, seed=3)
    assert sorted(found) == list(range(number))
    assert (found != np.arange(number)).all()
    np.testing.assert_array_equal(found, saliency_shift.derangement(number, seed=3))


def test_bad_studies():
    with pytest.raises(ValueError, match="random is in training mode: expected evaluation mode"):
        study(random=network(1).train())
    with pytest.raises(ValueError, match="target is 'predicted': expected one of version, original"):
        study(target="predicted")
    with pytest.raises(ValueError, match="measures is 'ssim': expected one of rmse, structural_similarity"):
        study(measures=("ssim",))
    with pytest.raises(ValueError, match="kinds is 'fog': expected one of gaussian_noise"):
        study(kinds=("contrast", "fog"))
    with pytest.raises(ValueError, match="constants is '28': expected one of '224'"):
        study(constants="28")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": PIXELS[:4] / 255}, r"images are float64 \(4, 1, 18, 18\): expected uint8 \(n, c, h, w\)"),
        ({"images": PIXELS[:4, 0]}, r"images are uint8 \(4, 18, 18\)"),
        ({"images": PIXELS[:1], "labels": LABELS[:1], "keys": KEYS[:1]}, "n at least 2"),
        ({"labels": LABELS[:3]}, r"labels are int64 \(3,\): expected integers \(4,\)"),
        ({"labels": LABELS[:4, None]}, r"labels are int64 \(4, 1\)"),
        ({"labels": LABELS[:4] / 1}, r"labels are float64 \(4,\)"),
        ({"labels": LABELS[:4] - 1}, "labels hold -1: expected classes of the network, from 0"),
        ({"labels": LABELS[:4] + 1}, "labels hold 3: expected classes of the network, 0 to 2"),
        ({"keys": KEYS[[0, 1, 2, 2]]}, "keys of 4 images are 3: expected all to be different"),
        ({"processes": 0}, "processes is 0: expected an integer of at least 1"),
    ],
)
def test_bad_images(tmp_path, changed, message):
    arguments = {"images": PIXELS[:4], "labels": LABELS[:4], "keys": KEYS[:4], "folder": tmp_path} | changed
    with pytest.raises(ValueError, match=message):
        table(study(), **arguments)
    assert not list(tmp_path.glob("*.csv.gz"))


def unchosen(model, images, choose):
    return images[:, 0]


def too_few(model, images, choose):
    return {"first": EXPLAIN(model, images, choose)["first"][1:]}


def test_bad_explainers(tmp_path):
    with pytest.raises(ValueError, match=r"explain gives \{'input': \(54, 18, 18\)\} for 54 images: .*a class chosen"):
        measured(tmp_path, 2, explain=unchosen)
    with pytest.raises(ValueError, match=r"explain gives \{'first': \(53, 8, 8\)\} for 54 images"):
        measured(tmp_path, 2, explain=too_few)
    with pytest.raises(ValueError, match=r"explain cannot be stored .*: expected a module's function"):
        measured(tmp_path, 2, explain=lambda *_: None)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        measured(tmp_path / "file", 2)
