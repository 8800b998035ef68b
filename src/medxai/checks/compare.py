"""Is an answer the same as the expected value? The expected value also says what kinds of answers are accepted."""

from collections.abc import Collection
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd


class Malformed(TypeError):  # noqa: N818 - a statement about the answer, shown to the student
    """An answer of the wrong type, shape or labels; the message says what is accepted."""


DIGITS = 3
"""Significant digits that the exercises ask for."""
EXACT = 6
"""Significant digits in which numbers agree that were computed alike; single precision has seven."""
NOISE = 1e-9
"""What rounding errors leave where zero is right, as a share of the largest number of the answer."""


def same(answer: Any, expected: Any, digits: int = DIGITS) -> bool:
    """Return whether `answer` is `expected`, or what is left of it when it is rounded to `digits` significant digits.

    So a number may be off by half a unit of the last digit that is asked for, each number of an array or a table by
    that of its own; NaN is NaN.

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
        return _same_numbers(_array(answer, (), "one number"), expected, digits)
    if isinstance(expected, str):
        return _typed(answer, str, "a text in quotes").strip().casefold() == expected.casefold()
    if isinstance(expected, pd.DataFrame | pd.Series | dict):
        return _same_labelled(answer, expected, digits)
    if _all_texts(expected):
        return _same_texts(answer, expected)
    expected = np.asarray(expected)
    return _same_numbers(_array(answer, expected.shape, f"an array of shape {expected.shape}"), expected, digits)


def rounded(answer: Any, expected: Any, digits: int = DIGITS) -> bool:
    """Return whether `answer` is `expected` rounded to fewer than `digits` significant digits; raises as `same`."""
    return any(_has_only(answer, fewer) and same(answer, expected, fewer) for fewer in range(1, digits))


def _has_only(answer: Any, digits: int) -> bool:
    numbers = np.asarray(list(answer.values()) if isinstance(answer, dict) else answer)
    return numbers.dtype.kind in "iuf" and all(number == float(f"{number:.{digits}g}") for number in numbers.flat)


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


def _same_numbers(answer: np.ndarray, expected: Any, digits: int) -> bool:
    expected = np.asarray(expected, dtype=float)
    size = np.abs(np.where(np.isfinite(expected), expected, 0))
    exponent = np.floor(np.log10(size, where=size > 0, out=np.full_like(size, -np.inf)))
    half = 10.0 ** (exponent - digits + 1) / 2  # of a unit of the last digit; none where zero is right
    near = half * (1 + NOISE) + NOISE * (size.max(initial=0) or 1)
    return bool(np.isclose(answer, expected, rtol=0, atol=near, equal_nan=True).all())


def _all_texts(values: Any) -> bool:
    return isinstance(values, Collection) and len(values) > 0 and all(isinstance(value, str) for value in values)


def _same_texts(answer: Any, expected: Collection[str]) -> bool:
    if isinstance(answer, str) or not _all_texts(answer):
        raise Malformed("Accepted is a list of texts, as ['one', 'two'].")
    return sorted(text.strip().casefold() for text in answer) == sorted(text.casefold() for text in expected)


def _same_labelled(answer: Any, expected: pd.DataFrame | pd.Series | dict, digits: int) -> bool:
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
    return _same_numbers(_array(ordered, expected.shape, f"{accepted} of numbers"), expected, digits)
