"""Time a training step of each gaze-supervised model against that of the U-Net baseline.

Usage: ``python benchmarks/gaze_training.py [rounds]``. Writes ``gaze_training.json`` beside this file. All models take
turns in one process on one thread, and seconds are the processor's, so that others who use the machine matter little;
a ratio is of medians over the rounds. Nothing is gated on these numbers.

A step is that of `medxai.training.gaze_training`: it draws images, moves them and their gaze, runs the network, derives
the map where the model has one, takes the losses and their gradient, and moves the weights.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from timing import asked_rounds, medians, ratios, report

from medxai.models import gaze_unet
from medxai.models.architectures import DEFAULT
from medxai.training.gaze_losses import MODELS, Choices, GazeModel, step_losses
from medxai.training.gaze_training import BATCH, RATE, GazeExamples, draw

SIDE, CLASSES = 96, 3


def step(model: GazeModel) -> Callable[[], None]:
    """Return one step of a network of its own, always on the same images."""
    torch.manual_seed(0)
    network = gaze_unet.make(DEFAULT, classes=CLASSES, decoder=model.decoder)
    network.to(memory_format=torch.channels_last).train()
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    gaze = generator.random((BATCH, SIDE, SIDE), dtype=np.float32)
    examples = GazeExamples(pictures, np.arange(BATCH) % CLASSES, gaze)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, fused=True)

    def run() -> None:
        drawn = draw(network, examples, np.arange(BATCH))
        total = step_losses(network, model, *drawn, Choices())["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    return run


def measured(rounds: int) -> dict[str, object]:
    """Return seconds of a step, ratios, and images in a second."""
    seconds = medians({name: step(model) for name, model in MODELS.items()}, rounds, time.process_time)
    return {
        "processor_seconds_per_step": {name: round(value, 4) for name, value in seconds.items()},
        "ratio_to_u_net": ratios(seconds, "u_net"),
        "images_per_processor_second": {name: round(BATCH / value, 1) for name, value in seconds.items()},
    }


def main() -> None:
    """Time, and report."""
    rounds = asked_rounds(9)
    torch.set_num_threads(1)
    report(
        __file__,
        lambda: {"network": DEFAULT, "rounds": rounds, "images": BATCH, "pixels": SIDE} | measured(rounds),
        ("torch", "timm", "segmentation-models-pytorch"),
    )


if __name__ == "__main__":
    main()
