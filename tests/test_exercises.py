"""The exercises: each runs alone, at smoke size, in a namespace that holds nothing of its chapter."""

from collections.abc import Iterator

import pytest

from exercises import (
    Exercise,
    called_right,
    check_and_arguments,
    check_of,
    every,
    in_chapter,
    result,
    told_another_mistake,
)
from medxai import checks
from medxai.book import chapters

EXERCISES = every()


@pytest.fixture(autouse=True, scope="module")
def simulated_annotations() -> Iterator[None]:
    """A first cell takes the real annotations where they are, which takes longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDXAI_DATA_KIND", "simulated")
        yield


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_exercise_runs_alone(exercise: Exercise) -> None:
    namespace = {}
    exec(exercise.first, namespace)
    assert result(exercise.open, dict(namespace)).state == "unanswered"
    solved = result(exercise.solved, dict(namespace))
    assert solved.state == "right", solved
    assert "nan" not in solved.message
    check, arguments = check_and_arguments(exercise.open, namespace)
    assert called_right(check, arguments) == []
    assert told_another_mistake(check, check.reference(*arguments), arguments) == []


def test_every_check_belongs_to_one_exercise() -> None:
    called = [check_of(exercise) for exercise in EXERCISES]
    assert sorted(called) == sorted(checks.registered())


def test_every_exercise_of_a_text_was_found() -> None:
    for chapter in chapters.names():
        text = chapters.source(chapter).read_text(encoding="utf-8")
        assert len(in_chapter(chapter)) == text.count("```{exercise}") >= 3, chapter
