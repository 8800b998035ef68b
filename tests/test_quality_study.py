"""Photographs of good and bad quality, what answers about them are worth, retakes, statistics, and the whole study."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medxai import paths, profiles
from medxai.data import photo_quality
from medxai.data.photo_quality import CLASSES, MAP_SIDE, POOR, REASONS, QualityPhotos
from medxai.errors import DataError
from medxai.evaluation import image_statistics
from medxai.experiment import quality_baselines, quality_photos, quality_real, quality_retakes
from medxai.experiment import quality_scores as scores
from medxai.experiment.quality_photos import Conditions
from medxai.experiment.quality_retakes import ADVICE, NETWORK, RATERS
from medxai.experiment.quality_scores import Answers
from medxai.studies import image_quality
from medxai.studies.store import Absent

SMOKE, FULL = profiles.get("smoke"), profiles.get("full")
FRAMING, LIGHT, BLURRY = (REASONS.index(name) for name in ("Bad framing", "Bad light", "Blurry"))


def few(**changed) -> QualityPhotos:
    """Return four photographs: a lesion, no skin, healthy skin, a poor one that is too dark on its left."""
    n, faults = 4, np.zeros((4, 5), np.float32)
    faults[3, LIGHT] = 0.8
    maps = np.zeros((n, 5, MAP_SIDE, MAP_SIDE), np.float16)
    maps[3, LIGHT, :, : MAP_SIDE // 2] = 0.8
    votes = np.array([[9, 0, 3, 0], [0, 12, 0, 0], [2, 0, 10, 0], [3, 0, 0, 9]], np.float32) / 12
    variants = np.full((n, 5), "", "U8")
    variants[3, LIGHT] = "shadow"
    known = {
        "pictures": np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8),
        "labels": np.arange(n),
        "reasons": (faults > 0).astype(np.float32),
        "votes": votes,
        "faults": faults,
        "maps": maps,
        "tone": np.array(["light", "", "dark", "dark"]),
        "groups": np.arange(n),
        "variants": variants,
    }
    return QualityPhotos(**known | changed)


def answers_of(said, given=None, maps=None) -> Answers:
    """Return answers that are sure of a class each, and of some reasons."""
    classes = np.full((len(said), 4), 0.02)
    classes[np.arange(len(said)), said] = 0.94
    return Answers(classes, np.zeros((len(said), 5)) if given is None else np.asarray(given, float), maps)


@pytest.fixture(scope="module")
def smoke() -> QualityPhotos:
    return quality_photos.photos(SMOKE)


def test_wrong_photographs_are_told():
    with pytest.raises(ValueError, match="pictures"):
        few(pictures=np.zeros((4, 32, 32, 3)))
    with pytest.raises(ValueError, match="votes"):
        few(votes=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="labels"):
        few(labels=np.array([0, 1, 2, 4]))


def test_the_same_seed_takes_the_same_photographs_one_by_one_or_together(smoke):
    conditions = quality_photos.drawn(SMOKE.quality_photos)
    people = quality_photos.patients(SMOKE)
    rows = np.array([7, 3, 50])
    again = quality_photos.photographed(conditions.rows(rows), people, SMOKE.quality_side)
    np.testing.assert_array_equal(again.pictures, smoke.pictures[rows])
    np.testing.assert_array_equal(again.maps, smoke.maps[rows])


def test_photographs_are_what_their_conditions_say(smoke):
    conditions = quality_photos.drawn(SMOKE.quality_photos)
    np.testing.assert_allclose(smoke.faults, conditions.faults, atol=1e-6)
    assert (smoke.maps.max((2, 3)) <= smoke.faults + 1e-3).all()
    assert not smoke.maps[smoke.faults == 0].any()
    assert not conditions.faults[conditions.visible == 0, FRAMING].any(), "nothing is in the middle of healthy skin"
    assert ((smoke.variants == "") == (smoke.faults == 0)).all()
    assert set(smoke.labels) == set(range(4)), "each class can be learnt"
    assert (smoke.reasons.sum(0) > 0).all(), "and each reason"


def test_no_patient_is_on_both_sides():
    patients = quality_photos.drawn(400).person
    rows = quality_photos.split(patients)
    assert not set(patients[rows["training"]]) & set(patients[rows["test"]])
    assert len(rows["test"]) / 400 == pytest.approx(9874 / 36509, abs=0.01)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(400))


def test_tables_3_and_4_by_hand():
    said = answers_of([0, 1, 0, 3], [[0] * 5, [0] * 5, [0, 0.9, 0, 0, 0], [0, 0.7, 0.6, 0, 0]])
    classes = scores.of_classes(few(), said).set_index(["row", "metric"])["value"]
    assert classes["Lesion", "f1"] == pytest.approx(2 / 3)
    assert (classes["Healthy skin", "sensitivity"], classes["Healthy skin", "specificity"]) == (0, 1)
    assert classes["Mean", "sensitivity"] == pytest.approx(3 / 4)
    reasons = scores.of_reasons(few(), said).set_index(["row", "metric"])["value"]
    assert reasons["Bad light", "f1"] == pytest.approx(2 / 3)
    assert reasons["Blurry", "specificity"] == pytest.approx(3 / 4)
    assert np.isnan(reasons["Blurry", "sensitivity"]), "nobody found one blurred"


def test_runs_are_averaged():
    table = pd.DataFrame({"row": ["a", "a"], "metric": ["f1", "f1"], "value": [0.2, 0.6], "run": [0, 1]})
    found = scores.over_runs(table).set_index("metric")["value"]
    assert (found["f1"], found["f1_std"]) == pytest.approx((0.4, 0.2))
    assert np.isnan(scores.over_runs(table[:1]).set_index("metric")["value"]["f1_std"])


def test_a_map_that_is_the_fault_is_right_and_its_opposite_wrong():
    photos = few()
    for maps, expected in ((photos.maps.astype(float), 1), (0.8 - photos.maps.astype(float), 0)):
        table = scores.places(photos, answers_of([0, 1, 2, 3], maps=maps), 20).set_index(["row", "map"])
        assert table.loc[("Bad light", "network"), "value"] == pytest.approx(expected)
        assert table.loc[("Bad light", "middle"), "value"] == pytest.approx(0.5, abs=0.01)
        assert table.loc[("Bad light", "network"), "photos"] == 1
        assert np.isnan(table.loc[("Blurry", "network"), "value"]), "there is no such fault"


def test_a_fault_everywhere_has_no_place():
    maps = few().maps.copy()
    maps[3, LIGHT] = 0.8
    assert not scores.is_local(few(maps=maps), LIGHT).any()
    assert scores.is_local(few(), LIGHT).tolist() == [False, False, False, True]


def test_thresholds_by_hand():
    table = scores.thresholds(few(), np.array([0.1, 0.9, 0.4, 0.3])).set_index("threshold")
    assert (table.loc[0.1, "asked"].max(), table.loc[0.1, "missed"].max()) == (1, 0)
    assert (table.loc[0.9, "asked"].max(), table.loc[0.9, "missed"].max()) == (0, 0.5)


def test_calibration_by_hand():
    score = np.array([[0.95, 0, 0, 0.05], [0, 0.5, 0, 0.45], [0.92, 0, 0, 0.08], [0.04, 0, 0, 0.96]])
    table = scores.calibration(few(), Answers(score, np.zeros((4, 5))))
    assert table["photos"].tolist() == [2, 2]
    np.testing.assert_allclose(table["predicted"], [0.065, 0.955])
    np.testing.assert_allclose(table["observed"], [0, 1])
    np.testing.assert_allclose(table["raters"], [0, (1 + 9 / 12) / 2])
    assert scores.calibration_error(table) == pytest.approx((0.065 + 0.045) / 2)


def test_groups_count_their_own():
    table = scores.by_group(few(), answers_of([3, 1, 2, 0]), 20).set_index(["row", "metric"])
    assert table.loc[("dark", "found"), ["value", "photos"]].tolist() == [0, 1]
    assert table.loc[("light", "asked"), ["value", "photos"]].tolist() == [1, 1]
    assert np.isnan(table.loc[("light", "found"), "value"]), "no bad photograph of light skin"
    assert table.loc[("shadow", "found"), "value"] == 0


def conditions(faults, **changed) -> Conditions:
    n = len(faults)
    known = {"person": np.zeros(n, int), "photo": np.arange(n), "skin": np.ones(n), "visible": np.ones(n)}
    return Conditions(**known | {"faults": np.asarray(faults, float), "variants": np.full((n, 5), "dark")} | changed)


def test_what_is_named_is_gone_or_halved_and_what_is_not_stays_or_is_gone_by_luck():
    before = conditions(np.tile([0, 0.8, 0.6, 0, 0], (4000, 1)))
    named = np.tile([False, True, False, False, False], (4000, 1))
    after = quality_retakes.taken_again(before, named, np.random.default_rng(0)).faults
    assert set(np.round(np.unique(after[:, LIGHT]), 6)) == {0, 0.4}
    assert set(np.round(np.unique(after[:, BLURRY]), 6)) == {0, 0.6}
    assert (after[:, LIGHT] == 0).mean() == pytest.approx(quality_retakes.FOLLOWED, abs=0.03)
    assert (after[:, BLURRY] == 0).mean() == pytest.approx(quality_retakes.BETTER_BY_LUCK, abs=0.03)
    new = quality_photos.CHANCES["Bad framing"] * quality_retakes.NEW_FAULT
    assert (after[:, FRAMING] > 0).mean() == pytest.approx(new, abs=0.01)


def test_healthy_skin_is_never_framed_badly_and_a_thing_never_too_far():
    before = conditions(np.zeros((3000, 5)), visible=np.zeros(3000), skin=np.full(3000, 0.1))
    after = quality_retakes.taken_again(before, np.zeros((3000, 5), bool), np.random.default_rng(0)).faults
    assert not after[:, [FRAMING, REASONS.index("Too far away")]].any()
    assert after.any()


def test_patients_are_told_what_they_should_be():
    said = Answers(np.zeros((2, 4)), np.array([[0.1, 0.7, 0.6, 0, 0], [0.1, 0.3, 0.2, 0, 0]]))
    rng, raters = np.random.default_rng(0), np.eye(5)[:2]
    own = quality_retakes.told(NETWORK, said, raters, rng)
    np.testing.assert_array_equal(own, [[0, 1, 1, 0, 0], [0, 1, 0, 0, 0]])  # at least the most probable one
    np.testing.assert_array_equal(quality_retakes.told(RATERS, said, raters, rng), raters > 0)
    np.testing.assert_array_equal(quality_retakes.told("random reasons", said, raters, rng).sum(1), own.sum(1))
    assert not quality_retakes.told("no reason", said, raters, rng).any()


def test_shares_of_retakes_by_hand():
    def step(poor, again):
        return quality_retakes.Step(np.array(poor, bool), np.array(again, bool))

    first = step([1, 1, 0, 1], [1, 1, 0, 0])
    steps = {"no reason": [first, step([1, 1, 0, 1], [1, 0, 0, 0])], NETWORK: [first, step([0, 0, 0, 1], [0, 0, 0, 0])]}
    table = quality_retakes.shares(steps, np.arange(4), 30).set_index(["advice", "retakes", "metric"])["value"]
    assert table[NETWORK, 0, "poor"] == table["no reason", 1, "poor"] == 3 / 4
    assert table[NETWORK, 1, "poor"] == 1 / 4
    assert table[NETWORK, 1, "fewer"] == table[NETWORK, 1, "more than no reason"] == pytest.approx(2 / 3)
    assert (table["no reason", 1, "asked"], table[NETWORK, 1, "asked"]) == (1 / 4, 0)


def test_a_network_that_is_content_leaves_all_as_it_is_and_true_advice_helps():
    patients, people = quality_photos.drawn(SMOKE.quality_photos), quality_photos.patients(SMOKE)
    content = quality_retakes.followed(lambda p: answers_of([0] * len(p)), patients, people, 64)
    assert all(
        (step.poor == steps[0].poor).all() and not step.again.any() for steps in content.values() for step in steps
    )
    asking = quality_retakes.followed(lambda p: answers_of([POOR] * len(p)), patients, people, 64)
    left = {advice: steps[-1].poor.mean() for advice, steps in asking.items()}
    assert left[RATERS] < left[ADVICE[0]] < asking[RATERS][0].poor.mean()


def test_features_of_brisque_know_gaussians_and_laplacians():
    rng = np.random.default_rng(0)
    shape, variance = image_statistics.gaussian_fit(rng.normal(0, 3, 200_000))
    assert (shape, variance) == pytest.approx((2, 9), rel=0.03)
    assert image_statistics.gaussian_fit(rng.laplace(0, 1, 200_000))[0] == pytest.approx(1, rel=0.03)
    left, right = np.abs(rng.normal(0, 2, 100_000)), np.abs(rng.normal(0, 1, 50_000))
    shape, mean, below, above = image_statistics.asymmetric_fit(np.concatenate([-left, right]))  # halves as by density
    assert (shape, below, above) == pytest.approx((2, 4, 1), rel=0.05)
    assert mean == pytest.approx((1 - 2) * np.sqrt(2 / np.pi), rel=0.05)
    assert np.isnan(image_statistics.gaussian_fit(np.zeros(9))[0])


def test_normalised_luminance_of_a_plain_picture_is_zero():
    np.testing.assert_allclose(image_statistics.normalised_luminance(np.full((20, 20), 77.0)), 0, atol=1e-6)


def test_statistics_fall_with_blur_and_see_the_dark():
    import cv2

    sharp = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp[0], (0, 0), 2)[None]
    assert image_statistics.laplacian_variance(blurred)[0, 0] < image_statistics.laplacian_variance(sharp)[0, 0] / 10
    histogram = image_statistics.exposure_histogram(np.zeros((1, 8, 8, 3), np.uint8))
    np.testing.assert_allclose(histogram, np.eye(1, image_statistics.BINS))
    assert image_statistics.brisque_features(sharp).shape == (1, 36)


def test_baselines_answer_in_the_form_of_a_network(smoke):
    rows = quality_photos.split(smoke.groups)
    found = quality_baselines.answers(smoke, rows["training"], rows["test"])
    assert list(found) == [*image_statistics.FEATURES, quality_baselines.TOGETHER]
    for answers in found.values():
        np.testing.assert_allclose(answers.classes.sum(1), 1)
        assert answers.reasons.shape == (len(rows["test"]), 5)


def own_folder(folder, lines: list[str]) -> None:
    Image.fromarray(np.full((20, 30, 3), 120, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((30, 20, 3), 20, np.uint8)).save(folder / "b.jpg")
    (folder / "labels.csv").write_text("\n".join([f"file,class,{','.join(REASONS)},tone,patient", *lines]) + "\n")


def test_a_folder_of_ones_own_is_read(tmp_path):
    own_folder(tmp_path, ["a.png,Lesion,0,0,0,0,0,dark,p1", "b.jpg,Poor quality,0,1,0,0,0,,p1"])
    photos = photo_quality.read_folder(tmp_path, side=32)
    assert (photos.kind, photos.side, photos.labels.tolist()) == ("real", 32, [0, POOR])
    assert photos.tone.tolist() == ["dark", ""]
    assert photos.groups.tolist() == [0, 0]
    assert photos.reasons[1].tolist() == [0, 1, 0, 0, 0]
    assert np.isnan(photos.faults).all()
    digests = {quality_real.RealPhotos(None, one).digest for one in (photos, photos.rows(np.array([1, 0])), None)}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a.png,Leison,0,0,0,0,0,,p", "class"),
        ("a.png,Lesion,0,2,0,0,0,,p", "neither 0 nor 1"),
        ("a.png,Lesion,0,,0,0,0,,p", "neither 0 nor 1"),
        ("../a.png,Lesion,0,0,0,0,0,,p", "path below"),
        ("c.png,Lesion,0,0,0,0,0,,p", "c.png"),
    ],
)
def test_what_is_wrong_in_a_folder_is_told(tmp_path, line, told):
    own_folder(tmp_path, [line])
    with pytest.raises(DataError, match=told) as caught:
        photo_quality.read_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "data_root", lambda: tmp_path)
    with pytest.raises(DataError, match=r"labels\.csv"):
        photo_quality.read_folder()
    with pytest.raises(DataError, match="ISIC"):
        quality_real.open_photographs(32)


def test_real_photographs_that_are_spoilt_are_told_from_those_that_are_not():
    shown = np.random.default_rng(0).integers(100, 156, (6, 32, 32, 3)).astype(np.uint8)

    def network(pictures: np.ndarray) -> Answers:
        """Say that what is dark is poor for bad light."""
        dark = pictures.mean((1, 2, 3)) < 80
        return answers_of(np.where(dark, POOR, 0), np.outer(dark, np.eye(5)[LIGHT]))

    table = quality_real.asked(shown, network, 20).set_index(["row", "metric"])["value"]
    assert (table["as it is", "Lesion"], table["as it is", "Poor quality"]) == (1, 0)
    assert (table["dark", "named"], table["dark", "AUC"], table["dark", "Poor quality"]) == (1, 1, 1)
    assert (table["motion", "named"], table["motion", "AUC"]) == (0, 0.5)
    assert table["dark", "named as it is"] == 0


def test_the_whole_study_at_smoke(monkeypatch):
    """Every table is there, of every network, and numbers are shares."""
    monkeypatch.setattr(image_quality, "NETWORKS", {image_quality.IMAGEQX: {}})
    (trial,) = image_quality.STUDY.trials(SMOKE)
    tables = trial.compute(Absent("none"), SMOKE)
    expected = {scores.LABELS, scores.EXPLANATIONS, "classes", "reasons", "scores", "thresholds", "calibration"}
    assert set(tables) == expected | {"groups", "places", "retakes"}
    assert set(tables["classes"]["row"]) == {*CLASSES, "Mean"}
    assert set(tables["reasons"]["row"]) == {*REASONS, "Mean"}
    for name in ("classes", "reasons", "scores", "places"):
        known = tables[name]["value"].dropna()
        assert known.between(0, 1).sum() == len(known) > 0, name


def test_trials_of_the_reference():
    trials = image_quality.STUDY.trials(FULL)
    assert [trial.name for trial in trials][:6] == ["raters", *(f"run-{run}" for run in range(5))]
    assert {"without-reasons", "soft-labels", "baselines", "real"} < {trial.name for trial in trials}
    small = replace(FULL, quality_photos=120)
    rated = image_quality.STUDY.trials(FULL)[0].compute(small)
    assert set(rated) == {scores.LABELS, scores.EXPLANATIONS}


def test_photographs_of_ones_own_are_judged(tmp_path, monkeypatch):
    folder = tmp_path / photo_quality.FOLDER
    folder.mkdir()
    own_folder(folder, ["a.png,Lesion,0,0,0,0,0,dark,p1", "b.jpg,Poor quality,0,1,0,0,0,,p1"])
    monkeypatch.setattr(paths, "data_root", lambda: tmp_path)
    found = quality_real.open_photographs(32)
    assert found.dermoscopy is None
    monkeypatch.setattr(
        image_quality, "network", lambda *_: lambda p: answers_of([0, POOR], [[0] * 5, [0, 1, 0, 0, 0]])
    )
    real = image_quality.STUDY.trials(FULL)[-1]
    tables = real.compute(found, FULL)
    assert set(tables) == {"own_classes", "own_reasons"}
    lines = tables["own_classes"].set_index(["row", "metric"])["value"]
    assert lines["Poor quality", "f1"] == lines["Lesion", "f1"] == 1
