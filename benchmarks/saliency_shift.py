"""Time the study of saliency under corruption against bare passes of its network, and against torchcam's own use.

Usage: ``python benchmarks/saliency_shift.py [rounds]``. Writes ``saliency_shift.json`` beside this file. All versions
take turns in one process; a ratio is of medians over the rounds. Nothing is gated on these numbers.

Milliseconds are for one explained image, all eight blocks of ResNet18 together; of each image the study explains 28,
the original, 25 versions and the two controls. The study makes the versions and writes its table besides, and all of
that counts as its time. torchcam's loop gets the versions ready made.
"""

import copy
import resource
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from cam import BLOCKS, bare_pass
from skimage.metrics import mean_squared_error
from timing import asked_rounds, medians, ratios, report
from torch import nn
from torchcam.methods import GradCAMpp

from medxai import memory
from medxai.attribution import cam
from medxai.models import backbones, folding
from medxai.models.normalisation import HALF
from medxai.robustness import corruptions, saliency_shift
from medxai.robustness.saliency_shift import SaliencyShift

CLASSES = 7
SETTINGS = {224: 4, 64: 16}
"""Pixels, and images."""
BATCH = {224: 26, 64: 104}
"""Of the bare passes: those that are fastest on a processor."""


def pictures(number: int, size: int) -> np.ndarray:
    """Grey clouds, uint8 (number, 1, size, size): time does not depend on what is shown."""
    noise = np.random.default_rng(0).random((number, 8, 8), dtype=np.float32)
    clouds = [cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in noise]
    return (255 * np.clip(clouds, 0, 1)).astype(np.uint8)[:, None]


def study(network: nn.Module, random: nn.Module, measures: Sequence[str] = (), **options: object) -> SaliencyShift:
    """The study of Grad-CAM++ by root mean square error, and by further measures."""
    explain = partial(cam.grad_cam_plus_plus, layers=BLOCKS, **options)
    return SaliencyShift(network=network, random=random, explain=explain, measures=tuple(measures))


def run(one: SaliencyShift, images: np.ndarray) -> None:
    """Measure from the start, into a folder that is thrown away."""
    numbers = np.arange(len(images))
    with tempfile.TemporaryDirectory() as folder:
        saliency_shift.table(one, images, numbers % CLASSES, numbers, Path(folder))


def torchcam_loop(network: nn.Module, versions: np.ndarray) -> list[float]:
    """As torchcam's documentation shows it: one image, one layer, one extractor at a time; the first is the original.

    versions are uint8 (v, 1, h, w).
    """
    size = versions.shape[-2:]
    originals, errors = {}, []
    for picture in HALF.apply(np.repeat(versions[:, 0, :, :, None], 3, 3)):
        for block in BLOCKS:
            with GradCAMpp(network, block) as extractor:
                logits = network(picture[None])
                (found,) = extractor(logits.argmax(1).item(), logits)
            grey = np.uint8(255 * cv2.resize(found[0].numpy(), size[::-1], interpolation=cv2.INTER_LINEAR))
            errors.append(mean_squared_error(originals.setdefault(block, grey), grey) ** 0.5)
    return errors


def grad_cam_plus_plus(size: int, rounds: int) -> dict[str, object]:
    """Return milliseconds for one explained image, and ratios."""
    network = backbones.create("resnet18", CLASSES)
    images = pictures(SETTINGS[size], size)
    pixels = torch.from_numpy(images)
    corrupted = corruptions.versions(pixels, torch.arange(len(images)))
    versions = torch.cat([pixels[None], corrupted]).flatten(0, 1)
    ready = (versions.float() / 127.5 - 1).expand(-1, 3, -1, -1).contiguous()
    random = saliency_shift.with_random_weights(network, ready[:8])
    fast, fast_random = (folding.folded(one, ready) for one in (network, random))
    plain, plain_random = (copy.deepcopy(one).to(memory_format=torch.contiguous_format) for one in (fast, fast_random))
    every = SaliencyShift.measures
    runs = {
        "bare_pass_from_image": lambda: [bare_pass(network, some, None) for some in ready.split(BATCH[size])],
        "bare_pass_from_block_1": lambda: [bare_pass(network, some, BLOCKS[0]) for some in ready.split(BATCH[size])],
        "study": partial(run, study(network, random), images),
        "study_folded": partial(run, study(fast, fast_random), images),
        "study_folded_contiguous": partial(run, study(plain, plain_random), images),
        "study_folded_bfloat16": partial(run, study(fast, fast_random, bfloat16=True), images),
        "study_folded_all_measures": partial(run, study(fast, fast_random, every), images),
        "corruptions_alone": lambda: corruptions.versions(pixels, torch.arange(len(images))),
    }
    seconds = medians(runs, rounds)
    number = {name: 28 * len(images) if name.startswith("study") else len(versions) for name in runs}
    milliseconds = {name: 1000 * seconds[name] / number[name] for name in runs}
    few = versions[:: len(images)][:4].numpy()  # of the first image; torchcam's own use takes too long for all
    naive = medians({"torchcam_loop": partial(torchcam_loop, network, few)}, 1)["torchcam_loop"]
    milliseconds["torchcam_loop"] = 1000 * naive / len(few)
    studies = [name for name in runs if name.startswith("study")]
    return {
        "images": len(images),
        "milliseconds_per_explained_image": {name: round(value, 2) for name, value in milliseconds.items()},
        "ratio_to_bare_pass_from_image": ratios(milliseconds, "bare_pass_from_image"),
        "ratio_to_bare_pass_from_block_1": ratios(milliseconds, "bare_pass_from_block_1"),
        "times_faster_than_torchcam_loop": {
            name: round(milliseconds["torchcam_loop"] / milliseconds[name], 1) for name in studies
        },
    }


def growth() -> dict[str, dict[str, float]]:
    """Return seconds and the most memory so far of more and more images at 64 px, by all measures."""
    network = backbones.create("resnet18", CLASSES)
    one = study(network, network, SaliencyShift.measures)
    found = {}
    for number in (8, 16, 32, 64):
        start = time.perf_counter()
        run(one, pictures(number, 64))
        seconds = time.perf_counter() - start
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[f"{number} images"] = {"seconds": round(seconds, 2), "peak_megabytes": round(most)}
    return found


def main() -> None:
    """Time, and report."""
    memory.keep()  # as every command does
    rounds = asked_rounds()
    torch.manual_seed(0)
    report(
        __file__,
        lambda: {
            "network": "ResNet18 as initialised",
            "rounds": rounds,
            "more_images": growth(),
            "grad_cam_plus_plus_at_8_blocks": {f"{size} px": grad_cam_plus_plus(size, rounds) for size in SETTINGS},
        },
        ("torch", "torchvision", "torchcam", "scikit-image"),
    )


if __name__ == "__main__":
    main()
