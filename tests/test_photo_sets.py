"""Real image sets: counts, masks, licences, artefacts; small sets of our own for everything that can be wrong."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from medxai import paths
from medxai.data import photo_sets
from medxai.errors import DataError


def real(name: str) -> Path:
    """Return the folder of a real set; skip the test, with the reason, where it is not."""
    root = paths.data_root() / name
    if not root.is_dir():
        pytest.skip(f"no real images: {root} does not exist (set MEDXAI_DATA)")
    return root


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def toy_busi(tmp_path: Path) -> Path:
    """Two images in BUSI's layout, the second one normal."""
    root = tmp_path / "busi"
    mask = np.zeros((30, 40), np.uint8)
    for name in ("a.png", "b.png"):
        write(root / "images" / name, np.arange(1200, dtype=np.uint8).reshape(30, 40))
        mask[5:10, 6:12] = 255 * (name == "a.png")
        write(root / "masks" / name, mask)
    (root / "manifest.csv").write_text(
        "file,class,breastmnist_split,breastmnist_index,breastmnist_label\na.png,malignant,train,0,0\n"
        "b.png,normal,test,1,1\n"
    )
    (root / "LICENSE.txt").write_text("CC BY 4.0")
    return root


@pytest.fixture
def downloaded_busi(tmp_path: Path) -> Path:
    """BUSI in its authors' folders: eleven benign images, the second with two masks, one malignant, one normal."""
    root = tmp_path / "busi"
    generator = np.random.default_rng(0)
    for label, number in {"benign": 11, "malignant": 1, "normal": 1}.items():
        folder = root / photo_sets.BUSI_FOLDER / label
        for i in range(1, number + 1):
            write(folder / f"{label} ({i}).png", generator.integers(0, 255, (30, 40), np.uint8))
            mask = np.zeros((30, 40), np.uint8)
            mask[5:10, 6:12] = 255 * (label != "normal")
            write(folder / f"{label} ({i})_mask.png", mask)
    write(root / photo_sets.BUSI_FOLDER / "benign" / "benign (2)_mask_1.png", _corner(mask))
    (root / "LICENSE.txt").write_text("CC BY 4.0")
    return root


def _corner(mask: np.ndarray) -> np.ndarray:
    """Mark three pixels of the first row."""
    corner = np.zeros_like(mask)
    corner[0, :3] = 255
    return corner


@pytest.fixture
def toy_artefacts(tmp_path: Path) -> Path:
    """A red cross as a pair and ink on white, in the layout of the artefact set."""
    root = tmp_path / "ham"
    write(root / "test_images" / "T.jpg", np.full((20, 24, 3), 120, np.uint8))
    write(root / "test_masks" / "T.png", np.zeros((20, 24), np.uint8))
    skin = np.full((6, 8, 3), 180, np.uint8)
    marked = skin.copy()
    marked[2], marked[:, 3] = (20, 20, 200), (250, 250, 250)
    for name, pixels in {
        "A/A_with_1": marked,
        "A/A_without_1": skin,
        "B/B_1": np.where(marked == 180, 255, marked),
    }.items():
        write(root / f"artefacts/src/{name}.png", pixels)
    for name in "AB":
        write(root / f"artefacts/src/{name}.jpg", skin)
    entries = [
        {"class": kind, "name": name, "artefact_folder": f"src/{name}"}
        for name, kind in {"A": "ruler", "B": "marking"}.items()
    ]
    (root / "artefacts" / "meta.json").write_text(json.dumps({"artefacts": entries}))
    (root / "diagnoses.csv").write_text("image_id,dx,artefact,subclass\nA,nv,ruler,vertical\nB,mel,marking,\nT,nv,,\n")
    (root / "LICENSE").write_text("Attribution-NonCommercial 4.0 International")
    (root / "test_images" / "LICENSE.md").write_text("CC BY-NC-SA 4.0")
    return root


@pytest.mark.real_data
def test_busi():
    root = real("busi")
    images = photo_sets.busi(root)
    assert images.images["label"].value_counts().to_dict() == {"benign": 35, "malignant": 50, "normal": 50}
    assert images.licence == "CC BY 4.0"
    drawn = pd.Series({name: images.mask(name).any() for name in images.images.index})
    assert (drawn == (images.images["label"] != "normal")).all()
    assert ((images.images["label"] == "malignant") == (images.images["breastmnist_label"] == 0)).all()
    with np.load(root / "breastmnist_masks28.npz", allow_pickle=False) as small:
        names, masks = small["name"], small["mask"]
    assert list(names) == list(images.images.index)
    ours = np.stack([photo_sets.on_breastmnist_grid(images.mask(name)) for name in names])
    assert np.abs(ours - masks / 255).max() < 0.05, "their filter counts whole pixels only, ours parts of pixels"
    assert ((ours > 0.5) == (masks > 127)).mean() > 0.999


