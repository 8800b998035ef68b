"""The saliency explorer in a browser, on a small page of its own, finished as the site's are and opened from disk."""

import re

import numpy as np
import pytest

import finish
from medxai import paths
from medxai.report import saliency
from medxai.report.saliency import Maps

STATIC = (paths.ROOT / "book" / "_static").as_uri()
SIZE = 30

pytestmark = pytest.mark.browser


def write(folder, body):
    """Write a page of the book's style that holds `body` and the explorer's script; return its address."""
    (folder / "_static").mkdir()
    page = folder / "page.html"
    body = finish.with_maps_apart(body, folder, page)
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Test</title><style>:root { --pst-color-primary: blue }</style>"
        f'<link rel="stylesheet" href="{STATIC}/custom.css"><body class="bd-article">{body}'
        f'<script defer src="{STATIC}/explorer.js"></script></body></html>',
        encoding="utf-8",
    )
    return page.as_uri()


@pytest.fixture(scope="module")
def methods():
    rng = np.random.default_rng(0)
    spots = np.zeros((2, 2, SIZE, SIZE))
    spots[0, 0, 2:5, 2:5], spots[0, 1, 14:16, 25:28], spots[1, 0, 14:16, 14:16] = 1, -2, 3  # the last map stays zero
    noise = rng.standard_normal((2, 2, SIZE, SIZE))
    return [Maps("Noise", noise, True), Maps("Spots", spots, True), Maps("Size", np.abs(noise), False)]


@pytest.fixture(scope="module")
def address(tmp_path_factory, methods):
    rng = np.random.default_rng(1)
    pictures = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("Case 1", "Case 2")}
    outlines = np.zeros((2, SIZE, SIZE), bool)
    outlines[0, 10:20, 5:25] = True
    element = saliency.explorer(pictures, ["acne", "vitiligo"], methods, kind="rendered", outlines=[*outlines])
    return write(tmp_path_factory.mktemp("explorer"), element.data)


@pytest.fixture
def tab(browser):
    """A tab of a phone's width that fails the test on any error, and on any request for what is not on disk."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab = context.new_page()
    problems = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
    )
    yield tab
    context.close()
    assert problems == []


def shown(tab):
    """Return the pixels of the map's canvas, (height, width, 3)."""
    code = """() => { const canvas = document.querySelector(".explorer-views canvas");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.height, canvas.width, ...data]; }"""
    height, width, *pixels = tab.evaluate(code)
    return np.array(pixels).reshape(height, width, 4)[..., :3]


def choose(tab, label, value):
    tab.get_by_role("combobox", name=label, exact=True).select_option(value, timeout=5000)


def says(tab, words):
    tab.get_by_role("status").filter(has_text=words).wait_for(timeout=3000)


def opacity(tab, percent):
    tab.get_by_role("slider", name="Opacity").fill(str(percent))
    tab.wait_for_timeout(200)


def test_every_map_arrives_pixel_by_pixel(tab, address, methods):
    tab.goto(address)
    opacity(tab, 100)
    for maps in methods:
        choose(tab, "Method", maps.title)
        for picture in range(2):
            choose(tab, "Picture", f"Case {picture + 1}")
            for target, name in enumerate(["acne", "vitiligo"]):
                choose(tab, "Class", name)
                says(tab, f"{maps.title}, {name}, Case {picture + 1}:")
                expected = saliency.colours(maps.signed)[saliency.levels(maps.values[picture, target], maps.signed)]
                assert (shown(tab) == expected).all(), (maps.title, picture, name)


def test_pictures_and_maps_are_loaded_when_they_are_chosen(tab, address):
    loaded = []
    tab.on("request", lambda request: loaded.append(request.url))
    tab.goto(address)
    says(tab, "Noise, acne, Case 1")
    parts = [url for url in loaded if "/explorer/" in url]
    assert len(parts) == 2
    choose(tab, "Method", "Spots")
    says(tab, "Spots, acne, Case 1")
    choose(tab, "Class", "vitiligo")
    says(tab, "Spots, vitiligo, Case 1")
    choose(tab, "Method", "Noise")
    says(tab, "Noise, vitiligo, Case 1")
    assert len([url for url in loaded if "/explorer/" in url]) == 3
    assert not re.search(
        r"data:image/(webp|png)", tab.content().replace(tab.locator(".explorer-views img").evaluate("i => i.src"), "")
    )


def test_the_outline_lies_on_picture_and_map(tab, address):
    tab.goto(address)
    says(tab, "Noise, acne, Case 1")
    boxes = """() => [...document.querySelectorAll(".explorer-views > div")].map((div) => {
      const [all, line] = [div, div.querySelector("path")].map((element) => element.getBoundingClientRect());
      return [(line.left - all.left) / all.width, (line.right - all.left) / all.width,
              (line.top - all.top) / all.height, (line.bottom - all.top) / all.height]; })"""
    for box in tab.evaluate(boxes):
        assert box == pytest.approx([5.5 / SIZE, 24.5 / SIZE, 10.5 / SIZE, 19.5 / SIZE], abs=0.02)
    choose(tab, "Picture", "Case 2")
    says(tab, "Case 2")
    assert tab.locator(".explorer-views path").first.get_attribute("d") == ""


