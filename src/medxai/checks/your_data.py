"""Checks of the exercises of the page on data of one's own."""

import numpy as np
import pandas as pd

from medxai.checks import Check, Mistake

IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _normalised(pixels: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return (pixels / 255 - mean) / deviation


check_normalised = Check(
    reference=_normalised,
    mistakes=(
        Mistake(
            lambda pixels, mean, deviation: (pixels - mean) / deviation,
            "Mean and standard deviation are of pixels in [0, 1]; these go from 0 to 255.",
        ),
        Mistake(
            lambda pixels, mean, deviation: pixels / 255 / deviation - mean,
            "First the mean is taken away, then the difference is divided.",
        ),
        Mistake(
            lambda pixels, mean, deviation: (pixels / 255 - IMAGENET[0]) / IMAGENET[1],
            "These are ImageNet's numbers. This network was trained with others.",
        ),
        Mistake(lambda pixels, mean, deviation: pixels / 255 - mean, "Not yet divided by the standard deviation."),
    ),
    example=lambda: (np.array([[0, 128, 255], [51, 102, 204]]), np.array([0.5, 0.5, 0.4]), np.array([0.5, 0.4, 0.5])),
    hint="Bring the pixels to [0, 1], take the mean away, divide by the standard deviation.",
    meaning=lambda seen, *_: (
        f"The network sees numbers from {seen.min():.1f} to {seen.max():.1f}: how many standard deviations a colour is "
        "from the mean of its training images."
    ),
)


def _stem(name: str) -> str:
    return name.rpartition(".")[0].removesuffix("_mask")


def _unmatched(images: list[str], masks: list[str]) -> list[str]:
    there = {_stem(name) for name in masks}
    return [name for name in images if _stem(name) not in there]


check_unmatched = Check(
    reference=_unmatched,
    mistakes=(
        Mistake(
            lambda images, masks: [name for name in images if name not in masks],
            "A mask may end in another way than its image, and may carry _mask: compare the names without both.",
        ),
        Mistake(
            lambda images, masks: [
                name for name in images if _stem(name) not in {one.rpartition(".")[0] for one in masks}
            ],
            "A mask whose name ends in _mask fits, too.",
        ),
        Mistake(
            lambda images, masks: [name for name in masks if _stem(name) not in {_stem(one) for one in images}],
            "These are masks without an image; asked are images without a mask.",
        ),
        Mistake(
            lambda images, masks: [name for name in images if name not in _unmatched(images, masks)],
            "These have a mask.",
        ),
    ),
    example=lambda: (
        ["a.jpg", "b.png", "c.png", "d.tif", "f.jpg"],
        ["a_mask.png", "b.png", "e.png", "f.png"],
    ),
    hint="Take the ending off all names, and _mask off those of the masks.",
    meaning=lambda names, images, masks: (
        f"For {len(names)} of {len(images)} images no score can be given that asks where the lesion is."
    ),
)


def _mean_difference(scores: pd.DataFrame, method: str, control: str) -> float:
    return float((scores[method] - scores[control]).mean())


check_difference = Check(
    reference=_mean_difference,
    mistakes=(
        Mistake(
            lambda scores, method, control: float((scores[method].fillna(0) - scores[control].fillna(0)).mean()),
            "An image without a score is not an image with a score of 0.",
        ),
        Mistake(
            lambda scores, method, control: float(scores[method].mean() - scores[control].mean()),
            "The two means are over different images. Compare on the images on which both have a score.",
        ),
        Mistake(
            lambda scores, method, control: _mean_difference(scores, control, method),
            "Asked is the method less the control.",
        ),
        Mistake(
            lambda scores, method, control: float((scores[method] - scores[control]).median()),
            "This is the median of the differences, not their mean.",
        ),
    ),
    example=lambda: (
        pd.DataFrame({"method": [0.6, 0.9, np.nan, 0.4, 0.9], "control": [0.5, np.nan, 0.2, 0.45, 0.3]}),
        "method",
        "control",
    ),
    hint="A difference for each image, then the mean of those that are defined.",
    meaning=lambda difference, scores, method, control: (
        f"On the {len(scores[[method, control]].dropna())} images on which both have a score, {method} is "
        f"{abs(difference):.3f} {'ahead of' if difference > 0 else 'behind'} {control} on average."
    ),
)