@pytest.mark.real_data
def test_busi_leads_to_breastmnist():
    path = real("medmnist") / "breastmnist.npz"
    images = photo_sets.busi(real("busi"))
    with np.load(path, allow_pickle=False) as arrays:
        small = {name: arrays[name] for name in arrays.files}
    for name, row in images.images.iterrows():
        assert small[f"{row['split']}_labels"][row["index"], 0] == row["breastmnist_label"]
        theirs = small[f"{row['split']}_images"][row["index"]]
        ours = photo_sets.on_breastmnist_grid(images.image(name)[..., 0])
        assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.98, name


@pytest.mark.real_data
def test_isic_uda1():
    images = photo_sets.isic_uda1(real("isic_uda1"))
    assert images.images["label"].value_counts().to_dict() == {"benign": 172, "malignant": 62}
    assert images.licence == "CC0 1.0"
    for name in images.images.index[::40]:
        width, height = images.images.loc[name, ["width", "height"]]
        assert images.image(name).shape == (height, width, 3)
        assert images.mask(name) is None


@pytest.mark.real_data
def test_ham10000_artefacts():
    images = photo_sets.ham10000_artefacts(real("ham10000_artefacts"))
    assert images.images["artefact"].value_counts().to_dict() == {"bubble": 11, "ruler": 20, "marking": 20}
    drawn = images.images.index[images.images["masks"].map(len) > 0]
    assert len(drawn) == len(images.images) - 51 == 5
    assert images.templates["artefact"].value_counts().to_dict() == {"bubble": 96, "ruler": 20, "marking": 28}
    assert images.licence == "CC BY-NC-SA 4.0"
    assert "non-commercial" in images.credit
    assert all(images.mask(name).any() for name in drawn)
    for name, row in images.templates.iterrows():
        artefact = images.artefact(name)
        assert artefact.mask.any()
        if row["without"] is not None:
            skin, marked = (cv2.imread(str(row[column]))[..., ::-1] for column in ("without", "path"))
            again, _ = photo_sets.paste(skin, artefact, (0, 0))
            assert np.abs(again.astype(int) - marked).max() <= photo_sets.VISIBLE


def test_images_masks_and_credit(toy_busi):
    images = photo_sets.busi(toy_busi)
    assert images.image("a.png").shape == (30, 40, 3)
    assert images.mask("a.png").sum() == 30
    assert not images.mask("b.png").any()
    assert images.credit.endswith("2020. CC BY 4.0.")


def test_busi_as_downloaded(downloaded_busi):
    images = photo_sets.busi(downloaded_busi)
    assert list(images.images.index[[0, 1, 9, 10]]) == [f"benign ({i}).png" for i in (1, 2, 10, 11)]
    assert images.images["label"].value_counts().to_dict() == {"benign": 11, "malignant": 1, "normal": 1}
    assert images.image("malignant (1).png").shape == (30, 40, 3)
    assert images.mask("benign (1).png").sum() == 30
    assert images.mask("benign (2).png").sum() == 30 + 3, "several masks are united"
    assert images.mask("benign (2).png")[0, :3].all()
    assert not images.mask("normal (1).png").any()
    assert images.credit == photo_sets.busi(downloaded_busi).credit


def test_busi_as_downloaded_may_lie_at_the_place_itself(downloaded_busi):
    (downloaded_busi / "LICENSE.txt").rename(downloaded_busi / photo_sets.BUSI_FOLDER / "LICENSE.txt")
    inside = photo_sets.busi(downloaded_busi / photo_sets.BUSI_FOLDER)
    pd.testing.assert_frame_equal(inside.images, photo_sets.busi(downloaded_busi).images)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("benign/benign (3)_mask.png", r"benign \(3\)\.png has no mask: expected benign \(3\)_mask\.png beside it"),
        ("malignant/*", r"malignant holds no image: expected 'malignant \(1\)\.png'"),
    ],
)
def test_busi_as_downloaded_and_not_whole(downloaded_busi, pattern, sentence):
    for path in (downloaded_busi / photo_sets.BUSI_FOLDER).glob(pattern):
        path.unlink()
    with pytest.raises(DataError, match=sentence):
        photo_sets.busi(downloaded_busi)


