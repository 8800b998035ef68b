"""Pictures are read as a viewer shows them, in 8 bits, or refused in one sentence."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from medxai.data import pictures
from medxai.data.image_folder import read_folder
from medxai.errors import DataError

WHITE = np.zeros((24, 32, 3), np.uint8)
"""A white box in the upper left of a black picture: no rotation and no mirroring leaves it as it is."""
WHITE[2:12, 4:12] = 255
TURNED = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a), 8: lambda a: np.rot90(a, -1)}
"""What is stored for each orientation of EXIF if `WHITE` is meant, written from its definition."""


def saved(path: Path, picture: np.ndarray | Image.Image, **options: object) -> Path:
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(path, **options)
    return path


def palette() -> Image.Image:
    """`WHITE` with a palette whose white is 0 and whose black is 1."""
    picture = Image.new("P", (32, 24), 1)
    picture.putpalette([255] * 3 + [0] * 765)
    picture.paste(0, (4, 2, 12, 12))
    return picture


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_orientation_is_that_of_a_viewer(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNED[orientation](WHITE))
    path = saved(tmp_path / f"a.{ending}", stored, exif=exif, **{"quality": 100} if ending in ("jpg", "webp") else {})
    np.testing.assert_allclose(pictures.read(path), WHITE, atol=12)


def test_orientation_counts_for_photograph_and_mask_alike(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder, ending in (("images", "jpg"), ("masks", "png")):
        (tmp_path / folder).mkdir()
        stored = np.ascontiguousarray(np.rot90(WHITE))
        # The mask of a turned photograph, drawn on it as shown, is stored upright or turned itself.
        saved(tmp_path / folder / f"turned.{ending}", stored, exif=exif, quality=95)
        upright = {"exif": exif} if ending == "jpg" else {}
        saved(tmp_path / folder / f"upright.{ending}", stored if upright else WHITE, quality=95, **upright)
    images = read_folder(tmp_path / "images", tmp_path / "masks", size=32)
    for row in range(2):
        inside = images.reference(row) > 0
        assert images.pictures[row][inside].mean() > 200
        assert images.pictures[row][~inside].mean() < 20


@pytest.mark.parametrize(
    "picture",
    [
        palette(),
        Image.fromarray(WHITE).quantize(2),
        Image.fromarray(WHITE).convert("CMYK"),
        Image.fromarray(WHITE[..., 0]).convert("1"),
        Image.fromarray(WHITE[..., 0]),
        Image.fromarray(WHITE).convert("RGBA"),
        Image.fromarray(WHITE[..., 0]).convert("LA"),
    ],
    ids=lambda picture: picture.mode,
)
def test_white_is_white_whatever_the_file_calls_it(tmp_path: Path, picture: Image.Image) -> None:
    path = saved(tmp_path / "a_mask.tif", picture)
    np.testing.assert_array_equal(pictures.read(path), WHITE)
    saved(tmp_path / "a.png", WHITE)
    np.testing.assert_array_equal(read_folder(tmp_path, tmp_path, size=32).reference(0) > 0, shrunk(WHITE))


def shrunk(picture: np.ndarray) -> np.ndarray:
    """A mask of 32 x 32 of a picture of 32 x 24: OpenCV, as documented."""
    return cv2.resize((picture[..., 0] > 0).astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA) >= 0.5


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_a_mask_that_its_format_has_blurred_is_refused(tmp_path: Path, ending: str) -> None:
    """What is not black would be more than was drawn."""
    disc = cv2.circle(np.zeros((224, 224), np.uint8), (110, 100), 40, 255, -1)
    path = saved(tmp_path / f"a.{ending}", disc, quality=95)
    assert (pictures.read(path)[..., 0] > 0).sum() > 1.04 * (disc > 0).sum()
    with pytest.raises(DataError, match=r"is blurred by its format, .*: expected black and white alone"):
        pictures.read_mask(path)
    for value in (0, 255):
        saved(path, np.full((24, 32), value, np.uint8), quality=95)
        assert (pictures.read_mask(path) == bool(value)).all()


def test_a_picture_beside_its_previews_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", WHITE, format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert Image.open(path).n_frames == 2
    np.testing.assert_allclose(pictures.read(path), WHITE, atol=40)


def frames(path: Path) -> None:
    saved(path, WHITE, save_all=True, append_images=[Image.new("RGB", (32, 24), "red")])


def deep(path: Path, channels: int) -> None:
    """Write 16 bits a channel, of which a camera used 12."""
    ramp = np.linspace(0, 4095, 32, dtype=np.uint16)[None, :, None].repeat(24, 0).repeat(channels, 2)
    assert cv2.imwrite(str(path), ramp)


def transparent(path: Path) -> None:
    picture = Image.fromarray(WHITE).convert("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 254))
    picture.save(path)


def colour_key(path: Path) -> None:
    saved(path, palette(), transparency=0)


def large(path: Path) -> None:
    Image.new("1", (pictures.LARGEST // 1000, 1001)).save(path)


def larger(path: Path) -> None:
    """Twice as many pixels as Pillow itself allows, of which it warns before we see it."""
    Image.new("1", (20000, 20000)).save(path)


def foreign(path: Path) -> None:
    saved(path, WHITE, format="DDS")


def cut(kind: str, share: float, **options: object) -> Callable[[Path], None]:
    """Return what writes the first part of a file."""

    def write(path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        saved(path, noise, format=kind, **options)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return write


REFUSED = {
    "frames.png": (frames, "holds 2 pictures: expected one a file"),
    "frames.webp": (frames, "holds 2 pictures: expected one a file"),
    "deep.png": (lambda path: deep(path, 3), "has 16 bits a channel: expected 8 bits a channel"),
    "deep.tif": (lambda path: deep(path, 3), "has 16 bits a channel: expected 8 bits a channel"),
    "deeper.png": (lambda path: deep(path, 4), "has 16 bits a channel: expected 8 bits a channel"),
    "grey.png": (lambda path: deep(path, 1), "has 16 bits a channel: expected 8 bits a channel"),
    "float.tif": (lambda path: saved(path, WHITE[..., 0].astype(np.float32)), "has pixels of kind 'F'"),
    "transparent.png": (transparent, "is transparent in places: expected an opaque picture"),
    "key.png": (colour_key, "is transparent in places: expected an opaque picture"),
    "large.png": (large, "has 67108 x 1001 pixels: expected at most 67,108,864 in all"),
    "larger.png": (larger, "has too many pixels: expected at most 67,108,864 in all"),
    "foreign.png": (foreign, "is no image that can be read: expected PNG, JPEG"),
    "text.png": (lambda path: path.write_text("no"), "is no image that can be read"),
    "empty.png": (lambda path: path.write_text(""), "is no image that can be read"),
    "folder.png": (lambda path: path.mkdir(), "is damaged (["),
    "cut.png": (cut("PNG", 0.5), "is damaged ("),
    "cut.jpg": (cut("JPEG", 0.5), "is damaged ("),
    "cut.tif": (cut("TIFF", 0.5), "is damaged ("),
    "cut.webp": (cut("WEBP", 0.5), "is damaged ("),
    "lzw.png": (cut("TIFF", 0.9, compression="tiff_lzw"), "is "),
    "animated.png": (cut("PNG", 0.3, save_all=True, append_images=[Image.new("RGB", (40, 40))]), "holds 2 pictures"),
    "palette.png": (
        lambda path: saved(path, Image.new("P", (8, 8), 1)),
        "has pixels of colour numbers beyond its palette of 1:",
    ),
    "header.tif": (cut("TIFF", 0.01), "is "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    write, said = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / name} {said}")) as error:
        pictures.read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_the_limit_itself_is_read(tmp_path: Path) -> None:
    Image.new("1", (pictures.LARGEST, 1)).save(tmp_path / "wide.png")
    assert pictures.read(tmp_path / "wide.png").shape == (1, pictures.LARGEST, 3)
    assert read_folder(tmp_path, size=16).pictures.shape == (1, 16, 16, 3)
