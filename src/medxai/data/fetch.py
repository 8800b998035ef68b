"""Get data sets: from their public place, with hashes, or from what the user was given."""

import math
import sys
import warnings
from pathlib import Path

from medxai import files
from medxai.data import archive
from medxai.data.checkout import checkout
from medxai.data.datasets import DATASETS, Download
from medxai.errors import DataError

with warnings.catch_warnings():  # in a notebook its progress bar asks for widgets
    warnings.simplefilter("ignore")
    import pooch

pooch.get_logger().setLevel("WARNING")

SILENCE = 30
"""Seconds without an answer or a byte after which a connection is given up."""

ATTEMPTS = 3
"""Connections tried one after another."""

CHECKSUMS = {"sha256": "SHA-256", "md5": "MD5"}
"""How the checksums of files are written, by `hashlib`'s names of them."""


def fetch(name: str, given: Path | None = None, sha256: str | None = None, *, wait: float = math.inf) -> Path:
    """Put one of `DATASETS` where the book looks for it, all of it or nothing; return where, found or fetched.

    A file or an archive `given` by the user, which must have the hash `sha256`, stands for a download; one of a
    repository takes at most `wait` seconds.

    Raises
    ------
    ValueError, DataError
        If there is no such data set; if it cannot be had or written: one sentence with what to do.
    """
    dataset = DATASETS.get(name)
    if dataset is None:
        raise ValueError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}")
    source, place = dataset.source, dataset.place
    if isinstance(source, str):
        raise DataError(f"{name} cannot be downloaded: {source} ({place})")
    if isinstance(source, Download):
        return _copy(given, source, place) if given else download(source, place)
    if dataset.is_there:
        return place
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DataError(f"{place} is there and is not {name} (no annotations/*.json in it): move it away first")
    if given is None:
        return checkout(source, place, wait)
    if sha256 is not None:
        verify(given, sha256)
    return archive.install(given, place)


def verify(path: Path, expected: str, algorithm: str = "sha256") -> None:
    """Raise a DataError if a file is not there or has another checksum, one of `CHECKSUMS`, than it should have."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    found, expected = pooch.file_hash(path, algorithm), expected.lower()
    if found != expected:
        raise DataError(
            f"{path} has the {CHECKSUMS[algorithm]} {found}: expected {expected}, so it is damaged or another file"
        )


def download(source: Download, place: Path) -> Path:
    """Download one file to `place`, unless it is there; return `place`.

    If it cannot be had, is not what it should be or cannot be written, nothing is left of it: DataError.
    """
    algorithm, expected = source.checksum
    store = pooch.create(
        place.parent,
        base_url="",
        registry={place.name: f"{algorithm}:{expected}"},
        urls={place.name: source.url},
        retry_if_failed=ATTEMPTS - 1,
    )
    try:
        with files.disk_refusals(place):
            store.fetch(place.name, downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=SILENCE))
    except DataError:
        raise
    except ValueError as error:  # pooch's word for another hash
        raise DataError(f"{source.url} does not have the {CHECKSUMS[algorithm]} {expected}: try again later") from error
    except OSError as error:  # of the network
        raise DataError(
            f"{source.url} could not be downloaded ({error}): try again later, or put the file at {place}"
        ) from error
    return place


def _copy(given: Path, source: Download, place: Path) -> Path:
    """Put a file that the user has at `place`, if it is the right one."""
    algorithm, expected = source.checksum
    verify(given, expected, algorithm)
    with files.disk_refusals(place):
        files.write(place, given.read_bytes())
    return place
