"""Similarity of many grey maps: against scikit-image, scipy and closed forms."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage import metrics

from medxai.evaluation import similarity
from medxai.evaluation.map_similarity import MEASURES, grey_levels, shifted_error, similarities

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (3, 2, 17, 12), dtype=np.uint8)
SMOOTH = np.clip(ndimage.gaussian_filter(RANDOM.normal(128, 900, (3, 2, 17, 12)), (0, 0, 3, 3)), 0, 255).astype(
    np.uint8
)
BRIGHT = RANDOM.integers(250, 256, (3, 2, 17, 12), dtype=np.uint8)  # where variances are small beside means
MAPS = np.concatenate([NOISE, SMOOTH, BRIGHT])


def compared(maps, others, name):
    return similarities(torch.from_numpy(maps), torch.from_numpy(others), [name])[name].numpy()


def pair_by_pair(function):
    """One number for each map of all versions, (9, 2), against the map of that image in the first version."""
    return np.array([[function(maps[i], MAPS[0, i]) for i in range(2)] for maps in MAPS])


def centres(one, other):
    return np.linalg.norm(np.subtract(ndimage.center_of_mass(one), ndimage.center_of_mass(other)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmse", lambda one, other: metrics.mean_squared_error(one, other) ** 0.5),
        ("structural_similarity", lambda one, other: metrics.structural_similarity(one, other, data_range=255)),
        ("rank_correlation", lambda one, other: stats.spearmanr(one.ravel(), other.ravel()).statistic),
        ("centroid_shift", centres),
    ],
)
def test_what_other_libraries_give(name, expected):
    found = compared(MAPS, MAPS[0], name)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, pair_by_pair(expected), rtol=1e-6, atol=2e-6)


def test_structural_similarity_is_that_of_two_maps():
    """`similarity` scales maps to their own range, which those of 0 to 255 have."""
    maps = MAPS.copy()
    maps[..., 0, :2] = 0, 255
    found = compared(maps, maps[0], "structural_similarity")
    assert found[4, 1] == pytest.approx(similarity.structural_similarity(maps[4, 1], maps[0, 1]), abs=1e-6)


def test_top_overlap_is_that_of_sets():
    """30 pixels, no two alike: the top are the three greatest."""
    maps = np.stack([RANDOM.permutation(np.arange(1, 31, dtype=np.uint8)).reshape(5, 6) for _ in range(40)])
    top = [set(np.argsort(one.ravel())[-3:]) for one in maps]
    found = compared(maps, maps[0], "top_overlap")
    np.testing.assert_allclose(found, [len(one & top[0]) / 3 for one in top], atol=1e-6)
    assert set(np.round(3 * found)) >= {0, 1, 3}


def test_pixels_of_one_level_share_the_top():
    """Of 30 pixels three are the top: one of 200 and six of 100, each of which belongs to it by a third."""
    one, other = np.zeros((2, 5, 6), np.uint8)
    one[0], one[0, 0] = 100, 200
    other.flat[3:6] = 9
    one[1, 0] = 100
    assert compared(one, one, "top_overlap") == pytest.approx(1)
    assert compared(one, other, "top_overlap") == compared(other, one, "top_overlap") == pytest.approx(3 * (1 / 3) / 3)
    sparse = np.zeros((5, 6), np.uint8)
    sparse[4, 5] = 255  # the two other thirds of the top are anywhere in the 29 pixels
    assert compared(sparse, one, "top_overlap") == pytest.approx(6 * (2 / 29) / 3 + (2 / 29) / 3, abs=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_is_defined_for_constant_maps(name):
    maps = MAPS.copy()
    maps[1, 0], maps[2, 1] = 0, 255
    found = compared(maps, maps[0], name)
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 0], [2, 1]]
    assert np.isnan(compared(maps, maps[2], name)[:, 1]).all()


def test_every_measure_knows_the_same_map():
    found = similarities(torch.from_numpy(MAPS), torch.from_numpy(MAPS))
    best = {"rmse": 0, "structural_similarity": 1, "rank_correlation": 1, "top_overlap": 1, "centroid_shift": 0}
    assert list(found) == list(best) == list(MEASURES)
    for name, values in found.items():
        np.testing.assert_allclose(values, np.full((9, 2), best[name]), atol=2e-6)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -2), (-4, 5)])
def test_a_whole_shift_is_taken_back(right, down):
    """What was at (row, column) is now at (row + down, column + right); what has left the map does not count."""
    before = SMOOTH[0, 0]
    moved = ndimage.shift(before, (down, right), order=0, mode="nearest")
    noisy = moved ^ (NOISE[0, 0] & 7)
    rows, columns = slice(max(0, -down), 17 - max(0, down)), slice(max(0, -right), 12 - max(0, right))
    back = ndimage.shift(noisy, (-down, -right), order=0, mode="nearest")
    expected = metrics.mean_squared_error(back[rows, columns], before[rows, columns]) ** 0.5
    found = [
        shifted_error(*map(torch.from_numpy, (one, before)), torch.tensor([right, down])) for one in (moved, noisy)
    ]
    np.testing.assert_allclose(found, [0, expected], rtol=1e-4, atol=5e-3)
    assert expected > 2


def test_a_shift_by_parts_of_a_pixel():
    """Of planes, which bilinear interpolation leaves as they are: 2 x + 3 y moves by 2 right + 3 down."""
    rows, columns = np.mgrid[:17, :12]
    plane = torch.from_numpy((60 + 2 * columns + 3 * rows).astype(np.uint8))
    shift = torch.tensor([[[1.25, 0.5]], [[-2.5, 1.75]]])
    found = shifted_error(plane.expand(2, 1, -1, -1), plane[None], shift)
    np.testing.assert_allclose(found, [[2 * 1.25 + 3 * 0.5], [abs(-2 * 2.5 + 3 * 1.75)]], rtol=1e-4)


def test_what_has_left_the_map_is_not_defined():
    one = torch.from_numpy(NOISE[0, :1])
    assert not shifted_error(one, one, torch.tensor([[11.0, 0.0]])).isnan()
    assert shifted_error(one, one, torch.tensor([[11.5, 0.0]])).isnan()
    assert shifted_error(torch.zeros_like(one), one, torch.zeros(1, 2)).isnan()


def test_grey_levels():
    maps = torch.tensor([[[-1.0, 0.0], [0.996, 3.0]], [[5.0, 5.0], [5.0, 6.0]]])
    assert grey_levels(maps).tolist() == [[[0, 64], [127, 255]], [[0, 0], [0, 255]]]
    for values in (maps, maps.double(), 1e-30 * maps, maps + 100):
        assert grey_levels(values).dtype == torch.uint8
        assert (grey_levels(values).int() - grey_levels(maps).int()).abs().max() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_maps_have_no_grey(dtype):
    """One pixel that was resized is constant but for rounding, of which no map is to be made."""
    pixel = torch.linspace(0.01, 50, 200, dtype=dtype)[None, :, None, None]
    resized = torch.nn.functional.interpolate(pixel, (9, 9), mode="bilinear")
    assert not grey_levels(resized).any()
    assert not grey_levels(torch.zeros(2, 3, 3, dtype=dtype)).any()
    assert grey_levels(torch.tensor([[1, 1], [1, 1 + 1e-3]], dtype=dtype)).any()
    for value in (torch.nan, torch.inf, -torch.inf):
        maps = torch.rand(2, 3, 3, dtype=dtype)
        maps[0, 1, 1] = value
        assert grey_levels(maps).amax((1, 2)).tolist() == [0, 255]


def test_bad_maps():
    grey = torch.zeros(2, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"maps are torch.float32 \(2, 8, 8\): expected uint8 \(..., height, width\)"):
        similarities(grey.float(), grey)
    with pytest.raises(ValueError, match=r"maps are \(2, 8, 8\) and \(2, 8, 7\): expected the same height and width"):
        similarities(grey, grey[..., :7])
    with pytest.raises(ValueError, match="measures hold ssim: expected some of rmse, structural_similarity, rank"):
        similarities(grey, grey, ["rmse", "ssim"])
    with pytest.raises(ValueError, match=r"maps are \(2, 8, 6\): expected at least 7 x 7 pixels"):
        similarities(grey[..., :6], grey[..., :6])
    with pytest.raises(ValueError, match=r"shift is \(2,\): expected \(2, 2\), right and down of each map"):
        shifted_error(grey, grey, torch.zeros(2))
    with pytest.raises(ValueError, match=r"maps are torch.uint8 \(2, 8, 8\): expected float"):
        grey_levels(grey)
    with pytest.raises(ValueError, match=r"maps are torch.float32 \(0, 8, 8\): .*none of it 0"):
        grey_levels(grey[:0].float())
