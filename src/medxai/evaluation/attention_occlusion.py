r"""Does a DermX need what it looks at? Its diagnosis after the attention of all found characteristics is covered.

Faithfulness of Jalaboi et al. 2023, Medical Image Analysis 83:102647, equation 9: :math:`m(x) - m(x_e)`, the drop of
the probability of the disease that was predicted. From which value on attention is an area, and what fills it, is not
printed; both are swept here. A drop alone says little: covering anything of that size harms. So areas of the same
number of pixels stand beside it that were not chosen by the network.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.evaluation.attention_cases import fine
from medxai.evaluation.faithfulness import BATCH, blurred, occlusion_drop

THRESHOLDS = tuple(number / 10 for number in range(1, 10))
BLUR = 0.1
"""Standard deviation as a share of the image's side: nothing of the size of a lesion is left."""

FILLS: dict[str, Callable[[Tensor], Tensor | float]] = {
    "mean colour": lambda image: image.mean((1, 2), keepdim=True),
    "grey": lambda image: 0.0,
    "blurred": lambda image: blurred(image, BLUR),
}
"""What covers a normalised image (c, h, w); 0 is the mean colour of ImageNet, a grey."""

PLACES = ("attention", "shifted", "random")
"""Where pixels are covered: where the attention is; where it would be if the map were moved, cyclically; anywhere."""

Network = Callable[[Tensor], Tensor]
"""Takes normalised images (n, c, h, w) and returns probabilities of the diseases (n, d)."""


def area(attention: Tensor, found: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Return the union of the attention of all found characteristics, each over its maximum: float (height, width).

    Attention is (c, h, w), found bool (c,); the union of fuzzy maps is their largest value. Zeros if nothing is found.
    """
    seen = fine(attention[torch.from_numpy(found)], sides)
    return seen.max(axis=0, initial=0)


def occluded(
    network: Network,
    images: Tensor,
    attention: Tensor,
    found: np.ndarray,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    fills: Sequence[str] = tuple(FILLS),
    seed: int = 0,
    batch_size: int = BATCH,
) -> pd.DataFrame:
    """Cover what a network looks at, at each threshold and with each fill, and as many pixels elsewhere.

    Parameters
    ----------
    images
        float (n, c, h, w), normalised.
    attention, found
        (n, characteristics, h', w') at least 0, and bool (n, characteristics): what the network says of these images.
    thresholds
        In (0, 1]: attention over its maximum is covered from there on.
    fills
        Keys of `FILLS`.
    seed
        Of the controls. The map is moved for all thresholds alike, and random pixels grow by more random pixels.

    Returns
    -------
    pandas.DataFrame
        A line for each image, fill, threshold and place of `PLACES`: image (number of the row), fill, threshold, place,
        share (of pixels that are covered), probability (of the predicted disease, before), and drop. An image of which
        nothing was found has no explanation: NaN. It costs 1 + 3 t images for each fill, with t thresholds.
    """
    if wrong := [level for level in thresholds if not 0 < level <= 1]:
        raise ValueError(f"thresholds hold {wrong[0]}: expected numbers above 0, at most 1")
    if wrong := [name for name in fills if name not in FILLS]:
        raise ValueError(f"fill is {wrong[0]!r}: expected one of {', '.join(FILLS)}")
    parts = []
    for number, image in enumerate(images):
        with torch.no_grad():
            probability, disease = network(image[None])[0].max(0)
        seen = area(attention[number], found[number], tuple(image.shape[1:]))
        areas = _areas(seen, thresholds, np.random.default_rng([seed, number]))
        lines = {"image": number, "threshold": np.tile(thresholds, len(PLACES)), "share": areas.mean((1, 2))}
        lines |= {"place": np.repeat(PLACES, len(thresholds)), "probability": float(probability)}
        for fill in fills:
            drop = np.full(len(areas), np.nan)
            if found[number].any():
                score = _score(network, int(disease))
                drop = occlusion_drop(score, image, areas, fill=FILLS[fill](image), batch_size=batch_size)
            parts.append(pd.DataFrame(lines | {"fill": fill, "drop": drop}))
    columns = ["image", "fill", "threshold", "place", "share", "probability", "drop"]
    return pd.concat(parts, ignore_index=True)[columns]


def _score(network: Network, disease: int) -> Callable[[Tensor], Tensor]:
    return lambda images: network(images)[:, disease]


def _areas(seen: np.ndarray, thresholds: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Return what is covered, bool (3 t, h, w): all thresholds of each place in turn."""
    looked = seen >= np.array(thresholds)[:, None, None]
    shifted = np.roll(looked, generator.integers(1, seen.shape), axis=(1, 2))
    order = generator.permutation(seen.size).reshape(seen.shape)
    return np.concatenate([looked, shifted, order < looked.sum((1, 2))[:, None, None]])


def beside_controls(table: pd.DataFrame) -> pd.DataFrame:
    """Return the drops of an `occluded` table with the places as columns, for `bootstrap.differences` over images.

    Index: image, fill, threshold. Choose one fill and threshold first, so that a row is an image.
    """
    return table.pivot(index=["image", "fill", "threshold"], columns="place", values="drop")[list(PLACES)]
