"""Opening pictures: the one place that opens what a user brings, and that takes nothing in it on trust."""

import warnings
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medxai.errors import DataError

LARGEST = 2**26
"""Most pixels of a picture, or of an image that is annotated: 8,192 x 8,192, so that colours, maps and masks of it fit
into the memory of a small computer."""
LONGEST = 200
"""Most letters of a path in a list of files."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
"""Pillow's names of what is read, whatever the ending says: each format is a decoder that strangers can reach."""
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's names of the kinds of pixels with at most 8 bits a channel."""
LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats that may leave grey around an outline: for JPEG of quality 95, a tenth of the area of a disc of 80 pixels."""


def read(path: Path) -> np.ndarray:
    """Read a picture as a viewer shows it, in 8 bits a channel.

    It is turned as its EXIF orientation says, and palettes, grey and CMYK become RGB. Colour profiles are left aside,
    as by the loaders with which networks are trained.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, 3), RGB.

    Raises
    ------
    DataError
        In one sentence, if the file is none of `FORMATS` or damaged, has more than `LARGEST` pixels or more than 8 bits
        a channel, holds several pictures, has pixels beyond its palette, or is transparent anywhere, so that what one
        sees depends on the viewer.
    """
    return _read(path)[0]


def read_mask(path: Path) -> np.ndarray:
    """Read a picture as `read` does, and return where it is not black, bool (height, width).

    Grey in one of the formats `LOSSY` is a DataError, too: nobody can tell how much of it was drawn.
    """
    pixels, kind = _read(path)
    if kind in LOSSY and ((pixels > 0) & (pixels < 255)).any():
        raise DataError(f"{path} is blurred by its format, {kind}: expected black and white alone, or a mask as PNG")
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red | green | blue) > 0


def below(root: Path, path: str) -> Path:
    """Return the place of a file that a list names; a path that leads out of the folder is a DataError."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\0" in path or len(path) > LONGEST:
        raise DataError(f"a list names the file {path[:LONGEST]!r}: expected a path below {root}")
    return root.joinpath(*parts)


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture to a square, which stretches one that is none."""
    shrinks = min(picture.shape[:2]) >= side
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _read(path: Path) -> tuple[np.ndarray, str]:
    """Return the pixels of a picture, and its format."""
    try:
        # Pillow warns of what it mends and of large pictures; the limit is ours.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as picture:
            if reason := _refused(picture):
                raise DataError(f"{path} {reason}")
            picture.load()  # before it is turned: a TIFF turns itself when it is loaded
            if picture.mode == "P" and picture.getextrema()[1] >= (colours := len(picture.getpalette()) // 3):
                raise DataError(f"{path} has pixels of colour numbers beyond its palette of {colours}: save it as RGB")
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
                raise DataError(f"{path} is transparent in places: expected an opaque picture, lay it on a background")
            return np.asarray(picture.convert("RGB")), picture.format
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{path} {_too_large('too many')}") from None
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is no image that can be read: expected {', '.join(FORMATS)}; replace it or leave it out"
        ) from error
    except Exception as error:  # each decoder has its own way to say that a file is damaged
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged ({said}): replace it or leave it out") from error


def _refused(picture: Image.Image) -> str | None:
    """Say what is wrong with a picture that has not been decoded yet."""
    width, height = picture.size
    if width * height > LARGEST:
        return _too_large(f"{width} x {height}")
    # Of a JPEG with several pictures (MPO), as cameras write it, viewers show the first; the others are previews.
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        return f"holds {picture.n_frames} pictures: expected one a file"
    # Pillow would keep the upper 8 of 16 bits in colour. BMP's kind "BGR;16" has 16 bits for all channels together.
    deep = picture.format != "BMP" and any(";16" in str(tile) for tile in picture.tile)
    if deep or picture.mode not in MODES:
        kind = "16 bits a channel" if deep else f"pixels of kind {picture.mode!r}"
        return f"has {kind}: expected 8 bits a channel, so that you choose what becomes black and white"
    return None


def _too_large(found: str) -> str:
    return f"has {found} pixels: expected at most {LARGEST:,} in all, so scale it down or crop it"
