"""Time the drawing of chest phantoms on one core: processor seconds for a hundred, at three sides.

Usage: ``python benchmarks/chest_phantom.py [ROUNDS]``. Writes ``chest_phantom.json`` beside this file.
"""

import time
from functools import partial

import cv2
from timing import asked_rounds, medians, report

from medxai.data import chest_phantom

SIDES = (64, 128, 256)
NUMBER = 100


def measure() -> dict[str, object]:
    """Return the seconds by side."""
    cv2.setNumThreads(1)
    versions = {f"{side} px": partial(chest_phantom.draw, NUMBER, side, 0) for side in SIDES}
    seconds = medians(versions, asked_rounds(3), time.process_time)
    return {f"processor_seconds_for_{NUMBER}": {name: round(value, 2) for name, value in seconds.items()}}


if __name__ == "__main__":
    report(__file__, measure, ("numpy", "opencv-python-headless", "scipy"))
