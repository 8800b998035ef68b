"""A folder of images of one's own, and masks of what was outlined on them where there are some."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from medxai import paths
from medxai.data import pictures
from medxai.data.labelled_images import LabelledImages
from medxai.data.masks import area_average
from medxai.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Of image files, in capitals too; other files are passed over."""
MASK = "_mask"
"""A file whose name ends in this, before the ending, is never an image."""
SMALLEST = 16
"""Least side of the images for the network, in pixels."""


def read_folder(folder: Path | str, masks: Path | str | None = None, *, size: int = 224) -> LabelledImages:
    """Read all images of a folder and its sub-folders, sorted by name.

    Whole images are scaled to a square, which stretches those that are none; crop them before if that matters. A mask's
    pixel is inside if at least half of its area is. Files that begin with a dot and folders of masks below the folder
    are passed over. Names are given as `medxai.paths.shown` writes them.

    Parameters
    ----------
    folder
        Holds files that end as `ENDINGS` say, which `medxai.data.pictures.read` reads as a viewer shows them.
    masks
        Folder in which the mask of ``a/b.jpg`` is ``a/b`` or ``a/b_mask`` with any of the endings, of the size of its
        image and read by `medxai.data.pictures.read_mask`; any pixel that is not black is inside. It may be the folder
        of the images.
    size
        Side of the result in pixels, at least `SMALLEST`.

    Raises
    ------
    ValueError, DataError
        In one sentence, if a folder is not there or holds no image, a file cannot be read, two files share a name, or
        images and masks do not fit together.
    """
    if not isinstance(size, int) or size < SMALLEST:
        raise ValueError(f"size is {size!r}: expected a number of pixels of at least {SMALLEST}")
    folder, masks = _folder(folder), None if masks is None else _folder(masks)
    found = _by_stem(folder, files(folder, masks))
    if not found:
        raise DataError(f"{folder} holds no image: expected files that end in {', '.join(ENDINGS)}")
    names = [paths.shown(path.relative_to(folder).as_posix()) for path in found.values()]
    outlines = None if masks is None else list(_matched(found, names, folder, masks))
    squares, inside = [], []
    for i, path in enumerate(found.values()):
        picture = pictures.read(path)
        squares.append(pictures.square(picture, size))
        shape = picture.shape[:2]
        del picture  # a large one and its mask need not be in memory together
        if outlines is not None:
            inside.append(_inside(outlines[i], shape, size))
    return LabelledImages.with_masks(
        names, np.stack(squares), np.stack(inside) if inside else None, paths.shown(folder.name)
    )


def files(folder: Path, masks: Path | None = None) -> list[Path]:
    """Return all image files of a folder and its sub-folders, sorted, that are no masks; ``masks`` is left out."""
    return [path for path in _files(folder, masks) if not path.stem.endswith(MASK)]


def _folder(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'not there'}: expected a folder of images")
    return folder


def _files(folder: Path, other: Path | None = None) -> Iterator[Path]:
    """Image files below a folder, sorted, those below another folder within it left out."""
    apart = None if other is None or other.resolve() == folder.resolve() else other.resolve()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        passed_over = hidden or apart in path.resolve().parents
        if path.suffix.lower() in ENDINGS and path.is_file() and not passed_over:
            yield path


def _by_stem(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Files by their path below the folder, without ending and without `MASK`; é is é, composed or not."""
    found: dict[str, Path] = {}
    for path in files:
        stem = paths.same_name(path.relative_to(folder).with_suffix("").as_posix().removesuffix(MASK))
        if stem in found:
            raise DataError(f"{found[stem]} and {path.name} share a name: expected one file for each")
        found[stem] = path
    return found


def _matched(files: dict[str, Path], names: Sequence[str], folder: Path, masks: Path) -> Iterator[Path]:
    """Yield the mask of each image."""
    together = masks.resolve() == folder.resolve()
    found = _by_stem(masks, (path for path in _files(masks) if not together or path.stem.endswith(MASK)))
    if alone := [path for stem, path in found.items() if stem not in files]:
        raise DataError(f"{alone[0]} is a mask without an image: there is no {alone[0].stem} in {folder}")
    for stem, name in zip(files, names, strict=True):
        if stem not in found:
            raise DataError(
                f"{folder / name} has no mask: expected {stem}{MASK}.png in {masks}, "
                "all zero if there is nothing to outline"
            )
        yield found[stem]


def _inside(path: Path, wanted: tuple[int, ...], size: int) -> np.ndarray:
    """Return what a mask outlines, bool (size, size)."""
    full = pictures.read_mask(path)
    if full.shape != wanted:
        sizes = [f"{width} x {height}" for height, width in (full.shape, wanted)]
        raise DataError(f"{path} is {sizes[0]} pixels, its image {sizes[1]}: expected a mask of the size of its image")
    inside = area_average(full, size) >= 0.5
    if full.any() and not inside.any():
        raise DataError(f"{path} outlines less than half a pixel at {size} x {size}: a larger size is needed")
    return inside
