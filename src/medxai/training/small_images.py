"""Training on small images as the robustness thesis does: a whole network from random weights, stopped early.

Images go in steps of `BATCH`, at the rate `RATE`, until the loss of the validation images has not fallen for `PATIENCE`
epochs (thesis, section 2.2.2); nothing is flipped or turned. The weights that are kept are those of the epoch with the
lowest validation loss. What is said of test images is noted after each epoch, and nothing is chosen by it.

The optimiser is not printed. It is stochastic gradient descent with momentum: by Adam at this rate the loss of the few
validation images of BreastMNIST jumps, so that the epoch that is kept, and with it the network, is a matter of luck. At
64 pixels the test AUC was then 0.89 and 0.80 in two orders of the images, by this 0.90 and 0.92 with two seeds.

All that is random in an epoch depends on the seed and its number alone, so that a training that was stopped goes on and
ends as if it had not been, on a processor bit for bit.
"""

import copy
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from medxai import files
from medxai.data.medmnist import SPLITS
from medxai.models.normalisation import HALF

RATE, BATCH, PATIENCE = 0.001, 16, 10
MOMENTUM = 0.9
CHUNK = 64
"""Images that go through the network together where nothing is learnt."""
CHECKPOINT = 60
"""Seconds after which what was learnt is written down, at the end of an epoch."""
COLUMNS = ["epoch", "split", "metric", "value"]


class Examples(NamedTuple):
    """Images and what they show."""

    pixels: np.ndarray
    """uint8 (n, c, h, w) with 1 or 3 channels; one stands for all three."""
    labels: np.ndarray
    """int (n,), classes from 0."""


Change = Callable[[Tensor, np.ndarray, int], Tensor]
"""Given images uint8 (b, c, h, w), their rows (b,) and the number of the pass over the training images, from 1, returns
what is learnt from in their place."""
Judge = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Given probabilities (n, classes) and labels (n,), returns scores by name."""


def binary(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Return the mean binary cross-entropy over images and classes, each class a question of its own.

    :math:`-[y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]` with the logit :math:`x`, and :math:`y = 1` for the
    image's class, 0 for the others (thesis, section 2.5.1; that targets are one-hot is not printed, erratum R9).
    """
    there = nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return nn.functional.binary_cross_entropy_with_logits(logits, there)


class Loss(NamedTuple):
    """What is minimised, and what makes probabilities of logits (n, classes) for it."""

    of: Callable[[Tensor, Tensor], Tensor]
    probabilities: Callable[[Tensor], Tensor]


LOSSES = {
    "binary": Loss(binary, torch.sigmoid),
    "cross-entropy": Loss(nn.functional.cross_entropy, lambda logits: logits.softmax(1)),
}
"""``binary`` is the thesis's; the benchmark of MedMNIST has ``cross-entropy`` for the sets of the thesis."""


def train(
    network: nn.Module,
    splits: dict[str, Examples],
    *,
    loss: str,
    epochs: int,
    seed: int,
    path: Path,
    passes: int = 1,
    change: Change | None = None,
    judge: Judge | None = None,
    bfloat16: bool = False,
) -> pd.DataFrame:
    """Train a network in place, go on where that was stopped, or read what it has led to; return the history.

    Parameters
    ----------
    network
        Takes (n, 3, h, w), as `medxai.models.normalisation.HALF` makes them; left in evaluation mode, with the weights
        of the best epoch.
    splits
        ``train``, ``val`` and ``test``.
    loss
        A key of `LOSSES`.
    epochs
        At most.
    path
        File of the best weights and the history, while training of all that goes on from there. Its name must tell all
        that the weights depend on. One process at a time trains there.
    passes
        How many times an epoch goes through the training images.
    change
        Makes what is learnt from of the training images; nothing else is changed.
    judge
        Scores the validation and the test images after each epoch.
    bfloat16
        Whether convolutions are computed in bfloat16 in training; weights and loss stay float32. Not every processor
        gains by it (`medxai.training.fit.multiplies_bfloat16`).

    Returns
    -------
    pandas.DataFrame
        Columns epoch (from 1), split, metric and value: ``loss`` (of training images the mean over the steps of the
        epoch) and the judge's scores. `best_epoch` tells which epoch's weights were kept.

    Raises
    ------
    ValueError
        In one sentence, if a split is missing or not such examples, or the loss is unknown.
    FloatingPointError
        If a loss is not finite.
    """
    _check(splits, loss)
    files.check_place(path)
    with files.alone(path):
        kept = torch.load(path, weights_only=True) if path.exists() else {"epoch": 0, "records": []}
        if not kept.get("finished"):
            training = _Training(network, splits, LOSSES[loss], epochs, seed, passes, change, judge, bfloat16)
            with torch.random.fork_rng():
                kept = training.go_on(kept, path)
    network.load_state_dict(kept["best"])
    network.eval().requires_grad_(False)
    return _history(kept["records"])


def best_epoch(history: pd.DataFrame, split: str = "val", metric: str = "loss") -> int:
    """Return the epoch, from 1, with the lowest loss or the highest score of a split; the first of equally good ones.

    By default that whose weights `train` keeps.
    """
    values = history[(history["split"] == split) & (history["metric"] == metric)].set_index("epoch")["value"]
    return int(values.idxmin() if metric == "loss" else values.idxmax())


