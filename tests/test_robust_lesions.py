"""Where maps lie: closed forms, whose mask is whose, and that no network has seen what it is asked about."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medxai import profiles
from medxai.data import medmnist, real_or_simulated
from medxai.data.masks import area_average
from medxai.experiment import robust_lesions, robust_network
from medxai.experiment.robust_network import ALL_VERSIONS, Recipe, RobustNetwork
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS, derangement
from medxai.training.small_images import Examples

SIDE = 16
LAYERS = ("first", "last")


def square(top: int, size: int = 4) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[top : top + size, 2 : 2 + size] = 1
    return mask


def test_a_map_that_is_the_same_everywhere_lies_on_nothing():
    maps = np.stack([np.ones((SIDE, SIDE)), square(3), 1 - square(3), np.zeros((SIDE, SIDE))])
    found = robust_lesions._ratio(maps, square(3))
    assert found[:3] == pytest.approx([1, SIDE**2 / 16, 0])
    assert np.isnan(found[3])


@pytest.fixture
def asked(monkeypatch) -> RobustNetwork:
    """A stand-in whose maps follow what is in the image in one layer and are the same everywhere in the other."""

    class Grey(nn.Module):
        def forward(self, images):
            return torch.stack([-images.mean((1, 2, 3)), images.mean((1, 2, 3))], 1)

    def explained(network, images, choose, layers):
        choose(Grey()(images))
        bright = (images[:, 0] + 1).relu()
        return {"first": bright, "last": torch.ones_like(bright)}

    pixels = np.stack([200 * square(top) for top in (0, 5, 11)]).astype(np.uint8)[:, None]
    trained = RobustNetwork(nn.Conv2d(3, 2, 1), Recipe(side=SIDE), None, Examples(pixels, np.array([0, 1, 0])))
    monkeypatch.setattr(robust_network.cam, "grad_cam_plus_plus", explained)
    monkeypatch.setattr(RobustNetwork, "folded", trained.network)
    monkeypatch.setattr(RobustNetwork, "with_random_weights", lambda self: self.network)
    return trained


def test_each_map_is_compared_with_the_lesion_of_its_image(asked):
    masks = [square(top) for top in (0, 5, 11)]
    table = robust_lesions.on_lesion(asked, [0, 1, 2], masks)
    assert len(table) == 3 * 28 * 2
    assert (table.loc[table["layer"] == "last", "on_lesion"].round(6) == 1).all()
    first = table[table["layer"] == "first"].set_index(["corruption", "severity", "image"])["on_lesion"].sort_index()
    assert first[ORIGINAL, 0].tolist() == pytest.approx([SIDE**2 / 16] * 3)
    assert first[RANDOM_WEIGHTS, 0].tolist() == pytest.approx([SIDE**2 / 16] * 3)
    assert first[ANOTHER_IMAGE, 0].tolist() == [0, 0, 0]
    bright = first["brightness"].unstack(0).to_numpy()  # the more of it, the less stands out
    assert (np.diff(bright, axis=1) < 0).all()
    contrast = first["contrast", 5]
    assert (contrast < 3).all()
    order = [v for v in ALL_VERSIONS if v in first.index.droplevel("image")]
    assert len(order) == 26


def test_what_is_right_and_what_has_changed(asked):
    table = robust_lesions.on_lesion(asked, [0, 1, 2], [square(top) for top in (0, 5, 11)])
    originals = table[table["corruption"] == ORIGINAL]
    assert (originals["change"] == 0).all()
    before = originals.set_index(["image", "layer"])["on_lesion"]
    own = table.set_index(["image", "layer"])
    np.testing.assert_allclose(own["change"], own["on_lesion"] - before.reindex(own.index), atol=1e-12)
    assert originals.groupby("image")["right"].first().tolist() == [True, False, True]  # dark ones are of class 0
    assert (table["right_before"] == table["image"].map({0: True, 1: False, 2: True})).all()
    assert table["label"].tolist() == np.repeat([0, 1, 0], 56).tolist()
    bright = table.query("corruption == 'brightness' and severity == 5")
    assert set(bright["right"]) == {False, True}


def test_the_control_is_the_lesion_of_another_image():
    others = derangement(3, robust_network.SEED)
    assert sorted(others) == [0, 1, 2]
    assert (others != np.arange(3)).all()


@pytest.fixture(scope="module")
def simulated() -> medmnist.Splits:
    return real_or_simulated.open_small_images("breastmnist", kind="simulated")


def test_masks_are_by_row_of_all_splits(simulated):
    found = robust_lesions.masks(simulated, None, 28)
    assert len(found) == sum(len(getattr(simulated, split)) for split in medmnist.SPLITS)
    first = len(simulated.train) + len(simulated.val)
    np.testing.assert_allclose(found[first + 4], simulated.test.truth(4))
    larger = area_average(robust_lesions.masks(simulated, None, 56)[first + 4], 28)
    assert larger.mean() == pytest.approx(simulated.test.truth(4).mean(), rel=0.01)
    assert ((larger >= 0.5) == (simulated.test.truth(4) >= 0.5)).mean() > 0.97


def test_masks_of_the_full_size_images_are_found(simulated, monkeypatch):
    real = replace(simulated, test=replace(simulated.test, truth=None))
    given = {("train", 3): square(1), ("val", 2): square(2), ("test", 5): square(3)}
    monkeypatch.setattr(medmnist, "lesion_masks", lambda busi, side: given if (busi, side) == ("set", 16) else {})
    found = robust_lesions.masks(real, "set", 16)
    assert {row: int(mask.argmax() // SIDE) for row, mask in found.items()} == {
        3: 1,
        len(real.train) + 2: 2,
        len(real.train) + len(real.val) + 5: 3,
    }
    assert robust_lesions.masks(real, None, 16) == {}


def test_no_network_has_seen_what_it_is_asked_about(simulated, monkeypatch):
    """Nor a near copy, of which each image has one here."""
    few = {}
    for number, split in enumerate(medmnist.SPLITS):
        own = getattr(simulated, split)
        rows = np.arange(20)
        pictures = simulated.train.pictures[rows].copy()  # the same images in each split
        pictures[:, 0, number] ^= 8  # but for a pixel
        few[split] = replace(own, names=[f"{split}{row}" for row in rows], pictures=pictures, labels=own.labels[:20])
    data = replace(simulated, **few)
    seen = []

    def fit(splits, classes, recipe, epochs):
        seen.append(splits)
        lines = [[1, "val", "loss", 1], [1, "test", "auc", 0.5], [1, "test", "accuracy", 0.25]]
        return None, pd.DataFrame(lines, columns=["epoch", "split", "metric", "value"])

    monkeypatch.setattr(robust_network, "fit", fit)
    asked = []

    def on_lesion(trained, rows, masks):
        asked.append((trained.test.pixels[rows], masks))
        return pd.DataFrame({"image": rows, "label": trained.test.labels[rows]})

    monkeypatch.setattr(robust_lesions, "on_lesion", on_lesion)
    profile = replace(profiles.get("smoke"), explained_folds=5, robust_images=None, robust_explained=100)
    masks = {row: np.full((28, 28), row, np.float32) for row in range(0, 60, 3)}
    lines, networks, groups = robust_lesions.cross_fitted(data, masks, profile, Recipe(side=28))
    assert sorted(lines["image"]) == list(masks)
    every = np.concatenate([few[split].pictures[..., 0] for split in medmnist.SPLITS])
    labels = np.concatenate([few[split].labels for split in medmnist.SPLITS])
    assert (lines["label"] == labels[lines["image"]]).all()
    assert len(np.unique(groups)) == 20
    for pixels, own in asked:
        for picture, mask in zip(pixels, own, strict=True):
            np.testing.assert_array_equal(picture[0], every[int(mask[0, 0])])
    for splits in seen:
        numbers = {
            name: {int(g) for g in groups[[np.flatnonzero((every == one[0]).all((1, 2)))[0] for one in some.pixels]]}
            for name, some in splits.items()
        }
        assert not numbers["test"] & (numbers["train"] | numbers["val"])
        assert not numbers["val"] & numbers["train"]
        assert sum(len(some.labels) for some in splits.values()) == 60
    assert networks["accuracy"].tolist() == [0.25] * 5
    assert networks["test"].sum() == 60
    assert networks["masks"].sum() == 20
