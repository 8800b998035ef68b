"""Training DermX: the same numbers again, also after a kill; guidance; bad input."""

import ctypes
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medxai.errors import DataError, UnsupportedModel
from medxai.experiment import dermx_scores
from medxai.models import dermx
from medxai.models.dermx import DermXOutput
from medxai.studies import STUDIES
from medxai.training import augmentation, dermx_module
from medxai.training import dermx_examples as drawing
from medxai.training.dermx_examples import Examples
from medxai.training.dermx_training import predict, train_dermx

TINY = "timm:test_efficientnet"
SIDE, GRID = 64, 8
EPOCHS = 4


def toy(number: int = 24, seed: int = 0) -> Examples:
    """Grey noise with a square; its colour is the diagnosis, and red and blue are characteristics with its outline."""
    generator = np.random.default_rng(seed)
    pictures = generator.integers(90, 160, (number, SIDE, SIDE, 3), dtype=np.uint8)
    labels, maps = np.arange(number) % 2, np.zeros((number, 2, GRID, GRID), np.float32)
    cell = SIDE // GRID
    for row, label in enumerate(labels):
        top, left = generator.integers(0, GRID - 3, 2)
        square = np.s_[top * cell : (top + 4) * cell, left * cell : (left + 4) * cell]
        pictures[row][square] = (250, 20, 20) if label else (20, 20, 250)
        maps[row, label, top : top + 4, left : left + 4] = 1
    present = np.eye(2, dtype=bool)[labels]
    return Examples(pictures, labels, present, maps, present, np.ones(number, bool))


SETS = (toy(), toy(10, seed=1))


def network(seed: int = 0, name: str = TINY, characteristics: tuple[str, ...] = ("red", "blue")) -> dermx.DermX:
    torch.manual_seed(seed)
    return dermx.make(name, characteristics=characteristics, diseases=("u", "v"), pretrained=False)


def trained(folder: Path, *, name: str = TINY, **options: object) -> tuple[dermx.DermX, pd.DataFrame]:
    model = network(name=name)
    settings = {"frozen": True, "epochs": EPOCHS, "seed": 3, "guidance": "dice", "weight": 1.0, "batch": 8} | options
    return model, train_dermx(model, toy(), toy(10, seed=1), folder=folder, **settings)


def same(one: tuple[dermx.DermX, pd.DataFrame], other: tuple[dermx.DermX, pd.DataFrame]) -> bool:
    pd.testing.assert_frame_equal(one[1], other[1], check_exact=True)
    states = one[0].state_dict(), other[0].state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_a_seed_gives_the_same_numbers_and_a_training_may_be_made_longer(tmp_path: Path, frozen: bool) -> None:
    whole = trained(tmp_path / "a", frozen=frozen)
    before = torch.random.get_rng_state()
    trained(tmp_path / "b", frozen=frozen, epochs=1)
    longer = trained(tmp_path / "b", frozen=frozen)
    assert same(whole, longer)
    assert same(whole, trained(tmp_path / "b", frozen=frozen))  # nothing is left to do
    other = trained(tmp_path / "c", frozen=frozen, epochs=1, seed=4)[1]
    assert (other["value"] != whole[1].head(len(other))["value"]).any()
    assert list(pd.read_csv(tmp_path / "b" / "history.csv").columns) == ["epoch", "split", "metric", "value"]
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_order_of_images_is_drawn_anew_for_each_epoch_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, rows_of = [], Examples.rows

    def noted(some: Examples, rows: np.ndarray) -> Examples:
        if len(some) == len(SETS[0]) and len(rows) > 1:  # neither held out, nor the one that sizes are asked of
            drawn.extend(rows.tolist())
        return rows_of(some, rows)

    monkeypatch.setattr(Examples, "rows", noted)
    for seed in (3, 4):
        trained(tmp_path / str(seed), seed=seed)
    orders = np.reshape(drawn, (2 * EPOCHS, len(SETS[0])))
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(len(SETS[0])), (2 * EPOCHS, 1)))
    assert len(np.unique(orders, axis=0)) == 2 * EPOCHS


