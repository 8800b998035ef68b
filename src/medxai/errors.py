"""Mistakes that a user can cause, each told in one sentence: what is where, and what was expected."""

from numbers import Integral


def printable(text: str) -> str:
    """Return a text in which what no screen shows, as names of files may hold, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class DataError(ValueError):
    """A data set, a file or a table is not what it should be.

    The message can be written anywhere, in one line: what no screen shows, as names of files may hold (a line break, a
    byte of another encoding), is escaped in it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class NotFinite(ValueError):  # noqa: N818
    """A map holds NaN or infinity."""


class NotConverged(UserWarning):
    """A map is further from its definition than the number of steps should leave it; the message says how far."""


class UnsupportedModel(ValueError):  # noqa: N818
    """A method is not defined on this network; the message names the layer and says why."""


def positive(name: str, value: int) -> int:
    """Return a count as an int, whatever kind of integer it is, or say in a ValueError that it is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} is {value!r}: expected an integer of at least 1")
    return int(value)
