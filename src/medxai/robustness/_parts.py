"""Tables that take long, computed in parts that are kept until the whole is there."""

import gzip
import pickle
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

import pandas as pd
from tqdm import tqdm

from medxai import files, memory

Task = TypeVar("Task")
Compute = Callable[[Task], pd.DataFrame]


def stored(
    path: Path, sizes: Sequence[int], task: Callable[[int], Task], compute: Compute, unit: str, processes: int = 1
) -> pd.DataFrame:
    """Return the table at a path; where it is not there, compute the parts of it that are not there either.

    Parameters
    ----------
    path
        Ends in ``.csv.gz``; parts lie beside it until they are put together. Numbers have six significant digits.
    sizes
        How many units of work each part is, for the bar of progress.
    task
        Opens what a part, by its number, is computed from.
    compute
        Computes the part's rows, always the same of the same task.
    unit
        What is counted.
    processes
        With more than one, each computes parts with one thread; tasks and `compute` are then pickled.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    if not path.exists():
        files.check_place(path)
        with files.alone(path), files.disk_refusals(path):
            if not path.exists():  # another process may have been here meanwhile
                _make(path, sizes, task, compute, unit, processes)
    return pd.read_csv(path, float_precision="round_trip")


class _Part(NamedTuple):
    """A part of a table that is due."""

    path: Path
    size: int
    task: object
    header: bool

    def store(self, compute: Compute) -> int:
        """Compute and write it; return its size."""
        text = compute(self.task).to_csv(index=False, header=self.header, float_format="%.6g", lineterminator="\n")
        files.write(self.path, gzip.compress(text.encode(), compresslevel=1, mtime=0))
        return self.size


def _make(
    path: Path, sizes: Sequence[int], task: Callable[[int], Task], compute: Compute, unit: str, processes: int
) -> None:
    name = path.name.removesuffix(".csv.gz")
    places = [path.with_name(f"{name}.{number:06d}.csv.gz") for number in range(len(sizes))]
    due = [number for number, place in enumerate(places) if not place.exists()]
    parts = (_Part(places[number], sizes[number], task(number), header=number == 0) for number in due)
    done = sum(sizes) - sum(sizes[number] for number in due)
    with tqdm(total=sum(sizes), initial=done, unit=unit, disable=None) as bar:
        for size in _finished(parts, compute, processes):
            bar.update(size)
    files.write(path, b"".join(place.read_bytes() for place in places))  # one gzip after the other is a gzip
    for place in places:
        place.unlink()


def _finished(parts: Iterator[_Part], compute: Compute, processes: int) -> Iterator[int]:
    """Yield the size of each part that is stored, here or by other processes."""
    if processes == 1:
        yield from (part.store(compute) for part in parts)
        return
    # Bytes, since torch would hand tensors over by shared memory, of which containers have little.
    with get_context("spawn").Pool(processes, _begin, [pickle.dumps(compute)]) as pool:
        yield from pool.imap_unordered(_store, parts)


_begun: list[Compute] = []
"""In a process that was started for it, how parts are computed."""


def _begin(compute: bytes) -> None:
    import torch

    torch.set_num_threads(1)
    memory.keep()
    _begun.append(pickle.loads(compute))


def _store(part: _Part) -> int:
    return part.store(_begun[0])
