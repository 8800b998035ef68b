"""MedMNIST and what is laid out like it: small images with labels, in a training, a validation and a test split.

A file is an ``.npz`` with ``train_images``, ``train_labels`` and so on for ``val`` and ``test`` (Yang et al. 2023,
Scientific Data 10:41). Images are uint8 (n, side, side), grey, or (n, side, side, 3), RGB, of one of the `SIDES`;
labels are integers from 0, (n, 1) or (n,). ``train_masks`` and so on, uint8 (n, side, side), may say where the lesion
is, 255 where it covers a pixel. Other arrays are passed over. Parts of sets that exist here go by names of their own,
and each set carries the remark without which its results must not be shown.
"""

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
import pandas as pd

from medxai.data import archive, photo_sets
from medxai.data.datasets import DATASETS, Download
from medxai.data.labelled_images import LabelledImages
from medxai.data.photo_sets import ImageSet
from medxai.errors import DataError

SPLITS = ("train", "val", "test")
SIDES = (28, 64, 128, 224)
"""In pixels."""
LARGEST = 2**31
"""Most bytes of an array: the training images of DermaMNIST at 224 pixels have half as many."""
NEAR_COPY = 0.99
"""Pixel correlation above which a test image counts as a near copy of a training image."""

Task = Literal["binary-class", "multi-class", "ordinal-regression"]


@dataclass(frozen=True)
class Known:
    """What is known of a set, whatever its file holds."""

    title: str
    task: Task
    classes: tuple[str, ...]
    """In the order of their labels."""
    grey: bool
    attribution: str
    """Whom to name."""
    remark: str = ""
    """What must be said with results on the official file, or on a file that there is no official one of."""
    upside_down: bool = True
    """As of `LabelledImages`."""
    kind: Literal["real", "simulated"] = "real"


MEDMNIST = "Yang J et al. Scientific Data 10:41, 2023 (MedMNIST v2)"
CHEST = "Kermany DS et al. Cell 172:1122-1131, 2018"
PNEUMONIA = ("normal", "pneumonia")
SKIN_LESIONS = (
    "actinic keratoses and intraepithelial carcinoma",
    "basal cell carcinoma",
    "benign keratosis-like lesions",
    "dermatofibroma",
    "melanoma",
    "melanocytic nevi",
    "vascular lesions",
)

SETS = {
    "breastmnist": Known(
        "BreastMNIST",
        "binary-class",
        ("malignant", "normal or benign"),
        grey=True,
        attribution=f"{photo_sets.BUSI_AUTHORS}; {MEDMNIST}",
        remark="Some test images are near copies of training images: show scores without them, too.",
        upside_down=False,
    ),
    "pneumoniamnist": Known(
        "PneumoniaMNIST", "binary-class", PNEUMONIA, True, f"{CHEST}; {MEDMNIST}", upside_down=False
    ),
    "dermamnist": Known(
        "DermaMNIST",
        "multi-class",
        SKIN_LESIONS,
        grey=False,
        attribution=f"{photo_sets.HAM10000_AUTHORS}; {MEDMNIST}",
        remark="Images of one lesion are in more than one split (Abhishek et al. 2025, Scientific Data 12:196).",
    ),
    "retinamnist": Known(
        "RetinaMNIST",
        "ordinal-regression",
        tuple(f"grade {grade}" for grade in range(5)),
        grey=False,
        attribution=f"Liu R et al. Patterns 3:100512, 2022 (DeepDRiD); {MEDMNIST}",
    ),
    "pneumonia-partial": Known(
        "Part of PneumoniaMNIST",
        "binary-class",
        PNEUMONIA,
        grey=True,
        attribution=f"{CHEST}; {MEDMNIST}",
        remark="Not PneumoniaMNIST: its training split lacks most of the normal images.",
        upside_down=False,
    ),
    "ham10000-28": Known(
        "HAM10000-28",
        "multi-class",
        SKIN_LESIONS,
        grey=False,
        attribution=photo_sets.HAM10000_AUTHORS,
        remark="Not DermaMNIST: other images, one of each lesion, with the hair filtered out, and another split.",
    ),
    "simulated-ultrasound": Known(
        "Simulated ultrasound",
        "binary-class",
        ("spiculated", "smooth"),
        grey=True,
        attribution="medxai.data.speckle",
        remark="These images are simulated: no patient stands behind them.",
        kind="simulated",
    ),
}
"""The sets that can be read. The licences of the real ones are in `DATASETS`, under the same names."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Small images in three splits. Pictures of grey images are views that show one channel three times."""

    name: str
    """As it may be called in a table: that of an official set only if the file is the official one."""
    task: Task
    licence: str
    attribution: str
    remark: str
    """What must be said with results on it, empty if nothing."""
    official: bool
    """Whether the file has the checksum that the makers of MedMNIST publish."""
    grey: bool
    train: LabelledImages
    val: LabelledImages
    test: LabelledImages

    @property
    def kind(self) -> str:
        """Whether the pictures are ``real`` or ``simulated``."""
        return self.train.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels."""
        return self.train.classes

    @property
    def side(self) -> int:
        """Of the pictures, in pixels."""
        return self.train.side

    @property
    def credit(self) -> str:
        """What must stand under a figure that shows one of the images."""
        return photo_sets.credit(self.name, self.attribution, self.licence)

    @property
    def counts(self) -> pd.DataFrame:
        """Number of images by class (rows) and split: 0 where a split lacks a class, so that it has no AUC."""
        counts = {split: np.bincount(getattr(self, split).labels, minlength=len(self.classes)) for split in SPLITS}
        return pd.DataFrame(counts, index=pd.Index(self.classes, name="class"))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what the set is and of its pictures and labels, in hexadecimal digits."""
        total = hashlib.sha256(repr([self.name, self.classes]).encode())
        for split in SPLITS:
            images = getattr(self, split)
            total.update(repr(images.pictures.shape).encode())
            total.update(np.ascontiguousarray(_channels(images.pictures, self.grey)))
            total.update(images.labels)
        return total.hexdigest()


