"""Exercise checks: every chapter's, fed with its right answer and each of its typical mistakes, and the mechanism."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import exercises
from medxai import checks
from medxai.checks import ROUNDED, Check, Mistake, Result, attribution, catalogue, comparison
from medxai.checks.compare import Malformed, rounded, same

TOY = Check(
    reference=lambda values: float(np.mean(values)),
    mistakes=(
        Mistake(lambda values: float(np.sum(values)), "You forgot to divide."),
        Mistake(lambda values: float(np.median(values)), "That is the middle value."),
        Mistake(lambda values: values.missing, "Never said."),
    ),
    example=lambda: ([1.0, 2.0, 6.0],),
    hint="Add them up first.",
    meaning=lambda mean, values: f"Each of {len(values)} would get {mean:g}.",
)
TOY_FUNCTION = Check(**{**vars(TOY), "is_function": True})
VALUES = TOY.example()[0]


RIGHT = {
    "attribution.check_gap": 0.1 / 2.7,  # 2.6 instead of 3.0 - 0.3
    "attribution.check_ranks": 1 - 6 * 2 / (4 * (4**2 - 1)),  # two of four ranks differ, by one
    "attribution.check_seeds": np.sqrt((1.625**2 + 0.625**2 + 0.375**2 + 1.875**2) / 3) / 2,  # about 2.625
    "benchmark.check_level": 5,  # all but the fourth reach 0.75
    "benchmark.check_limit": 0.68 / 1.34,
    "benchmark.check_rebuilt": 24 / (24 + 3 + 8.5),  # of 100 images
    "catalogue.check_cam": [[0.5, -8, -1], [-3.75, 1.5, -0.4]],
    "catalogue.check_integrated": np.array([2, 2, -0.5]) / 3.5,  # the score rises from 0 to 1, along a plane
    "catalogue.check_shapley": [(0.4 + 0.8) / 2, (0.1 + 0.5) / 2],
    "comparison.check_auc": 8.5 / 9,
    "comparison.check_deletion": (4.5 / 2 + 5.5 + 3.5 + 0.5) / 4,
    "comparison.check_paired": np.sqrt(0.00268 / 4 / 5),
    "comparison.check_centre": 3 / 4,
    "comparison.check_removal": 1 - 6 * 2 / (4 * (4**2 - 1)),  # effects 1, -0.5, 0.2, 1.6; sums 0.9, -0.6, 1.2, 2
    "dataset.check_pairwise_f1": 4 / 7,
    "dataset.check_mean_dice": (2 / 11 + 1 / 3 + 14 / 17 + 18 / 19) / 5,
    "dataset.check_ceiling": (8 / 15 + 12 / 17 + 8 / 17 + 8 / 17) / 4,
    "dermx.check_dice": 1 - 2 / 3.3,
    "dermx.check_skill": 0.2 / 0.3,
    "dermx.check_tilt": 3 * (1.5834728788 + 0.6402624054),  # weights [0, 64 + 2] and [3, 64 + 2]
    "failure_detection.check_augrc": 0.2 * 0.75 * 0.25 + 0.25**2 / 2,
    "failure_detection.check_doctor": [0.56 / 0.44, 1],
    "failure_detection.check_risk": 1 / 3,
    "families.check_intervention": [1.0 + 0.2, -0.4],
    "families.check_tcav": 1 / 4,
    "families.check_terms": 2 / 5,
    "families.check_triplets": (0.5 + 0.3) / 3,
    "gaze_audit.check_choice": 0.8 - 0.7,
    "gaze_audit.check_error": np.sqrt((0.16 + (2 / 3 - 0.64) + 2 * (1.28 / 1.8 - 0.64)) / 6),
    "gaze_audit.check_ids": ["x.1", "y.2"],
    "gaze_audit.check_shuffled": 1 / 2 - (-1 + 1 / np.sqrt(2)) / 2,
    "heatmap_training.check_guided": [2, 0],  # the second unit is not active, the signal of the third is negative
    "heatmap_training.check_holm": [0.09, 0.04, 0.09, 0.3],
    "heatmap_training.check_loss": 0.5 + 2 * (np.log(2) / 4 + 3 / 4 * -np.log(0.75 * 0.5) / 2),
    "image_quality.check_agreement": (4 / 6 + 4 / 7 + 4 / 7) / 3,  # pairs share 2 of 3 + 3, 2 of 3 + 4, 2 of 3 + 4
    "image_quality.check_fewer": 8 / 20,
    "image_quality.check_weights": [1, 10, 3, 2],
    "images.check_area": 4 / 10,
    "images.check_inside": 2 / 3,
    "images.check_nearest_mean": 6 / 7,
    "libraries.check_weights": [4 / 8, 3 / 3.3 + 2 / 4.6],
    "libraries.check_guided": [0.7, 0, 0, 0, 2],
    "libraries.check_shares": [15 / 4, -5 / 4, 10 / 4],
    "saliency_robustness.check_delta_auc": 3 / 4 - 2 / 4,  # of 4 pairs
    "saliency_robustness.check_rmse": np.sqrt((51**2 + 51**2) / 4),  # levels 0 51 153 255 and 0 0 102 255
    "saliency_robustness.check_shift": np.sqrt((0 + 10**2 + 20**2 + 0 + 0 + 20**2) / 6),
    "your_data.check_normalised": [[-1, (128 / 255 - 0.5) / 0.4, 1.2], [-0.6, -0.25, 0.8]],
    "your_data.check_unmatched": ["d.tif", "c.png"],
    "your_data.check_difference": (0.1 - 0.05 + 0.6) / 3,
}
"""The right answer to each check's example, worked out by hand."""
EVERY = pytest.mark.parametrize(("name", "check"), checks.registered().items())