def test_lightning_is_loaded_only_by_those_who_train() -> None:
    modules = ["medxai.training.dermx_training", *(f"medxai.studies.{name}" for name in STUDIES)]
    program = f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(modules) <= set(loaded)
    assert dermx_module.pl.__name__ not in loaded


def in_a_process(folder: Path, epochs: int, frozen: bool, *, killed_at: int = 0) -> tuple[int, int]:
    """Train in a process of its own, of a server that has loaded all it needs and never ran a network.

    Returns its exit code and how many functions it called; at call number `killed_at`, if it is one, it kills itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["medxai.training.dermx_module", "medxai.training.dermx_training", "timm"])
    calls = context.RawValue("q", 0)
    process = context.Process(target=single_threaded, args=(folder, epochs, frozen, calls, killed_at))
    process.start()
    process.join()
    return process.exitcode, calls.value


def single_threaded(folder: Path, epochs: int, frozen: bool, calls: ctypes.c_longlong, killed_at: int) -> None:
    def count(*_: object) -> None:
        calls.value += 1
        if calls.value == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    sys.setprofile(count)
    trained(folder, epochs=epochs, frozen=frozen)
    sys.setprofile(None)


@pytest.mark.parametrize(
    ("kills", "frozen"),
    [(2, False), (3, True), *(pytest.param(20, frozen, marks=pytest.mark.weekly) for frozen in (False, True))],
)
def test_a_training_that_is_killed_ends_as_one_that_is_not(tmp_path: Path, kills: int, frozen: bool) -> None:
    epochs, moments = 2 * kills + 2, random.Random(kills)
    unbroken = in_a_process(tmp_path / "unbroken", epochs, frozen)[0]
    # Moments are counted in calls, not in seconds, which pass as fast as other work on the machine lets them.
    of_one, of_two = (in_a_process(tmp_path / f"probe {number}", number, frozen)[1] for number in (1, 2))
    for number in range(kills):  # every other time after one epoch more
        moment = moments.randint(of_one if number % 2 else 1, of_two)
        code, calls = in_a_process(tmp_path / "killed", epochs, frozen, killed_at=moment)
        assert (code, calls) == (-signal.SIGKILL, moment)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    assert checkpoint.exists()
    assert unbroken == in_a_process(tmp_path / "killed", epochs, frozen)[0] == 0
    # Both are finished, so this only reads them.
    ends = [trained(tmp_path / name, epochs=epochs, frozen=frozen) for name in ("unbroken", "killed")]
    assert same(*ends)
    assert ends[0][1]["epoch"].max() == epochs
    assert sorted(path.name for path in checkpoint.parent.iterdir() if path.suffix != ".lock") == [
        "checkpoint.pt",
        "history.csv",
    ]


def test_guidance_lowers_the_loss_of_attention_on_held_out_images(tmp_path: Path) -> None:
    lost = {}
    for guidance in (None, "dice"):
        history = trained(tmp_path / str(guidance), guidance=guidance, weight=0.3, epochs=9, frozen=False)[1]
        held_out = history[history["split"] == "held out"].pivot(index="epoch", columns="metric", values="value")
        lost[guidance] = held_out["attention loss"].iloc[-1]
    assert lost["dice"] < lost[None] - 0.02


@pytest.mark.parametrize("name", [TINY, "timm:test_resnet", "timm:test_convnext"])
def test_kept_early_maps_are_those_of_the_early_blocks_run_afresh(name: str) -> None:
    model, examples = network(name=name), toy(5)
    kept = drawing.early_maps(model, examples.pictures)
    assert kept.shape[:2] == (4, 5)
    assert kept.dtype == torch.float32
    images, late = model.normalisation.apply(examples.pictures), drawing.parts(model)[1]
    assert kept.shape[3] * drawing.STRIDE == SIDE
    for flip, axes in zip(kept, drawing.FLIPS, strict=True):
        expected = model.feature_maps(images.flip(axes) if axes else images)
        torch.testing.assert_close(late(flip), expected, rtol=1e-4, atol=1e-5)
    outputs = [predict(model, some, frozen=frozen) for some, frozen in ((examples, True), (examples, False))]
    outputs.append(predict(model, replace(examples, pictures=kept), frozen=True))
    for other in outputs[1:]:
        for one, two in zip(outputs[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_early_maps_that_were_kept_train_as_pictures_do_and_early_blocks_stay(tmp_path: Path) -> None:
    whole, model, start = trained(tmp_path / "a", epochs=2), network(), network()
    data, held_out = (replace(some, pictures=drawing.early_maps(model, some.pictures)) for some in SETS)
    options = {"frozen": True, "epochs": 2, "seed": 3, "guidance": "dice", "weight": 1.0, "batch": 8}
    assert same(whole, (model, train_dermx(model, data, held_out, folder=tmp_path / "b", **options)))
    early, late = (dict(part.state_dict()) for part in drawing.parts(model))
    before, after = (dict(part.state_dict()) for part in drawing.parts(start))
    assert all(torch.equal(early[key], before[key]) for key in early)
    assert any(not torch.equal(late[key], after[key]) for key in late)


def test_flips_turn_expert_maps_as_pictures() -> None:
    maps = torch.rand(8, 2, 3, 5)
    for row, one in enumerate(drawing.flipped(maps, torch.arange(8) % 4)):
        axes = [axis - 1 for axis in drawing.FLIPS[row % 4]]
        assert torch.equal(one, maps[row].flip(axes) if axes else maps[row])


def test_pictures_and_maps_move_alike_within_the_bounds_of_the_paper() -> None:
    torch.manual_seed(0)
    pictures = np.zeros((64, 48, 64, 3), np.uint8)
    pictures[:, 12:36, 16:48] = 255
    maps = torch.from_numpy(pictures[..., :1] / np.float32(255)).permute(0, 3, 1, 2)
    still = augmentation.DERMX._replace(brightness=(1.0, 1.0), contrast=0.0, saturation=0.0, hue=0.0)
    images, moved = augmentation.augmented(pictures, maps, dermx.normalisation_of(network().backbone), still)
    bright = (images - images.amin()) / (images.amax() - images.amin())
    inside = moved[:, 0] > 0.99
    assert (bright.mean(1)[inside] > 0.9).all()
    area = moved.sum((1, 2, 3)) / maps.sum((1, 2, 3))
    assert 0.85**2 * 0.95 < area.min() < 0.85
    assert 1.15 < area.max() < 1.15**2 * 1.05
    assert (area - 1).abs().mean() < 0.3
    places = augmentation._places(augmentation.DERMX, 2000, 48, 64)
    unturned = places[:, :, :2] * torch.tensor([[1, 64 / 48], [48 / 64, 1]])
    scale = unturned.square().sum(2).sqrt()
    torch.testing.assert_close(scale[:, 0], scale[:, 1])  # squares stay squares on a picture that is none
    assert 1 / 1.15 - 1e-4 <= scale.min() < scale.max() <= 1 / 0.85 + 1e-4
    assert places[:, :, 2].abs().max() <= 0.3
    assert all(0.4 < share < 0.6 for share in (places[:, [0, 1], [0, 1]] < 0).float().mean(0))


def test_a_shear_leans_upright_lines_by_its_angle() -> None:
    torch.manual_seed(0)
    changes = augmentation.Changes(0.0, 0.0, shear=30.0)
    places = augmentation._places(changes, 500, 48, 48)
    lean = torch.atan2(-places[:, 0, 1], places[:, 1, 1]).rad2deg()
    assert 25 < lean.abs().max() <= 30
    torch.testing.assert_close(places[:, :, 0], torch.tensor([[1.0, 0.0]]).expand(500, 2))


def test_colours_change_and_grey_stays_grey() -> None:
    torch.manual_seed(0)
    grey, coloured = torch.rand(32, 1, 6, 6).expand(-1, 3, -1, -1), torch.rand(32, 3, 6, 6)
    found = augmentation._recoloured(grey, augmentation.DERMX)
    torch.testing.assert_close(found[:, 0], found[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 0], found[:, 2], atol=1e-5, rtol=0)
    other = augmentation._recoloured(coloured, augmentation.DERMX)
    assert 0 <= other.min() < other.max() <= 1
    assert (other - coloured).abs().mean((1, 2, 3)).min() > 0.01


def test_a_loss_that_is_not_finite_stops_with_the_epoch_and_its_name(tmp_path: Path) -> None:
    said = r"the [a-z ]+ of (training|held out) images is (nan|inf) in epoch [12]: expected a finite number; a lower"
    with pytest.raises(FloatingPointError, match=said):
        trained(tmp_path, rate=1e20)


def test_dx_and_dxw_only_diagnose(tmp_path: Path) -> None:
    none = replace(toy(), present=np.zeros((24, 0), bool), maps=np.zeros((24, 0, GRID, GRID), np.float32))
    none = replace(none, counted=none.present, labels=(np.arange(24) % 4 == 0).astype(int))
    ends = []
    for weighted in (False, True):
        model = network(characteristics=())
        options = {
            "frozen": weighted,
            "epochs": 1,
            "seed": 0,
            "weighted_classes": weighted,
            "judge": dermx_scores.scores,
        }
        ends.append(train_dermx(model, none, none, folder=tmp_path / str(weighted), **options))
        assert set(ends[-1]["metric"]) == {"diagnosis loss", "total", "accuracy", "macro f1"}
    assert not ends[0]["value"].equals(ends[1]["value"])


def test_images_without_a_right_evaluation_teach_only_their_diagnosis(tmp_path: Path) -> None:
    known = np.arange(24) >= 8
    ends = []
    for value in (False, True):  # whatever stands in rows that are not explained
        data = toy()
        data.present[:8], data.counted[:8], data.maps[:8] = value, True, float(value)
        model = network()
        options = {"frozen": False, "epochs": 1, "seed": 0, "guidance": "dice", "batch": 4}
        train_dermx(model, replace(data, explained=known), toy(10, 1), folder=tmp_path / str(value), **options)
        ends.append(model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


EARLY = torch.zeros(4, 24, 8, 4, 4)
BAD = [
    ({"labels": np.zeros(24, int)}, {}, "v is the diagnosis of none of 24 training images: expected one"),
    ({"labels": np.arange(24) % 3}, {}, "labels to train on go from 0 to 2: expected 0 to 1"),
    ({"present": np.eye(2, dtype=bool)[[0] * 24]}, {}, "blue is present in none of 24 explained training images"),
    ({"maps": SETS[0].maps[:20]}, {}, "there are 24 pictures, 24 labels and 20 maps to train on: expected as many"),
    ({"maps": SETS[0].maps[..., :4]}, {}, "maps to train on have 8 x 4 pixels on pictures of 64 x 64: expected the"),
    ({"maps": SETS[0].maps[:, :, ::8, ::8]}, {}, "maps have 1 x 1 pixels: expected at least 2 x 2"),
    ({"maps": 2 * SETS[0].maps}, {}, "maps to train on go from 0.0 to 2.0: expected 0 to 1"),
    ({"maps": SETS[0].maps[:, :1]}, {}, "maps to train on are (24, 1, 8, 8): expected (24, 2, 8, 8)"),
    ({"counted": np.ones(24, bool)}, {}, "counted to train on are (24,): expected (24, 2), of images and"),
    ({"pictures": SETS[0].pictures / 255}, {}, "pictures to train on are (24, 64, 64, 3) of float64: expected uint8"),
    ({"pictures": EARLY[0]}, {}, "early maps to train on are (24, 8, 4, 4): expected (4, n, k, h, w)"),
    ({"pictures": EARLY}, {"frozen": False}, "pictures to train on are early maps: expected pictures, to train the"),
    ({"pictures": EARLY}, {}, "the network refuses (1, 8, 4, 4): expected images or early maps of its own"),
    ({}, {"guidance": "dise"}, "got epochs 4, batch 8, guidance 'dise': expected at least 1, at least 2, None or one"),
    ({}, {"epochs": 0}, "got epochs 0, batch 8, guidance 'dice': expected at least 1"),
]


@pytest.mark.parametrize(("fields", "options", "said"), BAD, ids=[said[:40] for *_, said in BAD])
def test_bad_input_is_told_in_one_sentence(tmp_path: Path, fields: dict, options: dict, said: str) -> None:
    settings = {"frozen": True, "epochs": EPOCHS, "seed": 3, "guidance": "dice", "batch": 8} | options
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        train_dermx(network(), replace(SETS[0], **fields), SETS[1], folder=tmp_path, **settings)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"maps": SETS[1].maps[..., :4]}, "maps held out have 8 x 4 pixels on pictures of 64 x 64: expected the same"),
        ({"maps": SETS[1].maps[:, :, ::8, ::8]}, "maps have 1 x 1 pixels: expected at least 2 x 2"),
        ({"pictures": SETS[1].pictures[:9]}, "there are 9 pictures, 10 labels and 10 maps held out: expected as many"),
        ({"labels": SETS[1].labels + 1}, "labels held out go from 1 to 2: expected 0 to 1"),
    ],
)
def test_bad_held_out_images_are_told_in_one_sentence(tmp_path: Path, fields: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        train_dermx(network(), SETS[0], replace(SETS[1], **fields), folder=tmp_path, frozen=True, epochs=1, seed=3)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_checkpoints_that_are_damaged_or_of_another_training_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trained(tmp_path, epochs=2)
    content = path.read_bytes()
    others = ({"seed": 4}, {"weight": 2.0}, {"guidance": None}, {"frozen": False}, {"name": "timm:test_resnet"})
    for options in others:
        with pytest.raises(DataError, match="is of another training: expected the same network with the weights"):
            trained(tmp_path, **options)
    with pytest.raises(DataError, match="is of 2 epochs: expected at most 1"):
        trained(tmp_path, epochs=1)
    assert path.read_bytes() == content
    with zipfile.ZipFile(path) as archive:
        middle = max(archive.infolist(), key=lambda part: part.file_size)
    bit = middle.header_offset + middle.file_size // 2  # of a weight
    flipped = content[:bit] + bytes([content[bit] ^ 1]) + content[bit + 1 :]
    zeros = content[:200] + bytes(9000) + content[9200:]
    for damaged in (b"", content[: len(content) // 2], b"no checkpoint", zeros, flipped):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=re.escape("is damaged: expected a checkpoint; move it away")) as told:
            trained(tmp_path)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [TINY, "timm:test_resnet"])
def test_a_backbone_that_is_no_sequence_of_blocks_is_refused_where_blocks_are_kept(name: str) -> None:
    model = network(name=name)
    forward = model.backbone.forward_features
    model.backbone.forward_features = lambda images: 2 * forward(images)
    with pytest.raises(UnsupportedModel, match="is more than its blocks one after the other: train the whole network"):
        drawing.parts(model)
    model.backbone.forward_features = lambda images: forward(images)[:, :, :1]
    with pytest.raises(UnsupportedModel, match="is more than its blocks one after the other: train the whole network"):
        drawing.parts(model)
    model.backbone.feature_info = []
    with pytest.raises(UnsupportedModel, match="has no blocks up to stride 16 that timm notes: train the whole"):
        drawing.parts(model)


def test_scores_of_a_perfect_network_and_of_one_that_knows_nothing() -> None:
    data = replace(toy(6), explained=np.arange(6) < 4)
    logits = torch.from_numpy(np.where(data.present, 5.0, -5.0))
    perfect = dermx_scores.scores(DermXOutput(logits, logits, 3 * torch.from_numpy(data.maps)), data)
    assert perfect == pytest.approx(dict.fromkeys(perfect, 1.0))
    assert len(perfect) == 6
    wrong = dermx_scores.scores(DermXOutput(-logits, -logits, torch.zeros(6, 2, 2, 2)), data)
    assert wrong.pop("localisation specificity") == 1
    assert wrong == pytest.approx(dict.fromkeys(wrong, 0.0))
