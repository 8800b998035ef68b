"""Mistakes that a user can cause, each told in one sentence: what is where, and what was expected."""


class DataError(ValueError):
    """A data set, a file or a table is not what it should be."""


class UnsupportedModel(ValueError):  # noqa: N818
    """A method is not defined on this network; the message names the layer and says why."""
