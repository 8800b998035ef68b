"""Tables that users bring, as comma-separated values."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medxai.errors import DataError


def read(
    path: Path, columns: Sequence[str], *, texts: Sequence[str] = (), others: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table that has at least one row.

    Parameters
    ----------
    columns
        That it must have.
    texts
        Columns that hold text, be it of digits alone, if they are there.
    others
        Columns that are read beside `columns` if they are there; ``None`` for all.

    Raises
    ------
    DataError
        In one sentence, if the file is not there or no such table.
    """
    wanted = None if others is None else lambda name: name in {*columns, *others}
    if not path.is_file():
        raise DataError(f"{path} is not there: expected a table with the columns {', '.join(columns)}")
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, str), usecols=wanted, low_memory=False)
    except (OSError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path} is no table: expected comma-separated values ({said})") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for names of rows
        raise DataError(f"{path} has rows with more cells than columns: expected {len(table.columns)}")
    require(table, columns, str(path))
    if table.empty:
        raise DataError(f"{path} lists no image")
    return table


def require(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Raise a DataError that names the columns which a table lacks."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise DataError(f"{where} lacks columns: expected {', '.join(missing)}, too")


def numbers(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns as float64, NaN where a cell is no number."""
    return table[list(columns)].apply(pd.to_numeric, errors="coerce").astype(float)
