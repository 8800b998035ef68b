"""Real image sets with known masks: breast ultrasound, dermoscopy, and dermoscopy with artefacts to paste.

Each is opened from a folder that its user has. It is a `DataError` if the folder is not the set, lacks a file or
carries no licence note, if there is no image or artefact of a name, or if a file cannot be read or does not fit its
image.
"""

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from medxai.data import pictures, tables
from medxai.data.masks import area_average
from medxai.errors import DataError

LICENCES = {
    "CC0 1.0": r"\bCC0\b",
    "CC BY 4.0": r"CC[ -]BY[ -]4\.0|Attribution 4\.0 International",
    "CC BY-NC 4.0": r"CC[ -]BY-NC[ -]4\.0|Attribution-NonCommercial 4\.0 International",
    "CC BY-NC-SA 4.0": r"CC[ -]BY-NC(-SA|\(-SA\))[ -]4\.0|Attribution-NonCommercial-ShareAlike 4\.0 International",
}
"""The licences of our sets and how their notes write them, from the freest to the strictest."""

NOTES = ("LICEN[CS]E*", "ATTRIBUTION*", "README*", "*/LICEN[CS]E*", "*/README*")
TEXTS = ("file", "class", "benign_malignant", "diagnosis", "image_id", "dx", "artefact", "subclass")
"""Columns of lists that hold text, be it of digits alone; the first two that a set needs, name and label, are never
empty."""
VISIBLE = 12
"""Grey levels by which a pixel with the artefact must differ from its repaired copy; less is JPEG noise."""


def credit(name: str, attribution: str, licence: str) -> str:
    """Return what must stand under a figure that shows an image of a set."""
    use = " (non-commercial use only)" if "NC" in licence else ""
    return f"{name}: {attribution}. {licence}{use}."


@dataclass(frozen=True)
class ImageSet:
    """Photographs with labels, perhaps masks, and the line of credit that goes under each figure."""

    name: str
    licence: str
    """One of `LICENCES`."""
    attribution: str
    """Whom to name."""
    images: pd.DataFrame
    """By image: columns ``path``, ``label``, ``masks`` (tuple of paths, empty if nobody drew one), and others."""
    kind: ClassVar[str] = "real"

    def __post_init__(self) -> None:
        if self.licence not in LICENCES or not self.attribution.strip():
            raise DataError(f"{self.name} has no licence that we know, or names nobody: its pictures cannot be shown")
        tables.require(self.images, ("path", "label", "masks"), self.name)
        if not self.images.index.is_unique:
            raise DataError(f"{self.name} lists {self.images.index[self.images.index.duplicated()][0]} more than once")
        for path in self._files():
            if not path.is_file():
                raise DataError(f"{path} is listed in {self.name} and is not there")

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of names, labels and files, in hexadecimal digits."""
        total = hashlib.sha256("\n".join(self.images.index + "\t" + self.images["label"]).encode())
        for path in self._files():
            total.update(path.read_bytes())
        return total.hexdigest()

    @property
    def credit(self) -> str:
        """What must stand under a figure that shows one of the images."""
        return credit(self.name, self.attribution, self.licence)

    def image(self, name: str) -> np.ndarray:
        """Return an image, uint8 (h, w, 3), RGB."""
        return pictures.read(self._row(name)["path"])

    def mask(self, name: str) -> np.ndarray | None:
        """Return the true mask of an image (of several, their union), bool (h, w), or ``None`` if nobody drew one."""
        paths, size = self._row(name)["masks"], self.image(name).shape[:2]
        masks = [pictures.read_mask(path) for path in paths]
        for path, mask in zip(paths, masks, strict=True):
            if mask.shape != size:
                raise DataError(f"{path} is {_size(mask.shape)} pixels: expected {_size(size)}, as its image")
        return np.any(masks, axis=0) if masks else None

    def _files(self) -> list[Path]:
        return [*self.images["path"], *(path for paths in self.images["masks"] for path in paths)]

    def _row(self, name: str) -> pd.Series:
        if name not in self.images.index:
            raise DataError(f"{self.name} has no image {name!r}; its first is {self.images.index[0]!r}")
        return self.images.loc[name]


@dataclass(frozen=True)
class Artefact:
    """A real artefact, cut out of its photograph: float32 (h, w, 4), red, green, blue and opacity in [0, 1]."""

    name: str
    kind: str
    rgba: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Where the artefact is, bool (h, w)."""
        return self.rgba[..., 3] > 0


