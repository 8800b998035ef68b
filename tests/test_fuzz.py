"""Whatever users bring is read, or refused in one sentence: damaged files from a fixed seed."""

import os

import pytest

from fuzzing import LOADERS, MEMORY, SECONDS, attempt, peak
from medxai.errors import DataError


def test_a_message_is_one_line_of_what_can_be_shown() -> None:
    name = os.fsdecode(b"a\nb\xe9\x1b[31m\xc3\xa9.png")
    assert str(DataError(f"{name} is é")) == r"a\nb\udce9\x1b[31mé.png is é"


SLOW = "names in the report"
"""A report takes as long as fifty pictures."""


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.weekly)])
def test_damaged_inputs_are_read_or_refused_in_one_sentence(loader: str, count: int) -> None:
    count = count // 10 if loader == SLOW else count
    attempt(loader, 0)  # loads what takes time once
    before = peak()
    seen = [attempt(loader, number) for number in range(count)]
    assert max(seconds for _, seconds in seen) < SECONDS
    assert peak() - before < MEMORY
    assert not [said for said, _ in seen if "\n" in said or len(said) > 600]
    read = sum(said == "read" for said, _ in seen)
    assert 0 < read < count  # or the damage would be too slight, or too great, to find anything
