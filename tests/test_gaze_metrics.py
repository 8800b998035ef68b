"""Maps against gaze: plain loops, scikit-learn, SciPy, closed forms, and the gaze on phantoms."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

from medxai.evaluation import bootstrap, gaze_metrics
from medxai.evaluation.gaze_metrics import shuffled_auc, shuffled_correlation
from medxai.experiment.gaze_films import GazeFilms
from medxai.experiment.gaze_habit import PART, looked, maps_that_know

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(5, 9, 7)).round(1)  # with ties
FIXATIONS = RANDOM.poisson(0.3, (5, 9, 7)).astype(float)
BLURRED = ndimage.gaussian_filter(RANDOM.random((5, 9, 7)), (0, 1, 1))
ALL = {
    **{name: getattr(gaze_metrics, name) for name in ("nss", "correlation", "similarity", "divergence", "auc_judd")},
    **{"shuffled_auc": shuffled_auc, "shuffled_correlation": shuffled_correlation},
    "against the mean": lambda maps, gaze: shuffled_correlation(maps, gaze, against="mean gaze"),
}
EVERY = pytest.mark.parametrize("score", ALL.values(), ids=ALL)


def drawn(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Values of the pixels, each as often as it was looked at."""
    return np.repeat(values.ravel(), counts.astype(int).ravel())


@pytest.mark.parametrize("i", range(5))
def test_plain_scores_are_those_of_a_loop_over_fixations(i: int) -> None:
    map_, looks = MAPS[i], FIXATIONS[i]
    standard = (map_ - map_.mean()) / map_.std()
    assert gaze_metrics.nss(MAPS, FIXATIONS)[i] == pytest.approx(drawn(standard, looks).mean())
    assert gaze_metrics.correlation(MAPS, BLURRED)[i] == pytest.approx(
        stats.pearsonr(map_.ravel(), BLURRED[i].ravel()).statistic
    )
    judd = roc_auc_score(looks.ravel() > 0, map_.ravel())
    assert gaze_metrics.auc_judd(MAPS, FIXATIONS)[i] == pytest.approx(judd)
    p, q = (one - one.min() for one in (map_, BLURRED[i]))
    p, q = p / p.sum(), q / q.sum()
    assert gaze_metrics.similarity(MAPS, BLURRED)[i] == pytest.approx(
        sum(min(a, b) for a, b in zip(p.ravel(), q.ravel(), strict=True))
    )
    covered = p > 0  # the only pixels at which the plain divergence is finite
    expected = stats.entropy(q[covered], p[covered])
    inside = np.where(covered, p, 0) * 1.0
    apart = gaze_metrics.divergence(np.where(covered, map_, map_.min())[None], BLURRED[i][None])[0]
    share = q[covered].sum()
    lost = sum(value * np.log(value / gaze_metrics.EPSILON) for value in q[inside == 0] if value > 0)
    assert apart == pytest.approx(share * (expected + np.log(share)) + lost, rel=1e-6)


@pytest.mark.parametrize("i", range(5))
def test_shuffled_scores_are_those_of_a_loop_over_images(i: int) -> None:
    others = [j for j in range(5) if j != i]
    positive, negative = FIXATIONS[i].ravel(), sum(FIXATIONS[j] / FIXATIONS[j].sum() for j in others).ravel()
    values = np.tile(MAPS[i].ravel(), 2)
    labels = np.repeat([1, 0], MAPS[i].size)
    expected = roc_auc_score(labels, values, sample_weight=np.concatenate([positive, negative]))
    assert shuffled_auc(MAPS, FIXATIONS)[i] == pytest.approx(expected)

    def pearson(one: np.ndarray, other: np.ndarray) -> float:
        return np.corrcoef(one.ravel(), other.ravel())[0, 1]

    own = pearson(MAPS[i], BLURRED[i])
    each = np.mean([pearson(MAPS[i], BLURRED[j]) for j in others])
    mean = pearson(MAPS[i], np.mean([BLURRED[j] / BLURRED[j].sum() for j in others], axis=0))
    assert shuffled_correlation(MAPS, BLURRED)[i] == pytest.approx(own - each)
    assert shuffled_correlation(MAPS, BLURRED, against="mean gaze")[i] == pytest.approx(own - mean)


