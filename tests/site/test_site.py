"""The built site as readers get it, from disk and from a server: links, images, structure, search, quizzes, themes."""

import re
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

import quiz
from medxai import paths


@pytest.fixture(scope="module")
def soups(built_site, pages):
    return {page: BeautifulSoup((built_site / page).read_text(encoding="utf-8"), "html.parser") for page in pages}


def listed(problems):
    """Return problems as text for an assertion's message."""
    return "\n".join(map(str, problems))


def test_every_page_of_the_table_of_contents_is_built(built_site, pages):
    toc = yaml.safe_load((paths.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    assert {f"{file}.html" for file in files} <= set(pages)
    assert f"{toc['root']}.html" in (built_site / "index.html").read_text(encoding="utf-8")


def test_links_and_anchors_resolve(built_site, soups):
    identifiers = {
        (built_site / page).resolve(): {tag.get("id") or tag.get("name") for tag in soup.find_all(["a", True])}
        for page, soup in soups.items()
    }
    broken = []
    for page, soup in soups.items():
        for tag in soup.select("[href], [src]"):
            link = tag.get("href") or tag.get("src")
            parts = urlsplit(link)
            if parts.scheme or link in {"#", ""}:
                continue
            target = (
                built_site / page if not parts.path else (built_site / page).parent / unquote(parts.path)
            ).resolve()
            anchor_missing = parts.fragment and unquote(parts.fragment) not in identifiers.get(
                target, {unquote(parts.fragment)}
            )
            if not target.is_file() or anchor_missing:
                broken.append(f"{page}: {link}")
    assert not broken, listed(broken)


def test_nothing_is_fetched_from_elsewhere(soups):
    tags = "script[src], link[href]:not([rel=canonical]), img[src], iframe[src], source[src], video[src]"
    strangers = [
        f"{page}: {tag}"
        for page, soup in soups.items()
        for tag in soup.select(tags)
        if urlsplit(tag.get("src") or tag.get("href")).netloc
    ]
    assert not strangers, listed(strangers)


def test_images_have_alternative_text(soups):
    bad = [
        f"{page}: {image}"
        for page, soup in soups.items()
        for image in soup.find_all("img")
        if not image.get("alt", "").strip() or re.search(r"/|\.(png|svg|jpe?g)$", image["alt"])
    ]
    assert not bad, listed(bad)


def test_headings_and_language(soups):
    problems = []
    for page, soup in soups.items():
        levels = [
            int(tag.name[1])
            for tag in soup.select("main :is(h1, h2, h3, h4, h5, h6)")
            if tag.find_parent(id="jb-print-docs-body") is None
        ]
        if levels.count(1) != 1 or levels[:1] != [1]:
            problems.append(f"{page}: h1 must be first and only: {levels}")
        if any(after > before + 1 for before, after in pairwise(levels)):
            problems.append(f"{page}: heading levels jump: {levels}")
        if soup.html.get("lang") != "en":
            problems.append(f"{page}: no language")
    assert not problems, listed(problems)


def test_tables_have_headers(soups):
    bare = [
        f"{page}: {str(t)[:200]}" for page, soup in soups.items() for t in soup.select("main table") if not t.find("th")
    ]
    assert not bare, listed(bare)


def test_no_machine_paths_and_no_errors_in_what_is_published(built_site):
    homes = {str(paths.ROOT), sys.prefix, f"{Path.home()}/", f"{tempfile.gettempdir()}/"}
    texts = [file for file in built_site.rglob("*") if file.suffix in {".html", ".ipynb", ".md", ".js"}]
    bad = [
        f"{file.relative_to(built_site)}: {sign}"
        for file in texts
        for sign in {*homes, "Traceback (most recent call last)"}
        if sign in file.read_text(encoding="utf-8")
    ]
    assert not bad, listed(bad)


def test_launch_and_edit_links_lead_to_files_that_exist(soups):
    launched = set()
    for page, soup in soups.items():
        links = [tag["href"] for tag in soup.select("header a[href], .bd-header-article a[href]")]
        for link in links:
            if edited := re.search(r"/edit/main/(.+)$", link):
                assert (paths.ROOT / edited[1]).is_file(), f"{page}: {link}"
            if notebook := re.search(r"(?:/blob/notebooks/|/notebooks\?urlpath=lab/tree/)(.+)\.ipynb$", link):
                assert (paths.ROOT / "notebooks" / f"{notebook[1]}.md").is_file(), f"{page}: {link}"
                launched.add((notebook[1], urlsplit(link).netloc))
    chapters = [file.stem for file in (paths.ROOT / "notebooks").glob("*.md")]
    assert launched == {(name, host) for name in chapters for host in ("colab.research.google.com", "mybinder.org")}


def test_chapters_can_be_downloaded_as_notebooks(built_site, soups):
    for page, soup in soups.items():
        if "/chapters/" in page:
            assert soup.select(f"a[href$='{Path(page).stem}.ipynb'][href*='_sources']"), page


def test_quiz_answers_are_neither_in_sources_nor_in_search(built_site):
    published = "".join(file.read_text(encoding="utf-8") for file in (built_site / "_sources").rglob("*.*"))
    published += (built_site / "searchindex.js").read_text(encoding="utf-8")
    for file in quiz.QUIZZES.glob("*.yml"):
        assert not [*built_site.rglob(file.name)]
        for question in quiz.load(file):
            for option in question["options"]:
                assert option["why"].strip() not in published


@pytest.mark.browser
def test_no_console_error(visits):
    problems = [f"{visit.page} {visit.look}: {visit.errors}" for visit in visits if visit.errors]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_no_request_leaves_the_page(visits):
    problems = [f"{visit.page} {visit.look}: {visit.strangers}" for visit in visits if visit.strangers]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_images_load(visits):
    problems = [f"{visit.page}: {visit.seen['brokenImages']}" for visit in visits if visit.seen["brokenImages"]]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_no_page_is_wider_than_the_window(visits):
    problems = [
        f"{visit.page} {visit.look}: {visit.seen['overflow']} px" for visit in visits if visit.seen["overflow"] > 1
    ]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_text_contrast_in_both_themes(visits):
    blind = [visit for visit in visits if visit.seen["theme"] != visit.look[2] or not visit.seen["texts"]]
    assert not blind, listed(blind)
    problems = [f"{visit.page} {visit.look}: {visit.seen['faint']}" for visit in visits if visit.seen["faint"]]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_no_page_has_a_serious_barrier(visits):
    if visits[0].barriers is None:
        pytest.skip("no axe-core: `make test` gets it where npm is installed")
    problems = [f"{visit.page} {visit.look}: {visit.barriers}" for visit in visits if visit.barriers]
    assert not problems, listed(problems)


@pytest.mark.browser
def test_the_first_view_of_a_page_is_light(visits):
    weights = {(visit.page, *visit.look): visit.first_view for visit in visits if visit.look[0] == "http"}
    assert min(weights.values()) > 300_000  # style sheets, the icons' fonts
    assert not {where: weight for where, weight in weights.items() if weight > 3_000_000}


def test_pages_load_nothing_that_they_do_not_show(built_site, soups):
    assert not [*built_site.rglob("*.map"), *(built_site / "_images").glob("*.png")]
    for page, soup in soups.items():
        scripts = " ".join(tag["src"] for tag in soup.select("script[src]"))
        assert ("tex-svg" in scripts) == bool(soup.select(".math")), page
        assert "fontawesome" not in scripts, page
        assert ("searchindex" in scripts) == (page == "search.html"), page
        for image in soup.select("main img[src*='_images/']"):
            assert image["loading"] == "lazy", image
            assert image.get("width"), image
            assert image.get("height"), image


@pytest.mark.browser
def test_formulas_are_typeset(visits):
    assert any(visit.seen["formulas"] for visit in visits)
    for visit in visits:
        assert visit.seen["typeset"] == visit.seen["formulas"], f"{visit.page} {visit.look}"
        assert visit.seen["formulaErrors"] == 0, f"{visit.page} {visit.look}"


@pytest.fixture
def tab(browser):
    """A fresh tab, 1280 pixels wide, in the light colour scheme."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield context.new_page()
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("transport", ["file", "http"])
def test_search_finds_plaque(tab, roots, transport):
    tab.goto(f"{roots[transport]}/search.html?q=plaque")
    tab.wait_for_selector("#search-results li a")
    links = tab.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
    assert any("chapters/01_dataset" in link for link in links)
    assert tab.goto(links[0]).ok


@pytest.mark.browser
def test_search_knows_other_spellings_and_shows_excerpts(tab, roots):
    tab.goto(f"{roots['http']}/search.html?q=gradcam")
    excerpt = tab.locator("#search-results li:has(a[href*='02_']) p.context").first
    excerpt.wait_for()
    assert "grad-cam" in excerpt.inner_text().lower()


@pytest.mark.browser
def test_search_from_disk_lists_pages_without_excerpts(tab, roots):
    problems = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.goto(f"{roots['file']}/search.html?q=gradcam")
    tab.wait_for_selector("#search-results li a")
    tab.wait_for_timeout(300)
    assert tab.locator("#search-results p.context").count() == 0
    assert problems == []


@pytest.mark.browser
def test_logo_and_search_stay_in_sight(tab, roots):
    tab.set_viewport_size({"width": 1280, "height": 720})
    tab.goto(f"{roots['http']}/book/bibliography.html")
    tab.wait_for_function("document.querySelector('.bd-sidebar-primary').scrollTop > 100")
    for part in ("img.logo__image:visible", "button.search-button-field"):
        box = tab.locator(f".bd-sidebar-primary {part}").first.bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] < 400, part
        assert tab.evaluate(
            "([x, y, part]) => document.elementFromPoint(x, y).closest(part) !== null",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, part.split(":")[0]],
        )


@pytest.mark.browser
def test_tables_that_are_cut_say_so_and_are_reached_by_keyboard(tab, roots):
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.goto(f"{roots['file']}/book/chapters/01_dataset.html")
    cut = tab.locator(".table-scroll.more-right")
    assert cut.count() > 0
    for table in cut.all():
        assert table.get_attribute("tabindex") == "0"
        assert table.get_attribute("role") == "region"
        assert table.get_attribute("aria-label") == table.locator("caption").inner_text()
        hint = table.locator("xpath=preceding-sibling::*[1]")
        assert not hint.is_visible() or "scroll" in hint.inner_text()
    table = cut.filter(visible=True).first
    name = table.get_attribute("aria-label")
    table.focus()
    for _ in range(60):
        tab.keyboard.press("ArrowRight")
    tab.get_by_role("region", name=name, exact=True).and_(tab.locator(":not(.more-right)")).wait_for(timeout=5000)


@pytest.mark.browser
def test_tables_that_fit_say_nothing(tab, roots):
    tab.goto(f"{roots['file']}/book/chapters/01_dataset.html")
    states = tab.evaluate(
        """() => [...document.querySelectorAll(".scroll-hint")].map((hint) => {
          const place = hint.nextElementSibling;
          const cut = getComputedStyle(place).overflowX === "auto"
            && (place.scrollWidth > place.clientWidth + 1 || place.scrollHeight > place.clientHeight + 1);
          return [cut, hint.textContent !== "", place.tabIndex === 0]; })"""
    )
    assert [False, False, False] in states
    assert all(cut == said == reached for cut, said, reached in states)


@pytest.fixture
def quiz_page(soups):
    return next(page for page, soup in soups.items() if soup.select("form.quiz"))


@pytest.mark.browser
def test_quiz_by_keyboard(tab, roots, quiz_page):
    tab.goto(f"{roots['file']}/{quiz_page}")
    form = tab.locator("form.quiz").first
    status = form.get_by_role("status")
    form.locator("input").first.focus()
    tab.keyboard.press("Enter")
    assert status.inner_text() == "Choose an answer first."
    verdicts = []
    for key in ["Space", *["ArrowDown"] * (form.locator("input").count() - 1)]:
        tab.keyboard.press(key)
        assert status.inner_text() == ""
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Check"
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        tab.keyboard.press("Enter")
        verdicts.append(status.inner_text())
        tab.keyboard.press("Shift+Tab")
    assert sum("✓ Right." in verdict for verdict in verdicts) == 1
    assert sum("✗ Not right." in verdict for verdict in verdicts) == len(verdicts) - 1
    assert all(len(verdict) > 30 for verdict in verdicts), verdicts


@pytest.mark.browser
def test_quiz_without_scripts_lists_the_answers(browser, roots, quiz_page):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{roots['file']}/{quiz_page}")
    form = tab.locator("form.quiz").first
    assert not form.get_by_role("button", name="Check").is_visible()
    form.locator("summary").click()
    assert form.locator("li").count() == form.locator("input").count()
    assert form.locator("li").first.is_visible()
    context.close()


METHODS_PAGE = "book/methods.html"


def shown_rows(tab):
    """Return the first cells of the rows of the table of methods that one can see."""
    return [
        row.split(" [")[0] for row in tab.locator("#table-methods tbody tr:visible td:first-child").all_inner_texts()
    ]


@pytest.mark.browser
def test_tables_are_filtered_by_keyboard(tab, roots):
    tab.goto(f"{roots['file']}/{METHODS_PAGE}")
    form = tab.locator("form.table-filter").first
    status = form.get_by_role("status")
    total = len(shown_rows(tab))
    assert status.inner_text() == f"Rows shown: {total} of {total}"
    form.get_by_role("searchbox", name="Search", exact=True).focus()
    tab.keyboard.type("grad cam")
    assert shown_rows(tab) == ["GradCAM", "Guided Grad-CAM", "Grad-CAM++"]
    assert status.inner_text() == f"Rows shown: 3 of {total}"
    tab.keyboard.press("Enter")
    assert tab.url.endswith(METHODS_PAGE)
    form.get_by_role("combobox", name="From", exact=True).select_option("review")
    assert shown_rows(tab) == ["GradCAM"]
    form.get_by_role("button", name="Show all").press("Enter")
    tab.wait_for_function(f"document.querySelectorAll('#table-methods tbody tr:not([hidden])').length === {total}")
    assert status.inner_text() == f"Rows shown: {total} of {total}"
    form.get_by_role("combobox", name="Needs", exact=True).select_option("answers only")
    assert shown_rows(tab) == ["Occlusion", "Shapley value sampling", "LIME", "Kernel SHAP"]
    tab.locator("form.table-filter").nth(1).get_by_role("searchbox").fill("skin")
    assert tab.locator("#table-applications tbody tr:visible").count() == 2
    assert len(shown_rows(tab)) == 4


@pytest.mark.browser
def test_tables_are_whole_without_scripts(browser, roots):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{roots['file']}/{METHODS_PAGE}")
    assert not tab.locator("form.table-filter").first.is_visible()
    assert tab.locator("#table-methods tbody tr:visible").count() == 34
    assert tab.locator("#table-applications tbody tr:visible").count() == 23
    context.close()


@pytest.mark.browser
def test_theme_button_switches_between_light_and_dark(tab, roots, pages):
    tab.goto(f"{roots['file']}/{pages[0]}")
    themes = set()
    for _ in range(3):
        tab.locator("button.theme-switch-button:visible").first.click()
        themes.add(tab.evaluate("document.documentElement.dataset.theme"))
    assert themes == {"light", "dark"}


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 800, 955, 970, 984, 1000, 1280])
def test_contents_button_works_at_every_width(tab, roots, pages, width):
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(f"{roots['file']}/{pages[0]}")
    box = "document.querySelector('.bd-sidebar-primary').getBoundingClientRect()"
    shown = f"(box => box.width > 0 && box.right > 50)({box})"
    before = str(tab.evaluate(shown)).lower()
    tab.locator("button.primary-toggle:visible").first.click()
    tab.wait_for_function(f"{shown} !== {before}", timeout=3000)