def _channels(pictures: np.ndarray, grey: bool) -> np.ndarray:
    """Return pictures (n, side, side, 3) as they are in a file."""
    return pictures[..., 0] if grey else pictures


def place(name: str, side: int = 28) -> Path | None:
    """Return the file of one of the real `SETS` with images of one of the `SIDES`, ``None`` if it is not there.

    Raises
    ------
    ValueError, DataError
        If there is no such set, or none of that size; if a folder that should hold one file holds several.
    """
    dataset = DATASETS[_key(name, side)]
    if isinstance(dataset.source, Download):
        return dataset.place if dataset.is_there else None
    found = sorted(dataset.place.glob(f"*{archive.ARRAYS}"))
    if len(found) > 1:
        raise DataError(f"{dataset.place} holds {len(found)} files {archive.ARRAYS}: expected one, that of {name}")
    return found[0] if found else None


def _with_side(name: str, side: int) -> str:
    """Return the name of a file of MedMNIST, without its ending."""
    return name if side == 28 else f"{name}_{side}"


def _key(name: str, side: int) -> str:
    """Return the name in `DATASETS` of a real set at a size."""
    key = _with_side(name, side)
    if name not in SETS or key not in DATASETS:
        sizes = ", ".join(f"{known} ({_sizes(known)})" for known in SETS if known in DATASETS)
        raise ValueError(f"there is no set {name!r} of {side!r} pixels: expected one of {sizes}")
    return key


def _sizes(name: str) -> str:
    return "/".join(str(side) for side in SIDES if _with_side(name, side) in DATASETS)


def open_set(name: str, side: int = 28) -> Splits:
    """Read one of the real `SETS` from below MEDXAI_DATA.

    Raises
    ------
    ValueError, DataError
        As `place` and `read`; if the file is not there; if its images have another size than the one asked for.
    """
    path, dataset = place(name, side), DATASETS[_key(name, side)]
    if path is None:
        raise DataError(f"{dataset.place} does not hold {SETS[name].title}: {dataset.advice}")
    data = read(path, name)
    if data.side != side:
        raise DataError(f"{path} holds images of {data.side} x {data.side} pixels: expected {side} x {side}")
    return data