def test_busi_as_downloaded_needs_a_licence_note_too(downloaded_busi):
    (downloaded_busi / "LICENSE.txt").unlink()
    with pytest.raises(DataError, match="no licence note"):
        photo_sets.busi(downloaded_busi)


def test_the_digest_of_a_set_is_that_of_its_labels_and_files(toy_busi):
    def digest() -> str:
        return photo_sets.busi(toy_busi).digest

    first = digest()
    assert digest() == first
    write(toy_busi / "masks" / "b.png", np.full((30, 40), 255, np.uint8))
    second = digest()
    manifest = toy_busi / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("malignant", "benign"))
    assert len({first, second, digest()}) == 3


def test_near_copies_are_found_through_a_chain():
    generator = np.random.default_rng(0)
    a, b, other = (cv2.resize(generator.uniform(0, 255, (7, 7)), (56, 56)) for _ in range(3))
    copies = [a, 0.8 * a + 0.2 * b, 0.6 * a + 0.4 * b, other, 0.5 * other + 20]  # first and third are less alike
    images = [np.repeat(image.astype(np.uint8)[..., None], 3, axis=2) for image in copies]
    correlation = np.corrcoef([image.ravel().astype(float) for image in images])
    assert correlation[0, 2] < 0.9 < min(correlation[0, 1], correlation[1, 2])
    np.testing.assert_array_equal(photo_sets.near_copies(images), [0, 0, 0, 1, 1])


@pytest.mark.real_data
def test_near_copies_of_busi():
    images = photo_sets.busi(real("busi"))
    groups = photo_sets.near_copies([images.image(name) for name in images.images.index])
    lesion = [f"malignant_00{i}.png" for i in range(3, 10)]
    assert len(set(groups[images.images.index.get_indexer(lesion)])) == 1, "seven pictures of one lesion"
    assert 100 < groups.max() < 125, "some are found, and most images are no copies"


def test_the_strictest_licence_counts(toy_artefacts):
    images = photo_sets.ham10000_artefacts(toy_artefacts)
    assert images.licence == "CC BY-NC-SA 4.0"
    assert images.credit.endswith("CC BY-NC-SA 4.0 (non-commercial use only).")


def test_a_licence_may_stand_in_the_readme_above(toy_busi):
    (toy_busi / "LICENSE.txt").unlink()
    (toy_busi.parent / "README.md").write_text("| `other/` | CC0 |\n| `busi/` | Al-Dhabyani, CC BY 4.0 |\n")
    assert photo_sets.licence_of(toy_busi) == "CC BY 4.0"


@pytest.mark.parametrize("note", [None, "", "All rights reserved"])
def test_without_a_licence_nothing_is_opened(toy_busi, note):
    (toy_busi / "LICENSE.txt").unlink()
    if note is not None:
        (toy_busi / "LICENSE.txt").write_text(note)
    with pytest.raises(DataError, match="no licence note"):
        photo_sets.busi(toy_busi)


@pytest.mark.parametrize("values", [("", "somebody"), ("CC0 1.0", " ")])
def test_a_set_needs_licence_and_credit(values):
    with pytest.raises(DataError, match="cannot be shown"):
        photo_sets.ImageSet("x", *values, pd.DataFrame({"path": [], "label": [], "masks": []}))


def test_cut_out_is_exact_on_its_own_skin(toy_artefacts):
    images = photo_sets.ham10000_artefacts(toy_artefacts)
    skin = np.full((6, 8, 3), 180, np.uint8)
    again, mask = photo_sets.paste(skin, images.artefact("A_with_1"), (0, 0))
    np.testing.assert_array_equal(again, cv2.imread(str(toy_artefacts / "artefacts/src/A/A_with_1.png"))[..., ::-1])
    assert mask.sum() == 13
    assert mask[2].all()
    assert mask[:, 3].all()


def test_ink_on_white_takes_away_light(toy_artefacts):
    ink = photo_sets.ham10000_artefacts(toy_artefacts).artefact("B_1")
    np.testing.assert_allclose(ink.rgba[2, 0, 3], 235 / 255, rtol=1e-6)  # 1 - darkest channel
    white, _ = photo_sets.paste(np.full((6, 8, 3), 255, np.uint8), ink, (0, 0))
    np.testing.assert_array_equal(white[2, 0], [200, 20, 20])