def test_words_say_where_the_map_is_strongest(tab, address):
    tab.goto(address)
    choose(tab, "Method", "Spots")
    says(tab, "Spots, acne, Case 1: strongest at the top left.")
    choose(tab, "Class", "vitiligo")
    says(tab, "Spots, vitiligo, Case 1: strongest at the middle right.")
    assert "middle right" in tab.locator("canvas[role=img]").get_attribute("aria-label")
    choose(tab, "Picture", "Case 2")
    says(tab, "Spots, vitiligo, Case 2: zero everywhere.")
    choose(tab, "Class", "acne")
    says(tab, "Spots, acne, Case 2: strongest in the centre.")
    assert tab.locator(".explorer-legend").inner_text().split("\n") == [
        "against the class",
        "for it",
        "the experts' outline",
    ]
    choose(tab, "Method", "Size")
    says(tab, "Size, acne")
    assert tab.locator(".explorer-legend").inner_text().split("\n")[:2] == ["none", "strongest"]


def test_the_picture_changes_with_the_second_menu_and_more_is_said(tab, tmp_path):
    black_and_white = np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in (0, 255)])
    one = Maps("4.2", np.random.default_rng(0).random((1, 2, SIZE, SIZE)), False)
    options = {"menus": ("Image", "Version", "Layer"), "said": [["Right.", "Wrong."]]}
    element = saliency.explorer({"Case 1": black_and_white}, ["original", "bright"], [one], kind="real", **options)
    tab.goto(write(tmp_path, element.data))
    opacity(tab, 0)
    says(tab, "Right.")
    assert shown(tab).max() < 20
    choose(tab, "Version", "bright")
    says(tab, "Wrong.")
    assert shown(tab).min() > 235


def test_opacity_goes_from_the_grey_picture_to_the_map(tab, address):
    tab.goto(address)
    opacity(tab, 0)
    picture = shown(tab)
    assert (np.ptp(picture, axis=-1) == 0).all()
    opacity(tab, 100)
    full = shown(tab)
    opacity(tab, 50)
    assert np.abs(shown(tab) - (picture + full) / 2).max() <= 2


def test_explorer_by_keyboard(tab, address):
    tab.goto(address)
    says(tab, "Noise, acne, Case 1")
    before = shown(tab)
    names = []
    for _ in range(4):
        tab.keyboard.press("Tab")
        names.append(tab.evaluate("document.activeElement.closest('label').firstChild.textContent.trim()"))
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if names[-1] == "Method":
            tab.keyboard.press("ArrowDown")
            says(tab, "Spots, acne, Case 1")
            assert (shown(tab) != before).any()
    assert names == ["Picture", "Class", "Method", "Opacity"]
    before = shown(tab)
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    tab.wait_for_timeout(200)
    assert tab.get_by_role("slider", name="Opacity").input_value() == "55"
    assert (shown(tab) != before).any()


def test_explorer_fits_a_phone_and_hides_the_stand_in(tab, address):
    tab.goto(address)
    says(tab, "Noise")
    assert tab.locator(".explorer-still").is_hidden()
    assert tab.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
    assert tab.locator("canvas[role=img]").bounding_box()["width"] > 150


@pytest.mark.parametrize("width", [390, 1280])
def test_no_name_in_a_menu_is_cut(browser, tmp_path, width):
    """The longest name of the book's method, and one of a picture, as long as they fit a phone."""
    maps = Maps("Integrated gradients at the last convolution", np.ones((1, 1, SIZE, SIZE)), False)
    pictures = {"Seborrheic dermatitis, next actinic keratosis": np.zeros((SIZE, SIZE, 3), np.uint8)}
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(write(tmp_path, saliency.explorer(pictures, ["its disease"], [maps], kind="rendered").data))
    says(tab, "Integrated")
    room = """menu => { const text = document.createElement("span");
      [text.textContent, text.style.font] = [menu.value, getComputedStyle(menu).font];
      document.body.append(text);
      const style = getComputedStyle(menu), arrow = 16;
      return menu.clientWidth - parseFloat(style.paddingLeft) - arrow - text.getBoundingClientRect().width; }"""
    rooms = [menu.evaluate(room) for menu in tab.locator("select").all()]
    tab.close()
    assert min(rooms) >= 0, rooms


def test_explorer_without_scripts_shows_pictures(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.locator(".explorer-still img").count() == 3
    assert tab.locator(".explorer-still img").first.is_visible()
    assert tab.locator(".explorer-live").is_hidden()
    context.close()
