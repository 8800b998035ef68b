"""Simulated DermXDB: the schema of the real files, determinism, and how near the published agreement it comes."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from medxai import paths
from medxai.data import dermxdb, simulate, simulate_lesions
from medxai.errors import DataError
from medxai.evaluation import agreement

IMAGES = 288


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate.write(tmp_path_factory.mktemp("simulated") / "set", images=IMAGES, seed=0)


@pytest.fixture(scope="module")
def db(root: Path) -> dermxdb.DermXDB:
    return dermxdb.load(root)


@pytest.fixture(scope="module")
def overlaps(db: dermxdb.DermXDB) -> pd.DataFrame:
    return agreement.overlaps(db)


def published(table: str) -> pd.DataFrame:
    return pd.read_csv(paths.CARRIED / "published" / f"dermx_table_{table}.csv", index_col=0)


def distance(measured: pd.DataFrame, table: str, columns: dict[str, str]) -> dict[str, float]:
    """Mean absolute difference over the rows of a table; `columns`: ours -> the printed one's."""
    printed = published(table).loc[measured.index]
    return {ours: float((measured[ours] - printed[theirs]).abs().mean()) for ours, theirs in columns.items()}


SCORES = {"sensitivity": "sensitivity_mean", "specificity": "specificity_mean"}
SPREADS = {"sensitivity_std": "sensitivity_std", "specificity_std": "specificity_std"}


def test_diagnosis_is_near_table_a8(db: dermxdb.DermXDB) -> None:
    near = distance(
        agreement.diagnosis(db.select("paper")),
        "a08_dermatologist_diagnosis",
        {"f1": "f1_score_mean", "f1_std": "f1_score_std"} | SCORES | SPREADS,
    )
    assert max(near.values()) < 0.03, near


def test_presence_is_near_tables_2_and_a9(db: dermxdb.DermXDB) -> None:
    names = {"f1": "f1_score_mean", "cohens_kappa": "cohens_kappa_mean"} | SCORES
    spreads = {"f1_std": "f1_score_std", "cohens_kappa_std": "cohens_kappa_std"} | SPREADS
    table = agreement.presence(db.select("paper"))
    near = distance(table, "a09_interrater_presence_full", names | spreads)
    assert max(near.values()) < 0.07, near
    selected = published("a09_interrater_presence_full").loc[table.index, "average_selection_mean"] * IMAGES / 554
    assert (table["average_selection"] - selected).abs().mean() < 3  # images per rater


def test_prevalence_is_near_table_a11(db: dermxdb.DermXDB) -> None:
    table = agreement.prevalence(db.select("paper"))
    printed = published("a11_characteristic_prevalence").loc[table.index]
    assert np.abs(table.to_numpy() - printed.to_numpy()).mean() < 0.02
    assert np.abs(table.to_numpy() - printed.to_numpy()).max() < 0.15


