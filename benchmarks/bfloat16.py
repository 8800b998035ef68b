"""Time a training step and a plain pass of each network of the benchmark in bfloat16 against float32, on one core.

Usage: ``python benchmarks/bfloat16.py [rounds]``. Writes ``bfloat16.json`` beside this file. Both take turns in one
process; a ratio is of medians of CPU seconds. What trains in bfloat16 is `medxai.models.benchmark_networks.BFLOAT16`.
"""

import functools
import time

import torch
from timing import asked_rounds, medians, report
from torch import nn

from medxai.models.benchmark_networks import BENCHMARK, BFLOAT16, create

BATCH, SIDE, CLASSES = 16, 128, 6


def compared(name: str, rounds: int) -> dict[str, object]:
    """Return images a second in both, and how many times faster bfloat16 is."""
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % CLASSES
    network = create(name, CLASSES).requires_grad_(True).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def step(bfloat16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = network.train()(images)
        optimiser.zero_grad()
        nn.functional.cross_entropy(logits.float(), labels).backward()
        optimiser.step()

    @torch.no_grad()
    def passed(bfloat16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            network.eval()(images)

    found: dict[str, object] = {"trained in bfloat16": name in BFLOAT16}
    for what, run in {"step": step, "pass": passed}.items():
        times = medians(
            {kind: functools.partial(run, kind == "bfloat16") for kind in ("float32", "bfloat16")},
            rounds,
            time.process_time,
        )
        found[f"{what}, images a second"] = {kind: round(BATCH / seconds, 1) for kind, seconds in times.items()}
        found[f"{what}, times faster"] = round(times["float32"] / times["bfloat16"], 2)
    return found


def main() -> None:
    """Time, and report."""
    rounds = asked_rounds()
    torch.set_num_threads(1)
    report(
        __file__,
        lambda: {
            "batch": BATCH,
            "side": SIDE,
            "rounds": rounds,
            "networks": {name: compared(name, rounds) for name in BENCHMARK},
        },
        ("torch", "torchvision", "timm"),
    )


if __name__ == "__main__":
    main()
