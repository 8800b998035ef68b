"""MedMNIST and sets like it: what is read, what is refused, near copies, true masks, and the simulated set."""

import hashlib
import io
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medxai import paths
from medxai.data import fetch, medmnist, photo_sets, real_or_simulated, speckle
from medxai.data.datasets import DATASETS, Download
from medxai.data.medmnist import SETS, SIDES, SPLITS
from medxai.errors import DataError

NUMBERS = {"train": 30, "val": 10, "test": 12}
REAL = [name for name in SETS if SETS[name].kind == "real"]

Arrays = dict[str, np.ndarray]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of data sets, an empty folder of results, nothing forced."""
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.delenv("MEDXAI_DATA_KIND", raising=False)
    return tmp_path / "data"


def arrays(name: str = "breastmnist", side: int = 28) -> Arrays:
    """Noise in the layout of a set, with each class in each split."""
    generator, known, found = np.random.default_rng(0), SETS[name], {}
    for split, number in NUMBERS.items():
        shape = (number, side, side) if known.grey else (number, side, side, 3)
        found[f"{split}_images"] = generator.integers(0, 256, shape, np.uint8)
        found[f"{split}_labels"] = (np.arange(number) % len(known.classes)).astype(np.uint8)[:, None]
    return found


def written(path: Path, content: Arrays, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **content, **options)
    return path


def real(name: str) -> medmnist.Splits:
    """Return a real set; skip the test, with the reason, where it is not."""
    if medmnist.place(name) is None:
        pytest.skip(f"no {DATASETS[name].place} (set MEDXAI_DATA)")
    return medmnist.open_set(name)


# Reading


@pytest.mark.parametrize("name", SETS)
def test_each_set_is_read_as_it_was_written(tmp_path, name):
    content = arrays(name)
    data, known = medmnist.read(written(tmp_path / "x.npz", content), name), SETS[name]
    assert (data.task, data.classes, data.kind, data.grey, data.side) == (
        known.task,
        known.classes,
        known.kind,
        known.grey,
        28,
    )
    for split in SPLITS:
        images = getattr(data, split)
        for channel in range(3):
            expected = content[f"{split}_images"] if known.grey else content[f"{split}_images"][..., channel]
            np.testing.assert_array_equal(images.pictures[..., channel], expected)
        np.testing.assert_array_equal(images.labels, content[f"{split}_labels"][:, 0])
        assert images.names[3] == f"{split}_3"
        assert images.truth is None
    assert data.attribution in data.credit
    assert data.licence in data.credit


def test_what_must_be_said_goes_with_each_set(tmp_path):
    sets = {name: medmnist.read(written(tmp_path / "x.npz", arrays(name)), name) for name in SETS}
    for name in ("breastmnist", "retinamnist", "pneumoniamnist", "dermamnist"):
        assert sets[name].name == f"{SETS[name].title} (not the official file)"
        assert sets[name].remark.startswith("This file has not the checksum of the official ")
    assert "lesion" in sets["dermamnist"].remark
    assert sets["pneumonia-partial"].remark.startswith("Not PneumoniaMNIST")
    assert sets["ham10000-28"].remark.startswith("Not DermaMNIST")
    assert not {"PneumoniaMNIST", "DermaMNIST"} & {sets[name].name for name in ("pneumonia-partial", "ham10000-28")}
    assert "(non-commercial use only)" in sets["ham10000-28"].credit
    assert sets["simulated-ultrasound"].remark.startswith("These images are simulated")
    assert not any(data.official for data in sets.values())


def test_labels_may_be_of_any_kind_of_integer_and_flat(tmp_path):
    content = arrays()
    first = medmnist.read(written(tmp_path / "a.npz", content), "breastmnist")
    content["test_labels"] = content["test_labels"][:, 0].astype(np.int16)
    content["train_ids"] = np.array(["a", "b"])
    second = medmnist.read(written(tmp_path / "b.npz", content), "breastmnist")
    assert first.digest == second.digest, "arrays that are not of the layout are passed over"
    assert second.test.labels.dtype == np.int64
    content["test_labels"][0] = 1
    assert medmnist.read(written(tmp_path / "c.npz", content), "breastmnist").digest != first.digest


def test_images_stored_by_column_are_the_same(tmp_path):
    content = arrays("retinamnist")
    by_column = content | {"val_images": np.asfortranarray(content["val_images"])}
    first, second = (medmnist.read(written(tmp_path / "x.npz", each), "retinamnist") for each in (content, by_column))
    np.testing.assert_array_equal(first.val.pictures, second.val.pictures)


def test_a_split_of_one_class_is_read_and_can_be_found(tmp_path):
    content = arrays()
    content["test_labels"][:] = 1
    counts = medmnist.read(written(tmp_path / "x.npz", content), "breastmnist").counts
    assert counts["test"].to_dict() == {"malignant": 0, "normal or benign": 12}
    assert counts["train"].to_dict() == {"malignant": 15, "normal or benign": 15}


@pytest.mark.parametrize("side", SIDES)
def test_sizes_have_files_of_their_own(root, side):
    path = root / "medmnist" / ("retinamnist.npz" if side == 28 else f"retinamnist_{side}.npz")
    written(path, arrays("retinamnist", side))
    assert medmnist.place("retinamnist", side) == path
    assert medmnist.open_set("retinamnist", side).test.pictures.shape == (12, side, side, 3)


def test_a_file_of_another_size_than_its_name_says_is_refused(root):
    path = written(root / "medmnist" / "breastmnist_64.npz", arrays())
    with pytest.raises(DataError) as caught:
        medmnist.open_set("breastmnist", 64)
    assert str(caught.value) == f"{path} holds images of 28 x 28 pixels: expected 64 x 64"


@pytest.mark.parametrize(
    ("name", "folder"), [("pneumonia-partial", "pneumonia_partial"), ("ham10000-28", "ham10000_28")]
)
def test_sets_without_an_official_file_are_the_only_one_in_their_folder(root, name, folder):
    assert medmnist.place(name) is None
    path = written(root / folder / "any.npz", arrays(name))
    assert medmnist.place(name) == path
    assert medmnist.open_set(name).name == SETS[name].title
    written(root / folder / "more.npz", arrays(name))
    with pytest.raises(DataError, match=rf"{folder} holds 2 files \.npz: expected one, that of {name}"):
        medmnist.place(name)


def test_what_is_not_there_is_told_with_what_to_do(root):
    with pytest.raises(DataError) as caught:
        medmnist.open_set("dermamnist", 224)
    place = root / "medmnist" / "dermamnist_224.npz"
    assert str(caught.value) == f"{place} does not hold DermaMNIST: medxai data fetch dermamnist_224"
    with pytest.raises(DataError, match="does not hold HAM10000-28: put your own copy there"):
        medmnist.open_set("ham10000-28")


@pytest.mark.parametrize(("name", "side"), [("pathmnist", 28), ("breastmnist", 32), ("ham10000-28", 64), ("busi", 28)])
def test_sets_that_nobody_knows_are_told(root, name, side):
    with pytest.raises(
        ValueError, match=rf"there is no set '{name}' of {side} pixels: expected one of breastmnist \(28/"
    ):
        medmnist.place(name, side)
    if name not in SETS:
        with pytest.raises(ValueError, match=f"there is no set '{name}': expected one of breastmnist, "):
            medmnist.read(root / "x.npz", name)


# Official files


def as_official(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    """Let a file be the official one of a set, by its MD5, at an address where nothing answers."""
    source = Download("http://127.0.0.1:1/file", md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], source=source))


def test_the_official_file_is_known_by_its_checksum(root, monkeypatch):
    content = arrays("breastmnist", 64)
    path = written(root / "medmnist" / "breastmnist_64.npz", content)
    as_official(monkeypatch, "breastmnist_64", path.read_bytes())
    data = medmnist.open_set("breastmnist", 64)
    assert data.official
    assert data.name == "BreastMNIST"
    assert data.remark == SETS["breastmnist"].remark
    content["test_images"][0, 0, 0] ^= 1
    written(path, content)
    assert not medmnist.open_set("breastmnist", 64).official


def test_only_the_official_file_is_put_at_its_place(root, tmp_path, monkeypatch):
    given = written(tmp_path / "given.npz", arrays("breastmnist", 64))
    as_official(monkeypatch, "breastmnist_64", given.read_bytes())
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between two attempts
    with pytest.raises(DataError, match=r"could not be downloaded .*put the file at .*breastmnist_64\.npz"):
        fetch.fetch("breastmnist_64")
    wrong = written(tmp_path / "wrong.npz", arrays("breastmnist", 28))
    with pytest.raises(
        DataError, match=r"wrong\.npz has the MD5 [0-9a-f]{32}: expected [0-9a-f]{32}, so it is damaged"
    ):
        fetch.fetch("breastmnist_64", wrong)
    assert medmnist.place("breastmnist", 64) is None
    assert fetch.fetch("breastmnist_64", given) == medmnist.place("breastmnist", 64)
    assert medmnist.open_set("breastmnist", 64).official


def test_each_size_of_the_four_sets_can_be_fetched():
    medmnist_files = {name: dataset for name, dataset in DATASETS.items() if dataset.folder.startswith("medmnist/")}
    downloads = {name: dataset for name, dataset in medmnist_files.items() if isinstance(dataset.source, Download)}
    names = {f"{name}{'' if side == 28 else f'_{side}'}" for name in REAL if "mnist" in name for side in SIDES}
    assert names == downloads.keys()
    assert len({dataset.source.checksum for dataset in downloads.values()}) == 16
    for name, dataset in downloads.items():
        algorithm, digits = dataset.source.checksum
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size
        assert f"/{name}.npz" in dataset.source.url
        assert dataset.folder == f"medmnist/{name}.npz"
        assert dataset.licence == DATASETS[name.partition("_")[0]].licence


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("breastmnist", {"train": [147, 399], "val": [21, 57], "test": [42, 114]}),
        ("retinamnist", {"train": [486, 128, 206, 194, 66], "val": [54, 12, 28, 20, 6], "test": [174, 46, 92, 68, 20]}),
        ("pneumonia-partial", {"train": [388, 3494], "val": [135, 389], "test": [234, 390]}),
        ("ham10000-28", {"test": [37, 53, 117, 12, 98, 865, 16]}),
    ],
)
def test_real_sets(name, counts):
    data = real(name)
    assert data.official == ("mnist" in name)
    assert data.kind == "real"
    for split, expected in counts.items():
        assert data.counts[split].tolist() == expected


# Bad input


def exchange(**others: Callable[[np.ndarray], np.ndarray] | np.ndarray | None) -> Callable[[Arrays], Arrays]:
    """Return what puts other arrays into a file, or takes some out."""

    def change(content: Arrays) -> Arrays:
        content = content | {name: f(content[name]) if callable(f) else f for name, f in others.items()}
        return {name: array for name, array in content.items() if array is not None}

    return change


BAD = {
    "no labels": (exchange(test_labels=None), "lacks test_labels: expected images and labels of train, val, test"),
    "nothing": (lambda _: {}, "lacks train_images, train_labels, val_images, val_labels, test_images, test_labels"),
    "real numbers as pixels": (
        exchange(val_images=lambda a: a / 255),
        "val_images are float64 (10, 28, 28): expected uint8 (n, side, side), with an image at least and side one of "
        "28, 64, 128, 224, as of BreastMNIST",
    ),
    "colour": (
        exchange(train_images=lambda a: np.stack([a] * 3, -1)),
        "train_images are uint8 (30, 28, 28, 3): expected uint8 (n, side, side), ",
    ),
    "oblong": (exchange(test_images=lambda a: a[:, :, 1:]), "test_images are uint8 (12, 28, 27): expected uint8 (n"),
    "another size": (
        exchange(test_images=lambda a: a[:, 1:, 1:]),
        "test_images are uint8 (12, 27, 27): expected uint8 (n, side, side), with an image at least and side one of 28",
    ),
    "one image": (exchange(train_images=lambda a: a[0]), "train_images are uint8 (28, 28): expected uint8 (n"),
    "a number": (exchange(train_images=np.uint8(3)), "train_images are uint8 (): expected uint8 (n"),
    "no image": (exchange(val_images=lambda a: a[:0]), "val_images are uint8 (0, 28, 28): expected uint8 (n"),
    "sizes differ": (
        exchange(test_images=np.zeros((12, 64, 64), np.uint8)),
        "images of train, val, test have sides [28, 28, 64]: expected one size",
    ),
    "a label too many": (
        exchange(test_labels=np.zeros((13, 1), np.uint8)),
        "test_labels are uint8 (13, 1): expected integers (12, 1), one for each image",
    ),
    "real labels": (
        exchange(val_labels=lambda a: a * 1.0),
        "val_labels are float64 (10, 1): expected integers (10, 1)",
    ),
    "one-hot labels": (exchange(val_labels=np.eye(10, dtype=int)), "val_labels are int64 (10, 10): expected integers"),
    "a class too many": (
        exchange(train_labels=lambda a: a + 1),
        "train_labels hold 2: expected 0 to 1, the classes of BreastMNIST",
    ),
    "negative labels": (
        exchange(train_labels=lambda a: a.astype(np.int8) - 1),
        "train_labels hold -1: expected 0 to 1, the classes of BreastMNIST",
    ),
    "huge labels": (exchange(train_labels=np.full(30, 2**64 - 1)), f"train_labels hold {2**64 - 1}: expected 0 to 1"),
    "text": (exchange(train_labels=np.full(30, "0")), "train_labels is of type <U1: expected an array of numbers"),
    "dates": (exchange(test_images=np.zeros(3, "M8[s]")), "test_images is of type datetime64[s]: expected an array"),
    "pickled": (
        exchange(test_labels=np.array([print] * 12, object)),
        "test_labels holds pickled objects, which could run any program: expected an array of numbers",
    ),
    "masks of another size": (
        exchange(test_masks=np.zeros((12, 14, 14), np.uint8)),
        "test_masks are uint8 (12, 14, 14): expected uint8 (12, 28, 28), as its images",
    ),
}


def refused(path: Path, name: str = "breastmnist") -> str:
    """Read a file, expect one sentence that names it, and return that."""
    with pytest.raises(DataError) as caught:
        medmnist.read(path, name)
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    return said


@pytest.mark.parametrize("bad", BAD)
def test_bad_arrays_are_told_in_one_sentence(tmp_path, bad):
    change, sentence = BAD[bad]
    assert sentence in refused(written(tmp_path / "x.npz", change(arrays())))


def test_grey_images_are_refused_where_a_set_is_in_colour(tmp_path):
    said = refused(written(tmp_path / "x.npz", arrays()), "retinamnist")
    assert "train_images are uint8 (30, 28, 28): expected uint8 (n, side, side, 3)" in said


def test_files_that_are_no_archive_are_told(tmp_path):
    path = tmp_path / "x.npz"
    assert refused(path) == f"{path}: there is no such file"
    whole = written(tmp_path / "whole.npz", arrays()).read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[: len(whole) - 10]):
        path.write_bytes(content)
        assert "cannot be read, it is damaged or encrypted" in refused(path)
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    path.write_bytes(single.getvalue())
    assert "cannot be read, it is damaged or encrypted: File is not a zip file" in refused(path)
    path.with_suffix(".zip").write_bytes(whole)
    assert "is no file of arrays: expected one that ends in .npz" in refused(path.with_suffix(".zip"))


def test_pixels_that_do_not_agree_with_their_checksum_are_refused(tmp_path):
    path = written(tmp_path / "x.npz", arrays())
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "Bad CRC-32 for file 'train_images.npy'" in refused(path)


def packed(path: Path, members: dict[str, bytes], link: bool = False) -> Path:
    """Write a zip of files, the last one perhaps a symbolic link, behind the arrays of a good file."""
    written(path, arrays())
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
            archive.writestr(info, content)
    return path


def test_members_that_lead_out_of_the_archive_are_refused(tmp_path):
    assert "is refused, it could write outside" in refused(packed(tmp_path / "a.npz", {"../train_masks.npy": b"x"}))
    assert "is refused, it could write outside" in refused(packed(tmp_path / "b.npz", {"link": b"/etc"}, link=True))


def of_shape(shape: str, dtype: str = "|u1", content: bytes = b"") -> bytes:
    """Return an array of NumPy's format whose header claims a shape."""
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + content


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (of_shape("(10**6, 28, 28)"), "train_masks is no array of NumPy"),
        (of_shape("(1000000, 28, 28)"), "train_masks has 0 bytes, which is not what its shape (1000000, 28, 28) needs"),
        (of_shape("(30, 28, 28)", content=b"x" * 9), "train_masks has 9 bytes, which is not what its shape"),
        (of_shape("(-3, -3)", content=b"x" * 9), "train_masks has 9 bytes, which is not what its shape (-3, -3) needs"),
        (of_shape("(3,)", "|O"), "train_masks holds pickled objects"),
        (of_shape("(3,)", "|V0"), "train_masks is of type |V0"),
        (of_shape("[" * 80), "train_masks is no array of NumPy"),
        (b"\x93NUMPY\x09\x00", "train_masks is no array of NumPy"),
        (b"", "train_masks is no array of NumPy"),
    ],
)
def test_headers_are_not_believed(tmp_path, member, said):
    assert said in refused(packed(tmp_path / "x.npz", {"train_masks.npy": member}))


