"""Networks and doubts about their answers: what each score may see, and whose answers it doubts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medxai import paths, profiles
from medxai.data import real_or_simulated
from medxai.evaluation import failure_metrics
from medxai.experiment import doubt_tables, doubted, robust_network
from medxai.experiment.doubted import AS_THEY_ARE, DROPOUT, ENSEMBLE, NETWORK, Answers, Judged
from medxai.robustness import corruptions, failure_detection, saliency_shift
from medxai.robustness.corruptions import KINDS
from medxai.robustness.saliency_shift import BLOCKS

SMOKE = profiles.get("smoke")
SMALL = replace(doubted.RECIPE, side=28)  # a fifth of the pixels
SEEDS, IMAGES, CLASSES = 3, 150, 3
LEARNT = tuple(f"{name}, fitted" for name in doubted.FITTED)


def made(seed: int = 0, *, telling: float = 0.0, shift: float = 0.0, groups: np.ndarray | None = None) -> Judged:
    """Answers as of networks that are right on half of the images or more.

    ``telling`` is how far the fingerprint moves with wrong answers, ``shift`` what is added to it under the shift.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(IMAGES) % CLASSES
    taught = np.arange(60) % CLASSES

    def answers(added: float) -> Answers:
        logits = rng.standard_normal((IMAGES, CLASSES)).astype(np.float32)
        logits[np.arange(IMAGES), labels] += 0.6
        wrong = logits.argmax(1) != labels
        moved = rng.standard_normal((IMAGES, len(doubted.parts()))) + telling * wrong[:, None] + added
        dropped = logits + rng.standard_normal((4, IMAGES, CLASSES)).astype(np.float32)
        doctors = {name: rng.random(IMAGES) for name in failure_detection.DOCTORS}
        return Answers(logits, dropped, rng.standard_normal((IMAGES, 5)), doctors, moved.astype(np.float32))

    found = {AS_THEY_ARE: 0.0, KINDS[0]: shift}
    return Judged(
        np.arange(IMAGES),
        0,
        labels,
        np.arange(IMAGES) if groups is None else groups,
        {name: [answers(added) for _ in range(SEEDS)] for name, added in found.items()},
        [rng.standard_normal((60, 5)) + taught[:, None] for _ in range(SEEDS)],
        taught,
    )