def is_over(losses: Sequence[float], epochs: int) -> bool:
    """Return whether to stop, given the validation losses so far, of at most `epochs`."""
    since_best = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
    return len(losses) >= epochs or since_best >= PATIENCE


def logits_of(network: nn.Module, pixels: np.ndarray | Tensor) -> Tensor:
    """Return the logits, float32 (n, classes), that a network gives uint8 (n, c, h, w), in the mode that it is in."""
    like = next(network.parameters())
    with torch.no_grad():
        return torch.cat([network(_input(part, like)) for part in torch.as_tensor(pixels).split(CHUNK)]).float()


def _input(pixels: Tensor, like: Tensor) -> Tensor:
    return HALF.of_pixels(pixels, like).contiguous(memory_format=torch.channels_last)


class _Training(NamedTuple):
    """What `train` was asked for."""

    network: nn.Module
    splits: dict[str, Examples]
    loss: Loss
    epochs: int
    seed: int
    passes: int
    change: Change | None
    judge: Judge | None
    bfloat16: bool

    def go_on(self, kept: dict, path: Path) -> dict:
        """Train from what was kept until it is over; return what is kept then."""
        self.network.to(memory_format=torch.channels_last).requires_grad_(True)
        optimiser = torch.optim.SGD(self.network.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
        if kept["epoch"]:
            self.network.load_state_dict(kept["weights"])
            optimiser.load_state_dict(kept["optimiser"])
        written, losses = time.monotonic(), _losses(kept["records"])
        with tqdm(total=self.epochs, initial=len(losses), unit="epoch", disable=None) as bar:
            while not is_over(losses, self.epochs):
                kept["epoch"] += 1
                kept["records"] += self._epoch(optimiser, kept["epoch"])
                losses = _losses(kept["records"])
                if losses[-1] < min(losses[:-1], default=math.inf):
                    kept["best"] = copy.deepcopy(self.network.state_dict())
                if time.monotonic() - written > CHECKPOINT:
                    state = {"weights": self.network.state_dict(), "optimiser": optimiser.state_dict()}
                    _write(path, kept | state)
                    written = time.monotonic()
                bar.update()
        last = {"epoch": kept["epoch"], "records": kept["records"], "best": kept["best"], "finished": True}
        _write(path, last)
        return last

    def _epoch(self, optimiser: torch.optim.Optimizer, epoch: int) -> list[list]:
        """Learn from the training images; return the lines of the history."""
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))
        self.network.train()
        first = (epoch - 1) * self.passes + 1
        mean = sum(self._pass(optimiser, first + number) for number in range(self.passes)) / self.passes
        self.network.eval()
        lines = [["train", "loss", mean]]
        for split in SPLITS[1:]:
            pixels, labels = self.splits[split]
            logits = logits_of(self.network, pixels)
            lines.append([split, "loss", float(self.loss.of(logits, _as_labels(labels)))])
            if self.judge:
                scores = self.judge(self.loss.probabilities(logits.double()).numpy(), labels)
                lines += [[split, name, float(value)] for name, value in scores.items()]
        _check_finite(lines, epoch)
        return [[epoch, *line] for line in lines]

    def _pass(self, optimiser: torch.optim.Optimizer, number: int) -> float:
        """Learn from each training image once; return their mean loss."""
        order = torch.randperm(len(self.splits["train"].labels)).numpy()
        steps = np.array_split(order, -(-len(order) // BATCH))
        return sum(self._step(optimiser, rows, number) * len(rows) for rows in steps) / len(order)

    def _step(self, optimiser: torch.optim.Optimizer, rows: np.ndarray, number: int) -> float:
        """Learn from some rows of the training images; return their mean loss."""
        pixels, labels = self.splits["train"]
        images = torch.from_numpy(pixels[rows])
        images = images if self.change is None else self.change(images, rows, number)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(_input(images, next(self.network.parameters())))
        value = self.loss.of(logits.float(), _as_labels(labels[rows]))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        return float(value.detach())


def _as_labels(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels).long()


def _losses(records: list[list]) -> list[float]:
    return [value for _, split, metric, value in records if (split, metric) == ("val", "loss")]


def _history(records: list[list]) -> pd.DataFrame:
    return pd.DataFrame(records, columns=COLUMNS)


def _write(path: Path, state: dict) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    files.write(path, content.getvalue())


def _check(splits: dict[str, Examples], loss: str) -> None:
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}: expected one of {', '.join(LOSSES)}")
    if missing := [split for split in SPLITS if split not in splits]:
        raise ValueError(f"splits lack {', '.join(missing)}: expected {', '.join(SPLITS)}")
    for split, (pixels, labels) in splits.items():
        right = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[1] in (1, 3) and len(pixels) > 0
        if not right or labels.shape != pixels.shape[:1]:
            told = f"{split} is {pixels.dtype} {pixels.shape} with labels {labels.shape}"
            raise ValueError(f"{told}: expected uint8 (n, c, h, w) with 1 or 3 channels, and a label each")


def _check_finite(lines: list[list], epoch: int) -> None:
    for split, metric, value in lines:
        if metric == "loss" and not math.isfinite(value):
            raise FloatingPointError(f"the loss of {split} is {value} in epoch {epoch}: expected a finite number")
