"""The DermXDB loader: what it reads, what it refuses, and that its masks are the published ones to the pixel."""

import hashlib
import json
import os
import re
import shutil
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from medxai.data import dermxdb, masks
from medxai.errors import DataError
from tiny_dermxdb import outline, square, tag, write, write_evaluation


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images; the raters 1 and 2, and rater 1 a second time on the first image."""
    evaluations = {
        "labeller1_a_b": [
            tag("Psoriasis"),
            tag("Acne"),
            tag("Light skin"),
            outline("Plaque", square(2, 1, 6, 4), attributes=["Hyper-pigmented", "Red"]),
            outline("Scale", square(0, 0, 1, 1), square(18, 8, 30.5, 12)),
            outline("Plaque", square(5, 3, 8, 6)),
        ],
        "labeller2_a_b": [tag("Acne"), tag("Low-quality"), outline("Plaque", square(2, 1, 3, 2))],
        "labeller12_a_b": [tag("Psoriasis"), outline("Plaque", square(2, 1, 6, 4))],
        "labeller1_c": [],
        "labeller2_c": [tag("Other-disease")],
    }
    return write(tmp_path / "dermx", evaluations, references={"a_b": "Psoriasis"})


def test_evaluations_say_what_the_files_say(root: Path) -> None:
    table = dermxdb.load(root).evaluations
    keys = table[["image", "rater", "round"]].to_numpy().tolist()
    assert keys == [["a_b", 1, 1], ["a_b", 2, 1], ["a_b", 1, 2], ["c", 1, 1], ["c", 2, 1]]
    assert table["diagnosis"].tolist() == ["Psoriasis", "Acne", "Psoriasis", None, "Other-disease"]
    assert table["diagnoses"].tolist()[0] == ("Psoriasis", "Acne")
    assert table["correct"].tolist() == [True, False, True, False, False]
    assert table["low_quality"].tolist() == [False, True, False, False, False]
    assert table["rejected"].tolist() == [False, False, False, True, True]
    assert table["Plaque"].tolist() == [True, True, True, False, False]
    assert table["Scale"].tolist() == [True, False, False, False, False]
    assert table["Light skin"].sum() == 1


def test_instances_keep_the_spelling_and_count_what_lies_outside(root: Path) -> None:
    db = dermxdb.load(root)
    scale = db.instances.loc[db.instances["characteristic"] == "Scale"].iloc[0]
    assert (scale["instance"], scale["paths"], scale["vertices"], scale["vertices_outside"]) == (1, 2, 8, 3)
    assert (scale["x"], scale["y"], scale["width"], scale["height"]) == (0, 0, 30.5, 12)
    assert db.instances["attributes"].iloc[0] == ("Hyper-pigmented", "Red")
    first, second = db.polygons(scale.name)
    assert first.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert second.tolist() == [[18, 8], [30.5, 8], [30.5, 12], [18, 12]]


def test_images_join_list_metadata_and_photographs(root: Path) -> None:
    (root / "photographs").mkdir()
    (root / "photographs" / "a_b.JPG").write_bytes(b"")
    images = dermxdb.load(root).images
    assert images.loc["a_b", ["width", "height", "reference", "skin_tone"]].tolist() == [20, 10, "Psoriasis", "light"]
    assert images.loc["a_b", "photograph"] == root / "photographs" / "a_b.JPG"
    assert images.loc["c", "reference"] is None  # 64 real images have no row in metadata.csv
    assert images["second_round"].tolist() == [True, False]


def test_mask_joins_instances_and_is_clipped_to_the_image(root: Path) -> None:
    db = dermxdb.load(root)
    expected = np.zeros((10, 20), dtype=bool)
    expected[1:5, 2:7] = expected[3:7, 5:9] = True
    np.testing.assert_array_equal(db.mask("a_b", 1, "Plaque"), expected)
    expected[:] = False
    expected[0:2, 0:2] = expected[8:10, 18:20] = True
    np.testing.assert_array_equal(db.mask("a_b", 1, "Scale"), expected)
    assert not db.mask("a_b", 2, "Scale").any()
    assert db.mask("a_b", 1, "Plaque", round=2).sum() == 20


def test_inner_path_is_a_hole_with_its_outline_filled() -> None:
    packed = masks.rasterise([[_array(square(0, 0, 9, 9)), _array(square(2, 2, 7, 7))]], 20, 20)
    expected = np.ones((10, 10), dtype=np.uint8)
    expected[3:7, 3:7] = 0
    np.testing.assert_array_equal(packed.unpack(), expected)


def test_rasterising_in_a_box_equals_rasterising_the_whole_image() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        paths = [generator.normal(40, 30, (generator.integers(3, 12), 2)) for _ in range(3)]
        whole = np.zeros((70, 90), dtype=np.uint8)
        rounded = [np.rint(np.clip(path, 0, (89, 69))).astype(np.int32) for path in paths]
        cv2.fillPoly(whole, rounded, 1)
        np.testing.assert_array_equal(masks.rasterise([paths], 90, 70).within((0, 0, 90, 70)), whole)


def test_fuzzy_map_is_the_share_of_those_who_were_right(root: Path) -> None:
    db = dermxdb.load(root)
    plaque = db.mask("a_b", 1, "Plaque").astype(float)
    np.testing.assert_array_equal(db.fuzzy_map("a_b", "Plaque"), plaque)
    both = (plaque + db.mask("a_b", 2, "Plaque")) / 2
    np.testing.assert_allclose(db.fuzzy_map("a_b", "Plaque", raters="all"), both)
    assert np.isnan(db.fuzzy_map("c", "Plaque", size=4)).all()
    averaged = both.reshape(5, 2, 5, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(db.fuzzy_map("a_b", "Plaque", size=5, raters="all"), averaged, rtol=1e-6)


def test_explanation_map_is_the_sum_over_its_maximum(root: Path) -> None:
    db = dermxdb.load(root)
    own = db.mask("a_b", 1, "Plaque").astype(float) + db.mask("a_b", 1, "Scale")
    other = db.mask("a_b", 2, "Plaque").astype(float)
    np.testing.assert_array_equal(db.rater_map("a_b", 1), own)
    np.testing.assert_allclose(db.explanation_map("a_b"), (own + other) / 2)
    counts = db.rater_counts("a_b")
    assert sorted(counts) == [1, 2]
    np.testing.assert_array_equal(counts[1], own)
    np.testing.assert_array_equal(db.explanation_map("a_b", leave_out=1), other)
    assert not db.explanation_map("c").any()


def test_cache_stays_within_its_bytes_and_makes_a_mask_once() -> None:
    made = []

    def make(key: int) -> masks.PackedMask:
        made.append(key)
        return masks.PackedMask((0, 0, 8, 10), np.zeros((10, 1), dtype=np.uint8))

    cache = masks.Cache(limit=30)
    for key in (0, 1, 2, 0, 3, 0, 1):
        cache.get(key, lambda key=key: make(key))
        assert cache.size <= 30
    assert made == [0, 1, 2, 3, 1]  # 0 was used again and stays; 1 was the oldest when 3 came


@pytest.mark.parametrize("kind", ["tar.xz", "tar.gz", "zip"])
def test_archive_reads_like_the_folder(root: Path, tmp_path: Path, kind: str) -> None:
    holder = tmp_path / "holder"
    holder.mkdir()
    path = holder / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in root.rglob("*.*"):
                archive.write(file, Path("dermx") / file.relative_to(root))
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as archive:
            archive.add(root, "dermx")
    folder, from_archive, from_holder = dermxdb.load(root), dermxdb.load(path), dermxdb.load(holder)
    pd.testing.assert_frame_equal(folder.evaluations, from_archive.evaluations)
    np.testing.assert_array_equal(folder.vertices, from_archive.vertices)
    assert folder.digest == from_archive.digest == from_holder.digest
    assert sorted(path.name for path in holder.iterdir()) == [f"set.{kind}"]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=re.escape(f"{path} cannot be read, it is damaged")):
        dermxdb.load(path)


def test_digest_changes_with_the_content(root: Path) -> None:
    before = dermxdb.load(root).digest
    write_evaluation(root, "labeller2_c", [tag("Acne")])
    assert dermxdb.load(root).digest != before


def test_simulated_data_is_told_apart(root: Path) -> None:
    assert dermxdb.load(root).kind == "real"
    (root / "SIMULATED.json").write_text("{}")
    assert dermxdb.load(root).kind == "simulated"


def _array(path: list[dict[str, float]]) -> np.ndarray:
    return np.array([(vertex["x"], vertex["y"]) for vertex in path])


def _with(annotation: object) -> bytes:
    image = {"width": 20, "height": 10}
    return json.dumps({"dataset": "", "image": image, "annotations": [annotation]}).encode()


BROKEN = {
    "truncated": (_with(tag("Acne"))[:-9], "is not complete JSON"),
    "empty": (b"", "is empty (0 bytes)"),
    "not text": (b"\xff\xfe\x00", "is not complete JSON"),
    "other structure": (b'{"image": {}}', "has not the structure of a DermXDB annotation (KeyError('annotations'))"),
    "a list": (b"[1]", "has not the structure of a DermXDB annotation"),
    "unknown characteristic": (
        _with(outline("Crust", square(0, 0, 3, 3))),
        "of 'Crust' (number 0) has a name that is not",
    ),
    "unknown tag": (_with(tag("Rosacea")), "the annotation 'Rosacea' is not in the ontology"),
    "no outline": (_with(tag("Plaque")), "the annotation 'Plaque' has no outline"),
    "two vertices": (_with(outline("Plaque", square(0, 0, 3, 3)[:2])), "has a path with fewer than 3 vertices"),
    "no path": (_with({"name": "Plaque", "complex_polygon": {"path": []}}), "has a path with fewer than 3 vertices"),
    "NaN": (_with(outline("Plaque", square(0, float("nan"), 3, 3))), "has coordinates that are not finite"),
    "text": (_with(outline("Plaque", square(0, "left", 3, 3))), "has coordinates that are no numbers"),
    "other size": (
        _with(tag("Acne")).replace(b"20", b"21"),
        "the image has 21 x 10 pixels, in labeller1_c.json 20 x 10",
    ),
    "no size": (_with(tag("Acne")).replace(b"20", b"0"), "the image has 0 x 10 pixels"),
    "huge size": (
        _with(tag("Acne")).replace(b"20", b"100000").replace(b"10}", b"100000}"),
        "100000 x 100000 pixels: exp",
    ),
    "long size": (
        _with(tag("Acne")).replace(b"20", b"1000000000"),
        "1000000000 x 10 pixels: expected at most 67,108,864",
    ),
    "endless size": (_with(tag("Acne")).replace(b"20", b"Infinity"), "inf x 10 pixels: expected whole numbers"),
    "size of digits": (_with(tag("Acne")).replace(b"20", b'"20"'), "'20' x 10 pixels: expected whole numbers"),
    "broken size": (_with(tag("Acne")).replace(b"20", b"20.5"), "20.5 x 10 pixels: expected whole numbers"),
    "nested": (b"[" * 200_000, "is nested too deeply"),
    "infinity": (_with(outline("Plaque", square(0, float("inf"), 3, 3))), "has coordinates that are not finite"),
    "overflow": (_with(outline("Plaque", square(0, 1, 3, 3))).replace(b'"y": 1', b'"y": 1e999'), "are not finite"),
    "huge integer": (
        _with(outline("Plaque", square(0, -(10**400), 3, 3))),
        "has coordinates that are beyond 67,108,864",
    ),
    "huge number": (_with(outline("Plaque", square(0, 1e300, 3, 3))), "has coordinates that are beyond 67,108,864"),
    "many digits": (
        _with(outline("Plaque", square(0, 1, 3, 3))).replace(b'"y": 1', b'"y": 1' + b"0" * 5000),
        "is not com",
    ),
    "digits as text": (_with(outline("Plaque", square(0, "1", 3, 3))), "has coordinates that are no numbers"),
    "a list for a name": (_with({"name": ["Acne"], "tag": {}}), "has not the structure of a DermXDB annotation"),
    "a number for attributes": (
        _with({**outline("Plaque", square(0, 0, 3, 3)), "attributes": 7}),
        "has not the structure",
    ),
    "a list of batches": (_with(tag("Acne")).replace(b'""', b"[]"), "has not the structure of a DermXDB annotation"),
    "too large": (b" " * (2**24 + 1), "is too large: expected at most 16 MiB"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_named_and_costs_no_other(root: Path, case: str) -> None:
    whole = dermxdb.load(root)
    content, reason = BROKEN[case]
    (root / "annotations" / "labeller2_c.json").write_bytes(content)
    with pytest.raises(DataError, match=r"^labeller2_c\.json.*" + re.escape(reason)) as error:
        dermxdb.load(root)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    db = dermxdb.load(root, on_error="skip")
    assert db.problems.to_numpy().tolist() == [["labeller2_c.json", str(error.value)]]
    pd.testing.assert_frame_equal(db.evaluations, whole.evaluations[:-1])
    np.testing.assert_array_equal(db.mask("a_b", 1, "Plaque"), whole.mask("a_b", 1, "Plaque"))


CELLS = {
    "no name": ("metadata.csv", "a_b.jpeg", "", "metadata.csv has a row without the name of an image"),
    "row twice": (
        "metadata.csv",
        "light;adult",
        "light;adult\nx;y;z;a_b.jpeg;;",
        "metadata.csv has two rows for 'a_b'",
    ),
    "image twice": ("images.csv", "c,1", "a_b,1", "images.csv has two rows for 'a_b'"),
    "image without a name": ("images.csv", "c,1", ",1", "images.csv has a row without the name of an image"),
    "a word for a flag": (
        "images.csv",
        "c,1",
        "c,yes",
        "images.csv has 'yes' in its column in_paper_554: expected 0 or 1",
    ),
    "another number": ("images.csv", "c,1", "c,2", "images.csv has '2' in its column in_paper_554: expected 0 or 1"),
    "no flag": ("images.csv", "c,1", "c,", "images.csv has nan in its column in_paper_554: expected 0 or 1"),
    "another cell": ("images.csv", "c,1", "c,c,1", "images.csv cannot be read as a table"),
    "more cells everywhere": ("images.csv", "\n", ",\n", None),
    "no text": ("images.csv", "c,1", "\x00\x00", "images.csv"),
}


@pytest.mark.parametrize("case", CELLS)
def test_cells_of_another_kind_are_told_in_one_sentence(root: Path, case: str) -> None:
    file, old, new, said = CELLS[case]
    text = (root / file).read_text()
    assert old in text
    head, *rows = text.replace(old, new).splitlines()
    if said is None:  # the header has fewer cells than the rows
        head, said = text.splitlines()[0], f"{file} has rows with more cells than columns"
    (root / file).write_text("\n".join([head, *rows, ""]))
    with pytest.raises(DataError, match=re.escape(said)) as error:
        dermxdb.load(root)
    assert "\n" not in str(error.value)


def test_an_empty_list_of_images_is_not_taken_for_none(root: Path) -> None:
    (root / "images.csv").write_text("")
    with pytest.raises(DataError, match=r"images\.csv cannot be read as a table \(No columns"):
        dermxdb.load(root)


def test_names_of_digits_are_names(tmp_path: Path) -> None:
    write(tmp_path / "set", {"labeller1_0123": [tag("Acne")]}, references={"0123": "Acne"})
    images = dermxdb.load(tmp_path / "set").images
    assert images.loc["0123", ["paper", "reference"]].tolist() == [True, "Acne"]


def test_composed_and_decomposed_names_are_the_same(tmp_path: Path) -> None:
    composed, decomposed = "l\u00e9sion", "le\u0301sion"
    root = write(tmp_path / "set", {f"labeller1_{decomposed}": [tag("Acne")]}, references={composed: "Acne"})
    text = (root / "images.csv").read_text()
    (root / "images.csv").write_text("\n".join(line for line in text.splitlines() if decomposed not in line) + "\n")
    (root / "images").mkdir()
    (root / "images" / f"{decomposed}.jpeg").touch()
    images = dermxdb.load(root).images
    assert images.index.tolist() == [composed]
    assert images.loc[composed, ["paper", "reference"]].tolist() == [True, "Acne"]
    assert images.loc[composed, "photograph"].stem == decomposed
    shutil.copy(
        root / "annotations" / f"labeller1_{decomposed}.json", root / "annotations" / f"labeller1_{composed}.json"
    )
    with pytest.raises(DataError, match=r"holds annotations/labeller1_.*json twice"):
        dermxdb.load(root)


@pytest.mark.parametrize("kind", ["folder", "tar.gz"])
def test_names_of_another_encoding_are_names(tmp_path: Path, kind: str) -> None:
    root = write(tmp_path / "set", {"labeller1_lesion": [tag("Acne")]}, references={})
    file = root / "annotations" / "labeller1_lesion.json"
    file.rename(file.with_name(os.fsdecode(b"labeller1_l\xe9sion.json")))
    if kind == "tar.gz":
        with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
            archive.add(root, "set")
        root = tmp_path / "set.tar.gz"
    assert dermxdb.load(root).images.index.tolist() == ["l\\xe9sion"]


@pytest.mark.parametrize("name", ["fold.csv", "metadata_fold_x_test.csv", "metadata_fold_9999_test.csv"])
def test_another_name_of_a_fold_is_refused(root: Path, name: str) -> None:
    (root / "folds").mkdir()
    (root / "folds" / name).write_text("current_filename\na_b.jpeg\n")
    with pytest.raises(DataError, match=rf"folds/{name} is no name of a fold: expected metadata_fold_0_train\.csv"):
        dermxdb.load(root)


def test_what_is_no_plain_file_is_refused(root: Path) -> None:
    os.mkfifo(root / "annotations" / "labeller2_d.json")
    with pytest.raises(DataError, match=r"labeller2_d\.json is no file that can be read"):
        dermxdb.load(root)


def zipped(root: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, file.relative_to(root))
    return path


def test_an_archive_that_unpacks_to_gigabytes_is_read_no_further_than_believed(root: Path, tmp_path: Path) -> None:
    path = zipped(root, tmp_path / "set.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations/labeller2_d.json", b" " * 2**26)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"labeller2_d\.json is too large: expected at most 16 MiB"):
        dermxdb.load(path)
    assert tracemalloc.get_traced_memory()[1] < 3 * 2**24
    tracemalloc.stop()


def test_an_encrypted_archive_and_a_name_twice_are_told(root: Path, tmp_path: Path) -> None:
    path = zipped(root, tmp_path / "set.zip")
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag "encrypted" of each entry
        at = -1
        while (at := content.find(start, at + 1)) >= 0:
            content[at + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read, it is damaged or encrypted: .*encrypted"):
        dermxdb.load(path)
    with zipfile.ZipFile(zipped(root, path), "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("metadata.csv", b"")
    with pytest.raises(DataError, match=r"holds metadata\.csv twice"):
        dermxdb.load(path)


def test_unknown_file_name_is_refused(root: Path) -> None:
    write_evaluation(root, "labeller9_c", [])
    with pytest.raises(DataError, match=r"labeller9_c\.json is no name of annotations: expected labellerK_"):
        dermxdb.load(root)


def test_outline_wholly_outside_is_kept_on_the_edge_and_reported(root: Path) -> None:
    write_evaluation(root, "labeller1_c", [tag("Acne"), outline("Cyst", square(30, 2, 40, 5))])
    write_evaluation(root, "labeller2_c", [tag("Acne"), outline("Cyst", square(-5, -5, 30, 30))])
    db = dermxdb.load(root)
    assert db.problems.empty
    assert db.notices["reason"].tolist() == [
        "labeller1_c.json: the outline of 'Cyst' (number 0) lies wholly outside the image (20 x 10 pixels); "
        "it was clipped to the nearest edge"
    ]
    assert np.argwhere(db.mask("c", 1, "Cyst")).tolist() == [[2, 19], [3, 19], [4, 19], [5, 19]]
    assert db.mask("c", 2, "Cyst").all()  # every vertex is outside, but the outline is around the image


def test_metadata_row_without_annotations(root: Path) -> None:
    with (root / "metadata.csv").open("a", newline="") as file:
        file.write("ghost.jpg;SD-260;Acne;ghost.jpeg;light;adult\r\n")
    with pytest.raises(DataError, match=r"metadata\.csv has a row for 'ghost', but no file in annotations/"):
        dermxdb.load(root)
    db = dermxdb.load(root, on_error="skip")
    assert db.problems["file"].tolist() == ["metadata.csv"]
    assert len(db.evaluations) == 5


def test_metadata_without_a_column(root: Path) -> None:
    (root / "metadata.csv").write_text("current_filename;dataset\na_b.jpeg;SD-260\n")
    with pytest.raises(DataError, match=r"metadata\.csv has no column age, diagnosis, original_filename, skin_tone"):
        dermxdb.load(root)


def test_folder_that_is_not_dermxdb(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not DermXDB: expected annotations/ and metadata\.csv"):
        dermxdb.load(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        dermxdb.load(tmp_path / "nowhere")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "metadata.csv").write_text("current_filename\n")
    with pytest.raises(DataError, match="is not DermXDB"):
        dermxdb.load(tmp_path)


def test_wrong_words_are_refused(root: Path) -> None:
    db = dermxdb.load(root)
    for call in (
        lambda: dermxdb.load(root, on_error="ignore"),
        lambda: db.select("paper_554"),
        lambda: db.mask("a_b", 3, "Plaque"),
        lambda: db.mask("nobody", 1, "Plaque"),
        lambda: db.mask("a_b", 1, "Acne"),
        lambda: db.fuzzy_map("a_b", "Plaque", raters="most"),
        lambda: db.fuzzy_map("nobody", "Plaque"),
        lambda: db.rater_map("a_b", 7),
    ):
        with pytest.raises(ValueError, match=r"expected|no "):
            call()


def test_select(root: Path) -> None:
    db = dermxdb.load(root)
    assert len(db.select("all", round=None)) == 5
    assert len(db.select("second_round", round=None)) == 3
    assert len(db.select(["c"])) == 2
    assert db.select("paper", raters=[2])["rater"].unique().tolist() == [2]
    assert db.select("benchmark").empty


@pytest.fixture
def real(real_dermxdb: dermxdb.DermXDB) -> dermxdb.DermXDB:
    return real_dermxdb


@pytest.mark.real_data
def test_real_data_as_described(real: dermxdb.DermXDB) -> None:
    assert real.kind == "real"
    assert real.problems.empty
    assert len(real.notices) == 3
    assert (len(real.evaluations), len(real.instances), len(real.images)) == (5528, 10060, 630)
    assert (real.evaluations["round"] == 2).sum() == 61 * 8
    assert (real.instances["vertices_outside"] > 0).sum() == 2389
    assert real.instances["paths"].sum() == 47896
    assert real.images[["paper", "benchmark", "second_round"]].sum().tolist() == [554, 524, 61]
    assert (real.images["skin_tone"].value_counts()[["light", "medium", "dark"]]).tolist() == [368, 182, 16]
    assert len(real.folds) == 10 * 566
    assert len(real.mask_index) == 10121
    assert real.select("paper")["diagnosis"].notna().sum() == 4202
    reference = real.images.loc[real.images["paper"], "reference"].value_counts()
    assert reference[list(dermxdb.DISEASES)].tolist() == [119, 91, 98, 94, 66, 86]


@pytest.mark.real_data
def test_real_masks_are_the_published_ones_to_the_pixel(real: dermxdb.DermXDB, real_dermxdb_root: Path) -> None:
    manifest = real_dermxdb_root / "derived" / "masks_manifest.csv.xz"
    if not manifest.exists():
        pytest.skip(f"no digests of the published masks: {manifest} does not exist")
    rows = {file.removesuffix(".json"): row for row, file in enumerate(real.evaluations["file"])}
    instances = {
        key: row for row, key in enumerate(zip(real.instances["evaluation"], real.instances["instance"], strict=True))
    }
    published = pd.read_csv(manifest).iloc[::20]
    different = []
    for file in published.itertuples():
        stem, name = file.file.removesuffix(".png").rsplit("_", 1)
        if name.isdigit():  # a single instance, by its rank; else the union of a characteristic
            paths = real.polygons(instances[rows[stem], int(name)])
            packed = masks.rasterise([paths], file.width, file.height)
        else:
            packed = real.packed_mask(rows[stem], name)
        mask = packed.within((0, 0, file.width, file.height))
        digest = hashlib.sha256(np.packbits(mask)).hexdigest()[:16]
        if (digest, mask.sum()) != (file.pixels_sha256_16, file.white):
            different.append(file.file)
            assert abs(int(mask.sum()) - file.white) <= 1
    assert len(published) == 503
    assert len(different) <= 2, different  # of all 10,060 eight differ, by one pixel each


@pytest.mark.real_data
def test_leave_one_out_maps_give_the_benchmarks_rater_row(real: dermxdb.DermXDB) -> None:
    from medxai.evaluation.localisation import fuzzy_scores

    scores = []
    for image in real.images.index[real.images["benchmark"]][::6]:
        for rater in range(1, 9):
            own = real.rater_map(image, rater, 128)
            if own.any():  # the benchmark leaves out who marked nothing
                scores.append((rater, *fuzzy_scores(own, real.explanation_map(image, 128, leave_out=rater))))
    row = pd.DataFrame(scores).groupby(0).mean().mean()
    # Printed: .66, .67, .93 on all 524 images; here every sixth.
    np.testing.assert_allclose(row, [0.66, 0.67, 0.93], atol=0.02)
