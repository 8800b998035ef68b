"""The errors that a user can cause, each told in one sentence: what, where, what is accepted."""


class DataError(ValueError):
    """A data set, a file or a table is not what it should be."""
