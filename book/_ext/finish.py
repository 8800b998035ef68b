"""Pages made light and mended once they are written: pictures, scripts, and what the theme calls its parts.

The patterns are those of what Sphinx, MyST-NB and the theme write; ``tests/site`` holds in a browser what they are for.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

DRAWING = 2048
"""Colours that a drawing has at most: it is sharp, and smallest, without losses. Photographs and maps have more."""

QUALITY = 90
"""Of WebP with losses, which one does not see in photographs and maps."""

UNUSED = ("_static/**/*.map", "_static/scripts/fontawesome.js*", "_static/**/*.ttf")
"""Files that no page asks for: the theme's style sheet has the icons of ``fontawesome.js`` as a font, too."""

MENDED = {
    # The text that one sees is the name; a label would hide it from screen readers.
    r'(<summary) aria-label="[^"]*"': r"\1",
    r'(<button class="[^"]*search-button-field[^>]*) aria-label="[^"]*"': r"\1",
    # Entries stand in paragraphs without marks of a list, some with anchors between them.
    r'(<div) role="list"(?= class="citation-list")': r"\1",
    r' role="doc-biblioentry"': "",
    r'<script defer src="[^"]*fontawesome\.js[^"]*"></script>': "",
}
"""What is wrong in pages of the theme and of Sphinx, and what is right."""

MATHJAX = re.compile(r'<script[^>]*src="[^"]*tex-svg-full\.js[^"]*"></script>')
SEARCH = re.compile(r'<script src="[^"]*(searchtools|language_data|searchindex)\.js[^"]*"></script>')
PICTURE = re.compile(r'<img (?P<before>[^>]*)src="(?P<folder>[^"]*_images/)(?P<name>[^"/]+)\.png"')
LINK = re.compile(r'(?P<start>href="[^"]*_images/[^"/]+)\.png"')
EXPLORER = re.compile(r'(<script type="application/json">)(.*?)(</script>)', re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after all that writes files."""
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def finish(app: Sphinx, error: Exception | None) -> None:
    """Rewrite the pages of a site that was built without error, and its pictures as WebP."""
    if error is not None:
        return
    site = Path(app.outdir)
    with ThreadPoolExecutor() as pool:
        pictures = [*(site / "_images").glob("*.png")]
        sizes = {path.stem: size for path, size in zip(pictures, pool.map(as_webp, pictures), strict=True)}
    for page in site.rglob("*.html"):
        if "_static" not in page.parts:
            text = with_pictures(mended(page.read_text(encoding="utf-8")), sizes)
            page.write_text(with_maps_apart(text, site, page), encoding="utf-8")
    for pattern in UNUSED:
        for path in site.glob(pattern):
            path.unlink()


def as_webp(path: Path) -> tuple[int, int]:
    """Replace a PNG by WebP under the same name, and return its width and height."""
    with Image.open(path) as image:
        drawing = image.convert("RGB").getcolors(DRAWING) is not None
        options = {"lossless": True, "method": 2} if drawing else {"quality": QUALITY}
        image.save(path.with_suffix(".webp"), **options)
        path.unlink()
        return image.size


def mended(page: str) -> str:
    """Return the page with what `MENDED` lists, without MathJax where no formula is, and without search elsewhere."""
    for wrong, right in MENDED.items():
        page = re.sub(wrong, right, page)
    if not re.search(r'class="[^"]*\bmath\b', page):
        page = MATHJAX.sub("", page)
    return page if 'id="search-results"' in page else SEARCH.sub("", page)


def with_pictures(page: str, sizes: dict[str, tuple[int, int]]) -> str:
    """Return the page with WebP for PNG, loaded when one comes near, in room that is left from the start."""

    def picture(found: re.Match[str]) -> str:
        width, height = sizes[found["name"]]
        room = "" if re.search(r"\b(width|height)=", found["before"]) else f'width="{width}" height="{height}" '
        return f'<img {found["before"]}{room}loading="lazy" src="{found["folder"]}{found["name"]}.webp"'

    return LINK.sub(r'\g<start>.webp"', PICTURE.sub(picture, page))


def with_maps_apart(text: str, site: Path, page: Path) -> str:
    """Return the page with pictures and maps of explorers in files, of which ``explorer.js`` loads what is chosen.

    They are scripts, since a page that is opened from disk can read the pixels of no other file.
    """
    up = "../" * (len(page.relative_to(site).parts) - 1)

    def address(content: str) -> str:
        name = f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.js"
        folder = site / "_static" / "explorer"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f'explorerFiles["{name}"] = "{content}";\n', encoding="utf-8")
        return f"{up}_static/explorer/{name}"

    def apart(found: re.Match[str]) -> str:
        data = json.loads(found[2])
        data["sheets"] = [address(content) for content in data["sheets"]]
        data["pictures"] = [[address(content) for content in some] for some in data["pictures"]]
        return f"{found[1]}{json.dumps(data)}{found[3]}"

    return EXPLORER.sub(apart, text)
