"""The built site, a browser, and what the browser saw on every page."""

import functools
import gzip
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from medxai import paths

sys.path.insert(0, str(paths.ROOT / "book" / "_ext"))

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
LOOKS = [("file", 390, "light"), ("file", 1280, "dark"), ("http", 390, "dark"), ("http", 1280, "light")]
"""How pages are opened: from disk or from a server, width in pixels, colour scheme; each page in two of these that
differ in everything, the first and last or those between, by turns, and weekly in the other two."""


@pytest.fixture(scope="session")
def built_site() -> Path:
    """Folder of the site at the smoke profile on simulated annotations, brought up to date once per session."""
    command = [Path(sys.executable).with_name("medxai"), "build", "--profile", "smoke", "--data", "simulated"]
    result = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    return paths.BUILD / "smoke" / "html"


@pytest.fixture(scope="session")
def pages(built_site: Path) -> list[str]:
    """Paths of all pages below the site's folder, without the root page, which only leads on."""
    found = [
        file.relative_to(built_site).as_posix() for file in built_site.rglob("*.html") if "_static" not in file.parts
    ]
    return sorted(set(found) - {"index.html"})


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


AXE = paths.BUILD / "axe" / "node_modules" / "axe-core" / "axe.min.js"
"""What finds barriers in pages; `make` gets it by npm."""

BARRIERS = """async () => (await axe.run({ preload: false, resultTypes: ["violations"] })).violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)}`))"""

LOAD_PICTURES = """() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";
  return image.decode().catch(() => {}); }))"""

TEXTS = {".html", ".css", ".js", ".svg"}


@functools.cache
def compressed(path: Path) -> bytes:
    """Return a file as it is sent by hosts that compress texts, as GitHub Pages does."""
    return gzip.compress(path.read_bytes())


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files, texts compressed, without a log."""

    def do_GET(self) -> None:
        """Send a file."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXTS or not path.is_file():
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(compressed(path))))
        self.end_headers()
        self.wfile.write(compressed(path))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def roots(built_site: Path) -> Iterator[dict[str, str]]:
    """Address of the site by how it is opened: ``file`` (from disk) and ``http`` (local server)."""
    handler = functools.partial(Handler, directory=built_site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"file": built_site.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()


@dataclass
class Visit:
    """What happened on one page.

    `errors` of the console, `strangers` (requests that left the site), `weight` (bytes that the server sent, texts
    compressed) and how much of it was for the `first_view`, `seen` values, `barriers` (what axe-core calls serious or
    critical; None without it).
    """

    page: str
    look: tuple[str, int, str]
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    weight: int = 0
    first_view: int = 0
    barriers: list[str] | None = None
    seen: dict = field(default_factory=dict)

    def watch(self, tab: Page, root: str) -> None:
        """Record errors and requests of `tab` from now on."""
        tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        tab.on(
            "response", lambda answer: self.errors.append(f"{answer.status}: {answer.url}") if not answer.ok else None
        )
        tab.on("request", lambda request: self._judge_request(request.url, root))
        tab.on("requestfinished", self._weigh)

    def _judge_request(self, url: str, root: str) -> None:
        if not url.startswith((root, "data:", "blob:")):
            self.strangers.append(url)

    def _weigh(self, request: Request) -> None:
        if request.url.startswith("http"):
            size = request.sizes()["responseBodySize"]  # asks the browser, and other requests finish meanwhile
            self.weight += size


@pytest.fixture(scope="session", params=["by turns", pytest.param("the others", marks=pytest.mark.weekly)])
def visits(request: pytest.FixtureRequest, browser: Browser, roots: dict[str, str], pages: list[str]) -> list[Visit]:
    """Every page in two looks, opened once; screenshots are kept beside the site for people."""
    (paths.BUILD / "smoke" / "screenshots").mkdir(exist_ok=True)
    found = []
    for number, look in enumerate(LOOKS):
        for page in pages[int((number in (1, 2)) == (request.param == "by turns")) :: 2]:
            found.append(Visit(page, look))
            visit(browser, roots[look[0]], found[-1])
    return found


def visit(browser: Browser, root: str, seen: Visit) -> None:
    """Open a page, with nothing kept from other pages, and note what happens and what there is to see."""
    _, width, scheme = seen.look
    window = {"width": width, "height": 900}
    with browser.new_context(viewport=window, color_scheme=scheme, reduced_motion="reduce") as context:
        tab = context.new_page()
        seen.watch(tab, root)
        tab.goto(f"{root}/{seen.page}", wait_until="networkidle")
        tab.evaluate("() => window.MathJax?.startup?.promise")
        seen.first_view = seen.weight
        tab.evaluate(LOAD_PICTURES)
        seen.seen = tab.evaluate(Path(__file__).with_name("measure.js").read_text(encoding="utf-8"))
        if AXE.exists():
            tab.evaluate(AXE.read_text(encoding="utf-8"))
            seen.barriers = tab.evaluate(BARRIERS)
        shot = paths.BUILD / "smoke" / "screenshots" / f"{Path(seen.page).stem}-{width}-{scheme}.jpeg"
        tab.screenshot(path=shot, quality=70, full_page=True)
