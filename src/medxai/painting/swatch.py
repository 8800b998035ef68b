"""Characteristics on a patch of plain skin: what a reader learns them from."""

from collections.abc import Iterable

import numpy as np

from medxai.errors import DataError
from medxai.painting import PAINTERS, noise
from medxai.painting.canvas import Canvas, Context

WIDTH_CM = 4.0
"""What a swatch shows, in centimetres."""

LARGEST = 4096


def swatch(
    terms: Iterable[str],
    *,
    size: int = 384,
    tone: str = "light",
    disease: str = "Psoriasis",
    attributes: Iterable[str] = (),
    seed: int = 0,
) -> Canvas:
    """Paint characteristics, one over the other, in the middle of 4 cm of plain skin: same seed, same pixels.

    The size is a side in pixels, from 16 to 4096; tone, disease and attributes are what the painters may know, see
    `Context`. The canvas's ``finish()`` gives the picture, its ``truth`` what each term covered.

    Raises
    ------
    DataError
        If a term is not one of `PAINTERS`.
    ValueError
        If the size or the tone is not one that can be painted.
    """
    if not 16 <= size <= LARGEST:
        raise ValueError(f"size is {size}: expected 16 to {LARGEST} pixels")
    rng = np.random.default_rng(seed)
    canvas = Canvas((size, size), tone, scale=size / WIDTH_CM)
    canvas.height += 0.01 * canvas.scale * noise.fractal(canvas.size, rng, 0.15 * canvas.scale)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    region = (np.hypot(y, x) < 0.6 + 0.12 * noise.fractal(canvas.size, rng, size / 3)).astype(np.float32)
    context = Context(disease, tone, site="palm", attributes=frozenset(attributes))  # has ridges to interrupt
    for term in terms:
        if term not in PAINTERS:
            raise DataError(f"a characteristic is {term!r}: expected one of {', '.join(PAINTERS)}")
        canvas.paint(term, PAINTERS[term], region, context, rng)
    return canvas
