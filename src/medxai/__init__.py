"""Helper package of an executable book that explains medical image classifiers."""

__version__ = "0.1.0"