def test_place_is_near_tables_3_and_a10(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    table = agreement.localisation(overlaps, db.select("paper"))
    names = {"iou": "f1_score_mean"} | SCORES
    near = distance(table, "a10_interrater_localization_full", names)
    assert max(near.values()) < 0.05, near
    spreads = {"iou_std": "f1_score_std"} | SPREADS
    near = distance(table, "a10_interrater_localization_full", spreads)
    assert max(near.values()) < 0.06, near


def test_a_rater_agrees_more_with_himself_than_with_others(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    both = db.select("second_round", round=None)
    table = agreement.intra_rater(overlaps, both)
    assert table["f1_intra"].mean() > table["f1_inter"].mean() + 0.1
    assert table["iou_intra"].mean() > table["iou_inter"].mean() + 0.03
    same = agreement.repeated_diagnosis(both)["same_diagnosis"]
    assert same["intra"] > same["inter"] + 0.03
    assert same["intra"] == pytest.approx(0.873, abs=0.05)  # measured on the real annotations


def test_every_file_has_the_keys_of_the_real_ones(root: Path) -> None:
    files = sorted((root / "annotations").iterdir())
    assert len(files) == 8 * IMAGES + 8 * (IMAGES // 9)
    kinds = set()
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        assert list(content) == ["dataset", "image", "annotations"]
        keys = "width height original_filename filename url thumbnail_url path workview_url"
        assert list(content["image"]) == keys.split()
        assert Path(content["image"]["filename"]).stem == file.stem
        for annotation in content["annotations"]:
            kinds.add(tuple(annotation))
    assert kinds == {
        ("name", "tag"),
        ("bounding_box", "name", "polygon"),
        ("bounding_box", "complex_polygon", "name"),
        ("attributes", "bounding_box", "name", "polygon"),
        ("attributes", "bounding_box", "complex_polygon", "name"),
    }


def outlines(root: Path):
    """All localised annotations with their paths as arrays and the size of their image."""
    for file in (root / "annotations").iterdir():
        content = json.loads(file.read_text(encoding="utf-8"))
        size = content["image"]["width"], content["image"]["height"]
        for annotation in content["annotations"]:
            if "tag" not in annotation:
                single = "polygon" in annotation
                found = [annotation["polygon"]["path"]] if single else annotation["complex_polygon"]["path"]
                assert single == (len(found) == 1)
                yield annotation, [np.array([(p["x"], p["y"]) for p in path]) for path in found], size


def test_boxes_fit_and_paths_do_not_overlap(root: Path) -> None:
    beyond = number = 0
    for annotation, polygons, (width, height) in outlines(root):
        everything = np.concatenate(polygons)
        box = annotation["bounding_box"]
        assert list(box) == ["h", "w", "x", "y"]
        assert [box["x"], box["y"]] == pytest.approx(everything.min(0), abs=0.011)
        assert [box["w"], box["h"]] == pytest.approx(np.ptp(everything, axis=0), abs=0.021)
        assert min(len(polygon) for polygon in polygons) >= 3
        assert np.abs(everything - np.clip(everything, 0, (width, height))).max() < 0.1 * max(width, height)
        beyond += bool((everything != np.clip(everything, 0, (width - 1, height - 1))).any())
        number += 1
        if number % 20 == 0 and len(polygons) > 1:  # the even-odd rule must give the union
            whole, union = np.zeros((2, height, width), np.uint8)
            points = [np.rint(np.clip(p, 0, (width - 1, height - 1))).astype(np.int32) for p in polygons]
            cv2.fillPoly(whole, points, 1)
            for path in points:
                cv2.fillPoly(union, [path], 1)
            assert (whole != union).sum() <= 0.02 * union.sum()
    assert 0.1 < beyond / number < 0.5  # 0.24 of the real ones


def test_the_loader_reads_everything(db: dermxdb.DermXDB, overlaps: pd.DataFrame) -> None:
    assert db.kind == "simulated"
    assert db.problems.empty
    assert len(db.evaluations) == 8 * IMAGES + 8 * (IMAGES // 9)
    assert set(db.instances["characteristic"]) == set(dermxdb.CHARACTERISTICS)
    assert db.images["paper"].all()
    assert db.images["second_round"].sum() == IMAGES // 9
    own = overlaps[overlaps["first"] == overlaps["second"]]
    assert (own["first_area"] > 0).all()
    first_round = db.evaluations[db.evaluations["round"] == 1]
    assert first_round["diagnosis"].notna().mean() == pytest.approx(4202 / 4432, abs=0.02)


def test_the_tables_have_the_columns_of_the_real_ones(root: Path) -> None:
    metadata = pd.read_csv(root / "metadata.csv", sep=";")
    assert list(metadata) == ["original_filename", "dataset", "diagnosis", "current_filename", "skin_tone", "age"]
    assert set(metadata["skin_tone"]) == {"light", "medium", "dark"}
    assert set(metadata["age"]) == {"young", "adult", "elderly"}
    index = pd.read_csv(root / "masks" / "instance_mask_annotations.csv")
    assert list(index) == ["image_id", "mask_id", "class_name"]
    assert len(index) == sum(1 for _ in outlines(root))
    images = pd.read_csv(root / "images.csv")
    assert list(images) == list(pd.read_csv(paths.CARRIED / "dermxdb" / "images.csv"))
    about = json.loads((root / "SIMULATED.json").read_text())
    assert about["seed"] == 0
    assert "simulated" in about["simulated"]
    assert "simulated" in (root / "README.md").read_text()


def test_folds_share_no_patient_and_keep_the_diseases(root: Path) -> None:
    metadata = pd.read_csv(root / "metadata.csv", sep=";")
    tests = []
    for number in range(10):
        train, test = (
            pd.read_csv(root / "folds" / f"metadata_fold_{number}_{split}.csv") for split in ("train", "test")
        )
        columns = ["Unnamed: 0", "original_filename", "dataset", "diagnosis", "current_filename", "patient_id"]
        assert list(train) == list(test) == columns
        assert not set(train["patient_id"]) & set(test["patient_id"])
        assert len(train) + len(test) == len(metadata)
        assert set(test["diagnosis"]) == set(dermxdb.DISEASES)
        tests.append(test)
    tests = pd.concat(tests)
    assert sorted(tests["current_filename"]) == sorted(metadata["current_filename"])
    assert tests["patient_id"].duplicated().any()


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_seed_decides_and_the_number_of_images_does_not(tmp_path: Path) -> None:
    first, again, other, more = (
        digests(simulate.write(tmp_path / name, images=images, seed=seed))
        for name, images, seed in (("a", 12, 3), ("b", 12, 3), ("c", 12, 4), ("d", 20, 3))
    )
    assert first == again
    annotations = {name: digest for name, digest in first.items() if name.startswith("annotations")}
    assert len(annotations) == 8 * 12 + 8
    assert annotations.items() <= more.items()
    assert len(annotations.items() & other.items()) < 10  # a lone "Other-disease" may be said twice


def test_twelve_images_show_all_diseases_and_554_the_published_shares() -> None:
    assert set(simulate._cases(12)["disease"]) == set(range(6))
    cases = simulate._cases(554)
    assert cases["disease"].value_counts().sort_index().tolist() == [119, 91, 98, 94, 66, 86]
    assert cases["second_round"].sum() == 61
    assert (~cases["in_metadata"]).sum() == 30
    assert cases["patient_id"].duplicated().sum() == 21
    assert not cases.drop_duplicates(["patient_id", "disease"])["patient_id"].duplicated().any()


@pytest.mark.parametrize(("arguments", "says"), [({"images": 11}, "at least 12"), ({"seed": -1}, "expected 0 or more")])
def test_bad_arguments_are_refused(tmp_path: Path, arguments: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        simulate.write(tmp_path / "set", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is there already"):
        simulate.write(tmp_path, images=12)
    with pytest.raises(DataError, match="cannot be written"):
        simulate.write(tmp_path / "file" / "set", images=12)


def test_nothing_is_left_of_an_interrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "_write_tables", fail)
    with pytest.raises(KeyboardInterrupt):
        simulate.write(tmp_path / "set", images=12)
    assert not list(tmp_path.iterdir())


def test_thresholds_give_the_prevalence() -> None:
    prevalence = np.array([[0.2, 0.0, 0.4]])
    even = simulate._thresholds(prevalence, np.zeros((8, 3)))
    assert even[0, [0, 2]] == pytest.approx(ndtri([0.2, 0.4]), abs=1e-6)
    assert even[0, 1] == -np.inf
    some = np.concatenate([np.zeros((4, 3)), np.full((4, 3), -np.inf)])  # half of the raters: twice as often
    assert simulate._thresholds(prevalence, some)[0, [0, 2]] == pytest.approx(ndtri([0.4, 0.8]), abs=1e-6)


def test_latents_are_even_over_a_block() -> None:
    block = np.array([simulate._even(5, 2, rank, 7) for rank in range(16, 32)])
    ranks = np.sort(block, axis=0)
    edges = ndtri(np.arange(17) / 16)[:, None]
    assert ((edges[:-1] <= ranks) & (ranks <= edges[1:])).all()


def test_latents_split_the_variance() -> None:
    rng = np.random.default_rng(0)
    shared = np.array([0.3, 0.8])
    mixing = np.linalg.cholesky([[1, -0.6], [-0.6, 1]])
    drawn = np.array(
        [simulate._latents(rng, mixing @ rng.standard_normal(2), shared, 0.5, mixing) for _ in range(4000)]
    )
    for n, share in enumerate(shared):
        within = np.corrcoef(drawn[:, 0, 0, n], drawn[:, 1, 0, n])[0, 1]
        between = np.corrcoef(drawn[:, 0, 0, n], drawn[:, 0, 1, n])[0, 1]
        assert between == pytest.approx(share, abs=0.04)
        assert within == pytest.approx(share + 0.5 * (1 - share), abs=0.04)
    expected = -0.6 * (np.sqrt(0.3 * 0.8) + np.sqrt(0.7 * 0.2))
    assert np.corrcoef(drawn[:, 0, 0].T)[0, 1] == pytest.approx(expected, abs=0.04)


def test_merged_is_the_union_of_the_strokes() -> None:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = 0.2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    strokes = np.stack([circle + centre for centre in ((0.4, 0.5), (0.6, 0.5), (1.2, 0.5))])
    polygons = simulate_lesions.merged(strokes, 900, 600)
    assert len(polygons) == 2
    lens = 2 * 0.2**2 * np.arccos(0.5) - 0.1 * np.sqrt(4 * 0.2**2 - 0.2**2)  # the overlap of two of the circles
    area = sum(cv2.contourArea(polygon.astype(np.float32)) for polygon in polygons)
    assert area == pytest.approx((3 * np.pi * 0.2**2 - lens) * 600**2, rel=0.03)


def test_layouts_follow_the_disease() -> None:
    parameters = simulate._parameters()
    rng = np.random.default_rng(0)
    for _ in range(20):
        wart = simulate_lesions.Layout(rng, "Viral warts", 1.5, 1.0, parameters)
        dots = wart.lesions("Thrombosed capillaries")
        away = np.linalg.norm(dots[:, None, :2] - wart.primary[None, :, :2], axis=-1)
        assert ((away / wart.primary[:, 2]).min(1) < 1.5).all()  # inside the warts
        assert dots[:, 2].max() < wart.primary[:, 2].max()
        vitiligo = simulate_lesions.Layout(rng, "Vitiligo", 1.5, 1.0, parameters).primary
        left, right = np.split(vitiligo, 2)
        assert np.abs(left[:, 1] - right[:, 1]).max() < 0.12  # as high on either side of the midline
        psoriasis = simulate_lesions.Layout(rng, "Psoriasis", 1.5, 1.0, parameters)
        assert psoriasis.lesions("Papule")[:, 2].max() <= 0.06  # a papule is small, a plaque is not
        acne = simulate_lesions.Layout(rng, "Acne", 1.5, 1.0, parameters).lesions("Open comedo")
        assert ((acne[:, :2] >= 0) & (acne[:, :2] <= (1.5, 1.0))).all()


def test_a_brush_makes_lesions_larger() -> None:
    parameters = simulate._parameters()
    rng = np.random.default_rng(1)
    layout = simulate_lesions.Layout(rng, "Acne", 1.5, 1.0, parameters)
    lesions, outline = layout.lesions("Papule"), parameters["outlines"]["Papule"]
    sight = np.zeros((len(lesions), 9))
    thin, thick, region = (
        simulate_lesions.drawn(lesions, outline, parameters, np.array(habit), sight)
        for habit in ([-2, 0, 2], [2, 0, 2], [-2, 0, -3])
    )
    size = [np.ptp(strokes, axis=1).mean() for strokes in (thin, thick, region)]
    assert size[0] < size[1]
    assert size[0] < size[2]
