"""Small pictures whose class is a texture and not a colour."""

import numpy as np


def stripes(number: int = 48, side: int = 32, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Draw horizontal (0), vertical (1) or oblique (2) stripes, uint8 (n, side, side, 3); colours do not tell which."""
    generator = np.random.default_rng(0)
    labels = np.arange(number) % classes
    y, x = np.mgrid[:side, :side]
    patterns = [np.sin(place * 2 * np.pi / 8) for place in (y, x, (x + y) / np.sqrt(2))]
    colour = generator.uniform(90, 160, (number, 1, 1, 3))
    images = colour + 60 * np.stack([patterns[label] for label in labels])[..., None]
    images += generator.normal(0, 5, images.shape)
    return np.clip(images, 0, 255).astype(np.uint8), labels
