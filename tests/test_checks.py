"""Exercise checks: every chapter's, fed with its right answer and each of its typical mistakes, and the mechanism."""

import numpy as np
import pandas as pd
import pytest

from medxai import checks
from medxai.checks import Check, Mistake
from medxai.checks.compare import Malformed, same

TOY = Check(
    reference=lambda values: float(np.mean(values)),
    mistakes=(
        Mistake(lambda values: float(np.sum(values)), "You forgot to divide."),
        Mistake(lambda values: float(np.median(values)), "That is the middle value."),
        Mistake(lambda values: values.missing, "Never said."),
    ),
    example=lambda: ([1.0, 2.0, 6.0],),
    hint="Add them up first.",
)
TOY_FUNCTION = Check(**{**vars(TOY), "is_function": True})
VALUES = TOY.example()[0]


def answer_for(check, compute, arguments):
    return compute if check.is_function else compute(*arguments)


@pytest.mark.parametrize(("name", "check"), checks.registered().items())
def test_registered_checks_recognise_right_answer_and_every_mistake(name, check):
    assert len(check.mistakes) >= 3, f"{name} knows fewer than three typical mistakes"
    arguments = check.example()
    right = check(answer_for(check, check.reference, arguments), *arguments)
    assert right.state == "right", f"{name} refuses its own right answer: {right}"
    for mistake in check.mistakes:
        result = check(answer_for(check, mistake.value, arguments), *arguments)
        assert result == checks.Result("wrong", mistake.why), f"{name}, {mistake.why}: {result}"


@pytest.mark.parametrize(("name", "check"), checks.registered().items())
def test_registered_checks_never_raise(name, check):
    arguments = check.example()
    assert check(..., *arguments).state == check(None, *arguments).state == "unanswered", name
    for odd in (object(), {}, [[]], "?", pd.DataFrame(), np.nan, lambda: None):
        assert check(odd, *arguments).state in {"malformed", "wrong"}, f"{name} on {odd!r}"


def test_states():
    assert TOY(3, VALUES).state == "right"
    assert TOY(9, VALUES) == checks.Result("wrong", "You forgot to divide.")
    assert TOY(2.0, VALUES).message == "That is the middle value."
    assert TOY(7, VALUES) == checks.Result("wrong", "Add them up first.")
    assert TOY(..., VALUES).state == TOY(None, VALUES).state == "unanswered"
    assert TOY([3, 3], VALUES).state == "malformed"
    assert "does" not in TOY("three", VALUES).message
    assert "of type str" in TOY("three", VALUES).message
    assert TOY(3, "not numbers").state == "malformed"


def test_function_answers():
    def not_written(values):
        raise NotImplementedError

    assert TOY_FUNCTION(np.mean, VALUES).state == "right"
    assert TOY_FUNCTION(np.sum, VALUES).message == "You forgot to divide."
    assert TOY_FUNCTION(not_written, VALUES).state == TOY_FUNCTION(lambda values: ..., VALUES).state == "unanswered"
    assert TOY_FUNCTION(3.0, VALUES).state == "malformed"
    assert "ZeroDivisionError" in TOY_FUNCTION(lambda values: 1 / 0, VALUES).message


def test_result_is_safe_html_and_text():
    result = checks.Result("wrong", "a < b & c")
    assert str(result) == "✗ Not right yet. a < b & c"
    html = result._repr_html_()
    assert "a &lt; b &amp; c" in html
    assert 'role="status"' in html


@pytest.mark.parametrize("wrong", [0.2, 7, [7], {"x": 1}, "text", np.zeros(2)])
def test_answer_is_never_told(wrong):
    check = Check(reference=lambda: 0.123456, mistakes=(), example=tuple, hint="Look again.")
    assert "0.123" not in str(check(wrong))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, np.bool_(True)),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (" PLAQUE ", "Plaque"),
        (np.nan, np.nan),
        (["b", "A"], {"a", "B"}),
        ([[1, 2]], np.array([[1.0, 2.0]])),
        ({"b": 2, "a": 1}, pd.Series({"a": 1.0, "b": 2.0})),
        (pd.Series({"b": 2, "a": 1}), {"a": 1, "b": 2}),
        (pd.DataFrame({"y": [3, 4], "x": [1, 2]}), pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})),
    ],
)
def test_same(answer, expected):
    assert same(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(0.502, 0.5), (np.nan, 0.0), (0.0, np.nan), ("a", "b"), (["a"], ["a", "b"]), ({"a": 2}, {"a": 1}), (False, True)],
)
def test_different(answer, expected):
    assert not same(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (1, True, "True or False"),
        ([0.5], 0.5, "one number"),
        (3, "text", "a text in quotes"),
        ("abc", ["a", "b", "c"], "a list of texts"),
        ([1, 2], np.zeros(3), r"shape \(3,\)"),
        ([1, 2], pd.Series({"a": 1}), "a Series or a dict"),
        ({"a": 1}, {"a": 1, "b": 2}, r"look at \['b'\]"),
        (pd.Series([1, 1], index=["a", "a"]), {"a": 1}, "duplicates"),
        ({"a": "x"}, {"a": 1}, "of numbers"),
    ],
)
def test_malformed(answer, expected, said):
    with pytest.raises(Malformed, match=said):
        same(answer, expected)
