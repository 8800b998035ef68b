"""Where everything lies. The only module that knows."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: the package is always installed from it, in place."""

CARRIED = ROOT / "data"
"""Small tables that are part of the repository: published figures, reference results, our image list."""

IMAGE_LIST = CARRIED / "dermxdb" / "images.csv"
"""Which images of DermXDB the papers used."""

RESULTS = ROOT / "results"
"""Cached trials and other things that cost time to make again."""

BUILD = ROOT / "_build"
"""Executed notebooks, staged site source, HTML."""


def data_root() -> Path:
    """Return the folder of the data sets: ``MEDXAI_DATA``, else ``data/external`` of the checkout.

    A relative ``MEDXAI_DATA`` is taken from the checkout, not from the working directory, since notebooks
    are executed in their own folder.
    """
    return (ROOT / os.environ.get("MEDXAI_DATA", "data/external")).resolve()


def published(table: str) -> Path:
    """Return the file of a published table."""
    return CARRIED / "published" / f"{table}.csv"


def simulated(name: str) -> Path:
    """Return the folder of a simulated data set."""
    return RESULTS / "simulated" / name


def painted(name: str) -> Path:
    """Return the folder of the paintings of one data set, size and seed."""
    return RESULTS / "painted" / name
