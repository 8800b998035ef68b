"""What a step of training costs in each gaze-supervised model."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from medxai.models import gaze_unet
from medxai.models.architectures import DEFAULT
from medxai.training.gaze_losses import MODELS, Choices, GazeModel, step_losses
from medxai.training.gaze_training import BATCH, RATE, GazeExamples, draw

CLASSES = 3
BASELINE = "u_net"


def step(model: GazeModel, side: int) -> Callable[[], None]:
    """Return one step of a network of its own, always on the same images, at a side in pixels.

    A step is that of `medxai.training.gaze_training`: it draws images, moves them and their gaze, runs the network,
    derives the map where the model has one, takes the losses and their gradient, and moves the weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = gaze_unet.make(DEFAULT, classes=CLASSES, decoder=model.decoder)
    network.to(memory_format=torch.channels_last).train()
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    gaze = generator.random((BATCH, side, side), dtype=np.float32)
    examples = GazeExamples(pictures, np.arange(BATCH) % CLASSES, gaze)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, fused=True)

    def run() -> None:
        drawn = draw(network, examples, np.arange(BATCH))
        total = step_losses(network, model, *drawn, Choices())["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    return run


def costs(side: int, rounds: int) -> pd.DataFrame:
    """Return the processor's seconds of a step, and their ratio to the baseline's: ``model``, ``seconds``, ``ratio``.

    All models take turns in this process, so that others who use the machine matter little; seconds are medians over
    the rounds, after one that does not count.
    """
    steps = {name: step(model, side) for name, model in MODELS.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, run in steps.items():
            start = time.process_time()
            run()
            if turn:
                taken[name].append(time.process_time() - start)
    seconds = {name: statistics.median(some) for name, some in taken.items()}
    lines = [(name, value, value / seconds[BASELINE]) for name, value in seconds.items()]
    return pd.DataFrame(lines, columns=["model", "seconds", "ratio"])
