"""Opening DICOM files of one grey picture, as radiographs are: the one place that does, on no trust."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medxai.data.pictures import LARGEST
from medxai.errors import DataError

MOST_BYTES = 4 * LARGEST
"""Of a file."""


def read(path: Path) -> np.ndarray:
    """Read a radiograph as a viewer shows it: rescaled, windowed, and turned over if it is MONOCHROME1.

    Black and white are the least and the greatest value that the window leaves.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width), grey.

    Raises
    ------
    DataError
        In one sentence, if the file is no DICOM file, is truncated or damaged, has no pixel data, several pictures,
        colours, more than `LARGEST` pixels or one value alone, or is packed in a way that pydicom alone cannot unpack.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there: expected a DICOM file")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes: expected at most {MOST_BYTES:,}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it mends
            return _grey(path)
    except DataError:
        raise
    except InvalidDicomError:
        raise DataError(f"{path} is no DICOM file: expected one, as MIMIC-CXR has them") from None
    except Exception as error:  # each part of a file is read when it is asked for, and fails in its own way
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{path} is damaged or truncated ({said}): get it again") from error


def _grey(path: Path) -> np.ndarray:
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:  # of any size when it is unpacked
        raise DataError(f"{path} is deflated as a whole: expected a DICOM file whose pixels alone may be compressed")
    dataset = pydicom.dcmread(path)
    if reason := _refused(dataset):
        raise DataError(f"{path} {reason}")
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(np.float32)
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all() or low == high:
        raise DataError(f"{path} shows nothing: expected pixels of more than one value")
    grey = (values - low) / (high - low)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return np.rint(255 * grey).astype(np.uint8)


def _refused(dataset: pydicom.Dataset) -> str | None:
    """Say what is wrong with a file whose pixels have not been decoded yet."""
    if "PixelData" not in dataset:
        return "has no pixel data: expected a radiograph"
    height, width = int(dataset.Rows), int(dataset.Columns)
    if height * width > LARGEST:
        return f"has {width} x {height} pixels: expected at most {LARGEST:,} in all"
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        return f"holds {int(dataset.NumberOfFrames)} pictures: expected one"
    kind = str(dataset.PhotometricInterpretation)
    if kind not in ("MONOCHROME1", "MONOCHROME2") or int(dataset.SamplesPerPixel) != 1:
        return f"has pixels of kind {kind!r}: expected grey, MONOCHROME1 or MONOCHROME2"
    if dataset.file_meta.TransferSyntaxUID.is_compressed and not _can_unpack(dataset):
        name = dataset.file_meta.TransferSyntaxUID.name
        return f"is compressed as {name}: expected uncompressed pixels, or a package that pydicom unpacks them with"
    return None


def _can_unpack(dataset: pydicom.Dataset) -> bool:
    return pydicom.pixels.get_decoder(dataset.file_meta.TransferSyntaxUID).is_available
