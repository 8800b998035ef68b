"""EGD-CXR: chest radiographs of MIMIC-CXR with the gaze of a radiologist, as PhysioNet gives them to those it knows.

Karargyris et al. 2021 (Scientific Data 8:92), version 1.0.0. A folder holds ``master_sheet.csv`` (a row for each film),
``fixations.csv`` or ``eye_gaze.csv``, perhaps ``bounding_boxes.csv``, the films at the paths that the sheet names
(``files/p10/p10000000/s50000000/NAME.dcm``), and ``filenames.csv``: the 1,017 films that Watanabe et al. 2022 used, of
1,083 (``medxai data fetch egd-cxr-ids``).

Where a table of gaze has places in the film, these are taken; where it has those on the screen alone, the padding
around the film is undone. Rows that the tracker calls invalid are left out, and so are those that look beside the film,
which the authors mark by negative numbers, and those on the pictures for calibration.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from medxai.data import dicom, gaze, pictures, tables
from medxai.data.chest_films import CLASSES, ChestFilms
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError

SHEET, IDS, BOXES = "master_sheet.csv", "filenames.csv", "bounding_boxes.csv"
GAZE = ("fixations.csv", "eye_gaze.csv")
"""The first of these that is there is read."""
LABELS = ("Normal", "CHF", "pneumonia")
"""Columns of the sheet, in the order of `CLASSES`."""
SCREEN = (1920, 1080)
"""Width and height in pixels."""
PADDING = ("image_left_pad", "image_right_pad", "image_top_pad", "image_bottom_pad")
"""Columns of the sheet: black around the film on the screen, in its pixels."""
TIMES = ("FPOGS", "FPOGD")
IN_FILM, ON_SCREEN = ("X_ORIGINAL", "Y_ORIGINAL"), ("FPOGX", "FPOGY")
LUNGS = ("left lung", "right lung")
"""Names of boxes."""
CALIBRATION = 5
"""A picture for calibration has the id of a film without its last characters, this many."""


def read(root: Path, side: int) -> ChestFilms:
    """Read the films of a folder at a side in pixels; whole films are scaled to a square, which stretches them.

    Lungs are the boxes of both, ``None`` without a table of boxes, and empty for a film that has none in it.

    Raises
    ------
    DataError
        In one sentence, if a file is not there or is not what it should be; ids do not match; or a fixation is off its
        film or has a negative duration.
    """
    whole = _sheet(root)
    sheet = _used(root, whole)
    shown, sizes = [], []
    for path in sheet["path"]:
        grey = dicom.read(pictures.below(root, path))
        sizes.append(grey.shape[::-1])
        shown.append(pictures.square(grey, side))
    sizes = pd.DataFrame(sizes, sheet.index, ["width", "height"])
    names = list(sheet.index)
    fixations = gaze.checked(_fixations(root, sheet, whole.index, sizes, side), names, side)
    images = LabelledImages(
        "EGD-CXR",
        "real",
        names,
        np.repeat(np.stack(shown)[..., None], 3, axis=3),
        sheet["label"].to_numpy(),
        CLASSES,
        pd.factorize(sheet["patient_id"])[0],
        upside_down=False,
    )
    lungs = _lungs(root / BOXES, sizes, side) if (root / BOXES).is_file() else None
    return ChestFilms(images, gaze.static_maps(fixations, names, side), fixations, lungs)


def _sheet(root: Path) -> pd.DataFrame:
    """Return the sheet by the ids of films."""
    if not (root / SHEET).is_file():
        raise DataError(f"{root} is not EGD-CXR: expected {SHEET} in it, which PhysioNet gives to those it knows")
    columns = ("dicom_id", "path", "patient_id", *LABELS)
    sheet = tables.read(root / SHEET, columns, texts=columns[:3], others=PADDING)
    for column in columns[:3]:
        if sheet[column].isna().any():
            raise DataError(f"{root / SHEET} has a row without {column}")
    if (twice := sheet["dicom_id"].duplicated()).any():
        raise DataError(f"{root / SHEET} lists {sheet['dicom_id'][twice].iloc[0]} more than once")
    return sheet.set_index("dicom_id")


def _used(root: Path, whole: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the sheet whose films are used, with a column ``label``."""
    wanted = tables.read(root / IDS, ("filename",), texts=("filename",))["filename"].dropna().unique()
    if len(unknown := pd.Index(wanted).difference(whole.index)):
        raise DataError(f"{root / IDS} lists {unknown[0]}, which is not in {SHEET}: expected ids of its films")
    sheet = whole[whole.index.isin(wanted)]
    marks = tables.numbers(sheet, LABELS).to_numpy()
    if len(wrong := sheet.index[~(np.isin(marks, (0, 1)).all(axis=1) & (marks.sum(axis=1) == 1))]):
        raise DataError(f"{wrong[0]} in {root / SHEET} has not one class: expected 1 in one of {', '.join(LABELS)}")
    return sheet.assign(label=marks.argmax(axis=1))


