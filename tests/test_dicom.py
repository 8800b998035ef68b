"""Radiographs as DICOM files: grey as a viewer shows it, and one sentence for each that is not one."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless

from medxai.data import dicom
from medxai.errors import DataError
from tiny_egd_cxr import dicom as write
from tiny_egd_cxr import ramp

GREY = np.rint(255 * (ramp() / ramp().max())).astype(np.uint8)


def test_grey_is_scaled_from_the_least_to_the_greatest_value(tmp_path: Path) -> None:
    np.testing.assert_array_equal(dicom.read(write(tmp_path / "a.dcm", ramp())), GREY)


def test_monochrome1_is_turned_over(tmp_path: Path) -> None:
    turned = dicom.read(write(tmp_path / "a.dcm", ramp(), PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(turned, 255 - GREY.astype(int), atol=1)


def test_sixteen_bits_and_signed_values(tmp_path: Path) -> None:
    pixels = (15 * ramp().astype(int) - 30000).astype(np.int16)
    elements = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1}
    np.testing.assert_array_equal(dicom.read(write(tmp_path / "a.dcm", pixels, **elements)), GREY)


def test_rescaling_comes_before_the_window(tmp_path: Path) -> None:
    elements = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 1000.5, "WindowWidth": 2001}
    shown = dicom.read(write(tmp_path / "a.dcm", ramp(), **elements))
    by_hand = np.rint(255 * np.clip((2 * ramp().astype(float) - 1000) / 2000, 0, 1))
    np.testing.assert_allclose(shown, by_hand, atol=1)
    assert (shown[:, 0] == 0).all()
    assert (shown[:, -1] == 255).all()


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"PixelData": None}, "has no pixel data: expected a radiograph"),
        ({"PhotometricInterpretation": "RGB"}, "has pixels of kind 'RGB': expected grey"),
        ({"NumberOfFrames": 2}, "holds 2 pictures: expected one"),
        ({"Rows": 60000, "Columns": 60000}, "has 60000 x 60000 pixels"),
        ({"Rows": None}, "is damaged or truncated"),
        ({"Rows": 51}, "is damaged or truncated"),
        ({"PixelData": bytes(4000)}, "shows nothing"),
    ],
)
def test_what_is_no_radiograph(tmp_path: Path, elements: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as refused:
        dicom.read(write(tmp_path / "a.dcm", ramp(), **elements))
    assert "\n" not in str(refused.value)


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", ramp())
    whole = path.read_bytes()
    for kept in (len(whole) - 2, len(whole) // 2, 200):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"a\.dcm (is damaged or truncated|has no pixel data)"):
            dicom.read(path)
    path.write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="is no DICOM file"):
        dicom.read(path)
    with pytest.raises(DataError, match="is not there"):
        dicom.read(tmp_path / "b.dcm")


@pytest.mark.parametrize(
    ("syntax", "sentence"),
    [(DeflatedExplicitVRLittleEndian, "is deflated"), (JPEGLSLossless, "is compressed as JPEG-LS")],
)
def test_what_is_packed(tmp_path: Path, syntax: str, sentence: str) -> None:
    path = write(tmp_path / "a.dcm", ramp())
    content = path.read_bytes()
    old = b"1.2.840.10008.1.2.1\0"
    assert content.count(old) == 1
    # A name of another length shifts the file: the lengths of the element and of its group say so.
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    at = content.index(old)
    content = content[: at - 2] + len(new).to_bytes(2, "little") + new + content[at + len(old) :]
    group = int.from_bytes(content[140:144], "little") + len(new) - len(old)
    path.write_bytes(content[:140] + group.to_bytes(4, "little") + content[144:])
    with pytest.raises(DataError, match=sentence):
        dicom.read(path)