@dataclass(frozen=True)
class ArtefactSet(ImageSet):
    """An image set with artefacts to paste; `templates`: artefact, subclass, image, path, without (path or None)."""

    templates: pd.DataFrame

    def artefact(self, name: str) -> Artefact:
        """Return the artefact of this name, cut out."""
        if name not in self.templates.index:
            raise DataError(f"{self.name} has no artefact {name!r}; its first is {self.templates.index[0]!r}")
        row = self.templates.loc[name]
        present = pictures.read(row["path"])
        absent = np.full_like(present, 255) if row["without"] is None else pictures.read(row["without"])
        if present.shape != absent.shape:
            raise DataError(f"{row['path']} and {row['without']} differ in size")
        return Artefact(name, row["artefact"], cut_out(present, absent))


BUSI_AUTHORS = "Al-Dhabyani W, Gomaa M, Khaled H, Fahmy A. Data in Brief 28:104863, 2020"
HAM10000_AUTHORS = "Tschandl P, Rosendahl C, Kittler H. Scientific Data 5:180161, 2018"

BUSI_LABELS = ("benign", "malignant", "normal")
BUSI_FOLDER = "Dataset_BUSI_with_GT"


def busi(root: Path) -> ImageSet:
    """Open the breast ultrasound images with lesion masks (Al-Dhabyani et al. 2020) in the folder `root`.

    It holds either the authors' own folders, as downloaded (``Dataset_BUSI_with_GT/benign/benign (1).png`` with
    ``benign (1)_mask.png``, ``benign (1)_mask_1.png`` and so on), or a selection listed in ``manifest.csv``.

    ``label`` is benign, malignant or normal (its mask is empty). A selection has ``split`` and ``index``, which lead to
    the same image in BreastMNIST, and ``breastmnist_label``, its label there (0 malignant).
    """
    as_downloaded = next((place for place in (root / BUSI_FOLDER, root) if (place / "benign").is_dir()), None)
    if as_downloaded is None and not (root / "manifest.csv").is_file():
        raise DataError(f"{root} is not BUSI: expected {BUSI_FOLDER}/ or manifest.csv in it (see data/README.md)")
    images = _busi_selection(root) if as_downloaded is None else _busi_as_downloaded(as_downloaded)
    return ImageSet("BUSI, breast ultrasound", licence_of(root), BUSI_AUTHORS, images)


def _busi_selection(root: Path) -> pd.DataFrame:
    table = _manifest(root, "BUSI", ("file", "class", "breastmnist_split", "breastmnist_index", "breastmnist_label"))
    names = {"file": "image", "class": "label", "breastmnist_split": "split", "breastmnist_index": "index"}
    images = table.rename(columns=names).set_index("image")
    paths, masks = ([root / folder / name for name in images.index] for folder in ("images", "masks"))
    return images.assign(path=paths, masks=[(mask,) for mask in masks])


def _busi_as_downloaded(root: Path) -> pd.DataFrame:
    """List the images of the authors' folders by class and number, each with all its masks."""
    rows = []
    for label in BUSI_LABELS:
        images = [path for path in (root / label).glob("*.png") if re.fullmatch(rf"{label} \(\d+\)", path.stem)]
        if not images:
            raise DataError(f"{root / label} holds no image: expected '{label} (1).png' and so on")
        for path in sorted(images, key=lambda path: int(path.stem.split("(")[1][:-1])):
            masks = tuple(sorted(path.parent.glob(f"{path.stem}_mask*.png")))
            if not masks:
                raise DataError(f"{path} has no mask: expected {path.stem}_mask.png beside it, empty if it is normal")
            rows.append((path.name, label, path, masks))
    return pd.DataFrame(rows, columns=["image", "label", "path", "masks"]).set_index("image")


