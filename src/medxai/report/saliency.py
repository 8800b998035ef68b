"""The saliency explorer: choose picture, class and method, and look at the map. One element, which holds all it shows.

Maps travel as grey levels, in one lossless sheet for each method; ``explorer.js`` colours them. The site keeps pictures
and sheets in files of their own and loads those that are chosen (``book/_ext/finish.py``). Where no script runs, as in
a downloaded notebook, a few ready-made pictures are shown instead.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from IPython.display import HTML
from PIL import Image, ImageDraw

from medxai.report.findings import KINDS, DataKind

LIMIT = 6_000_000
"""Characters of HTML that an explorer may have, for the sake of the notebooks that readers download. A noisy map of
128 x 128 takes about 17,000, a smooth one a quarter: 26 methods for 6 pictures and 2 classes fit."""

CLIPPED = 0.995
"""The map's quantile of absolute values that gets the strongest colour; else one pixel could pale all others."""

SHOWN = 6
"""Methods in the row of pictures that stands in for the explorer where no script runs."""


class Maps(NamedTuple):
    """The maps of one method."""

    title: str
    values: np.ndarray
    """Float (pictures, classes, height, width), at any scale: each map is scaled by itself."""
    signed: bool
    """Whether values below zero speak against the class; else no value may be below zero."""


def explorer(
    pictures: Mapping[str, np.ndarray],
    classes: Sequence[str],
    methods: Sequence[Maps],
    *,
    kind: DataKind,
    outlines: Sequence[np.ndarray] = (),
    outlined: str = "the experts' outline",
    note: str = "",
    menus: tuple[str, str, str] = ("Picture", "Class", "Method"),
    said: Sequence[Sequence[str]] = (),
) -> HTML:
    """Return the explorer as the value of a notebook cell.

    Parameters
    ----------
    pictures
        uint8 (h, w, 3) by name, all of one shape; shown as they are. Or (classes, h, w, 3): one for each choice in the
        second menu, whose entries may be other things than classes, such as versions of the picture.
    classes
        Names of the classes that the maps explain.
    methods
        Maps of each method, for every picture and class, in these orders.
    kind, note
        Kind of data that the pictures are, and a word on it.
    outlines
        For each picture bool or shares (h, w), outlined where they cross one half, on picture and map; or none at all.
    outlined
        What the line is, for the legend.
    menus
        Labels of the three menus.
    said
        What is said of each picture for each class, below the map; nothing without it.

    Raises
    ------
    ValueError
        If shapes do not fit, a map holds NaN or infinity, or a value below zero though unsigned, if there is nothing to
        show, or if the whole would be larger than `LIMIT`.
    """
    shown = {name: picture[None] if picture.ndim == 3 else picture for name, picture in pictures.items()}
    _check(shown, classes, methods, outlines)
    data = {
        "size": methods[0].values.shape[2:],
        "pictures": [[uri(one, "JPEG", quality=88) for one in some] for some in shown.values()],
        "said": said,
        "sheets": [uri(sheet(maps), "WEBP", lossless=True) for maps in methods],
        "signed": [maps.signed for maps in methods],
        "colours": [base64.b64encode(colours(signed).tobytes()).decode() for signed in (False, True)],
        "outlines": [_path(outline) for outline in outlines],
    }
    sign, name = KINDS[kind]
    choices = dict(zip(menus, (pictures, classes, [maps.title for maps in methods]), strict=True))
    text = (
        f'<div class="explorer"><div class="explorer-still">{_still(shown, classes, methods, outlines)}</div>'
        f'<div class="explorer-live" hidden>{_controls(choices, outlined if outlines else "")}</div>'
        f'<script type="application/json">{json.dumps(data)}</script></div>'
        f'<p class="data-kind {kind}"><b>{sign} {name}</b> {html.escape(note)}</p>'
    )
    if len(text) > LIMIT:
        size, most = len(text) / 1e6, LIMIT / 1e6
        raise ValueError(f"the explorer is {size:.1f} MB: expected at most {most:.1f}; give fewer or smaller maps")
    return HTML(text)


def levels(values: np.ndarray, signed: bool) -> np.ndarray:
    """Return maps as 8-bit levels, each scaled by its `CLIPPED` quantile of absolute values.

    Parameters
    ----------
    values
        Numbers (..., height, width), finite.
    signed
        Signed maps go from 1 (against) over 128 (zero) to 255 (for); unsigned ones from 0 (zero) to 255.

    Returns
    -------
    array
        uint8, of the shape of `values`. A map of zeros stays zero.
    """
    values = np.asarray(values, dtype=float)
    size = np.abs(values)
    top = np.quantile(size, CLIPPED, axis=(-2, -1), keepdims=True)
    # A map may be zero almost everywhere: then its maximum takes the place of the quantile.
    top = np.where(top > 0, top, size.max(axis=(-2, -1), keepdims=True))
    scaled = np.clip(np.divide(values, top, out=np.zeros_like(size), where=top > 0), -1, 1)
    return np.round(128 + 127 * scaled if signed else 255 * scaled).astype(np.uint8)


def sheet(maps: Maps) -> np.ndarray:
    """Return the levels of all maps of a method in one: uint8, a row for each picture, a column for each class."""
    pictures, classes, height, width = maps.values.shape
    tiles = levels(maps.values, maps.signed)
    return tiles.transpose(0, 2, 1, 3).reshape(pictures * height, classes * width)


