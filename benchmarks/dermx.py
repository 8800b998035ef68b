"""Time a training step of DermX with guided attention against one that computes no attention.

Usage: ``python benchmarks/dermx.py [rounds]``. Writes ``dermx.json`` beside this file. All versions take turns in one
process on one thread, and seconds are the processor's, so that others who use the machine matter little; a ratio is of
medians over the rounds. Nothing is gated on these numbers.

A step is that of `DermXModule` without Lightning's loop: it draws images and their experts' maps, moves them (whole
network) or takes kept maps of a flip (frozen up to stride 16), runs forward, takes the losses and their gradient, and
moves the weights. The versions:

- ``without_attention``: no attention, no loss of it, and no experts' maps to move; both other losses;
- ``watched``: as DermX is trained, where attention and its loss are computed to be noted, but guide nothing;
- ``dice``: as DermX+ is trained, by Dice with weight 10;
- ``dice_contiguous``, ``dice_bfloat16``: likewise, but channels first, or forward under torch's autocast.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from timing import asked_rounds, medians, ratios, report
from torch import Tensor

from medxai.models import dermx
from medxai.models.dermx import DermXOutput
from medxai.training import dermx_examples as drawing
from medxai.training.dermx_examples import Examples
from medxai.training.dermx_module import DermXModule
from medxai.training.dermx_training import RATE
from medxai.training.guidance import characteristic_loss, diagnosis_loss

SIDE, MAP_SIDE, IMAGES = 160, 40, 32
CHARACTERISTICS, DISEASES = tuple("abcdefghij"), tuple("uvwxyz")


class WithoutAttention(DermXModule):
    """DermX of which nobody asks where."""

    def __init__(self, model: dermx.DermX, data: Examples, held_out: Examples, **settings: object) -> None:
        heads, none = model.heads, np.zeros((*data.present.shape, 0, 0), np.float32)
        model.heads = lambda maps, **_: heads(maps, attention=False)
        super().__init__(model, replace(data, maps=none), held_out, **settings)

    def _losses(self, output: DermXOutput, some: Examples, maps: Tensor) -> dict[str, Tensor]:
        losses = {
            "diagnosis loss": diagnosis_loss(output.diagnosis_logits, torch.from_numpy(some.labels)),
            "characteristic loss": characteristic_loss(output.characteristic_logits, torch.from_numpy(some.present)),
        }
        return losses | {"total": sum(losses.values())}


def step(
    kind: type[DermXModule],
    guidance: str | None,
    *,
    frozen: bool,
    channels_last: bool = True,
    bfloat16: bool = False,
) -> Callable[[], None]:
    """Return one step of a network of its own, always on the same images, in the order that the epoch draws."""
    torch.manual_seed(0)
    model = dermx.make(characteristics=CHARACTERISTICS, diseases=DISEASES)
    model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    late = drawing.parts(model)[1] if frozen else None
    data = drawing.with_early_maps(examples(), model) if frozen else examples()
    settings = {"class_weights": None, "rate": RATE, "batch": IMAGES, "judge": None, "kept": None, "keep": None}
    module = kind(model, data, data, late=late, seed=0, guidance=guidance, weight=10.0, **settings)
    if not channels_last:  # a copy of what the step gives the network, small beside the rest
        (late or model).register_forward_pre_hook(lambda _, seen: (seen[0].contiguous(),))
    chosen = module.configure_optimizers()
    optimiser, schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
    module.on_train_epoch_start()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = module.training_step(0, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    return run


def examples() -> Examples:
    """Return noise: what is in the images does not change how long they take."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    present = generator.random((IMAGES, len(CHARACTERISTICS))) < 0.3
    maps = generator.random((*present.shape, MAP_SIDE, MAP_SIDE), dtype=np.float32) * present[..., None, None]
    return Examples(pictures, np.arange(IMAGES) % len(DISEASES), present, maps, present, np.ones(IMAGES, bool))


def steps(frozen: bool, rounds: int) -> dict[str, object]:
    """Return seconds of a step, and ratios."""
    versions = {
        "without_attention": step(WithoutAttention, None, frozen=frozen),
        "watched": step(DermXModule, None, frozen=frozen),
        "dice": step(DermXModule, "dice", frozen=frozen),
        "dice_contiguous": step(DermXModule, "dice", frozen=frozen, channels_last=False),
        "dice_bfloat16": step(DermXModule, "dice", frozen=frozen, bfloat16=True),
    }
    seconds = medians(versions, rounds, time.process_time)
    return {
        "processor_seconds_per_step": {name: round(value, 4) for name, value in seconds.items()},
        "ratio_to_step_without_attention": ratios(seconds, "without_attention"),
        "ratio_to_dice": ratios({name: seconds[name] for name in list(versions)[2:]}, "dice"),
    }


def main() -> None:
    """Time, and report."""
    rounds = asked_rounds(21)
    torch.set_num_threads(1)
    report(
        __file__,
        lambda: {
            "network": dermx.make(characteristics=CHARACTERISTICS, diseases=DISEASES).origin,
            "rounds": rounds,
            "images": IMAGES,
            "pixels": SIDE,
            "pixels_of_experts_maps": MAP_SIDE,
            "whole_network": steps(False, rounds),
            "frozen_up_to_stride_16": steps(True, rounds),
        },
        ("torch", "timm", "pytorch-lightning"),
    )


if __name__ == "__main__":
    main()