def read(path: Path, name: str) -> Splits:
    """Read a file that is laid out as the module says, as the one of `SETS` called `name`.

    A file of an official set that has not the official checksum is read; its name and remark then say so.

    Raises
    ------
    ValueError
        If there is no such set.
    DataError
        In one sentence: if the file is not there, is no ``.npz``, damaged, or has a member that the guards of
        `medxai.data.archive` refuse; if an array is missing, larger than `LARGEST`, holds pickled objects, or is of
        another type or shape than it should be; if numbers of images and labels or sizes of images differ, or a label
        is none of a class.
    """
    if name not in SETS:
        raise ValueError(f"there is no set {name!r}: expected one of {', '.join(SETS)}")
    known, arrays = SETS[name], _arrays(path)
    pictures = {split: _pictures(path, split, arrays, known) for split in SPLITS}
    sides = [pictures[split].shape[1] for split in SPLITS]
    if len(set(sides)) > 1:
        raise DataError(f"{path}: images of {', '.join(SPLITS)} have sides {sides}: expected one size")
    title, remark, official = _named(path, name, sides[0])
    splits = {
        split: LabelledImages(
            f"{title}, {split}",
            known.kind,
            [f"{split}_{row}" for row in range(len(pictures[split]))],
            pictures[split],
            _labels(path, split, arrays, known),
            known.classes,
            upside_down=known.upside_down,
            **_outlined(path, split, arrays, pictures[split].shape[:3]),
        )
        for split in SPLITS
    }
    licence = DATASETS[name].licence if known.kind == "real" else "CC0 1.0"
    return Splits(title, known.task, licence, known.attribution, remark, official, known.grey, **splits)


