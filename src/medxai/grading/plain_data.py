"""Answers as plain data: JSON in which a student's process says what an answer is, and nothing of which is ever run."""

import numbers
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

LARGEST = 10**6
"""Numbers in an array. An answer of this book has a dozen at most."""

Plain = dict | list | str | bool | int | float
NUMERIC = {"b": "bool", "i": "int64", "u": "uint64", "f": "float64"}
"""Kinds of arrays, and as what they go; single precision stays, as it says how exact a number is."""


def encode(value: object) -> Plain:
    """Return what JSON can hold of `value`; of what is neither number, text, table nor collection, the type's name.

    Raises
    ------
    ValueError, RecursionError
        If it is too large, or contains itself.
    """
    if value is None or value is ...:
        return {"open": True}
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.Real) and not isinstance(value, np.generic):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, pd.DataFrame):
        labels = {"index": encode(list(value.index)), "columns": encode(list(value.columns))}
        return {"table": [encode(list(row)) for row in value.to_numpy()], **labels}
    if isinstance(value, pd.Series):
        return {"series": encode(value.to_list()), "index": encode(list(value.index))}
    if hasattr(value, "__array__"):
        return _encode_array(np.asarray(value))
    if isinstance(value, Mapping):
        return {"items": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, Collection):
        return [encode(item) for item in value]
    return {"other": type(value).__name__}


def _encode_array(array: np.ndarray) -> Plain:
    if array.size > LARGEST:
        raise ValueError(f"{array.size} numbers are too many for an answer")
    if array.dtype.kind in NUMERIC:
        kind = "float32" if array.dtype == np.float32 else NUMERIC[array.dtype.kind]
        return {"array": array.astype(kind).tolist(), "kind": kind}
    if array.ndim and array.dtype.kind in "UO":
        return [encode(item) for item in array]
    return {"other": f"array of {array.dtype}"}


def decode(plain: Plain) -> object:
    """Return the value that `encode` was given; an object of an empty class of the same name for what is no plain data.

    Raises
    ------
    ValueError, TypeError, KeyError
        If `encode` cannot have made this.
    """
    if isinstance(plain, str | bool | int | float):
        return plain
    if isinstance(plain, list):
        return [decode(item) for item in plain]
    if "open" in plain:
        return ...
    if "array" in plain:
        if plain["kind"] not in {*NUMERIC.values(), "float32"}:
            raise ValueError(f"no kind of array: {plain['kind']}")
        return np.array(plain["array"], plain["kind"])
    if "table" in plain:
        return pd.DataFrame(*(decode(plain[part]) for part in ("table", "index", "columns")))
    if "series" in plain:
        return pd.Series(decode(plain["series"]), decode(plain["index"]))
    if "items" in plain:
        return {decode(key): decode(item) for key, item in plain["items"]}
    return type(str(plain["other"]), (), {})()