def near_copies(images: np.ndarray, correlation: float = 0.9) -> np.ndarray:
    """Number the groups of images that are nearly the same, from 0: for folds that keep copies of one lesion together.

    Two images belong together if their pixels, reduced to 28 x 28, have a Pearson correlation above `correlation`, or
    if a chain of such pairs joins them. Other views of one patient are not found. Of n uint8 (h, w, 3): int (n,).
    """
    return connected_components(pixel_correlation(images, images) > correlation, directed=False)[1]


def pixel_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of the pixels of each of n images with each of m others, reduced to 28 x 28.

    Images are uint8 (n, h, w) or (n, h, w, 3), all grey or all in colour; the result is float64 (n, m) in [-1, 1], NaN
    where all values of one of the two images are the same.
    """
    return np.clip(_standardised(first) @ _standardised(second).T, -1, 1)


def _standardised(images: np.ndarray) -> np.ndarray:
    """Return the pixels of each image, reduced to 28 x 28, with mean 0 and norm 1, so that products correlate them."""
    small = [cv2.resize(image, (28, 28), interpolation=cv2.INTER_AREA).ravel() for image in images]
    small = np.array(small, float)
    small -= small.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(small, axis=1, keepdims=True)
    return np.divide(small, norm, out=np.full_like(small, np.nan), where=norm > 0)


def isic_uda1(root: Path) -> ImageSet:
    """Open the dermoscopic photographs UDA-1 of the ISIC archive in the folder `root`; ``label``: benign, malignant."""
    images = _manifest(root, "ISIC UDA-1", ("file", "benign_malignant", "diagnosis"))
    images = images.rename(columns={"benign_malignant": "label", "file": "image"}).set_index("image")
    images = images.assign(masks=[()] * len(images), path=[root / "images" / name for name in images.index])
    return ImageSet("ISIC UDA-1", licence_of(root), "ISIC archive", images)


def ham10000_artefacts(root: Path) -> ArtefactSet:
    """Open the photographs of HAM10000 with real artefacts, and the artefacts cut out of them (Katsch et al. 2022).

    ``label`` is the diagnosis; ``artefact`` is bubble, ruler or marking (ink), ``None`` for the five images that are
    meant for pasting, which have lesion masks.
    """
    columns = ("image_id", "dx", "artefact", "subclass")
    images = _manifest(root, "HAM10000 artefacts", columns, "diagnoses.csv").rename(columns={"dx": "label"})
    images = images.astype(object).where(images.notna(), None).set_index("image_id").rename_axis("image")
    marked = images["artefact"].notna()
    folders = {True: root / "artefacts" / "src", False: root / "test_images"}
    images["path"] = [folders[there] / f"{name}.jpg" for name, there in marked.items()]
    images["masks"] = [() if there else (root / "test_masks" / f"{name}.png",) for name, there in marked.items()]
    return ArtefactSet(
        "HAM10000 with artefacts",
        licence_of(root),
        f"{HAM10000_AUTHORS}; artefacts cut out by Katsch F, Rinner C, Tschandl P. Dermatology Practical & Conceptual "
        "12(3), 2022",
        images,
        _templates(root / "artefacts"),
    )


def cut_out(present: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Cut an artefact out of a photograph, `present`, given the same photograph without it, `absent`; uint8 (h, w, 3).

    Returns its colour and opacity, float32 (h, w, 4) in [0, 1]. The opacity is the least with which some colour, laid
    over `absent` (white for ink that was isolated on white), gives `present`; so it does not depend on the skin, the
    result stays in range on any skin, and on its own skin it gives `present` again (but for JPEG noise).
    """
    before = absent.astype(np.float32) / 255
    change = present.astype(np.float32) / 255 - before
    room = np.where(change < 0, before, 1 - before)
    opacity = np.max(np.abs(change) / np.maximum(room, 1 / 255), axis=2, keepdims=True)
    opacity[np.abs(change).max(axis=2) * 255 < VISIBLE] = 0
    colour = np.divide(change, opacity, out=np.zeros_like(change), where=opacity > 0) + before
    return np.concatenate([np.clip(colour, 0, 1) * (opacity > 0), opacity], axis=2).astype(np.float32)


