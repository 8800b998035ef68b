"""Write imagecorruptions.npz: two small pictures, and some pixels of what the reference library makes of them.

Usage: ``uv run --no-project --with imagecorruptions==1.1.2 --with "setuptools<82" python THIS_FILE``; the library
imports pkg_resources, which later versions of setuptools lack. It draws from numpy's global generator; the test draws
the same from ``numpy.random.RandomState``, whose numbers never change.
"""

from pathlib import Path

import numpy as np
from imagecorruptions import corrupt

KINDS = ("gaussian_noise", "speckle_noise", "motion_blur", "contrast", "brightness")
PICTURES = {"large": (44, 52), "small": (32, 32)}
"""Height and width: above all motions, and as small as the library takes, so that the longest motion stops."""
SEED = 7
EVERY = 4
"""Of the results one pixel in four rows and columns is kept."""


def picture(height: int, width: int) -> np.ndarray:
    """Return smooth colours with a disc, a white and a black corner and a little noise, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([4 * x + y, 90 + 60 * np.sin(x / 5) * np.cos(y / 7), 220 - 3 * y], -1)
    colours[(y - height / 2) ** 2 + (x - width / 2) ** 2 < 60] += (60, -50, 20)
    colours += np.random.RandomState(0).normal(0, 6, colours.shape)
    colours[:8, :8], colours[-8:, -8:] = 255, 0
    return np.clip(colours, 0, 255).astype(np.uint8)


def main() -> None:
    """Write the file beside this one."""
    arrays = {"seed": np.array(SEED), "every": np.array(EVERY)}
    for name, size in PICTURES.items():
        arrays[name] = picture(*size)
        for kind in KINDS:
            results = []
            for severity in range(1, 6):
                np.random.seed(SEED)  # noqa: NPY002  the library has no other way in
                results.append(corrupt(arrays[name], severity, kind)[::EVERY, ::EVERY])
            arrays[f"{name} {kind}"] = np.stack(results)
    np.savez_compressed(Path(__file__).with_name("imagecorruptions.npz"), **arrays)


if __name__ == "__main__":
    main()
