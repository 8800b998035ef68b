"""Time the 25 corrupted versions of images against the reference library, and count the values that differ.

Usage: ``uv run --with imagecorruptions==1.1.2 --with "setuptools<82" python benchmarks/corruptions.py [rounds]``, since
the library is no dependency of the project (it imports pkg_resources, which later versions of setuptools lack). Writes
``corruptions.json`` beside this file. Both take turns in one process; a ratio is of medians over the rounds. Nothing is
gated on these numbers.
"""

import warnings

import cv2
import numpy as np
import torch
from timing import asked_rounds, medians, report

from medxai.robustness import corruptions
from medxai.robustness.corruptions import KINDS, SEVERITIES

with warnings.catch_warnings(action="ignore"):
    import imagecorruptions

SETTINGS = {224: 8, 64: 64, 32: 128}
"""Pixels, and images in a batch."""


def images(number: int, size: int) -> np.ndarray:
    """Return blurred noise of full range, as rough as photographs are, uint8 (number, size, size, 3)."""
    noise = np.random.default_rng(0).normal(size=(number, size, size, 3))
    fine, coarse = ([cv2.GaussianBlur(one, (0, 0), deviation) for one in noise] for deviation in (1, size / 12))
    mixed = np.stack([a / a.std() + 2 * b / b.std() for a, b in zip(fine, coarse, strict=True)])
    return np.clip(128 + 30 * mixed, 0, 255).astype(np.uint8)


def by_the_library(pictures: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    """Return uint8 (5 * kinds, n, h, w, 3); what is drawn for an image is the same for each severity."""
    made = [_one_by_one(pictures, kind, severity) for kind in kinds for severity in SEVERITIES]
    return np.array(made)


def _one_by_one(pictures: np.ndarray, kind: str, severity: int) -> list[np.ndarray]:
    corrupted = []
    for number, picture in enumerate(pictures):
        np.random.seed(number)  # noqa: NPY002  the library has no other way in
        corrupted.append(imagecorruptions.corrupt(picture, severity, kind))
    return corrupted


def speed(size: int, rounds: int) -> dict[str, object]:
    """Return milliseconds for all versions of an image, by kind and in all, and how often faster than the library."""
    pictures = images(SETTINGS[size], size)
    batch, keys = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.arange(len(pictures))
    few = pictures[: max(1, len(pictures) // 8)]
    tested = {kind: (kind,) for kind in KINDS} | {"all": KINDS}
    runs = {}
    for name, kinds in tested.items():
        runs[f"medxai {name}"] = lambda kinds=kinds: corruptions.versions(batch, keys, kinds=kinds)
        runs[f"imagecorruptions {name}"] = lambda kinds=kinds: by_the_library(few, kinds)
    seconds = medians(runs, rounds)
    ours = {name: 1000 * seconds[f"medxai {name}"] / len(pictures) for name in tested}
    theirs = {name: 1000 * seconds[f"imagecorruptions {name}"] / len(few) for name in tested}
    return {
        "images": len(pictures),
        "milliseconds_per_image": {name: round(value, 3) for name, value in ours.items()},
        "imagecorruptions_milliseconds_per_image": {name: round(value, 2) for name, value in theirs.items()},
        "times_faster": {name: round(theirs[name] / ours[name], 1) for name in tested},
    }


def differences(size: int) -> dict[str, object]:
    """Return by how many levels of 255 values differ at most, and which share does, with the same random numbers."""
    pictures = images(SETTINGS[size], size)
    found = {}
    for kind in KINDS:
        off = np.abs(by_the_library(pictures, (kind,)).astype(int) - with_its_numbers(pictures, kind))
        found[kind] = {"most_levels": int(off.max()), "share": float(f"{(off > 0).mean():.2g}")}
    return found


def with_its_numbers(pictures: np.ndarray, kind: str) -> np.ndarray:
    """Return what our program makes of what the library draws after each seed, uint8 (5, n, h, w, 3)."""
    states = [np.random.RandomState(number) for number in range(len(pictures))]
    if kind == "motion_blur":
        drawn = torch.tensor([state.uniform(-45, 45) for state in states])
    else:
        fields = np.array([state.normal(size=pictures.shape[1:]) for state in states])
        drawn = torch.from_numpy(fields).permute(0, 3, 1, 2)
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    operation, amounts = corruptions._found(kind, "224")
    out = batch.new_empty(len(SEVERITIES), *batch.shape)
    operation.apply(batch, drawn, amounts, out)
    return out.permute(0, 1, 3, 4, 2).numpy()


def main() -> None:
    """Time, compare, and report."""
    rounds = asked_rounds()
    report(
        __file__,
        lambda: {
            "rounds": rounds,
            "versions_of_an_image": 25,
            "speed": {f"{size} px": speed(size, rounds) for size in SETTINGS},
            "differences_from_imagecorruptions": {f"{size} px": differences(size) for size in SETTINGS},
        },
        ("torch", "numpy", "scikit-image", "imagecorruptions"),
    )


if __name__ == "__main__":
    main()