def paste(
    image: np.ndarray,
    artefact: Artefact,
    position: tuple[int, int] | None = None,
    generator: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Paste a real artefact onto an image, uint8 (h, w, 3); return the new one, and where it is on it, bool (h, w).

    `position` is the row and column of its upper left corner, which may lie outside; `None` lets `generator` draw one
    such that the artefact lies inside, or spans the image where it is the larger.

    Raises
    ------
    ValueError
        If the image is not of that kind, there is neither position nor generator, or the artefact misses the image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.dtype} {image.shape}: expected uint8 (height, width, 3)")
    if position is None:
        if generator is None:
            raise ValueError("position and generator are None: expected a position, or a generator that draws one")
        room = [sorted((0, side - own)) for side, own in zip(image.shape, artefact.mask.shape, strict=False)]
        position = tuple(int(generator.integers(low, high + 1)) for low, high in room)
    (top, left), (height, width) = position, artefact.mask.shape
    rows = slice(max(top, 0), max(min(top + height, image.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, image.shape[1]), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise ValueError(f"an artefact of {_size(artefact.mask.shape)} pixels at {position} misses the image")
    part = artefact.rgba[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    result, mask = image.copy(), np.zeros(image.shape[:2], bool)
    over = image[rows, columns] * (1 - part[..., 3:]) + 255 * part[..., :3] * part[..., 3:]
    result[rows, columns] = np.clip(np.rint(over), 0, 255).astype(np.uint8)
    mask[rows, columns] = part[..., 3] > 0
    return result, mask


def on_breastmnist_grid(values: np.ndarray, side: int = 28) -> np.ndarray:
    """Bring a mask or map (h, w) onto BreastMNIST's grid: means of side x side cells of its central square, float32."""
    square = min(values.shape)
    top, left = ((length - square) // 2 for length in values.shape)
    return area_average(values[top : top + square, left : left + square], side)


def licence_of(root: Path) -> str:
    """Return the strictest of `LICENCES` that the notes in a folder name, else its row of the README above it."""
    notes = [path.read_text("utf-8", errors="replace") for each in NOTES for path in sorted(root.glob(each))]
    above = root.parent / "README.md"
    if not notes and above.is_file():
        notes = [
            line
            for line in above.read_text("utf-8", errors="replace").splitlines()
            if line.startswith(f"| `{root.name}/`")
        ]
    found = [name for name, pattern in LICENCES.items() if any(re.search(pattern, note) for note in notes)]
    if not found:
        raise DataError(
            f"{root} has no licence note, so that its pictures cannot be shown: expected the owners' note as "
            f"LICENSE.txt, that names one of {', '.join(LICENCES)}"
        )
    return found[-1]


def _templates(folder: Path) -> pd.DataFrame:
    """List the cut-out artefacts; those of bubbles and rulers come in pairs, with and without."""
    try:
        listed = json.loads((folder / "meta.json").read_text("utf-8"))["artefacts"]
        entries = [(folder / one["artefact_folder"], one["class"], one.get("subclass"), one["name"]) for one in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder / 'meta.json'} is not the list of the cut-out artefacts ({error!r})") from error
    rows = []
    for place, artefact, subclass, image in entries:
        for path in sorted(place.glob("*.png")):
            if "without" in path.name:
                continue
            without = path.with_name(path.name.replace("with", "without")) if "with" in path.name else None
            if without is not None and not without.is_file():
                raise DataError(f"{without} is not there: {path.name} cannot be cut out without it")
            rows.append((path.stem, artefact, subclass, image, path, without))
    columns = ["template", "artefact", "subclass", "image", "path", "without"]
    return pd.DataFrame(rows, columns=columns).set_index("template")


def _manifest(root: Path, what: str, columns: tuple[str, ...], name: str = "manifest.csv") -> pd.DataFrame:
    if not (root / name).is_file():
        raise DataError(f"{root} is not {what}: expected {name} in it")
    table = tables.read(root / name, columns, texts=TEXTS)
    for column in columns[:2]:
        if table[column].isna().any():
            raise DataError(f"{root / name} has a row without {column}: expected a name and a label in each")
    return table


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