def _fixations(root: Path, sheet: pd.DataFrame, known: pd.Index, sizes: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return the fixations on the films of a sheet, in pixels of the pictures; `known` are the ids of all films."""
    path = next((root / name for name in GAZE if (root / name).is_file()), None)
    if path is None:
        raise DataError(f"{root} has no gaze: expected {' or '.join(GAZE)}")
    columns = ("DICOM_ID", *TIMES)
    table = tables.read(path, columns, texts=columns[:1], others=(*IN_FILM, *ON_SCREEN, "FPOGV"))
    ids = table["DICOM_ID"]
    if len(unknown := ids[~ids.isin(known) & ~ids.isin(known.str[:-CALIBRATION])]):
        raise DataError(f"{path} has gaze on {unknown.iloc[0]!r}, which is not in {SHEET}: expected ids of its films")
    table = table[ids.isin(sheet.index)]
    if "FPOGV" in table:
        table = table[tables.numbers(table, ["FPOGV"])["FPOGV"] == 1]
    return _tidy(table, _places(table, sheet, sizes, path), side)


def _tidy(table: pd.DataFrame, places: np.ndarray, side: int) -> pd.DataFrame:
    """Return rows of gaze as fixations, those beside the film left out; each film's first one starts at 0 s."""
    x, y = side * places.T
    start, duration = tables.numbers(table, TIMES).to_numpy().T
    found = pd.DataFrame({"image": table["DICOM_ID"].to_numpy(), "x": x, "y": y, "start": start, "duration": duration})
    found = found[~(places < 0).any(axis=1)].sort_values("duration", kind="stable")
    found = found.drop_duplicates(["image", "start"], keep="last")  # raw gaze tells a fixation again while it lasts
    return found.assign(start=found["start"] - found.groupby("image")["start"].transform("min"))


def _places(table: pd.DataFrame, sheet: pd.DataFrame, sizes: pd.DataFrame, path: Path) -> np.ndarray:
    """Return places as shares of the film's width and height, (n, 2), negative beside the film."""
    rows = table["DICOM_ID"]
    if set(IN_FILM) <= set(table):
        return tables.numbers(table, IN_FILM).to_numpy() / sizes.loc[rows].to_numpy()
    return _from_screen(table, sheet.loc[rows], path)


def _from_screen(table: pd.DataFrame, sheet: pd.DataFrame, path: Path) -> np.ndarray:
    """Return what `_places` does, from places on the screen."""
    tables.require(table, ON_SCREEN, str(path))
    tables.require(sheet, PADDING, SHEET)
    padding = tables.numbers(sheet, PADDING).to_numpy()
    before, after = padding[:, ::2], padding[:, 1::2]
    extent = SCREEN - before - after
    if not (np.isfinite(padding).all() and (padding >= 0).all() and (extent > 0).all()):
        raise DataError(f"{SHEET} has padding that leaves nothing of a screen of {SCREEN[0]} x {SCREEN[1]} pixels")
    share = (tables.numbers(table, ON_SCREEN).to_numpy() * SCREEN - before) / extent
    return np.where((share < 0) | (share > 1), -1, share)


def _lungs(path: Path, sizes: pd.DataFrame, side: int) -> np.ndarray:
    """Return where the boxes of both lungs are, bool (n, side, side)."""
    corners = ("x1", "y1", "x2", "y2")
    table = tables.read(path, ("dicom_id", "bbox_name", *corners), texts=("dicom_id", "bbox_name"))
    table = table[table["bbox_name"].isin(LUNGS) & table["dicom_id"].isin(sizes.index)]
    boxes = tables.numbers(table, corners).to_numpy()
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    if wrong.any():
        raise DataError(
            f"{path} has a box of {table['dicom_id'][wrong].iloc[0]} that is none: expected x1 < x2 and y1 < y2"
        )
    boxes = side * boxes / np.tile(sizes.loc[table["dicom_id"]].to_numpy(), 2)
    middles = np.arange(side) + 0.5
    lungs = np.zeros((len(sizes), side, side), bool)
    for row, (left, top, right, bottom) in zip(sizes.index.get_indexer(table["dicom_id"]), boxes, strict=True):
        lungs[row] |= np.outer((middles > top) & (middles < bottom), (middles > left) & (middles < right))
    return lungs
