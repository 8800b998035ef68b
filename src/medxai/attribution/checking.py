"""Telling forward passes that only check, or find out where to look, from those that make a map."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

CHECKING = ContextVar("checking", default=False)
"""Whether what runs now is none of the method's own cost, so that `medxai.evaluation.cost` leaves it out."""


@contextmanager
def checking() -> Iterator[None]:
    """Leave the images that go forward in this block out of the count of a method's cost."""
    before = CHECKING.set(True)
    try:
        yield
    finally:
        CHECKING.reset(before)