def test_paste_at_the_border_and_at_random(toy_artefacts):
    images = photo_sets.ham10000_artefacts(toy_artefacts)
    artefact, image = images.artefact("A_with_1"), images.image("T")
    result, mask = photo_sets.paste(image, artefact, (-2, -1))
    assert mask.sum() == 7 + 3
    assert (result[~mask] == image[~mask]).all()
    assert (image == 120).all(), "the image that was given stays"
    first, second = (photo_sets.paste(image, artefact, None, np.random.default_rng(4))[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.sum() == 13, "inside the image"
    small, mask = photo_sets.paste(image[:3, :3].copy(), artefact, None, np.random.default_rng(0))
    assert small.shape == (3, 3, 3)


def test_paste_refuses(toy_artefacts):
    images = photo_sets.ham10000_artefacts(toy_artefacts)
    artefact, image = images.artefact("A_with_1"), images.image("T")
    with pytest.raises(ValueError, match="8 x 6 pixels at \\(20, 0\\) misses the image"):
        photo_sets.paste(image, artefact, (20, 0))
    with pytest.raises(ValueError, match="expected a position, or a generator"):
        photo_sets.paste(image, artefact)
    with pytest.raises(ValueError, match=r"expected uint8 \(height, width, 3\)"):
        photo_sets.paste(image[..., 0], artefact, (0, 0))


@pytest.mark.parametrize(
    ("loader", "sentence"),
    [
        ("busi", "is not BUSI: expected Dataset_BUSI_with_GT/ or manifest"),
        ("isic_uda1", "is not ISIC UDA-1"),
        ("ham10000_artefacts", "is not HAM10000 artefacts"),
    ],
)
def test_a_folder_that_is_not_the_set(tmp_path, loader, sentence):
    with pytest.raises(DataError, match=sentence):
        getattr(photo_sets, loader)(tmp_path)


def test_bad_sets(toy_busi):
    write(toy_busi / "masks" / "a.png", np.zeros((20, 40), np.uint8))
    with pytest.raises(DataError, match="is 40 x 20 pixels: expected 40 x 30"):
        photo_sets.busi(toy_busi).mask("a.png")
    (toy_busi / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png is no image that can be read"):
        photo_sets.busi(toy_busi).image("a.png")
    with pytest.raises(DataError, match="has no image 'z'"):
        photo_sets.busi(toy_busi).image("z")
    (toy_busi / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png is listed in BUSI.* and is not there"):
        photo_sets.busi(toy_busi)
    (toy_busi / "manifest.csv").write_text("file,class\na.png,benign\n")
    with pytest.raises(DataError, match="lacks columns: expected breastmnist_split"):
        photo_sets.busi(toy_busi)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",benign,train,0,1", "has a row without file: expected a name and a label in each"),
        ("a.png,,train,0,1", "has a row without class: expected a name and a label in each"),
        ("a.png,benign,train,0,1,more", "is no table: expected comma-separated values"),
        ("7,benign,train,0,1", "7 is listed in BUSI"),
        ("\x00,,", "manifest.csv"),
    ],
)
def test_cells_of_another_kind_are_told_in_one_sentence(toy_busi, row, said):
    head, *rows = (toy_busi / "manifest.csv").read_text().splitlines()
    (toy_busi / "manifest.csv").write_text("\n".join([head, *rows, row, ""]))
    with pytest.raises(DataError, match=re.escape(said)) as error:
        photo_sets.busi(toy_busi)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "entry", ['"text"', "7", "{}", '{"class": "a", "name": "b", "artefact_folder": 7}', "[" * 100_000]
)
def test_lists_of_artefacts_of_another_structure_are_told(toy_artefacts, entry):
    (toy_artefacts / "artefacts/meta.json").write_text(f'{{"artefacts": [{entry}]}}')
    with pytest.raises(DataError, match="is not the list of the cut-out artefacts"):
        photo_sets.ham10000_artefacts(toy_artefacts)


def test_bad_artefacts(toy_artefacts):
    images = photo_sets.ham10000_artefacts(toy_artefacts)
    with pytest.raises(DataError, match="has no artefact 'z'"):
        images.artefact("z")
    (toy_artefacts / "artefacts/src/A/A_without_1.png").unlink()
    with pytest.raises(DataError, match="cannot be cut out without it"):
        photo_sets.ham10000_artefacts(toy_artefacts)
    (toy_artefacts / "artefacts/meta.json").write_text("{}")
    with pytest.raises(DataError, match="is not the list of the cut-out artefacts"):
        photo_sets.ham10000_artefacts(toy_artefacts)
