"""A table in parts: stopped, run again, by several processes."""

import numpy as np
import pandas as pd
import pytest

from medxai.errors import DataError
from medxai.robustness import _parts

SIZES = [3, 3, 1]


def rows(task):
    """A part of three columns, one of which is not defined at odd numbers."""
    first, size = task
    if size == 0:
        raise ValueError(f"part at {first} is empty")
    numbers = np.arange(first, first + size)
    return pd.DataFrame(
        {"number": numbers, "third": np.where(numbers % 2, np.nan, numbers / 3), "even": numbers % 2 == 0}
    )


def task_of(number):
    return sum(SIZES[:number]), SIZES[number]


def whole(folder, compute=rows, task=task_of, processes=1):
    return _parts.stored(folder / "table.csv.gz", SIZES, task, compute, "number", processes)


def test_the_parts_make_a_table(tmp_path):
    found = whole(tmp_path)
    pd.testing.assert_frame_equal(found, rows((0, 7)), rtol=1e-5)
    assert found["third"][4] == 1.33333
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".gz"] == ["table.csv.gz"]
    pd.testing.assert_frame_equal(whole(tmp_path, compute=None), found, check_exact=True)  # it is read


def test_what_is_there_is_not_computed_again(tmp_path):
    computed = []

    def until_the_last(task):
        computed.append(task)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return rows(task)

    with pytest.raises(KeyboardInterrupt):
        whole(tmp_path / "stopped", until_the_last)
    whole(tmp_path / "stopped", until_the_last)
    assert computed == [(0, 3), (3, 3), (6, 1), (6, 1)]
    whole(tmp_path / "once")
    assert (tmp_path / "stopped" / "table.csv.gz").read_bytes() == (tmp_path / "once" / "table.csv.gz").read_bytes()


def test_progress_counts_what_was_there(tmp_path, monkeypatch):
    """The bar starts behind the parts that are there."""
    bars = []

    class Bar(_parts.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options | {"disable": False})
            bars.append((self.initial, self))

    monkeypatch.setattr(_parts, "tqdm", Bar)
    (tmp_path / "table.000001.csv.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="part at 6 is empty"):
        whole(tmp_path, task=lambda number: (6, 0) if number == 2 else task_of(number))
    ((initial, bar),) = bars
    assert (initial, bar.n, bar.total) == (3, 6, 7)


def test_other_processes_make_the_same_table(tmp_path):
    found = whole(tmp_path / "two", processes=2)
    pd.testing.assert_frame_equal(found, whole(tmp_path / "one"), check_exact=True)
    assert (tmp_path / "two" / "table.csv.gz").read_bytes() == (tmp_path / "one" / "table.csv.gz").read_bytes()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        whole(tmp_path / "file")
