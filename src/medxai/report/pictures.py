"""Pictures side by side, each sheet marked with the kind of data it shows."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medxai.report.findings import DataKind
from medxai.report.plots import mark_data


def grid(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    kind: DataKind,
    columns: int = 3,
    note: str = "",
    cmap: str = "viridis",
) -> Figure:
    """Draw pictures in rows, each with its title.

    Parameters
    ----------
    images
        uint8 (h, w, 3) pictures, or float (h, w) maps in [0, 1].
    titles
        One for each; empty for none.
    kind, note
        Kind of data, and a word on it, written below.
    columns
        Pictures in a row.
    cmap
        Colours of the maps.
    """
    rows = -(-len(images) // columns)
    ratio = max(image.shape[0] / image.shape[1] for image in images)
    title = 0.32 if any(titles) else 0.05
    figure, panels = plt.subplots(
        rows, columns, figsize=(5.6, rows * (5.6 / columns * ratio + title) + 0.3), squeeze=False
    )
    for axes in panels.flat:
        axes.set_axis_off()
    for image, text, axes in zip(images, titles, panels.flat, strict=False):
        axes.imshow(image, vmin=0, vmax=1 if image.ndim == 2 else None, cmap=cmap)
        axes.set_title(text, fontsize=10)
    return mark_data(figure, kind, note)
