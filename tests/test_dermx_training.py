"""Training DermX: the same numbers again, also after a kill; guidance; bad input."""

import multiprocessing
import random
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medxai.models import dermx
from medxai.training.dermx_examples import Examples
from medxai.training.dermx_training import train_dermx

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


def network(seed: int = 0, name: str = TINY, characteristics: tuple[str, ...] = ("red", "blue")) -> dermx.DermX:
    torch.manual_seed(seed)
    return dermx.make(name, characteristics=characteristics, diseases=("u", "v"), pretrained=False)


def trained(folder: Path, **options: object) -> tuple[dermx.DermX, pd.DataFrame]:
    model = network()
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


def in_a_process(folder: Path, *options: object) -> multiprocessing.Process:
    """Start a training in a process of its own, of a server that has loaded all it needs and never ran a network."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["medxai.training.dermx_module", "medxai.training.dermx_training", "timm"])
    process = context.Process(target=single_threaded, args=(folder, *options))
    process.start()
    return process


def single_threaded(folder: Path, epochs: int) -> None:
    torch.set_num_threads(1)
    trained(folder, epochs=epochs, frozen=False)


def changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.weekly)])
def test_a_training_that_is_killed_ends_as_one_that_is_not(tmp_path: Path, kills: int) -> None:
    epochs, moments = kills + 3, random.Random(kills)
    unbroken = in_a_process(tmp_path / "unbroken", epochs)
    unbroken.join()
    started = time.monotonic()
    in_a_process(tmp_path / "probe", 2).join()
    most = time.monotonic() - started
    checkpoint, killed = tmp_path / "killed" / "checkpoint.pt", 0
    for number in range(kills):
        before, process = changed(checkpoint), in_a_process(tmp_path / "killed", epochs)
        while number % 2 and changed(checkpoint) == before and process.is_alive():  # at least one epoch more
            time.sleep(0.001)
        time.sleep(moments.uniform(0, most / 2 if number % 2 else most))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        killed += process.exitcode == -signal.SIGKILL
    assert killed >= 2
    assert checkpoint.exists()
    last = in_a_process(tmp_path / "killed", epochs)
    last.join()
    assert last.exitcode == unbroken.exitcode == 0
    # Both are finished, so this only reads them.
    ends = [trained(tmp_path / name, epochs=epochs, frozen=False) for name in ("unbroken", "killed")]
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
        print(held_out.round(3).to_string())
        lost[guidance] = held_out["attention loss"].iloc[-1]
    assert lost["dice"] < lost[None] - 0.02
