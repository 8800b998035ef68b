"""Is an answer the same as the expected value? The expected value also says what kinds of answers are accepted."""

from collections.abc import Collection
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd


class Malformed(TypeError):  # noqa: N818 - a statement about the answer, shown to the student
    """An answer of the wrong type, shape or labels; the message says what is accepted."""


def same(answer: Any, expected: Any, tolerance: float = 1e-3) -> bool:
    """Return whether `answer` equals `expected` within `tolerance`; NaN equals NaN.

    A bool or a number is expected as such; a text in any capitals; a DataFrame or Series as one with the same labels
    (in any order) or a dict; a dict as one with the same keys; a list, tuple or set of texts as any collection of
    texts (in any order); everything else as an array of the same shape.

    Raises
    ------
    Malformed
        If the answer's type, shape or labels cannot be compared.
    """
    if isinstance(expected, bool | np.bool_):
        return _typed(answer, bool | np.bool_, "True or False") == expected
    if isinstance(expected, Number):
        return _same_numbers(_array(answer, (), "one number"), expected, tolerance)
    if isinstance(expected, str):
        return _typed(answer, str, "a text in quotes").strip().casefold() == expected.casefold()
    if isinstance(expected, pd.DataFrame | pd.Series | dict):
        return _same_labelled(answer, expected, tolerance)
    if _all_texts(expected):
        return _same_texts(answer, expected)
    expected = np.asarray(expected)
    return _same_numbers(_array(answer, expected.shape, f"an array of shape {expected.shape}"), expected, tolerance)


def _typed(answer: Any, kind: Any, accepted: str) -> Any:
    if not isinstance(answer, kind):
        raise Malformed(f"Accepted is {accepted}; your answer is of type {type(answer).__name__}.")
    return answer


def _array(answer: Any, shape: tuple[int, ...], accepted: str) -> np.ndarray:
    try:
        array = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise Malformed(f"Accepted is {accepted}; your answer is of type {type(answer).__name__}.") from None
    if array.shape != shape:
        raise Malformed(f"Accepted is {accepted}; your answer has shape {array.shape}.")
    return array


def _same_numbers(answer: np.ndarray, expected: Any, tolerance: float) -> bool:
    return bool(np.allclose(answer, np.asarray(expected, dtype=float), rtol=0, atol=tolerance, equal_nan=True))


def _all_texts(values: Any) -> bool:
    return isinstance(values, Collection) and len(values) > 0 and all(isinstance(value, str) for value in values)


def _same_texts(answer: Any, expected: Collection[str]) -> bool:
    if isinstance(answer, str) or not _all_texts(answer):
        raise Malformed("Accepted is a list of texts, as ['one', 'two'].")
    return sorted(text.strip().casefold() for text in answer) == sorted(text.casefold() for text in expected)


def _same_labelled(answer: Any, expected: pd.DataFrame | pd.Series | dict, tolerance: float) -> bool:
    table = isinstance(expected, pd.DataFrame)
    accepted = "a DataFrame" if table else "a Series or a dict"
    answer = _typed(answer, pd.DataFrame if table else pd.Series | dict, accepted)
    answer, expected = (pd.DataFrame(value) if table else pd.Series(value).to_frame() for value in (answer, expected))
    axes = [("row", answer.index, expected.index)] + [("column", answer.columns, expected.columns)] * table
    for axis, given, wanted in axes:
        wrong = [*wanted.difference(given, sort=False), *given.difference(wanted, sort=False)]
        if wrong or not given.is_unique:
            raise Malformed(f"Accepted is {accepted} with the {axis}s {list(wanted)}; look at {wrong or 'duplicates'}.")
    ordered = answer.loc[expected.index, list(expected.columns) if table else slice(None)]
    return _same_numbers(_array(ordered, expected.shape, f"{accepted} of numbers"), expected, tolerance)
