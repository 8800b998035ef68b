"""Agreement of two maps: closed forms, scikit-learn, SciPy, and Quantus where it is installed."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from sklearn.metrics import f1_score, jaccard_score, recall_score, roc_auc_score, roc_curve

from medxai.evaluation import localisation
from medxai.evaluation.localisation import fuzzy_scores


def test_closed_form() -> None:
    attention = np.array([[0.5, 0.5], [0.0, 1.0]])
    reference = np.array([[1.0, 0.25], [0.0, 0.75]])
    scores = fuzzy_scores(attention, reference)
    assert scores.f1 == pytest.approx(2 * 1.5 / 4)  # minima .5 + .25 + 0 + .75
    assert scores.sensitivity == pytest.approx(1.5 / 2)
    assert scores.specificity == pytest.approx((0 + 0.5 + 1 + 0) / 2)


def test_binary_maps_give_the_usual_scores() -> None:
    generator = np.random.default_rng(0)
    attention, reference = generator.random((2, 5, 4, 7, 9)) < 0.4
    scores = fuzzy_scores(attention.astype(np.float32), reference.astype(np.float32))
    assert scores.f1.shape == (5, 4)
    for place in np.ndindex(5, 4):
        truth, found = reference[place].ravel(), attention[place].ravel()
        assert scores.f1[place] == pytest.approx(f1_score(truth, found))
        assert scores.sensitivity[place] == pytest.approx(recall_score(truth, found))
        assert scores.specificity[place] == pytest.approx(recall_score(~truth, ~found))


def test_identical_maps_score_one_and_undefined_is_nan() -> None:
    fuzzy = np.random.default_rng(1).uniform(0.1, 0.9, (3, 8, 8))
    np.testing.assert_allclose(fuzzy_scores(fuzzy, fuzzy).f1, 1)
    empty, full = np.zeros((4, 4)), np.ones((4, 4))
    nothing = fuzzy_scores(empty, empty)
    assert np.isnan(nothing.f1)
    assert np.isnan(nothing.sensitivity)
    assert nothing.specificity == 1
    assert fuzzy_scores(empty, full).f1 == 0
    assert np.isnan(fuzzy_scores(empty, full).specificity)


def test_specificity_to_a_reference_that_is_one_everywhere_is_undefined_whatever_the_rounding() -> None:
    """Sums of such maps leave rounding where zero belongs: infinity, and specificities a little above 1."""
    attention = np.random.default_rng(2).random((50, 9, 11))
    scores = fuzzy_scores(attention, np.ones_like(attention))
    assert np.isnan(scores.specificity).all()
    inside = np.ones((9, 11))
    inside[0, 0] = 1 - 1e-15
    assert fuzzy_scores(np.zeros((9, 11)), inside).specificity == 1
    counts = np.random.default_rng(3).integers(0, 7, (30, 9, 11), dtype=np.uint8)
    for own in counts:
        scores = localisation.leave_one_out({1: own, 2: np.full_like(own, 3)})
        assert np.isnan(scores[1].specificity)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_values_out_of_range_are_refused(bad: float) -> None:
    good = np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match="attention holds NaN or values out of"):
        fuzzy_scores(np.where(np.eye(2, 3, dtype=bool), bad, good), good)
    with pytest.raises(ValueError, match="reference holds NaN"):
        fuzzy_scores(good, np.where(np.eye(2, 3, dtype=bool), bad, good))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"are \(2, 3\) and \(3, 2\): expected \(..., H, W\), the same"):
        fuzzy_scores(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"are \(3,\) and \(3,\): expected"):
        fuzzy_scores(np.zeros(3), np.zeros(3))


def weighted(maps: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """What scikit-learn takes: each pixel once as positive and once as negative, with its weights."""
    scores, weights = maps.ravel(), reference.ravel()
    return {
        "y_true": np.repeat([1, 0], scores.size),
        "y_score": np.tile(scores, 2),
        "sample_weight": np.concatenate([weights, 1 - weights]),
    }


def fuzzy_pairs(seed: int = 0, shape: tuple[int, ...] = (4, 3, 9, 11)) -> tuple[np.ndarray, np.ndarray]:
    """Maps with both signs and many equal values, and references with zeros, ones and values between."""
    generator = np.random.default_rng(seed)
    maps = generator.normal(size=shape).round(1)
    return maps, np.clip(generator.normal(0.4, 0.5, shape), 0, 1)


def test_attention_by_hand() -> None:
    maps = np.array([[[-3.0, 0.0], [1.0, 4.0]], [[-1.0, -2.0], [0.0, -1.0]], [[7.0, 7.0], [7.0, 7.0]]])
    np.testing.assert_array_equal(
        localisation.attention(maps), [[[0, 0], [0.25, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    )
    np.testing.assert_array_equal(
        localisation.attention(maps, scale="rank"),
        [[[0.125, 0.375], [0.625, 0.875]], [[0.5, 0.125], [0.875, 0.5]], [[0.5, 0.5], [0.5, 0.5]]],
    )
    line = np.arange(-100.0, 101).reshape(3, 67)  # 201 values: the 99th percentile of the positive part is 98
    np.testing.assert_allclose(localisation.attention(line, scale="quantile"), np.clip(line / 98, 0, 1))
    spot = np.zeros((20, 20))
    spot[3, 4], spot[5, 6] = 0.1, 9  # fewer than 1 pixel of 100
    np.testing.assert_array_equal(localisation.attention(spot, scale="quantile"), spot > 0)
    np.testing.assert_array_equal(localisation.attention(-(line[None] ** 2), scale="quantile"), 0 * line[None])


@pytest.mark.parametrize("scale", ["maximum", "quantile", "rank"])
def test_attention_is_in_range_keeps_order_and_forgets_the_scale(scale: str) -> None:
    maps, _ = fuzzy_pairs()
    found = localisation.attention(maps.astype(np.float32), scale=scale)
    assert found.dtype == np.float64
    assert found.shape == maps.shape
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(localisation.attention(1e-300 * maps, scale=scale), found, atol=1e-6)
    alone = localisation.attention(maps[2, 1].astype(np.float32), scale=scale)
    np.testing.assert_array_equal(alone, found[2, 1])
    order = np.argsort(maps[0, 0], axis=None)
    assert (np.diff(found[0, 0].ravel()[order]) >= 0).all()
    if scale == "rank":
        np.testing.assert_allclose(found.mean(axis=(-2, -1)), 0.5)


def test_pixel_auc_by_hand() -> None:
    reference = np.array([[1.0, 1.0], [0.0, 0.0]])
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]], [[4.0, 2.0], [2.0, 1.0]], np.ones((2, 2))])
    np.testing.assert_array_equal(localisation.pixel_auc(maps, np.stack([reference] * 4)), [1, 0, 3.5 / 4, 0.5])
    # Weights 1 and 1/4 for, 0 and 3/4 against: (1 * 3/4 + 1/4 * 3/4 / 2) / (5/4 * 3/4).
    assert localisation.pixel_auc([[2.0, 1.0]], [[1.0, 0.25]]) == pytest.approx(0.9)


def test_pixel_auc_against_scikit_learn() -> None:
    for reference_of in (lambda fuzzy: fuzzy, lambda fuzzy: (fuzzy > 0.6).astype(float)):
        maps, fuzzy = fuzzy_pairs(3)
        reference = reference_of(fuzzy)
        found = localisation.pixel_auc(maps, reference)
        assert found.shape == (4, 3)
        for place in np.ndindex(4, 3):
            assert found[place] == pytest.approx(roc_auc_score(**weighted(maps[place], reference[place])), abs=1e-12)
    usual = roc_auc_score(reference[0, 0].ravel(), maps[0, 0].ravel())
    assert localisation.pixel_auc(maps[0, 0], reference[0, 0]) == pytest.approx(usual, abs=1e-12)


def test_roc_against_scikit_learn_and_its_area() -> None:
    maps, reference = fuzzy_pairs(4)
    rates = np.array([0.0, 0.013, 0.1, 0.35, 0.8, 1.0])
    found = localisation.roc(maps, reference, rates)
    assert found.shape == (4, 3, 6)
    for place in np.ndindex(4, 3):
        false_positive, sensitivity, _ = roc_curve(**weighted(maps[place], reference[place]), drop_intermediate=False)
        np.testing.assert_allclose(found[place], np.interp(rates, false_positive, sensitivity), atol=1e-12)
    grid = np.linspace(0, 1, 20001)
    area = np.trapezoid(localisation.roc(maps, reference, grid), grid, axis=-1)
    np.testing.assert_allclose(area, localisation.pixel_auc(maps, reference), atol=1e-4)


def test_roc_by_hand() -> None:
    perfect = localisation.roc([[2.0, 1.0]], [[1.0, 0.0]], [0, 0.5, 1])
    np.testing.assert_array_equal(perfect, [1, 1, 1])  # at rate 0 the upper end of the vertical
    np.testing.assert_array_equal(localisation.roc(np.ones((3, 3)), np.eye(3), [0, 0.3, 1]), [0, 0.3, 1])
    assert np.isnan(localisation.roc(np.eye(3), np.zeros((3, 3)), [0, 1])).all()
    assert np.isnan(localisation.roc(np.eye(3), np.ones((3, 3)), [0, 1])).all()


def test_iou_by_hand_and_against_scikit_learn() -> None:
    attention = np.array([[0.5, 0.6], [0.2, 1.0]])
    reference = np.array([[0.5, 0.4], [0.9, 1.0]])
    assert localisation.iou(attention, reference, 0.5) == pytest.approx(2 / 4)
    assert localisation.iou(attention, reference, 0.61) == pytest.approx(1 / 3)
    assert localisation.iou(0 * attention, reference, 0.5) == 0
    assert np.isnan(localisation.iou(attention, 0.4 * reference, 0.5))
    maps, fuzzy = fuzzy_pairs(5)
    attention = localisation.attention(maps)
    found = localisation.iou(attention, fuzzy, 0.3)
    for place in np.ndindex(4, 3):
        expected = jaccard_score(fuzzy[place].ravel() >= 0.5, attention[place].ravel() >= 0.3)
        assert found[place] == pytest.approx(expected)


def test_best_threshold() -> None:
    attention, reference = np.random.default_rng(6).random((2, 5, 6, 7))
    reference[2] = 0
    thresholds = np.linspace(0.05, 0.95, 19)
    means = [np.nanmean(localisation.iou(attention, reference, threshold)) for threshold in thresholds]
    assert localisation.best_threshold(attention, reference) == thresholds[np.argmax(means)]
    assert localisation.best_threshold(attention, (attention >= 0.58).astype(float), [0.2, 0.58, 0.9]) == 0.58
    assert localisation.best_threshold(reference > 2, reference, [0.3, 0.7]) == 0.3  # the smallest of the best
    assert np.isnan(localisation.best_threshold(attention, 0 * reference))
    with pytest.raises(ValueError, match=r"thresholds hold 1.5: expected numbers in \[0, 1\]"):
        localisation.best_threshold(attention, reference, [0.5, 1.5])
    with pytest.raises(ValueError, match=r"thresholds have the shape \(0,\)"):
        localisation.best_threshold(attention, reference, [])


def test_hit_rate_by_hand() -> None:
    reference = np.zeros((4, 5))
    reference[1:3, 1:3] = [[1, 0.5], [0.6, 0.4]]
    maps = np.full((5, 4, 5), -3.0)
    maps[0, 1, 2], maps[1, 2, 2], maps[2, 3, 4] = -1, -1, -1
    maps[3, 1, 1] = maps[3, 0, 0] = 2
    np.testing.assert_array_equal(localisation.hit_rate(maps, np.stack([reference] * 5)), [1, 0, 0, 0.5, 3 / 20])
    assert np.isnan(localisation.hit_rate(maps[0], 0.4 * reference))


def test_pointing_game_by_hand() -> None:
    reference = np.zeros((50, 100))
    reference[10, 10] = 1
    for row, column, hit in ((13, 10, 1), (12, 12, 1), (13, 11, 0), (14, 10, 0), (10, 7, 1)):  # a disc of 3 pixels
        maps = np.zeros((50, 100))
        maps[row, column] = 1
        assert localisation.pointing_game(maps, reference) == hit
        assert localisation.pointing_game(maps, reference, tolerance=0) == localisation.hit_rate(maps, reference)
    assert localisation.pointing_game(np.zeros((50, 100)), reference) == pytest.approx(29 / 5000)
    maps = np.roll(reference, 29, axis=1)
    assert localisation.pointing_game(maps, reference, tolerance=0.29) == 1  # 0.29 * 100 is a little less than 29
    assert np.isnan(localisation.pointing_game(maps, 0 * reference))
    with pytest.raises(ValueError, match=r"tolerance is -0\.1: expected a share of the longer side"):
        localisation.pointing_game(maps, reference, tolerance=-0.1)


def test_pointing_game_against_dilation() -> None:
    generator = np.random.default_rng(7)
    maps = generator.integers(0, 6, (3, 2, 30, 40)).astype(float)
    reference = (generator.random(maps.shape) > 0.99).astype(float)
    y, x = np.mgrid[-4:5, -4:5]
    found = localisation.pointing_game(maps, reference, tolerance=0.1)
    for place in np.ndindex(3, 2):
        near = binary_dilation(reference[place] >= 0.5, x**2 + y**2 <= 16)
        assert found[place] == pytest.approx(near[maps[place] == maps[place].max()].mean())


def test_mass_by_hand() -> None:
    attention = np.array([[0.5, 0.25], [0.0, 1.0]])
    reference = np.array([[1.0, 0.5], [1.0, 0.25]])
    assert localisation.mass(attention, reference) == pytest.approx((0.5 + 0.125 + 0.25) / 1.75)
    assert localisation.mass(0.01 * attention, reference) == pytest.approx(0.5)
    assert localisation.mass(np.ones((2, 2)), reference) == pytest.approx(reference.mean())
    assert np.isnan(localisation.mass(0 * attention, reference))
    assert np.isnan(localisation.mass(attention, 0 * reference))


def test_against_quantus() -> None:
    """Binary references, one largest pixel: elsewhere Quantus gives 1 for any tie, and True where a set is empty."""
    quantus = pytest.importorskip("quantus", reason="Quantus is a second opinion, and no dependency")
    maps, fuzzy = fuzzy_pairs(8, (6, 12, 12))
    maps = maps + 1e-3 * np.random.default_rng(9).random(maps.shape)
    reference = (fuzzy > 0.5).astype(float)
    positive = localisation.attention(maps)
    quiet = {"disable_warnings": True, "normalise": False}

    def theirs(metric: type, values: np.ndarray, **options: object) -> list[float]:
        call = metric(**options, **quiet)
        return call(
            model=None, x_batch=maps[:, None], y_batch=np.zeros(6), a_batch=values[:, None], s_batch=reference[:, None]
        )

    expected = theirs(quantus.RelevanceMassAccuracy, positive)
    np.testing.assert_allclose(localisation.mass(positive, reference), expected)
    expected = theirs(quantus.AttributionLocalisation, maps, abs=False, positive_attributions=True)
    np.testing.assert_allclose(localisation.mass(positive, reference), expected)
    np.testing.assert_allclose(localisation.pixel_auc(maps, reference), theirs(quantus.AUC, maps))
    expected = np.asarray(theirs(quantus.PointingGame, maps), dtype=float)
    np.testing.assert_array_equal(localisation.hit_rate(maps, reference), expected)
    assert 0 < expected.mean() < 1


SCORES = {
    "pixel_auc": localisation.pixel_auc,
    "roc": lambda maps, reference: localisation.roc(maps, reference, [0.1, 0.2]),
    "iou": lambda maps, reference: localisation.iou(maps, reference, 0.5),
    "hit_rate": localisation.hit_rate,
    "pointing_game": localisation.pointing_game,
    "mass": localisation.mass,
}


@pytest.mark.parametrize("name", SCORES)
def test_every_score_alone_and_in_a_batch_and_empty_references(name: str) -> None:
    maps, reference = np.random.default_rng(10).random((2, 3, 2, 8, 9))
    reference[1, 1] = 0
    found = SCORES[name](maps, reference)
    assert found.dtype == np.float64
    for place in np.ndindex(3, 2):
        np.testing.assert_array_equal(SCORES[name](maps[place], reference[place]), found[place])
        assert np.isnan(found[place]).all() == (place == (1, 1))
    assert len(SCORES[name](maps[:0], reference[:0])) == 0


@pytest.mark.parametrize("name", SCORES)
def test_every_score_refuses_what_it_cannot_score(name: str) -> None:
    good = np.full((2, 3), 0.5)
    broken = np.where(np.eye(2, 3, dtype=bool), np.nan, good)
    with pytest.raises(ValueError, match=r"(maps|attention) and reference are \(2, 3\) and \(3, 2\): expected"):
        SCORES[name](good, good.T)
    with pytest.raises(ValueError, match=r"maps hold NaN or infinity|attention holds NaN"):
        SCORES[name](broken, good)
    with pytest.raises(ValueError, match="reference holds NaN"):
        SCORES[name](good, broken)
    with pytest.raises(ValueError, match="reference holds NaN or values out of"):
        SCORES[name](good, 3 * good)


def test_bad_options_are_refused() -> None:
    good = np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match='scale is \'max\': expected "maximum", "quantile" or "rank"'):
        localisation.attention(good, scale="max")
    with pytest.raises(ValueError, match="maps hold NaN or infinity: expected finite values"):
        localisation.attention(np.inf * good)
    with pytest.raises(ValueError, match=r"maps are \(2, 0\): expected \(..., H, W\) with at least one pixel"):
        localisation.attention(good[:, :0])
    with pytest.raises(ValueError, match=r"threshold is nan: expected a number in \[0, 1\]"):
        localisation.iou(good, good, float("nan"))
    with pytest.raises(ValueError, match=r"rates hold -1.0: expected numbers in \[0, 1\]"):
        localisation.roc(good, good, [0.5, -1])
