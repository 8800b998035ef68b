"""Mistakes that a user can cause, each told in one sentence: what is where, and what was expected."""


class DataError(ValueError):
    """A data set, a file or a table is not what it should be.

    The message can be written anywhere, in one line: what no screen shows, as names of files may hold (a line break, a
    byte of another encoding), is escaped in it.
    """

    def __init__(self, message: str) -> None:
        shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__("".join(shown))


class UnsupportedModel(ValueError):  # noqa: N818
    """A method is not defined on this network; the message names the layer and says why."""
