"""Paintings of a whole data set on disk, painted once."""

import io
import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.context import SpawnContext
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from medxai import files, paths
from medxai.data.dermxdb import DermXDB
from medxai.errors import DataError
from medxai.painting.photograph import LARGEST, SMALLEST, case, paint

VERSION = 3
"""Counted up when the same annotations and seed give other pixels."""

_db: DermXDB | None = None
"""The data set of a worker process."""


def paint_all(
    db: DermXDB,
    size: int,
    *,
    seed: int = 0,
    images: Iterable[str] | None = None,
    confounders: Iterable[str] = (),
    folder: Path | None = None,
    processes: int | None = None,
    progress: bool = False,
) -> Path:
    """Paint many images, or find them painted; an interrupted run goes on where it stopped.

    Parameters
    ----------
    images
        Names; by default the 554 of the paper.
    folder
        Where the paintings of all sets go; by default ``painted`` among the results.
    processes
        Number of worker processes, by default one for each core; the pixels do not depend on it. They import the
        script that calls this, so that it must do so below ``if __name__ == "__main__":``.

    Returns
    -------
    Path
        Folder with NAME.png and NAME.npz for each image; `read` and `truth` read them.

    Raises
    ------
    ValueError, DataError, RuntimeError
        In one sentence, for a size out of range; if the disk refuses; if the worker processes do not start.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is {size}: expected {SMALLEST} to {LARGEST} pixels")
    confounders = tuple(sorted(confounders))
    parts = (db.digest[:12], f"{size}px", f"seed{seed}", f"v{VERSION}", *confounders)
    target = folder / "-".join(parts) if folder else paths.painted("-".join(parts))
    names = list(images) if images is not None else list(db.images.index[db.images["paper"]])
    work = partial(_paint_one, size=size, seed=seed, confounders=confounders, folder=target)

    def missing() -> list[str]:
        return [name for name in names if not (target / f"{name}.png").exists()]

    if not missing():
        return target
    spawn = multiprocessing.get_context("spawn")  # a fork of OpenCV's threads can wait for ever
    _check_start(spawn)
    with files.disk_refusals(target), files.alone(target):
        target.mkdir(parents=True, exist_ok=True)
        if waiting := missing():
            processes = min(processes or os.cpu_count() or 1, len(waiting))
            with ProcessPoolExecutor(processes, spawn, initializer=_adopt, initargs=(db,)) as pool:
                for _ in tqdm(pool.map(work, waiting), "paintings", len(waiting), disable=not progress):
                    pass
    return target


def _check_start(spawn: SpawnContext) -> None:
    """Start a process that does nothing: a script without a guard fails here, where nothing is locked or half sent."""
    first = spawn.Process(target=int)
    first.start()
    first.join()
    if first.exitcode:
        raise RuntimeError(
            "a process that paints ended before it painted: in a script, call paint_all below "
            "if __name__ == '__main__':, since each process imports the script"
        )


def read(folder: Path, name: str) -> np.ndarray:
    """Return a painting of `paint_all`, uint8 (h, w, 3) sRGB."""
    picture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"{folder / name}.png is no picture: delete it, and it is painted again")
    return np.ascontiguousarray(picture[..., ::-1])


def truth(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Return what painted which pixel, float32 (h, w) in [0, 1] in steps of 1/255, by characteristic or confounder."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return {term: file[term].astype(np.float32) / 255 for term in file.files}


def _adopt(db: DermXDB) -> None:
    global _db
    _db = db
    cv2.setNumThreads(1)


def _paint_one(name: str, *, size: int, seed: int, confounders: tuple[str, ...], folder: Path) -> None:
    painting = paint(case(_db, name, size), seed=seed, confounders=confounders)
    with files.disk_refusals(folder):
        truth = io.BytesIO()
        maps = {term: np.round(255 * coverage).astype(np.uint8) for term, coverage in painting.truth.items()}
        np.savez_compressed(truth, **maps)
        files.write(folder / f"{name}.npz", truth.getvalue())
        picture = cv2.imencode(".png", painting.image[..., ::-1])[1].tobytes()
        files.write(folder / f"{name}.png", picture)  # last: this file says that the image is done