def fed(check: Check, value: object) -> Result:
    """Return what a check says of a value for its example."""
    return check(exercises.answer(check, value), *check.example())


@EVERY
def test_right_answer_is_right_and_is_said_to_mean_something(name: str, check: Check) -> None:
    assert name in RIGHT, f"{name} has no right answer here: work one out by hand for its example"
    result = fed(check, RIGHT[name])
    assert result.state == "right", f"{name} refuses the right answer: {result}"
    assert re.fullmatch(r"[A-Z0-9][^\n]{20,250}\.", result.message), result.message
    assert "nan" not in result.message


@EVERY
def test_named_mistake_is_recognised(name: str, check: Check) -> None:
    assert len(check.mistakes) >= 3, f"{name} knows fewer than three typical mistakes"
    for mistake in check.mistakes:
        result = fed(check, mistake.value(*check.example()))
        assert result == Result("wrong", mistake.why), f"{name}, {mistake.why}: {result}"


@EVERY
def test_no_wrong_answer_is_right(name: str, check: Check) -> None:
    assert exercises.called_right(check, check.example()) == []


@EVERY
def test_rounded_right_answer_is_right_or_said_to_be_rounded(name: str, check: Check) -> None:
    assert exercises.told_another_mistake(check, RIGHT[name], check.example()) == []


def test_every_right_answer_belongs_to_a_check() -> None:
    assert set(RIGHT) == set(checks.registered())


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20, 50])
@pytest.mark.parametrize("places", [0, 0.5, 1])
def test_integrated_gradients_need_enough_steps_by_any_rule(places: float, steps: int) -> None:
    """The rule takes the gradient at the beginning, the middle or the end of each step."""

    def integrated(number: int) -> Callable[..., np.ndarray]:
        shares = (np.arange(number) + places) / number
        return lambda gradient, image, start: (
            (image - start) * np.mean([gradient(start + share * (image - start)) for share in shares], axis=0)
        )

    check = catalogue.check_integrated
    assert check(integrated(steps), *check.example()).state == "wrong"
    assert check(integrated(100 + steps), *check.example()).state == "right"


