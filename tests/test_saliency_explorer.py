"""The saliency explorer: levels of maps, their sheets, and what it refuses."""

import base64
import io
import json
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from medxai.report import saliency
from medxai.report.saliency import Maps

SIZE = 24


def maps(title: str = "Gradient", *, signed: bool = True, seed: int = 0, shape=(2, 3, SIZE, SIZE)) -> Maps:
    values = np.random.default_rng(seed).standard_normal(shape)
    return Maps(title, values if signed else np.abs(values), signed)


def pictures(count: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    return {f"Case {n}": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for n in range(count)}


def explore(**changes):
    arguments = {"pictures": pictures(), "classes": ["acne", "vitiligo", "x<y"], "methods": [maps()], **changes}
    return saliency.explorer(**arguments, kind="rendered", note="<painted>").data


def decode(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


@pytest.mark.parametrize("signed", [True, False])
def test_levels_give_the_scaled_values_back(signed: bool) -> None:
    given = maps(signed=signed)
    one = given.values[1, 2]
    top = np.sort(np.abs(one).ravel())[round(0.995 * (one.size - 1)) - 1 : round(0.995 * (one.size - 1)) + 2]
    back = saliency.levels(one, signed).astype(float)
    back = (back - 128) / 127 if signed else back / 255
    inside = np.abs(one) < top[0]
    assert inside.mean() > 0.98
    # The quantile lies between neighbours in size, so the scale is known to that precision.
    assert (np.abs(back[inside]) <= np.abs(one[inside]) / top[0] + 1 / 255).all()
    assert (np.abs(back[inside]) >= np.abs(one[inside]) / top[-1] - 1 / 255).all()
    assert (np.sign(back) == np.sign(one))[np.abs(one) > top[-1] / 100].all()
    assert np.abs(back).max() == 1


def test_values_round_trip_to_one_level() -> None:
    ramp = np.linspace(-1, 1, 999).reshape(27, 37).repeat(8, axis=0)
    ramp[:4] = [[1.0], [-1.0], [1.0], [-1.0]]  # so that the quantile is 1
    back = (saliency.levels(7.5 * ramp, True).astype(float) - 128) / 127
    assert np.abs(back - ramp).max() <= 1 / 254 + 1e-12
    assert np.abs(saliency.levels(3 * np.abs(ramp), False) / 255 - np.abs(ramp)).max() <= 1 / 510 + 1e-12


def test_maps_of_zeros_and_of_a_single_spot() -> None:
    values = np.zeros((3, 40, 40))
    values[1, 2, 3], values[2, 2, 3] = 1e-9, -5
    found = saliency.levels(values, True)
    assert (found[0] == 128).all()
    assert found[1, 2, 3] == 255
    assert found[2, 2, 3] == 1
    assert (np.delete(found[1:].reshape(2, -1), 2 * 40 + 3, axis=1) == 128).all()
    assert (saliency.levels(np.zeros((5, 5), dtype=int), False) == 0).all()


def test_each_map_is_scaled_by_itself() -> None:
    values = np.stack([np.eye(20), 1000 * np.eye(20)])
    first, second = saliency.levels(values, False)
    assert (first == second).all()


def test_the_sheet_holds_every_map_at_its_place_without_loss() -> None:
    given = maps(shape=(2, 3, 8, 10))
    found = json.loads(BeautifulSoup(explore(methods=[given]), "html.parser").script.string)
    assert found["size"] == [8, 10]
    sheet = decode(found["sheets"][0])[..., 0]
    assert sheet.shape == (2 * 8, 3 * 10)
    for picture in range(2):
        for target in range(3):
            tile = sheet[8 * picture : 8 * picture + 8, 10 * target : 10 * target + 10]
            assert (tile == saliency.levels(given.values[picture, target], True)).all()


def test_colours_are_white_at_zero_blue_below_red_above() -> None:
    table = saliency.colours(True).astype(int)
    assert table.shape == (256, 3)
    assert table[128].min() > 240
    assert table[255, 0] > table[255, 2] + 50
    assert table[1, 2] > table[1, 0] + 50
    lightness = saliency.colours(False) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.5).all()
    assert lightness[-1] > lightness[0] + 150


def test_the_page_is_labelled_and_works_without_a_script() -> None:
    soup = BeautifulSoup(explore(methods=[maps(f"M{n} & co", seed=n) for n in range(8)]), "html.parser")
    assert [label.contents[0].strip() for label in soup.select(".explorer-live label")] == [
        "Picture",
        "Class",
        "Method",
        "Opacity",
    ]
    menus = soup.select("select")
    assert [len(menu.select("option")) for menu in menus] == [2, 3, 8]
    assert menus[1].select("option")[2].text == "x<y"
    assert soup.select_one(".explorer-live").has_attr("hidden")
    stills = soup.select(".explorer-still img")
    assert [image["alt"] for image in stills] == [f"M{n} & co: map of Case 0 for acne" for n in range(saliency.SHOWN)]
    assert all(decode(image["src"]).shape == (SIZE, SIZE, 3) for image in stills)
    assert soup.select_one(".data-kind.rendered").text == "◐ rendered photographs <painted>"
    assert not re.findall(r"(?:src|href)=\"(?!data:)", str(soup))


def test_outlines_are_lines_around_their_areas() -> None:
    area = np.zeros((40, 80))
    area[10:20, 20:60], area[30:35, 5:10] = 0.5, 1
    found = {(*line.min(axis=0), *line.max(axis=0)) for line in saliency.contours(area)}
    # From the middle of the first pixel to that of the last, as shares of width and height.
    assert found == {
        (20.5 / 80, 10.5 / 40, 59.5 / 80, 19.5 / 40),
        (5.5 / 80, 30.5 / 40, 9.5 / 80, 34.5 / 40),
    }
    assert saliency.contours(np.zeros((5, 5), bool)) == []


def test_every_picture_has_its_outline_and_stills_have_it_drawn() -> None:
    areas = [np.zeros((SIZE, SIZE), bool), np.ones((SIZE, SIZE), bool)]
    plain, lined = (
        BeautifulSoup(explore(outlines=outlines), "html.parser") for outlines in ([], [np.eye(SIZE) > 0, areas[1]])
    )
    assert json.loads(plain.script.string)["outlines"] == []
    assert plain.select_one(".explorer-outlined") is None
    assert lined.select_one(".explorer-outlined").text == "the experts' outline"
    paths = json.loads(BeautifulSoup(explore(outlines=areas), "html.parser").script.string)["outlines"]
    assert paths == ["", "M0.021 0.021L0.021 0.979L0.979 0.979L0.979 0.021Z"]
    before, after = (decode(soup.select_one(".explorer-still img")["src"]).astype(int) for soup in (plain, lined))
    assert np.abs(before - after).max() > 60


def test_a_picture_may_change_with_the_second_menu() -> None:
    versions = {name: np.stack([one, 255 - one, one // 2]) for name, one in pictures().items()}
    said = [["right", "wrong", "right"], ["wrong"] * 3]
    soup = BeautifulSoup(explore(pictures=versions, menus=("Image", "Version", "Layer"), said=said), "html.parser")
    assert [label.contents[0].strip() for label in soup.select("label")] == ["Image", "Version", "Layer", "Opacity"]
    found = json.loads(soup.script.string)
    assert found["said"] == said
    assert [len(some) for some in found["pictures"]] == [3, 3]
    dark, inverted = (decode(found["pictures"][1][n]).astype(int) for n in (2, 1))
    assert dark.mean() < inverted.mean() - 20
    with pytest.raises(ValueError, match=r"pictures are uint8 \(2, 24, 24, 3\)"):
        explore(pictures={name: some[:2] for name, some in versions.items()})


NAN = maps().values.copy()
NAN[1, 1, 3, 4] = np.nan


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": []}, "at least one picture, one class and one method"),
        ({"pictures": {"a": np.zeros((5, 5), np.uint8)}}, r"pictures are uint8 \(5, 5\): expected uint8 \(h, w, 3\)"),
        (
            {"pictures": {**pictures(1), "b": np.zeros((5, 5, 3), np.uint8)}},
            r"\(24, 24, 3\), uint8 \(5, 5, 3\): .*of one shape",
        ),
        (
            {"pictures": {n: p / 255 for n, p in pictures().items()}},
            r"pictures are float64 \(24, 24, 3\): expected uint8",
        ),
        ({"classes": ["acne"]}, r"Gradient are \(2, 3, 24, 24\): expected \(2, 1, 24, 24\)"),
        (
            {"methods": [maps(), maps("LRP", shape=(2, 3, 7, 7))]},
            r"maps of LRP are \(2, 3, 7, 7\): expected \(2, 3, 24, 24\)",
        ),
        (
            {"outlines": [np.zeros((5, 5))]},
            r"outlines are \(5, 5\): expected 2 of shape \(h, w\), one a picture, or none",
        ),
        ({"methods": [Maps("LRP", NAN, True)]}, "maps of LRP hold NaN or infinity"),
        ({"methods": [Maps("LRP", maps().values, False)]}, "maps of LRP hold -.* and are unsigned"),
        ({"methods": [maps(shape=(2, 3, 120, 120))] * 2}, r"the explorer is 0\.\d MB: expected at most 0\.1"),
    ],
)
def test_bad_input_is_told_in_one_sentence(changes: dict, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliency, "LIMIT", 100_000)
    with pytest.raises(ValueError, match=said):
        explore(**changes)