@pytest.fixture(scope="module")
def small() -> Judged:
    """Networks of two seeds, trained and asked at smoke size on simulated images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubted, "RECIPE", SMALL)
        data = real_or_simulated.open_small_images("breastmnist", kind="simulated")
        yield doubted.judged(data, SMOKE, range(SMOKE.failure_seeds))


@pytest.fixture(scope="module", autouse=True)
def results(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", tmp_path_factory.mktemp("results"))
        yield


def test_networks_are_asked_about_validation_and_test_images(small: Judged) -> None:
    assert list(small.answers) == [AS_THEY_ARE, *KINDS[: SMOKE.failure_shifts]]
    assert [len(each) for each in small.answers.values()] == [SMOKE.failure_seeds] * 2
    assert len(small.labels) == SMOKE.failure_images
    data = real_or_simulated.open_small_images("breastmnist", kind="simulated")
    splits = robust_network.examples(data, SMALL.side, SMOKE.robust_images)
    labels = np.concatenate([splits["val"].labels, splits["test"].labels])
    np.testing.assert_array_equal(small.labels, labels[small.rows])
    assert small.rows.max() >= len(splits["val"].labels) > small.rows.min()
    first, second = small.answers[AS_THEY_ARE]
    assert not np.allclose(first.logits, second.logits)  # of other seeds
    assert not np.allclose(first.logits, small.answers[KINDS[0]][0].logits)


def test_images_with_a_near_copy_in_training_are_not_asked_about(monkeypatch) -> None:
    """The first of the validation images are made copies of the training images, somewhat brighter."""
    monkeypatch.setattr(doubted, "RECIPE", SMALL)
    monkeypatch.setattr(doubted, "_answers", lambda *_: None)
    data = real_or_simulated.open_small_images("breastmnist", kind="simulated")
    pictures = data.val.pictures.copy()
    pictures[:5] = np.minimum(data.train.pictures[:5], 200) + 20
    copied = replace(data, val=replace(data.val, pictures=pictures))
    sizes = replace(SMOKE, failure_images=1000)
    before, after = (doubted.judged(one, sizes, range(1)) for one in (data, copied))
    assert set(before.rows) - set(after.rows) == set(range(5))
    assert set(after.rows) < set(before.rows)
    assert after.copies == before.copies + 5


def test_features_are_what_the_last_layer_sees(small: Judged) -> None:
    answers = small.answers[AS_THEY_ARE][0]
    assert answers.features.shape == (len(small.labels), 512)
    assert answers.dropped.shape == (doubted.DRAWS, *answers.logits.shape)
    assert np.abs(answers.dropped.mean(0) - answers.logits).mean() < np.abs(answers.dropped - answers.logits).mean()
    assert [len(one) for one in small.trained] == [len(small.taught)] * SMOKE.failure_seeds


def test_a_fingerprint_has_a_number_for_each_corruption_and_layer(small: Judged, monkeypatch) -> None:
    """A map of one cell is constant, so that its number is not defined: at 28 pixels the last stage."""
    found = small.answers[AS_THEY_ARE][0].fingerprint
    assert found.shape == (len(small.labels), len(KINDS) * len(BLOCKS))
    last = np.array([layer.startswith("layer4") for _, layer in doubted.parts()])
    assert np.isnan(found[:, last]).all()
    assert np.isfinite(found[:, ~last]).mean() > 0.5


def test_the_order_of_a_fingerprint_is_that_of_its_parts(monkeypatch) -> None:
    monkeypatch.setattr(doubted, "RECIPE", SMALL)
    data = real_or_simulated.open_small_images("breastmnist", kind="simulated")
    trained = robust_network.train(data, SMOKE, SMALL, 0)
    tables = []

    def kept(*arguments: object) -> object:
        tables.append(table(*arguments))
        return tables[0]

    table = saliency_shift.table
    monkeypatch.setattr(saliency_shift, "table", kept)
    found = doubted.fingerprint(trained, torch.from_numpy(trained.test.pixels[:3]))
    cells = tables[0].set_index(["image", "corruption", "severity", "layer"])["rmse"]
    expected = [[cells[image, kind, doubted.MILD, layer] for kind, layer in doubted.parts()] for image in range(3)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_noise_of_a_fingerprint_is_not_that_of_the_shift(monkeypatch) -> None:
    seeds = []
    monkeypatch.setattr(saliency_shift, "table", lambda study, *_: seeds.append(study.seed) or 1 / 0)
    trained = type("", (), {"folded": torch.nn.Linear(2, 2).eval()})
    with pytest.raises(ZeroDivisionError):
        doubted.fingerprint(trained, torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    images, keys = torch.full((2, 1, 32, 32), 128, dtype=torch.uint8), torch.arange(2)
    one, other = (corruptions.corrupt(images, KINDS[0], 1, keys, seed=seed) for seed in (*seeds, robust_network.SEED))
    assert not torch.equal(one, other)


def areas(of: Judged, shift: str) -> dict[str, float]:
    """AUROC of every score about single networks."""
    wrong, scores = doubted.doubts(of, shift)[NETWORK]
    return {name: failure_metrics.auroc(doubt, wrong)[0] for name, doubt in scores.items()}


def test_no_score_sees_a_label_of_the_fold_it_is_judged_on() -> None:
    """With labels at random nothing can be known: an AUROC is one half on average, and within its interval.

    A fitted one is outside of it more often, above and below, since an interval holds the regression fixed.
    """
    found = []
    for seed in range(12):
        of = made(seed)
        of = replace(of, labels=np.random.default_rng(100 + seed).permutation(of.labels))
        found.append(doubt_tables.scored(of, 100).query("metric == 'AUROC' and shift == @AS_THEY_ARE"))
    table = pd.concat(found).dropna(subset="value")
    table["outside"] = (table["low"] > 0.5) | (table["high"] < 0.5)
    scores = table.groupby(["system", "score"])
    assert (scores["outside"].sum() <= 4).all()  # of 12
    assert ((scores["value"].mean() - 0.5).abs() < 0.03).all()


def test_what_is_fitted_learns_where_there_is_something() -> None:
    found = areas(made(telling=1.0), AS_THEY_ARE)
    assert found["fingerprint, fitted"] > 0.95
    assert found["confidence and fingerprint, fitted"] > found["confidence, fitted"] + 0.1


def test_what_is_fitted_sees_no_shift() -> None:
    """As the images are it depends on nothing under the shift, and under the shift on nothing that is wrong there."""
    of = made(telling=1.0, shift=3.0)
    mute = replace(of, answers={**of.answers, KINDS[0]: made(5).answers[KINDS[0]]})
    one, other = (doubted.doubts(each, AS_THEY_ARE)[NETWORK].scores for each in (of, mute))
    for name in LEARNT:
        np.testing.assert_array_equal(one[name], other[name])

    def turned(answers: Answers) -> Answers:
        """Other answers, of the same confidence."""
        return replace(answers, logits=np.roll(answers.logits, 1, axis=1))

    others = replace(of, answers={**of.answers, KINDS[0]: [turned(one) for one in of.answers[KINDS[0]]]})
    before, after = (doubted.doubts(each, KINDS[0])[NETWORK] for each in (of, others))
    assert (before.wrong != after.wrong).any()
    for name in LEARNT:
        np.testing.assert_allclose(before.scores[name], after.scores[name])


def test_near_copies_are_learnt_from_together() -> None:
    """Each image is there twice, with answers alike: apart, a fitted score knows the twin's; together, nothing."""
    found = {}
    for name, groups in (("apart", np.arange(IMAGES)), ("together", np.arange(IMAGES) % (IMAGES // 2))):
        of = made(3, groups=groups)
        half = IMAGES // 2
        each = [
            replace(one, logits=np.tile(one.logits[:half], (2, 1)), fingerprint=np.tile(one.fingerprint[:half], (2, 1)))
            for one in of.answers[AS_THEY_ARE]
        ][:1]
        of = replace(of, labels=np.tile(of.labels[:half], 2), answers={AS_THEY_ARE: each}, trained=of.trained[:1])
        found[name] = areas(of, AS_THEY_ARE)["fingerprint, fitted"]
    assert found["apart"] > 0.8 > 0.65 > found["together"]


def test_a_system_is_doubted_for_its_own_answers() -> None:
    of = made()
    each = of.answers[AS_THEY_ARE]
    found = doubted.doubts(of, AS_THEY_ARE)
    assert set(found) == {NETWORK, DROPOUT, ENSEMBLE}
    assert {len(found[name].wrong) for name in (NETWORK, DROPOUT)} == {SEEDS * IMAGES}
    mean = np.mean([failure_detection.probabilities(one.logits) for one in each], axis=0)
    np.testing.assert_array_equal(found[ENSEMBLE].wrong, mean.argmax(1) != of.labels)
    np.testing.assert_allclose(found[ENSEMBLE].scores["response of the mean"], 1 - mean.max(1))
    own = np.concatenate([one.logits.argmax(1) != of.labels for one in each])
    np.testing.assert_array_equal(found[NETWORK].wrong, own)
    assert (found[ENSEMBLE].wrong != own[:IMAGES]).any()
    for system in found.values():
        assert {len(doubt) for doubt in system.scores.values()} == {len(system.wrong)}
    alone = replace(of, answers={AS_THEY_ARE: each[:1]}, trained=of.trained[:1])
    assert ENSEMBLE not in doubted.doubts(alone, AS_THEY_ARE)


def test_the_mean_of_a_fingerprint_leaves_out_what_is_not_defined() -> None:
    found = doubted.mean_shift(np.array([[1, 3, np.nan], [np.nan, np.nan, np.nan]], np.float32))
    np.testing.assert_array_equal(found, [2, np.nan])


@pytest.mark.parametrize("table", [doubt_tables.scored, doubt_tables.by_part, doubt_tables.added])
def test_values_lie_in_their_intervals(table: Callable) -> None:
    found = table(made(telling=0.3), 60)
    known = found.dropna(subset="value")
    assert len(known) > 0.8 * len(found)
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).mean() > 0.97
    assert (known["wrong"] >= failure_metrics.FEW).all()


def test_fewer_wrong_answers_than_a_few_decide_nothing() -> None:
    of = made()
    rows = np.arange(IMAGES) < 25
    each = {
        shift: [
            Answers(
                one.logits[rows],
                one.dropped[:, rows],
                one.features[rows],
                {name: doubt[rows] for name, doubt in one.doctors.items()},
                one.fingerprint[rows],
            )
            for one in some
        ]
        for shift, some in of.answers.items()
    }
    few = replace(of, rows=of.rows[rows], labels=of.labels[rows], groups=of.groups[rows], answers=each)
    assert 0 < doubted.doubts(few, AS_THEY_ARE)[NETWORK].wrong.sum() < failure_metrics.FEW
    for table in (doubt_tables.scored(few, 20), doubt_tables.by_part(few, 20), doubt_tables.added(few, 20)):
        assert len(table)
        assert table[["value", "low", "high"]].isna().all(axis=None)
        assert table["wrong"].between(1, failure_metrics.FEW - 1).all()
    assert doubt_tables.referred(few)[["remaining", "caught"]].isna().all(axis=None)
    assert len(doubt_tables.curves(few)) == 0
    assert doubt_tables.images(few).notna().all(axis=None)


def test_what_is_referred_is_no_error_any_more() -> None:
    of = made(telling=0.5)
    wrong, scores = doubted.doubts(of, AS_THEY_ARE)[NETWORK]
    found = doubt_tables.referred(of).set_index(["score", "referred"])
    for name in doubt_tables.SHOWN:
        assert found.loc[(name, 0.0), "remaining"] == pytest.approx(wrong.mean())
        assert found.loc[(name, 0.0), "caught"] == 0
        half = np.argsort(scores[name], kind="stable")[: len(wrong) // 2]
        assert found.loc[(name, 0.5), "remaining"] == pytest.approx(wrong[half].mean())
        assert found.loc[(name, 0.5), "caught"] == pytest.approx(1 - wrong[half].sum() / wrong.sum())


def test_accuracy_stands_beside_the_scores_of_each_system() -> None:
    of = made()
    table = doubt_tables.scored(of, 5).query("shift == @AS_THEY_ARE").groupby("system")["accuracy"].unique()
    for system, found in doubted.doubts(of, AS_THEY_ARE).items():
        assert table[system] == pytest.approx([(~found.wrong).mean()])


def test_a_part_that_tells_has_an_area_and_others_have_not() -> None:
    of = made()
    for one in of.answers[AS_THEY_ARE]:
        one.fingerprint[:, 7] = one.logits.argmax(1) != of.labels
        one.fingerprint[:, 9] = np.nan
    found = doubt_tables.by_part(of, 10)
    assert found.loc[7, ["corruption", "layer", "value"]].tolist() == [*doubted.parts()[7], 1]
    assert np.isnan(found.loc[9, "value"])
    assert found.loc[0, "value"] < 0.7


def test_nothing_is_added_by_what_is_there_already() -> None:
    """A fingerprint that is a copy of one of the scores of confidence adds next to nothing."""
    of = made()
    for one in of.answers[AS_THEY_ARE]:
        one.fingerprint[:] = failure_detection.softmax_response(one.logits)[:, None]
    found = doubt_tables.added(of, 20).query("shift == @AS_THEY_ARE and metric == 'AUROC'")
    assert found["added"].tolist() == list(doubt_tables.MORE)
    assert found["value"].to_numpy() == pytest.approx([0, 0], abs=0.02)
    more = doubt_tables.added(made(telling=1.0), 20).query("shift == @AS_THEY_ARE").set_index("metric")
    assert (more.loc["AUROC", "low"] > 0).all()
    assert (more.loc["AUGRC", "high"] < 0).all()  # less is better
