"""EGD-CXR in the layout of PhysioNet, on small files of our own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_egd_cxr as tiny
from medxai.data import egd_cxr, gaze
from medxai.data.egd_cxr import read
from medxai.errors import DataError

SIDE = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "egd_cxr")


def test_films_labels_patients_and_lungs(root: Path) -> None:
    films = read(root, SIDE)
    assert list(films.images.names) == tiny.NAMES
    assert films.images.labels.tolist() == [0, 1, 2]
    assert films.images.groups.tolist() == [0, 0, 1]
    assert not films.images.upside_down
    assert films.images.truth is None
    picture = films.images.pictures[0].astype(int)
    assert picture.shape == (SIDE, SIDE, 3)
    assert (np.diff(picture[5, :, 0]) > 0).all()
    lungs = np.zeros((SIDE, SIDE), bool)
    lungs[4:16, 2:8] = lungs[4:16, 12:18] = True
    np.testing.assert_array_equal(films.lungs[0], lungs)


def test_fixations_that_count(root: Path) -> None:
    films = read(root, SIDE)
    expected = [(tiny.NAMES[0], 5, 10, 0, 0.5), (tiny.NAMES[0], 15, 2, 1, 0.25), (tiny.NAMES[1], 10, 16, 0, 0.75)]
    pd.testing.assert_frame_equal(films.fixations, pd.DataFrame(expected, columns=gaze.COLUMNS), check_dtype=False)
    assert np.isnan(films.gaze[2]).all(), "nobody looked at the third film"
    np.testing.assert_array_equal(films.gaze, gaze.static_maps(films.fixations, tiny.NAMES, SIDE))


def test_the_padding_of_the_screen_is_undone(root: Path) -> None:
    expected = read(root, SIDE).fixations
    on_screen = tiny.fixations().drop(columns=["X_ORIGINAL", "Y_ORIGINAL"])
    tiny.write(root, fixations=on_screen)
    pd.testing.assert_frame_equal(read(root, SIDE).fixations, expected, atol=1e-9)


def test_raw_gaze_tells_a_fixation_while_it_lasts(root: Path) -> None:
    expected = read(root, SIDE).fixations
    (root / "fixations.csv").unlink()
    table = tiny.fixations()
    raw = pd.concat([table.assign(FPOGD=share * table["FPOGD"]) for share in (0, 0.5, 1)]).sort_values("FPOGS")
    tiny.write(root, fixations=None, eye_gaze=raw)
    pd.testing.assert_frame_equal(read(root, SIDE).fixations, expected)


def test_only_the_listed_films_are_read_and_boxes_may_be_missing(root: Path) -> None:
    (root / "bounding_boxes.csv").unlink()
    tiny.write(root, bounding_boxes=None, filenames=pd.DataFrame({"filename": tiny.NAMES[1:]}))
    films = read(root, SIDE)
    assert list(films.images.names) == tiny.NAMES[1:]
    assert films.lungs is None
    assert set(films.fixations["image"]) == {tiny.NAMES[1]}


def _changed(table: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    table = table.astype(object)
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            {"master_sheet": tiny.sheet().drop(columns="patient_id")},
            "lacks columns: expected patient_id, too|columns expected",
        ),
        ({"master_sheet": _changed(tiny.sheet(), 1, "CHF", 0)}, "has not one class: expected 1 in one of Normal, CHF"),
        ({"master_sheet": _changed(tiny.sheet(), 1, "pneumonia", 1)}, "has not one class"),
        ({"master_sheet": _changed(tiny.sheet(), 1, "dicom_id", tiny.NAMES[0])}, "more than once"),
        ({"master_sheet": _changed(tiny.sheet(), 1, "patient_id", None)}, "a row without patient_id"),
        ({"master_sheet": _changed(tiny.sheet(), 1, "path", "../../secret.dcm")}, "expected a path below"),
        ({"master_sheet": _changed(tiny.sheet(), 1, "path", "files/none.dcm")}, "none.dcm is not there"),
        ({"filenames": pd.DataFrame({"filename": ["eeee"]})}, "lists eeee, which is not in master_sheet.csv"),
        (
            {"fixations": _changed(tiny.fixations(), 0, "DICOM_ID", "eeee")},
            "gaze on 'eeee', which is not in master_sheet",
        ),
        ({"fixations": _changed(tiny.fixations(), 0, "X_ORIGINAL", 41)}, "off the image of 20 x 20"),
        ({"fixations": _changed(tiny.fixations(), 0, "FPOGD", -0.5)}, "negative duration"),
        ({"fixations": _changed(tiny.fixations(), 0, "FPOGD", "long")}, "no number"),
        ({"fixations": tiny.fixations().drop(columns="FPOGD")}, "expected FPOGD|FPOGD"),
        ({"fixations": tiny.fixations().drop(columns=["X_ORIGINAL", "FPOGX"])}, "lacks columns: expected FPOGX, too"),
        (
            {
                "fixations": tiny.fixations().drop(columns="X_ORIGINAL"),
                "master_sheet": tiny.sheet().drop(columns="image_left_pad"),
            },
            "expected image_left_pad, too",
        ),
        (
            {
                "fixations": tiny.fixations().drop(columns="X_ORIGINAL"),
                "master_sheet": _changed(tiny.sheet(), 0, "image_left_pad", 1500),
            },
            "padding that leaves nothing",
        ),
        ({"bounding_boxes": _changed(tiny.boxes(), 0, "x2", 2)}, "is none: expected x1 < x2"),
    ],
)
def test_bad_tables(tmp_path: Path, tables: dict[str, pd.DataFrame], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as refused:
        read(tiny.write(tmp_path / "egd_cxr", **tables), SIDE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [
        ("master_sheet.csv", "is not EGD-CXR"),
        ("fixations.csv", "has no gaze: expected fixations.csv or eye_gaze.csv"),
        ("filenames.csv", "filenames.csv is not there"),
    ],
)
def test_missing_files(root: Path, gone: str, sentence: str) -> None:
    (root / gone).unlink()
    with pytest.raises(DataError, match=sentence):
        read(root, SIDE)


def test_a_damaged_film_is_named(root: Path) -> None:
    path = root / tiny.sheet()["path"][1]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"aaaa-bbbb-00002\.dcm is damaged or truncated"):
        read(root, SIDE)


def test_the_list_of_ids_has_1017(monkeypatch: pytest.MonkeyPatch) -> None:
    from medxai.data import tables
    from medxai.data.datasets import DATASETS

    place = DATASETS["egd-cxr-ids"].place
    if not place.is_file():
        pytest.skip(f"no {place} (set MEDXAI_DATA)")
    ids = tables.read(place, ("filename",), texts=("filename",))["filename"]
    assert len(ids) == ids.nunique() == 1017
    assert place.name == egd_cxr.IDS
