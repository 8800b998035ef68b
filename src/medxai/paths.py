"""Where everything lies. The only module that knows."""

import os
import unicodedata
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
    return PUBLISHED / f"{table}.csv"


def benchmark(name: str) -> Path:
    """Return where a timing is kept that a program beside it wrote."""
    return ROOT / "benchmarks" / f"{name}.json"


def simulated(name: str) -> Path:
    """Return the folder of a simulated data set."""
    return RESULTS / "simulated" / name


def trained(name: str) -> Path:
    """Return the file of the weights of a network that a study trained."""
    return RESULTS / "networks" / f"{name}.pth"


def maps(name: str) -> Path:
    """Return the file of maps that a trial has made and its chapter shows."""
    return RESULTS / "maps" / f"{name}.npz"


def saliency_shifts() -> Path:
    """Return the folder of tables of how far the maps of images move under corruption."""
    return RESULTS / "saliency_shifts"


def painted(name: str) -> Path:
    """Return the folder of the paintings of one data set, size and seed."""
    return RESULTS / "painted" / name


NOTEBOOKS = ROOT / "notebooks"
"""The chapters, as text."""

PAGES = ROOT / "book"
"""Pages without code, bibliography, quizzes, extensions and style of the site."""

SITE_CONFIG = ROOT / "_config.yml"
TABLE_OF_CONTENTS = ROOT / "_toc.yml"

SOURCE = ROOT / "src"
"""The folder of the package, which is what the interpreter searches."""

SNAKEFILE = ROOT / "workflow" / "Snakefile"
"""The graph of the build."""

BUDGET = ROOT / "budget.csv"
"""How long each chapter may take."""

SECONDS = RESULTS / "seconds"
"""How long each step of a build took when it last ran, by profile."""

PUBLISHED = CARRIED / "published"
"""Tables of the papers, as printed."""

REFERENCE = CARRIED / "reference"
"""Our own full-size results: a folder for each study."""

METHODS = CARRIED / "methods.csv"
"""Which method of this book a row of the review's first table is, and the methods that the table lacks."""

REVIEW_REFERENCES = CARRIED / "review_references.csv"
"""Who is behind the review's reference numbers."""


def same_name(name: str) -> str:
    """Return a name of a file such that composed and decomposed letters are the same, as they look: é of macOS, too."""
    return unicodedata.normalize("NFC", name)


def shown(path: Path | str) -> str:
    r"""Return a path as text that can be written anywhere: bytes of a name that are no UTF-8 become ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
