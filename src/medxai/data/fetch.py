"""Get data sets: from their public place, hashed and resumable, or from what the user was given."""

import http.client
import shutil
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from medxai import paths
from medxai.data.archive import SUFFIXES, install_archive, verify
from medxai.data.checkout import Repository, checkout
from medxai.data.storage import writing
from medxai.errors import DataError

with warnings.catch_warnings():  # in a notebook its progress bar asks for widgets; ours is another
    warnings.simplefilter("ignore")
    import pooch

__all__ = ["DATASETS", "Dataset", "Download", "Repository", "download", "fetch", "holds_dermxdb", "install_archive"]

SILENCE = 30
"""Seconds without an answer or a byte after which a connection is given up."""

ATTEMPTS = 5
"""Connections tried one after another, each going on where the last one broke."""

CHUNK = 1 << 16


@dataclass(frozen=True)
class Download:
    """One file on the web and the SHA-256 that it must have."""

    url: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A data set that the book can use."""

    name: str
    what: str
    licence: str
    citation: str
    how: str
    """How to get it, in a sentence."""
    place: str
    """Where it goes, below the folder of the data sets."""
    source: Repository | Download | None
    """``None``: it is not to be downloaded; see `how`."""


_MEDMNIST = (
    "Yang J, Shi R, Wei D, Liu Z, Zhao L, Ke B, Pfister H, Ni B. MedMNIST v2: a large-scale lightweight benchmark for "
    "2D and 3D biomedical image classification. Scientific Data 10:41, 2023"
)
_DERMXDB = (
    "Jalaboi R, Faye F, Orbes-Arteaga M, Jørgensen D, Winther O, Galimzianova A. DermX: an end-to-end framework for "
    "explainable automated dermatological diagnosis. Medical Image Analysis 83:102647, 2023"
)
_OWN_COPY = "put your own copy there, as data/README.md says, with its licence note"

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "dermxdb",
            "DermXDB: how eight dermatologists explained 630 skin photographs (annotations, masks, folds, metadata)",
            "CC0 1.0",
            _DERMXDB,
            "medxai data fetch dermxdb",
            "dermxdb",
            Repository(
                "https://github.com/ralucaj/dermx",
                "20a07c6386303f94628b4904a9d17faf74d4364f",
                ("annotations", "masks", "folds", "metadata.csv", "LICENSE", "README.md"),
                {"annotations": 5528},
            ),
        ),
        Dataset(
            "dermxdb-photographs",
            "The photographs that DermXDB explains, from DermNetNZ and SD-260",
            "restricted: research only, not to be passed on",
            _DERMXDB,
            "ask the owners of DermNetNZ and of SD-260, then put the files there, named as in metadata.csv",
            "dermxdb/photographs",
            None,
        ),
        Dataset(
            "breastmnist",
            "BreastMNIST: 780 breast ultrasound images, 28 x 28",
            "CC BY 4.0",
            _MEDMNIST,
            "medxai data fetch breastmnist",
            "medmnist/breastmnist.npz",
            Download(
                "https://zenodo.org/records/10519652/files/breastmnist.npz?download=1",
                "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1",
            ),
        ),
        Dataset(
            "retinamnist",
            "RetinaMNIST: 1,600 fundus photographs, 28 x 28, graded for diabetic retinopathy",
            "CC BY 4.0",
            _MEDMNIST,
            "medxai data fetch retinamnist",
            "medmnist/retinamnist.npz",
            Download(
                "https://zenodo.org/records/10519652/files/retinamnist.npz?download=1",
                "254915f5f0a2074665c4676356824cf4ef4a3bcab233894b4bafcaf48962bd69",
            ),
        ),
        Dataset(
            "busi",
            "BUSI: breast ultrasound images with lesion masks, all 780 or a selection matched to BreastMNIST",
            "CC BY 4.0",
            "Al-Dhabyani W, Gomaa M, Khaled H, Fahmy A. Data in Brief 28:104863, 2020",
            _OWN_COPY,
            "busi",
            None,
        ),
        Dataset(
            "isic-uda1",
            "ISIC UDA-1: 234 dermoscopic photographs, benign or malignant",
            "CC0 1.0",
            "ISIC archive, UDA-1",
            _OWN_COPY,
            "isic_uda1",
            None,
        ),
        Dataset(
            "ham10000-artefacts",
            "HAM10000 with artefacts: 51 photographs with bubbles, rulers or ink, and these cut out",
            "CC BY-NC-SA 4.0",
            "Tschandl P, Rosendahl C, Kittler H. Scientific Data 5:180161, 2018",
            _OWN_COPY,
            "ham10000_artefacts",
            None,
        ),
    )
}


def fetch(
    name: str,
    *,
    target: Path | None = None,
    wait: float | None = None,
    progress: bool = True,
    source: Path | None = None,
    sha256: str | None = None,
) -> Path:
    """Put a data set where the book looks for it; all of it or nothing.

    Parameters
    ----------
    name
        One of `DATASETS`.
    target
        Folder of the data sets; `medxai.paths.data_root()` if ``None``.
    wait
        Seconds in all for a data set that comes from a repository; ``None`` for no limit.
    progress
        Show a bar.
    source
        The data set as a file or an archive that the user has; nothing is downloaded then.
    sha256
        What an archive given as `source` must hash to.

    Returns
    -------
    Path
        Where it is (not fetched again if it is there).

    Raises
    ------
    ValueError, DataError
        If there is no such data set; if it cannot be had or written: one sentence with what to do.
    """
    dataset = DATASETS.get(name)
    if dataset is None:
        raise ValueError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}")
    place = Path(target or paths.data_root()) / dataset.place
    if dataset.source is None:
        raise DataError(f"{name} cannot be downloaded: {dataset.how} ({place})")
    if isinstance(dataset.source, Download):
        url, known = dataset.source.url, dataset.source.sha256
        return _copy(Path(source), known, place) if source else download(url, known, place, progress=progress)
    if holds_dermxdb(place):
        return place
    if source is not None:
        return install_archive(source, place, sha256, progress=progress)
    return _check_out(dataset, place, wait, progress)


def _check_out(dataset: Dataset, place: Path, wait: float | None, progress: bool) -> Path:
    """Get a repository, if nothing else is at its place."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DataError(f"{place} is there and is not {dataset.name} (no annotations/*.json in it): move it away first")
    return checkout(dataset.source, place, wait=wait, progress=progress)


def holds_dermxdb(folder: Path) -> bool:
    """Tell whether `folder` holds the annotations of DermXDB, unpacked or as an archive."""
    if any((folder / "annotations").glob("*.json")):
        return True
    return folder.is_dir() and any(path.name.endswith(SUFFIXES) for path in folder.iterdir())


def download(url: str, sha256: str, path: Path, *, progress: bool = True) -> Path:
    """Download one file; what an interrupted run got is kept in ``<name>.part`` and gone on from.

    Parameters
    ----------
    url
        Where it is.
    sha256
        What it must hash to. A file at `path` that does is not downloaded again.
    path
        Where it goes.
    progress
        Show a bar.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataError
        If it cannot be had, is not what it should be (it is removed then) or cannot be written.
    """

    def downloader(url: str, output_file: str, _: pooch.Pooch) -> None:
        part = path.with_name(f"{path.name}.part")
        _download_resuming(url, part, path, progress)
        part.replace(output_file)

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=downloader)
        except DataError:
            raise
        except ValueError as error:  # pooch's word for another hash; it has removed the file
            raise DataError(f"{url} does not have the SHA-256 {sha256}: it was not kept, try again later") from error
    return path


def _download_resuming(url: str, part: Path, path: Path, progress: bool) -> None:
    """Append what is missing to `part`, connecting again where a connection breaks."""
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            if _append(url, part, path.name, progress):
                return
            reason = "the connection broke"
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()  # longer than the file: it belongs to another one
            elif error.code < http.client.INTERNAL_SERVER_ERROR:
                reason = f"HTTP {error.code} {error.reason}"
                break
            reason = f"HTTP {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error))
    raise DataError(
        f"{url} could not be downloaded ({reason}): run the same command again to go on from where it stopped, or "
        f"put the file at {path}"
    )


def _append(url: str, part: Path, name: str, progress: bool) -> bool:
    """Write the rest of `url` to the end of `part`; return whether it is complete then."""
    here = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    with urllib.request.urlopen(request, timeout=SILENCE) as answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            here = 0  # the server starts anew
        length = answer.headers.get("Content-Length")
        total = None if length is None else here + int(length)
        with (
            part.open("ab" if here else "wb") as file,
            tqdm(total=total, initial=here, desc=name, unit="B", unit_scale=True, disable=not progress) as bar,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    return total is None or part.stat().st_size == total


def _copy(source: Path, sha256: str, path: Path) -> Path:
    """Put a file that the user has at `path`, if it is the right one."""
    verify(source, sha256)
    part = path.with_name(f"{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path