def test_closed_forms() -> None:
    gaze = np.array([[[0.0, 1], [3, 0]]])
    map_ = np.array([[[0.0, 1], [2, 1]]])
    assert gaze_metrics.nss(map_, gaze) == pytest.approx((0 * 1 + 3 * np.sqrt(2)) / 4)
    assert gaze_metrics.similarity(map_, gaze) == pytest.approx(1 / 4 + 1 / 2)
    assert gaze_metrics.divergence(map_, gaze) == pytest.approx(3 / 4 * np.log(3 / 2))
    assert gaze_metrics.auc_judd(map_, gaze) == pytest.approx((0.5 + 1 + 1 + 1) / 4)  # the two ones tie
    assert gaze_metrics.divergence(gaze, gaze) == pytest.approx(0, abs=1e-12)
    assert gaze_metrics.similarity(gaze, gaze) == pytest.approx(1)
    pair = np.array([[[1.0, 0]], [[0, 1]]])  # two images, looked at in opposite places
    assert shuffled_auc(pair, pair) == pytest.approx([1, 1])
    assert shuffled_correlation(pair, pair) == pytest.approx([2, 2])
    assert shuffled_correlation(pair[::-1], pair, against="mean gaze") == pytest.approx([-2, -2])


@pytest.fixture(scope="module")
def films() -> GazeFilms:
    return looked(45)


def test_mean_gaze_scores_nothing_once_shuffled_and_a_finding_scores(films: GazeFilms) -> None:
    rows = films.rows[PART]
    gaze, findings, blurred = films.looks(rows), films.findings(rows), films.films.gaze[rows].astype(float)
    mean = maps_that_know(films)["▸ The mean gaze"]
    for score, target, chance in ((shuffled_correlation, blurred, 0), (shuffled_auc, gaze, 0.5)):
        intervals = {
            name: bootstrap.mean_intervals(pd.DataFrame({"score": score(maps, target) - chance})).iloc[0]
            for name, maps in (("mean", mean), ("finding", findings))
        }
        assert intervals["mean"]["low"] < 0 < intervals["mean"]["high"]
        assert intervals["finding"]["low"] > 0
    assert gaze_metrics.nss(mean, gaze).mean() > 0.5  # plain scores reward it
    assert gaze_metrics.correlation(mean, blurred).mean() > 0.3
    assert shuffled_correlation(mean, blurred).mean() == pytest.approx(0, abs=1e-12)  # not only on average over draws


def test_a_mean_is_smoother_than_its_parts_so_that_against_it_the_mean_gaze_scores_below_zero(films: GazeFilms) -> None:
    rows = films.rows[PART]
    findings, blurred = films.findings(rows), films.films.gaze[rows].astype(float)
    mean = maps_that_know(films)["▸ The mean gaze"]
    scores = shuffled_correlation(mean, blurred, against="mean gaze")
    assert scores.mean() == pytest.approx(gaze_metrics.correlation(mean, blurred).mean() - 1, abs=0.01)
    assert scores.max() < 0
    assert shuffled_correlation(findings, blurred, against="mean gaze").mean() > 0


@EVERY
def test_scale_and_offset_of_a_map_do_not_count(score) -> None:
    np.testing.assert_allclose(score(3 * MAPS - 7, FIXATIONS), score(MAPS, FIXATIONS), rtol=1e-6)
    np.testing.assert_allclose(score(MAPS, 5 * FIXATIONS), score(MAPS, FIXATIONS), rtol=1e-6)


@EVERY
def test_what_says_nothing_is_undefined_for_its_image_alone(score) -> None:
    maps, gaze = MAPS.copy(), FIXATIONS.copy()
    maps[1], gaze[3] = 0.1, 0  # 0.1 has a standard deviation of rounding
    found = score(maps, gaze)
    assert found.dtype == np.float64
    assert np.isnan(found).tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("against", ["each other image", "mean gaze"])
def test_shuffling_needs_another_image(against: str) -> None:
    assert np.isnan(shuffled_auc(MAPS[:1], FIXATIONS[:1])).all()
    assert np.isnan(shuffled_correlation(MAPS[:1], FIXATIONS[:1], against=against)).all()


def test_a_blurred_gaze_has_no_pixel_that_nobody_looked_at() -> None:
    assert np.isnan(gaze_metrics.auc_judd(MAPS, BLURRED + 1)).all()


@EVERY
def test_bad_input_is_one_sentence(score) -> None:
    with pytest.raises(ValueError, match=r"maps and gaze are \(5, 9, 7\) and \(4, 9, 7\): expected \(n, H, W\)"):
        score(MAPS, FIXATIONS[:4])
    with pytest.raises(ValueError, match="gaze holds negative values: expected 0 or more"):
        score(MAPS, -FIXATIONS)
    with pytest.raises(ValueError, match="maps hold NaN or infinity: expected finite values"):
        score(np.full_like(MAPS, np.nan), FIXATIONS)
    with pytest.raises(ValueError, match=r"gaze have the shape \(9, 7\): expected"):
        score(MAPS, FIXATIONS[0])


def test_unknown_reference_of_the_shuffled_correlation_is_told() -> None:
    with pytest.raises(ValueError, match="against is 'centre': expected"):
        shuffled_correlation(MAPS, FIXATIONS, against="centre")
