"""A small folder in the layout of EGD-CXR 1.0.0, with valid DICOM files in the paths of MIMIC-CXR."""

from pathlib import Path

import numpy as np
import pandas as pd
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

NAMES = ["aaaa-bbbb-00001", "aaaa-bbbb-00002", "cccc-dddd-00003"]
WIDTH, HEIGHT = 40, 50


def ramp() -> np.ndarray:
    """Return 12-bit pixels that grow to the right and, less, down."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (100 * x + y).astype(np.uint16)


def dicom(path: Path, pixels: np.ndarray, **elements: object) -> Path:
    """Write an uncompressed DICOM file, 12 bits in 16; more elements by their keywords, ``None`` to leave one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    given = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CR",
        "ViewPosition": "PA",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in (given | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def sheet() -> pd.DataFrame:
    """Return a master sheet of three films of two patients; the first of them was shown between black bars."""
    return pd.DataFrame(
        {
            "dicom_id": NAMES,
            "path": [f"files/p10/p100/s{row}/{name}.dcm" for row, name in enumerate(NAMES)],
            "study_id": [50, 51, 52],
            "patient_id": [100, 100, 200],
            "Normal": [1, 0, 0],
            "CHF": [0, 1, 0],
            "pneumonia": [0, 0, 1],
            "image_top_pad": [28, 28, 28],
            "image_bottom_pad": [28, 28, 28],
            "image_left_pad": [550, 550, 550],
            "image_right_pad": [551, 551, 551],
        }
    )


def fixations() -> pd.DataFrame:
    """Return gaze on the first two films and on a picture for calibration, in the film's pixels and on the screen.

    On the first film one row is invalid and one looks beside the film; the second film has one fixation.
    """
    columns = ["SESSION_ID", "DICOM_ID", "Time (in secs)", "FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID", "FPOGV"]
    first, second, calibration = NAMES[0], NAMES[1], NAMES[2][:-5]
    rows = [
        ("1", first, 2.0, *_screen(10, 25), 10.0, 0.5, 1, 1, 10, 25),
        ("1", first, 3.0, *_screen(30, 5), 11.0, 0.25, 2, 1, 30, 5),
        ("1", first, 4.0, 0.5, 0.5, 12.0, 0.25, 3, 0, 20, 25),
        ("1", first, 5.0, 0.1, 0.5, 13.0, 0.25, 4, 1, -1, -1),
        ("1", calibration, 6.0, 0.5, 0.5, 14.0, 0.5, 5, 1, 960, 540),
        ("2", second, 7.0, *_screen(20, 40), 3.0, 0.75, 1, 1, 20, 40),
    ]
    return pd.DataFrame(rows, columns=[*columns, "X_ORIGINAL", "Y_ORIGINAL"])


def _screen(x: float, y: float) -> tuple[float, float]:
    """Return where a place in the film is on the screen, as shares of it, with the padding of `sheet`."""
    return (550 + x / WIDTH * (1920 - 1101)) / 1920, (28 + y / HEIGHT * (1080 - 56)) / 1080


def boxes() -> pd.DataFrame:
    """Return boxes of anatomy on all films."""
    rows = [(name, "right lung", 4, 10, 16, 40) for name in NAMES]
    rows += [(name, "left lung", 24, 10, 36, 40) for name in NAMES]
    rows += [(name, "cardiac silhouette", 12, 20, 30, 45) for name in NAMES]
    return pd.DataFrame(rows, columns=["dicom_id", "bbox_name", "x1", "y1", "x2", "y2"])


def write(root: Path, **tables: pd.DataFrame | None) -> Path:
    """Write a folder; tables by the names of their files stand for those of this module, ``None`` leaves one out."""
    root.mkdir(parents=True, exist_ok=True)
    given = {
        "master_sheet": sheet(),
        "fixations": fixations(),
        "bounding_boxes": boxes(),
        "filenames": pd.DataFrame({"filename": NAMES}),
    }
    for name, table in (given | tables).items():
        if table is not None:
            table.to_csv(root / f"{name}.csv", index=name == "filenames")
    for path in sheet()["path"]:
        dicom(root / path, ramp())
    return root