def colours(signed: bool) -> np.ndarray:
    """Return the colour of each level, uint8 (256, 3): blue over white to red, or from dark blue to yellow.

    Matplotlib's RdBu (reversed) and viridis, whose levels can be told apart with the common colour vision deficiencies.
    """
    place = np.clip((np.arange(256) - 1) / 254, 0, 1) if signed else np.arange(256) / 255
    table = matplotlib.colormaps["RdBu_r" if signed else "viridis"](place)
    return np.round(255 * table[:, :3]).astype(np.uint8)


def contours(outline: np.ndarray) -> list[np.ndarray]:
    """Return the closed lines around an area, (n, 2) each: places as shares of width and height.

    Parameters
    ----------
    outline
        Bool or shares (h, w); the area is where they are at least one half.
    """
    area = np.asarray(outline, dtype=float) >= 0.5
    lines, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [(cv2.approxPolyDP(line, 0.5, closed=True)[:, 0] + 0.5) / area.shape[::-1] for line in lines]


def _path(outline: np.ndarray) -> str:
    """Return the outline as a path of SVG, in a square of side 1."""
    return "".join(f"M{'L'.join(f'{x:.3f} {y:.3f}' for x, y in line)}Z" for line in contours(outline))


def _check(
    pictures: Mapping[str, np.ndarray], classes: Sequence[str], methods: Sequence[Maps], outlines: Sequence[np.ndarray]
) -> None:
    if not pictures or not classes or not methods:
        raise ValueError("the explorer is empty: expected at least one picture, one class and one method")
    first, *_ = pictures.values()
    found = {f"{some.dtype} {some.shape[1:] if len(some) == 1 else some.shape}" for some in pictures.values()}
    right = first.dtype == np.uint8 and first.shape[3:] == (3,) and len(first) in (1, len(classes))
    if len(found) > 1 or not right:
        raise ValueError(f"pictures are {', '.join(sorted(found))}: expected uint8 (h, w, 3), all of one shape")
    if len(outlines) not in (0, len(pictures)) or any(outline.ndim != 2 for outline in outlines):
        shapes = ", ".join(str(outline.shape) for outline in outlines)
        raise ValueError(f"outlines are {shapes}: expected {len(pictures)} of shape (h, w), one a picture, or none")
    wanted = (len(pictures), len(classes), *methods[0].values.shape[-2:])
    for title, values, signed in methods:
        if values.shape != wanted:
            raise ValueError(
                f"maps of {title} are {values.shape}: expected {wanted}, pictures by classes by height by width"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"maps of {title} hold NaN or infinity: expected finite numbers")
        if not signed and values.min() < 0:
            raise ValueError(f"maps of {title} hold {values.min():.3g} and are unsigned: expected none below zero")


def uri(pixels: np.ndarray, form: str, **options: object) -> str:
    """Return a picture as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


LINE = '<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true"><path/><path/></svg>'
"""What ``explorer.js`` gives the outline to: two strokes, a light below a dark one, which show on any ground."""


def _controls(choices: Mapping[str, Iterable[str]], outlined: str) -> str:
    """Return what ``explorer.js`` brings to life: menus, slider, picture, map, legend, and the map in words."""
    menus = ""
    for label, names in choices.items():
        options = "".join(f"<option>{html.escape(name)}</option>" for name in names)
        menus += f"<label>{html.escape(label)} <select>{options}</select></label>"
    line = f'<span class="explorer-outlined">{html.escape(outlined)}</span>' if outlined else ""
    return (
        f'<form aria-label="Saliency explorer">{menus}<label>Opacity '
        '<input type="range" min="0" max="100" step="5" value="70"></label></form>'
        f'<div class="explorer-views"><div><img alt="The picture">{LINE}</div>'
        f'<div><canvas role="img"></canvas>{LINE}</div></div>'
        '<div class="explorer-legend"><span></span><canvas width="256" height="1" aria-hidden="true"></canvas>'
        f'<span></span>{line}</div><p role="status" aria-live="polite"></p>'
    )


def _still(
    pictures: Mapping[str, np.ndarray], classes: Sequence[str], methods: Sequence[Maps], outlines: Sequence[np.ndarray]
) -> str:
    """Return the first methods' maps of the first picture and class, laid over the picture."""
    name, (picture, *_) = next(iter(pictures.items()))
    grey = Image.fromarray(picture).convert("L").convert("RGB")
    figures = ""
    for maps in methods[:SHOWN]:
        tile = Image.fromarray(colours(maps.signed)[levels(maps.values[0, 0], maps.signed)]).resize(grey.size)
        laid = Image.blend(grey, tile, 0.7)
        for line in contours(outlines[0]) if outlines else ():
            places = [tuple(place) for place in line[[*range(len(line)), 0]] * laid.size]
            for width, colour in ((3, "white"), (1, "black")):
                ImageDraw.Draw(laid).line(places, colour, width)
        address = uri(np.asarray(laid), "JPEG", quality=88)
        title = html.escape(maps.title)
        alt = html.escape(f"{maps.title}: map of {name} for {classes[0]}", quote=True)
        figures += f'<figure><img src="{address}" alt="{alt}"><figcaption>{title}</figcaption></figure>'
    return f"<p>{html.escape(name)}, {html.escape(classes[0])}:</p>{figures}"
