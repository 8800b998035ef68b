"""The poor camera of a clinic takes away, shifts and adds as much as it says, to each image whatever the others are."""

import numpy as np
import pytest

from medxai.painting.camera import clinic

SIDE = 168
FINE = {"cast": 0.0, "grain": 0.0}


def textures(number: int, low: int = 0, high: int = 256, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (number, side, side, 3)).astype(np.uint8)


def grey(number: int, side: int = 24) -> tuple[np.ndarray, list[str]]:
    return np.full((number, side, side, 3), 128, np.uint8), [f"image {row}" for row in range(number)]


def test_same_name_and_seed_same_pixels_whatever_the_others_are():
    pictures, names = textures(4), ["a", "b", "c", "d"]
    before = pictures.copy()
    taken = clinic(pictures, names)
    np.testing.assert_array_equal(pictures, before)
    assert (taken.dtype, taken.shape) == (np.uint8, pictures.shape)
    np.testing.assert_array_equal(clinic(pictures[[2, 0]], ["c", "a"]), taken[[2, 0]])
    assert (clinic(pictures[:1], ["b"]) != taken[:1]).any()
    assert (clinic(pictures[:1], ["a"], seed=1) != taken[:1]).any()


def test_what_is_finer_than_the_sensor_is_gone():
    pictures = textures(1)
    cells = pictures.reshape(1, 56, 3, 56, 3, 3)
    turned = cells[:, :, ::-1, :, ::-1].reshape(pictures.shape)
    assert (turned != pictures).mean() > 0.8
    np.testing.assert_array_equal(clinic(turned, ["a"], **FINE), clinic(pictures, ["a"], **FINE))
    assert (clinic(turned, ["a"], pixels=SIDE, **FINE) != clinic(pictures, ["a"], pixels=SIDE, **FINE)).any()


@pytest.mark.parametrize("pixels", [28, 56, 84])
def test_coarse_waves_stay_and_fine_ones_go(pixels):
    place = (np.arange(SIDE) + 0.5) / SIDE

    def left(waves: float) -> float:
        """Share of the contrast of so many waves across the picture that the camera leaves."""
        wave = 128 + 100 * np.sin(2 * np.pi * waves * place)
        picture = np.broadcast_to(np.round(wave)[:, None, None], (SIDE, SIDE, 3)).astype(np.uint8)[None]
        return float(clinic(picture, ["a"], pixels=pixels, **FINE).std() / picture.std())

    assert left(0.1 * pixels) > 0.9
    assert 0.2 < left(0.47 * pixels) < 0.75
    assert left(0.97 * pixels) < 0.1


def test_a_sensor_as_fine_as_the_picture_takes_nothing_away():
    for pixels in (SIDE, 1000):
        pictures = textures(2)[:, :, : SIDE - 20]
        np.testing.assert_array_equal(clinic(pictures, ["a", "b"], pixels=pixels, **FINE), pictures)


def test_the_cast_has_the_moments_it_says_and_is_one_of_the_whole_picture():
    taken = clinic(*grey(3000, 4), cast=0.1, grain=0.0).astype(float)
    assert taken.std(axis=(1, 2)).max() == 0
    shift = (taken.mean(axis=(1, 2)) - 128) / 255
    assert abs(shift.mean()) < 4 * 0.1 / np.sqrt(shift.size)
    assert shift.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * shift.size))
    assert np.abs(np.corrcoef(shift.T) - np.eye(3)).max() < 4 / np.sqrt(len(shift))


def test_the_noise_has_the_moments_it_says_and_no_neighbours():
    noise = (clinic(*grey(40, 100), cast=0.0, grain=0.1).astype(float) - 128) / 255
    assert abs(noise.mean()) < 4 * 0.1 / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * noise.size) + 1e-3)  # rounding adds to it
    for axis in (0, 1, 2, 3):
        last = noise.shape[axis] - 1
        one, other = (np.take(noise, rows, axis).ravel() for rows in (range(last), range(1, last + 1)))
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize(
    ("pictures", "names", "options", "sentence"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), ["a", "b"], {}, r"float32 \(2, 8, 8, 3\) with 2 names: expected uint8"),
        (
            np.zeros((8, 8, 3), np.uint8),
            ["a"] * 8,
            {},
            r"uint8 \(8, 8, 3\) with 8 names: expected uint8 \(n,",
        ),
        (np.zeros((2, 8, 8, 3), np.uint8), ["a"], {}, "with 1 names: expected .* with n names"),
        (np.zeros((1, 8, 8, 3), np.uint8), ["a"], {"pixels": 0}, "are 0, 0.075 and 0.1: expected at least 1, 0 and 0"),
        (np.zeros((1, 8, 8, 3), np.uint8), ["a"], {"grain": -1}, "are 56, 0.075 and -1: expected at least 1, 0 and 0"),
    ],
)
def test_what_cannot_be_taken_is_told(pictures, names, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        clinic(pictures, names, **options)
