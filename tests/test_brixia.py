"""Films with the scores of two readers, and the boxes of lungs that zones are made of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medxai import paths
from medxai.data import brixia, chest_phantom, lung_boxes
from medxai.data.lung_boxes import Box
from medxai.errors import DataError
from medxai.evaluation import ordinal_agreement

SIDE = 96


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two films of one case and one of another, of any shape."""
    table = pd.DataFrame({"png512": ["png512/a.png", "png512/b.png", "png512/c.png"], "url": ["u", "u", "v"]})
    for row, letter in enumerate("SJ"):
        for column, zone in enumerate(brixia.ZONES):
            table[f"{letter}-{zone}"] = (column + row + np.arange(3)) % 4
    (tmp_path / "png512").mkdir()
    for name in table["png512"]:
        Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40)).save(tmp_path / name)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "LICENSE.txt").write_text("Annotations CC BY-NC-SA 4.0")
    return tmp_path


def test_films_scores_and_cases(root: Path) -> None:
    films = brixia.read(root, SIDE)
    assert list(films.images.names) == ["a", "b", "c"]
    assert films.images.groups.tolist() == [0, 0, 1]
    assert films.scores.shape == (3, 2, 6)
    assert films.scores[1].tolist() == [[1, 2, 3, 0, 1, 2], [2, 3, 0, 1, 2, 3]]
    assert "non-commercial" in films.credit


def test_zones_are_thirds_of_each_lung() -> None:
    zones = brixia.zone_masks(((0.1, 0.1, 0.4, 0.7), (0.6, 0.2, 0.9, 0.8)), 100)
    assert zones.sum(axis=0).max() == 1, "none overlap"
    assert zones.sum(axis=(1, 2)).tolist() == [30 * 20] * 6
    right_upper, left_lower = zones[brixia.ZONES.index("A")], zones[brixia.ZONES.index("F")]
    assert right_upper[10:30, 10:40].all()
    assert left_lower[60:80, 60:90].all()


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("S-A", 4, "a.png has a score that is none of 0 to 3"),
        ("J-F", 0.5, "a score that is none of"),
        ("J-B", None, "a score that is none of"),
        ("png512", "png512/b.png", "one film twice"),
        ("png512", None, "a row without png512"),
        ("png512", "../a.png", "expected a path below"),
        ("png512", "none.png", "none.png"),
    ],
)
def test_bad_lists(root: Path, column: str, value: object, sentence: str) -> None:
    table = pd.read_csv(root / "manifest.csv").astype(object)
    table.loc[0, column] = value
    table.to_csv(root / "manifest.csv", index=False)
    with pytest.raises(DataError, match=sentence):
        brixia.read(root, SIDE)


def test_missing_parts(root: Path) -> None:
    pd.read_csv(root / "manifest.csv").drop(columns="J-C").to_csv(root / "manifest.csv", index=False)
    with pytest.raises(DataError, match="expected J-C, too"):
        brixia.read(root, SIDE)
    (root / "manifest.csv").unlink()
    with pytest.raises(DataError, match="is not the Brixia set"):
        brixia.read(root, SIDE)


def _true_boxes(lungs: np.ndarray) -> list[Box]:
    """Return the boxes around the lungs of a phantom, in sides of it."""
    boxes = []
    for half in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
        mine = np.zeros_like(lungs)
        mine[:, half] = lungs[:, half]
        rows, columns = np.nonzero(mine)
        boxes.append(tuple(np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SIDE))
    return boxes


def _overlap(one: Box, other: Box) -> float:
    """Return intersection over union."""
    width, height = (max(0, min(one[i + 2], other[i + 2]) - max(one[i], other[i])) for i in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def test_boxes_sit_on_the_lungs_of_phantoms_better_than_a_fixed_grid() -> None:
    films = chest_phantom.draw(36, SIDE, 21)
    true = [_true_boxes(lungs) for lungs in films.lungs]
    fitted = [lung_boxes.fit(picture[..., 0]) for picture in films.images.pictures]
    fixed = np.mean(true, axis=0)
    overlaps = [
        [_overlap(box, known) for box, known in zip(*pair, strict=True)] for pair in zip(fitted, true, strict=True)
    ]
    of_fixed = [[_overlap(box, known) for box, known in zip(fixed, one, strict=True)] for one in true]
    assert np.mean(overlaps) > 0.85
    assert np.mean(overlaps) > np.mean(of_fixed)


def test_boxes_follow_a_film_that_is_smaller_and_moved() -> None:
    picture = chest_phantom.draw(1, 128, 3).images.pictures[0, ..., 0]
    smaller = np.full((160, 160), picture[0, 0])
    smaller[32:, 16:144] = picture
    moved = [(np.array(box) * 160 - (16, 32, 16, 32)) / 128 for box in lung_boxes.fit(smaller)]
    np.testing.assert_allclose(moved, lung_boxes.fit(picture), atol=0.06)


@pytest.mark.real_data
def test_the_real_set() -> None:
    root = paths.data_root() / "brixia_cxr"
    if not root.is_dir():
        pytest.skip(f"no {root} (set MEDXAI_DATA)")
    films = brixia.read(root, SIDE)
    table = pd.read_csv(root / "manifest.csv")
    assert len(films.images) == 84
    for reader, letter in enumerate(brixia.READERS.values()):
        np.testing.assert_array_equal(films.scores[:, reader].sum(axis=1), table[f"{letter}-Global"])
    agreed = ordinal_agreement.agreement(films.scores[:, 0], films.scores[:, 1], brixia.ZONES)
    assert agreed["weighted_kappa"].between(0.6, 0.95).all()
    assert (films.zones.mean(axis=(2, 3)) > 0.02).all()
