"""Pictures with a bright blob whose place is the class, and a gaze that rests on it."""

import numpy as np

from medxai.training.gaze_training import GazeExamples

CORNERS = np.array([(0.3, 0.3), (0.3, 0.7), (0.7, 0.5)])


def blobs(number: int, *, seed: int, side: int = 64) -> GazeExamples:
    """Return grey noise with a blob near one of three places; labels take turns."""
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    centres = (CORNERS[labels] + generator.normal(0, 0.03, (number, 2))) * side
    rows, columns = np.mgrid[:side, :side] + 0.5
    away = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2
    gaze = np.exp(-away / (2 * (0.1 * side) ** 2)).astype(np.float32)
    grey = 90 + 70 * np.exp(-away / (2 * (0.05 * side) ** 2)) + generator.normal(0, 15, away.shape)
    pictures = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    return GazeExamples(pictures, labels, gaze)