def test_gap_refuses_what_it_once_took_for_right() -> None:
    """With a gap of 0.0005, a tolerance of 0.001 let pass zero, the sign, and a division by the logit."""
    data = np.full((100, 100), 19.995 / 100**2), 21.0, 1.0
    gap = attribution.check_gap(0.00025, *data)
    assert gap.state == "right"
    said = {answer: attribution.check_gap(answer, *data) for answer in (0, -0.00025, 0.005 / 21, 0.99975)}
    assert {result.state for result in said.values()} == {"wrong"}
    assert "mean" not in said[0.99975].message
    assert "sign" in said[-0.00025].message
    assert "logit" in said[0.005 / 21].message


def test_paired_does_not_take_rounding_for_another_mistake() -> None:
    check = comparison.check_paired
    assert [fed(check, answer).message for answer in (0.01, 0.012)] == [ROUNDED] * 2
    assert fed(check, 0.0116).state == "right"
    assert "n - 1" in fed(check, 0.0104).message


@EVERY
def test_registered_checks_never_raise(name, check):
    arguments = check.example()
    assert check(..., *arguments).state == check(None, *arguments).state == "unanswered", name
    for odd in (object(), {}, [[]], "?", pd.DataFrame(), np.nan, lambda: None):
        assert check(odd, *arguments).state in {"malformed", "wrong"}, f"{name} on {odd!r}"


def test_states():
    assert TOY(3, VALUES) == checks.Result("right", "Each of 3 would get 3.")
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
    check = Check(reference=lambda: 0.123456, mistakes=(), example=tuple, hint="Look again.", meaning=str)
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
    ("answer", "expected", "digits", "is_same"),
    [
        (0.123, 0.12345, 3, True),
        (0.12394, 0.1234, 3, False),  # half a unit is 0.0005
        (0.12389, 0.1234, 3, True),
        (1234, 1230, 3, True),
        (1236, 1230, 3, False),
        (0, 0.0004, 3, False),
        (1e-17, 0, 3, True),
        (1e-3, 0, 3, False),
        ([1000, 0], [1000, 0.4], 3, False),  # each number by its own size
        ([1000, 0.4], [1000.4, 0.4], 3, True),
        (np.inf, 1.0, 3, False),
        (1.0, np.inf, 3, False),
        (-np.inf, -np.inf, 3, True),
        ([np.nan, np.nan], [np.nan, np.nan], 3, True),
    ],
)
def test_tolerance_is_half_a_unit_of_the_last_digit(answer, expected, digits, is_same):
    assert same(answer, expected if np.isscalar(expected) else np.array(expected), digits) is is_same


@pytest.mark.parametrize(
    ("answer", "expected", "is_rounded"),
    [
        (0.012, 0.01158, True),
        (0.01, 0.01158, True),
        (0.0122, 0.01158, False),
        (0.0116, 0.01158, False),  # has all digits that are asked for
        (0, 0.01158, False),
        (np.array([0.55, 0.15]), np.array([0.5543, 0.1467]), True),
        (np.array([0.554, 0.15]), np.array([0.5543, 0.1467]), False),
        ({"a": 0.15}, {"a": 0.1467}, True),
        (["a"], ["a"], False),
        (True, True, False),
    ],
)
def test_rounded_has_fewer_digits(answer, expected, is_rounded):
    assert rounded(answer, expected) is is_rounded


def test_mistake_that_comes_near_the_right_answer_is_still_a_mistake():
    check = Check(**{**vars(TOY), "mistakes": (Mistake(lambda values: 3.0004, "Too much."),)})
    assert check(3.0004, VALUES).message == "Too much."
    assert check(3.0003, VALUES).state == "right"


def test_function_answer_cannot_change_the_data():
    def greedy(values):
        values[:] = [0.0] * len(values)
        return 0.0

    values = [1.0, 2.0, 6.0]
    assert TOY_FUNCTION(greedy, values).state == "wrong"
    assert values == [1.0, 2.0, 6.0]


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
