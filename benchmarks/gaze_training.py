"""Time a training step of each gaze-supervised model against that of the U-Net baseline.

Usage: ``python benchmarks/gaze_training.py [rounds]``. Writes ``gaze_training.json`` beside this file. All models take
turns in one process on one thread, and seconds are the processor's, so that others who use the machine matter little;
a ratio is of medians over the rounds. Nothing is gated on these numbers.
"""

import torch
from timing import asked_rounds, report

from medxai.experiment import gaze_cost
from medxai.models.architectures import DEFAULT
from medxai.training.gaze_training import BATCH

SIDE = 96


def measured(rounds: int) -> dict[str, object]:
    """Return seconds of a step, ratios, and images in a second."""
    table = gaze_cost.costs(SIDE, rounds).set_index("model")
    return {
        "processor_seconds_per_step": table["seconds"].round(4).to_dict(),
        "ratio_to_u_net": table["ratio"].round(3).to_dict(),
        "images_per_processor_second": (BATCH / table["seconds"]).round(1).to_dict(),
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