def test_arrays_that_no_set_has_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(medmnist, "LARGEST", 10_000)
    said = refused(written(tmp_path / "x.npz", arrays()))
    assert "train_images has 23,648 bytes: expected at most 10,000" in said


# Near copies


def with_copies() -> Arrays:
    """Test images 0 and 1 are training images 7 and 3, with noise or in another contrast; test image 2 is constant."""
    content = arrays()
    train, test = content["train_images"], content["test_images"]
    test[0] = train[7] ^ 1
    test[1] = 40 + train[3] // 2
    test[2] = 90
    train[4] = 0
    return content


def test_the_most_alike_training_image_is_found(tmp_path):
    content = with_copies()
    table = medmnist.nearest_in_training(medmnist.read(written(tmp_path / "x.npz", content), "breastmnist"))
    assert table["test"].tolist() == list(range(12))
    assert table["train"].tolist()[:2] == [7, 3]
    assert table["near_copy"].tolist() == [True, True] + [False] * 10
    for row in table.drop(2).itertuples():
        pixels = content["test_images"][row.test].ravel().astype(float)
        each = [
            stats.pearsonr(pixels, image.ravel().astype(float))[0]
            for number, image in enumerate(content["train_images"])
            if number != 4
        ]
        assert row.correlation == pytest.approx(max(each), abs=1e-12)
        assert row.train == [number for number in range(30) if number != 4][int(np.argmax(each))]
        assert row.test_label == content["test_labels"][row.test, 0]
        assert row.train_label == content["train_labels"][row.train, 0]


