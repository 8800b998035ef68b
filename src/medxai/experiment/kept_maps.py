"""Maps that were made before: a trial and its chapter explain the same images once."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medxai import attribution, files, paths
from medxai.experiment.panel import Maps, Panel


def kept(panel: Panel, rows: Sequence[int], targets: Sequence[int], make: Callable[[], Maps] | None = None) -> Maps:
    """Return the maps of some rows by each method, read from ``results/maps``, or made and stored.

    Parameters
    ----------
    targets
        The class to explain for each row.
    make
        Returns the maps, float32 (n, side, side) by method, where somebody has them; else the panel explains.
    """

    def explained() -> Maps:
        classes = panel.targets.copy()
        classes[list(rows)] = targets
        methods = [name for name in panel.names if name in attribution.METHODS]
        return replace(panel, targets=classes).maps(rows, methods).maps

    return once(_digest(panel, rows, targets), make or explained)


def once(name: str, make: Callable[[], Maps]) -> Maps:
    """Return arrays that lie under a name in ``results/maps``, or make and store them."""

    def content() -> bytes:
        written = io.BytesIO()
        np.savez_compressed(written, **make())
        return written.getvalue()

    path = paths.maps(name)
    files.once(path, content)
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _digest(panel: Panel, rows: Sequence[int], targets: Sequence[int]) -> str:
    """Return 16 hexadecimal digits for all that maps depend on: options, images, weights, and the programs."""
    told = [panel.samples, panel.methods, panel.layer, panel.seed, panel.fold, list(map(int, targets))]
    total = hashlib.sha256(repr(told).encode())
    seen = () if panel.training is None else (panel.training,)
    for tensor in (panel.pixels(rows), *seen, *panel.network.state_dict().values()):
        total.update(tensor.contiguous().cpu().numpy().tobytes())
    for program in sorted(Path(attribution.__file__).parent.rglob("*.py")):
        total.update(program.read_bytes())
    return total.hexdigest()[:16]