def _named(path: Path, name: str, side: int) -> tuple[str, str, bool]:
    """Return what the set in a file may be called, what must be said of it, and whether it is an official file."""
    known, key = SETS[name], _with_side(name, side)
    source = DATASETS[key].source if key in DATASETS else None
    if not isinstance(source, Download):  # there is no official file
        return known.title, known.remark, False
    algorithm, expected = source.checksum
    with path.open("rb") as file:
        if hashlib.file_digest(file, algorithm).hexdigest() == expected:
            return known.title, known.remark, True
    another = f"This file has not the checksum of the official {known.title}."
    return f"{known.title} (not the official file)", f"{another} {known.remark}".strip(), False


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of the layout."""
    needed = [f"{split}_{what}" for split in SPLITS for what in ("images", "labels")]
    wanted, found = {*needed, *(f"{split}_masks" for split in SPLITS)}, {}
    if path.suffix != archive.ARRAYS:
        raise DataError(f"{path} is no file of arrays: expected one that ends in {archive.ARRAYS}")
    with archive.opened(path) as members:
        for member, size, stream in members:
            array = member.removesuffix(".npy")
            if array in wanted:
                found[array] = _array(f"{path}: {array}", size, stream)
    if missing := [array for array in needed if array not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}: expected images and labels of {', '.join(SPLITS)}")
    return found


def _array(where: str, size: int, stream: IO[bytes]) -> np.ndarray:
    """Read an array of `size` bytes with its header, of which nothing is believed before it is compared."""
    if size > LARGEST:
        raise DataError(f"{where} has {size:,} bytes: expected at most {LARGEST:,}")
    reader = np.lib.format
    try:
        header = reader.read_array_header_1_0 if reader.read_magic(stream) == (1, 0) else reader.read_array_header_2_0
        shape, by_column, dtype = header(stream)
    except Exception as error:  # a damaged header can be any Python
        raise DataError(f"{where} is no array of NumPy: {' '.join(str(error).split()):.200}") from error
    if dtype.hasobject:
        raise DataError(f"{where} holds pickled objects, which could run any program: expected an array of numbers")
    if dtype.kind not in "biuf":
        raise DataError(f"{where} is of type {dtype!s:.50}: expected an array of numbers")
    content = stream.read()
    if min(shape, default=0) < 0 or len(content) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{where} has {len(content):,} bytes, which is not what its shape {shape!s:.100} needs")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_column else "C")


def _pictures(path: Path, split: str, arrays: dict[str, np.ndarray], known: Known) -> np.ndarray:
    """Return the images of a split as pictures of three channels, uint8 (n, side, side, 3)."""
    images = arrays[f"{split}_images"]
    shape, side = images.shape, images.shape[1] if images.ndim > 1 else 0
    fits = side in SIDES and shape[0] > 0 and shape[1:] == ((side, side) if known.grey else (side, side, 3))
    if images.dtype != np.uint8 or not fits:
        expected = "(n, side, side)" if known.grey else "(n, side, side, 3)"
        raise DataError(
            f"{path}: {split}_images are {images.dtype} {shape}: expected uint8 {expected}, with an image at least "
            f"and side one of {', '.join(map(str, SIDES))}, as of {known.title}"
        )
    return np.broadcast_to(images[..., None], (*shape, 3)) if known.grey else images


def _labels(path: Path, split: str, arrays: dict[str, np.ndarray], known: Known) -> np.ndarray:
    """Return the labels of a split, int64 (n,)."""
    labels, number = arrays[f"{split}_labels"], len(arrays[f"{split}_images"])
    if labels.dtype.kind not in "iu" or labels.shape not in {(number,), (number, 1)}:
        raise DataError(
            f"{path}: {split}_labels are {labels.dtype} {labels.shape}: expected integers ({number}, 1), one for each "
            "image"
        )
    highest = len(known.classes) - 1
    if labels.min() < 0 or labels.max() > highest:
        odd = labels[(labels < 0) | (labels > highest)].flat[0]
        raise DataError(f"{path}: {split}_labels hold {odd}: expected 0 to {highest}, the classes of {known.title}")
    return labels.reshape(-1).astype(np.int64)


def _outlined(path: Path, split: str, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, object]:
    """Return where the lesions of a split truly are, as arguments of `LabelledImages`; none without masks."""
    masks = arrays.get(f"{split}_masks")
    if masks is None:
        return {}
    if masks.dtype != np.uint8 or masks.shape != shape:
        raise DataError(f"{path}: {split}_masks are {masks.dtype} {masks.shape}: expected uint8 {shape}, as its images")

    def truth(row: int) -> np.ndarray:
        return masks[row].astype(np.float32) / 255

    return {"truth": truth, "raters": lambda row: {1: truth(row) >= 0.5}}


def nearest_in_training(data: Splits, threshold: float = NEAR_COPY) -> pd.DataFrame:
    """Find the training image that is most like each test image, by the Pearson correlation of their pixels.

    Images are compared at 28 x 28, as by `medxai.data.photo_sets.near_copies`.

    Parameters
    ----------
    threshold
        Correlation above which a test image is a near copy.

    Returns
    -------
    pandas.DataFrame
        A row for each test image, in their order: ``test`` and ``train`` (rows of the splits), ``correlation``,
        ``test_label``, ``train_label``, ``near_copy``. Where a test image is all of one value, correlation is NaN,
        training row and label are missing, and it is no near copy.
    """
    train, test = data.train, data.test
    correlation = photo_sets.pixel_correlation(
        _channels(test.pictures, data.grey), _channels(train.pictures, data.grey)
    )
    best = np.where(np.isnan(correlation), -np.inf, correlation).argmax(axis=1)
    highest = correlation[np.arange(len(best)), best]
    table = pd.DataFrame(
        {
            "test": np.arange(len(best)),
            "train": pd.array(best, "Int64"),
            "correlation": highest,
            "test_label": test.labels,
            "train_label": pd.array(train.labels[best], "Int64"),
            "near_copy": highest > threshold,
        }
    )
    table.loc[np.isnan(highest), ["train", "train_label"]] = pd.NA
    return table


def lesion_masks(busi: ImageSet, side: int = 28) -> dict[tuple[str, int], np.ndarray]:
    """Return the true masks of images of BreastMNIST whose lesion was outlined, by split and row.

    Parameters
    ----------
    busi
        The selection of full-size images that leads to BreastMNIST, as `medxai.data.photo_sets.busi` opens it. Images
        without a lesion are left out.
    side
        Of the masks, in pixels.

    Returns
    -------
    dict
        By ``(split, row)``: the share of each pixel that the lesion covers, float32 (side, side) in [0, 1].

    Raises
    ------
    DataError
        If the images do not lead to BreastMNIST, as those of the authors' own download, or two lead to one image.
    """
    table = busi.images
    if not {"split", "index"} <= set(table.columns):
        raise DataError(
            f"{busi.name} does not lead to BreastMNIST: expected columns split and index, as of our selection"
        )
    table = table[table["label"] != "normal"]
    if (twice := table.duplicated(["split", "index"])).any():
        raise DataError(f"{busi.name}: {table.index[twice][0]} leads to an image of BreastMNIST that another leads to")
    return {
        (split, int(row)): photo_sets.on_breastmnist_grid(busi.mask(image), side)
        for image, split, row in table[["split", "index"]].itertuples()
    }