def test_a_constant_image_is_like_no_other(tmp_path):
    content = with_copies()
    data = medmnist.read(written(tmp_path / "x.npz", content), "breastmnist")
    row = medmnist.nearest_in_training(data, -1).iloc[2]
    assert np.isnan(row["correlation"])
    assert pd.isna(row["train"])
    assert pd.isna(row["train_label"])
    assert not row["near_copy"]
    assert medmnist.nearest_in_training(data, -1)["near_copy"].sum() == 11
    content["train_images"][:] = content["train_images"][:, :1, :1]
    flat = medmnist.nearest_in_training(medmnist.read(written(tmp_path / "x.npz", content), "breastmnist"), -1)
    assert flat["correlation"].isna().all()
    assert not flat["near_copy"].any()


def test_copies_in_colour_and_in_another_size_are_found(tmp_path):
    content = arrays("retinamnist", 64)
    content["train_images"][5] = 255 - content["test_images"][8]
    content["train_images"][6] = content["test_images"][8]
    table = medmnist.nearest_in_training(medmnist.read(written(tmp_path / "x.npz", content), "retinamnist"))
    assert table.loc[8, "train"] == 6
    assert table.loc[8, "correlation"] == pytest.approx(1)
    assert table["near_copy"].sum() == 1


@pytest.mark.real_data
def test_the_leak_of_breastmnist():
    data = real("breastmnist")
    table = medmnist.nearest_in_training(data)
    test, train = (images.pictures[..., 0].reshape(len(images), -1) for images in (data.test, data.train))
    both = np.corrcoef(test, train)[: len(test), len(test) :]
    np.testing.assert_allclose(table["correlation"], both.max(axis=1), atol=1e-12)
    assert table["near_copy"].sum() == 39
    assert medmnist.nearest_in_training(data, 0.97)["near_copy"].sum() == 55
    identical = table[table["correlation"] > 1 - 1e-9]
    for row in identical.itertuples():
        np.testing.assert_array_equal(data.test.pictures[row.test], data.train.pictures[row.train])
    assert (identical["test_label"] != identical["train_label"]).any(), "one picture has both labels"


