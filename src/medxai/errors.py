"""The errors that a user can cause, each told in one sentence: what, where, what is accepted."""


class DataError(ValueError):
    """A data set, a file or a table is not what it should be."""


class UnsupportedModel(ValueError):  # noqa: N818 - a public name of the design, read as a statement
    """An explanation method is not defined for this model."""