# True masks


@pytest.fixture
def busi(tmp_path: Path) -> photo_sets.ImageSet:
    """Two malignant images and a normal one that lead to BreastMNIST; the lesion is a quarter of the central square."""
    import cv2

    rows = []
    for number, label in enumerate(("malignant", "malignant", "normal")):
        mask = np.zeros((56, 80), np.uint8)
        mask[:28, 12:40] = 255 * (label != "normal")
        for folder, pixels in (("images", mask // 2 + number), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            assert cv2.imwrite(str(tmp_path / folder / f"{number}.png"), pixels)
        rows.append(f"{number}.png,{label},{('train', 'test', 'val')[number]},{5 + number},{int(label == 'normal')}")
    head = "file,class,breastmnist_split,breastmnist_index,breastmnist_label"
    (tmp_path / "manifest.csv").write_text("\n".join([head, *rows, ""]))
    (tmp_path / "LICENSE.txt").write_text("CC BY 4.0")
    return photo_sets.busi(tmp_path)


def test_masks_by_split_and_row(busi):
    masks = medmnist.lesion_masks(busi)
    assert list(masks) == [("train", 5), ("test", 6)]
    expected = np.zeros((28, 28))
    expected[:14, :14] = 1
    np.testing.assert_array_equal(masks["test", 6], expected)
    coarse = medmnist.lesion_masks(busi, 3)["train", 5]
    np.testing.assert_allclose(coarse, np.outer([1, 0.5, 0], [1, 0.5, 0]), atol=1e-6)


def test_masks_that_lead_nowhere_are_told(busi):
    elsewhere = replace(busi, images=busi.images.drop(columns=["split", "index"]))
    with pytest.raises(DataError, match="does not lead to BreastMNIST: expected columns split and index"):
        medmnist.lesion_masks(elsewhere)
    twice = replace(busi, images=busi.images.assign(split="train", index=0))
    with pytest.raises(DataError, match=r"1\.png leads to an image of BreastMNIST that another leads to"):
        medmnist.lesion_masks(twice)


@pytest.mark.real_data
def test_true_masks_of_breastmnist():
    data, root = real("breastmnist"), paths.data_root() / "busi"
    if not root.is_dir():
        pytest.skip(f"no {root} (set MEDXAI_DATA)")
    images = photo_sets.busi(root)
    masks = medmnist.lesion_masks(images)
    assert pd.Series([split for split, _ in masks]).value_counts().to_dict() == {"train": 60, "test": 19, "val": 6}
    labels = [getattr(data, split).labels[row] for split, row in masks]
    assert (len(masks), np.sum(np.array(labels) == 0)) == (85, 50)
    with np.load(root / "breastmnist_masks28.npz", allow_pickle=False) as theirs:
        small = dict(zip(zip(theirs["split"], theirs["index"], strict=True), theirs["mask"], strict=True))
    for key, mask in masks.items():
        assert mask.shape == (28, 28)
        assert mask.max() > 0
        assert np.abs(mask - small[key] / 255).max() < 0.05, "their filter counts whole pixels only, ours parts"


# The simulated set


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> medmnist.Splits:
    path = tmp_path_factory.mktemp("simulated") / "images.npz"
    path.write_bytes(speckle.npz(28, seed=0))
    return medmnist.read(path, "simulated-ultrasound")


def together(data: medmnist.Splits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the grey images, true masks and labels of all splits."""
    splits = [getattr(data, split) for split in SPLITS]
    masks = np.stack([images.truth(row) for images in splits for row in range(len(images))])
    return np.concatenate([i.pictures[..., 0] for i in splits]), masks, np.concatenate([i.labels for i in splits])


def test_simulated_images_are_read_like_others(simulated):
    assert (simulated.kind, simulated.official, simulated.licence) == ("simulated", False, "CC0 1.0")
    assert simulated.counts.sum().to_dict() == {"train": 546, "val": 78, "test": 156}
    assert (simulated.counts.loc["smooth"] == simulated.counts.loc["spiculated"]).all()
    images, masks, _ = together(simulated)
    assert masks.dtype == np.float32
    assert masks.min() == 0
    assert masks.max() == 1
    np.testing.assert_array_equal(simulated.test.raters(3)[1], simulated.test.truth(3) >= 0.5)
    inside = np.array([image[mask > 0.9].mean() for image, mask in zip(images, masks, strict=True)])
    outside = np.array([image[mask < 0.1].mean() for image, mask in zip(images, masks, strict=True)])
    assert (inside < outside).mean() > 0.98, "the lesion is dark"
    assert not medmnist.nearest_in_training(simulated, 0.97)["near_copy"].any()


def test_the_same_seed_gives_the_same_bytes():
    few, more = {"train": 4, "val": 2, "test": 3}, {"train": 6, "val": 2, "test": 3}
    first = speckle.npz(64, seed=1, images=few)
    assert speckle.npz(64, seed=1, images=few) == first
    assert speckle.npz(64, seed=2, images=few) != first
    with np.load(io.BytesIO(first)) as a, np.load(io.BytesIO(speckle.npz(64, seed=1, images=more))) as b:
        np.testing.assert_array_equal(a["train_images"], b["train_images"][:4])
        np.testing.assert_array_equal(a["test_images"], b["test_images"])
        assert (a["val_images"] != a["test_images"][:2]).any()
    with pytest.raises(ValueError, match="side is 32: expected one of 28, 64, 128, 224"):
        speckle.npz(32, seed=0)


def test_sizes_show_the_same_lesions():
    few = {"train": 1, "val": 1, "test": 20}
    small, large = (np.load(io.BytesIO(speckle.npz(side, seed=0, images=few)))["test_masks"] for side in (28, 224))
    difference = np.abs(large.reshape(20, 28, 8, 28, 8).mean(axis=(2, 4)) - small)
    assert difference.max() < 0.3 * 255
    assert difference.mean() < 0.01 * 255


def test_speckle_has_the_moments_of_theory():
    generator = np.random.default_rng(0)
    envelope = np.stack([speckle.envelope(generator, np.full((128, 128), 3, np.float32)) for _ in range(30)])
    assert np.mean(envelope**2) == pytest.approx(2 * 3**2, rel=0.03)
    # Of Rayleigh's distribution (Wagner et al. 1983): signal to noise, and the spread in decibels.
    assert envelope.mean() / envelope.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)
    assert np.std(20 * np.log10(envelope)) == pytest.approx(20 / np.log(10) * np.pi / np.sqrt(24), rel=0.03)


def test_the_grain_of_speckle_has_the_width_of_the_pulse():
    generator = np.random.default_rng(0)
    power = np.stack([speckle.envelope(generator, np.ones((128, 128), np.float32)) ** 2 for _ in range(30)]) - 2
    for axis, width in ((2, speckle.PULSE[0]), (1, speckle.PULSE[1])):
        one, other = (np.take(power, rows, axis) for rows in (range(126), range(2, 128)))
        expected = np.exp(-(2**2) / (2 * (128 * width) ** 2))  # the pulse with itself, squared
        assert (one * other).mean() / (power**2).mean() == pytest.approx(expected, abs=0.03)


def cross_validated_auc(features: np.ndarray, labels: np.ndarray) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
    return roc_auc_score(labels, cross_val_predict(model, features, labels, cv=5, method="decision_function"))


def test_the_class_is_in_the_shape_and_not_in_brightness_or_area(simulated):
    images, masks, labels = together(simulated)
    for feature in (images.mean(axis=(1, 2)), images.std(axis=(1, 2)), masks.mean(axis=(1, 2))):
        assert abs(roc_auc_score(labels, feature) - 0.5) < 0.06
    length = sum(np.abs(np.diff(masks, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    assert roc_auc_score(labels == 0, length**2 / masks.sum(axis=(1, 2))) > 0.98, "margin squared by area, of the masks"
    edges = np.array([hog(image, 8, (4, 4), (1, 1)) for image in images])
    assert 0.6 < cross_validated_auc(edges, labels) < 0.9, "a linear model of edges learns some of it"


# Real or simulated


def test_real_images_are_opened_where_they_are(root, monkeypatch):
    written(root / "medmnist" / "breastmnist.npz", arrays())
    assert real_or_simulated.open_small_images("breastmnist").kind == "real"
    assert real_or_simulated.open_small_images("breastmnist", kind="real").kind == "real"
    assert not paths.RESULTS.exists()
    monkeypatch.setenv("MEDXAI_DATA_KIND", "simulated")
    assert real_or_simulated.open_small_images("breastmnist").name == "Simulated ultrasound"
    assert real_or_simulated.open_small_images("breastmnist", kind="real").kind == "real"


def test_without_them_simulated_ones_are_written_once(root, monkeypatch):
    first = real_or_simulated.open_small_images("retinamnist", 64)
    assert (first.kind, first.side) == ("simulated", 64)
    (path,) = paths.RESULTS.rglob("*.npz")
    monkeypatch.setattr(speckle, "npz", lambda *_, **__: pytest.fail("written a second time"))
    assert real_or_simulated.open_small_images("breastmnist", 64).digest == first.digest
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="is damaged or encrypted"):
        real_or_simulated.open_small_images("breastmnist", 64)


def test_real_ones_that_are_not_there_are_told(root):
    with pytest.raises(DataError, match="does not hold BreastMNIST: medxai data fetch breastmnist_64"):
        real_or_simulated.open_small_images("breastmnist", 64, "real")
    with pytest.raises(ValueError, match="kind of data is 'imagined'"):
        real_or_simulated.open_small_images("breastmnist", kind="imagined")
    with pytest.raises(ValueError, match="there is no set 'pathmnist'"):
        real_or_simulated.open_small_images("pathmnist", kind="simulated")
