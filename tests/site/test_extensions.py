"""The book's Sphinx extensions and its configuration."""

import io
import json
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from jupyter_book.config import get_final_config
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

import finish
import links
import quiz
import search_terms
from medxai import paths

QUESTION = {
    "prompt": "Which of *these* is `a < b`?",
    "options": [{"text": "zyxgood", "right": True, "why": "zyxwhy one"}, {"text": "zyxbad", "why": "zyxwhy two"}],
}
OPTIONS = {
    "repository_url": "https://github.com/someone/some-book",
    "repository_branch": "main",
    "launch_buttons": {"colab_url": "https://colab.research.google.com", "binderhub_url": "https://mybinder.org"},
}


@pytest.fixture(scope="module")
def configuration():
    """The book's configuration as Sphinx gets it."""
    command_line = {"latex_individualpages": False}
    return get_final_config(user_yaml=paths.ROOT / "_config.yml", cli_config=command_line, raise_on_invalid=True)[0]


def build(folder: Path, text: str, extensions: list[str]) -> tuple[str, str]:
    """Build one page; return its HTML and the warnings."""
    folder.joinpath("index.md").write_text(text, encoding="utf-8")
    warnings = io.StringIO()
    overrides = {
        "extensions": ["myst_parser", *extensions],
        "html_theme": "basic",
        "myst_enable_extensions": ["dollarmath"],
    }
    with docutils_namespace():
        app = Sphinx(folder, None, folder / "out", folder / "trees", "html", overrides, status=None, warning=warnings)
        app.build()
    return (folder / "out" / "index.html").read_text(encoding="utf-8"), warnings.getvalue()


@pytest.fixture
def quizzes(tmp_path, monkeypatch):
    folder = tmp_path / "quizzes"
    folder.mkdir()
    monkeypatch.setattr(quiz, "QUIZZES", folder)
    return folder


def test_quiz_is_a_form_with_an_explanation_for_each_option(tmp_path, quizzes):
    (quizzes / "toy.yml").write_text(yaml.safe_dump([QUESTION, QUESTION]), encoding="utf-8")
    html, warnings = build(tmp_path, "# Page\n\n```{quiz} toy\n```\n", ["quiz"])
    assert not warnings
    page = BeautifulSoup(html, "html.parser")
    forms = page.select("form.quiz")
    assert [form.legend.text for form in forms] == ["1. Which of these is a < b?", "2. Which of these is a < b?"]
    assert len({radio["name"] for radio in page.select("input[type=radio]")}) == 2
    assert [template["data-right"] for template in forms[0].select("template")] == ["true", "false"]
    assert forms[0].legend.em.text == "these"
    assert forms[0].select_one("[role=status][aria-live=polite]").text == ""
    assert [item.text for item in forms[0].select("noscript li")] == [
        "zyxgood✓ Right. zyxwhy one",
        "zyxbad✗ Not right. zyxwhy two",
    ]
    assert page.select("script[src*='quiz.js']")


def test_quiz_text_is_neither_searchable_nor_in_sources(tmp_path, quizzes):
    (quizzes / "toy.yml").write_text(yaml.safe_dump([QUESTION]), encoding="utf-8")
    build(tmp_path, "# Page\n\nA zyxmarker.\n\n```{quiz} toy\n```\n", ["quiz"])
    index = (tmp_path / "out" / "searchindex.js").read_text(encoding="utf-8")
    sources = "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "out" / "_sources").iterdir())
    assert "zyxmark" in index
    assert "zyxmarker" in sources
    for word in ("zyxgood", "zyxbad", "zyxwhi", "zyxwhy"):
        assert word not in index
        assert word not in sources


def change(**changes):
    """Return the question with some keys replaced."""
    return {**QUESTION, **changes}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([change(options=[{**option, "right": True} for option in QUESTION["options"]])], "question 1: exactly one.*2"),
        ([QUESTION, change(options=QUESTION["options"][1:] * 2)], "question 2: exactly one.*0"),
        ([change(options=QUESTION["options"][:1])], "at least two"),
        ([change(options=[{"text": "a", "why": " "}, *QUESTION["options"]])], "'a' has no explanation"),
        ([change(options=[{"text": "a"}, *QUESTION["options"]])], "an option has 'text'"),
        ([change(options=[{"text": "a", "why": "b", "wright": True}, *QUESTION["options"]])], "an option has 'text'"),
        ([change(options=[{"text": 0.60, "why": "b"}, *QUESTION["options"]])], "option 0.6 is not text"),
        ([{"prompt": "?"}], "'prompt' and 'options'"),
        ({"questions": []}, "a list of questions"),
        ([], "a list of questions"),
    ],
)
def test_bad_quiz_is_refused_with_file_and_question(tmp_path, content, said):
    file = tmp_path / "toy.yml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"toy\.yml.*{said}"):
        quiz.load(file)


@pytest.mark.parametrize(("content", "said"), [("[]", "toy.yml: a list"), ("[{", "toy.yml"), (None, "toy.yml")])
def test_bad_or_missing_quiz_is_an_error_of_the_build(tmp_path, quizzes, content, said):
    if content is not None:
        (quizzes / "toy.yml").write_text(content, encoding="utf-8")
    warnings = build(tmp_path, "# Page\n\n```{quiz} toy\n```\n", ["quiz"])[1]
    assert "index.md:3: ERROR: quiz: " in warnings
    assert said in warnings


@pytest.mark.parametrize("file", sorted(paths.ROOT.glob("book/quizzes/*.yml")), ids=lambda file: file.stem)
def test_quizzes_of_the_book_are_sound_and_used(file):
    assert quiz.load(file)
    pages = [*paths.ROOT.glob("book/*.md"), *paths.ROOT.glob("notebooks/*.md")]
    assert any(f"{{quiz}} {file.stem}\n" in page.read_text(encoding="utf-8") for page in pages)


def test_inline_marks():
    assert quiz.inline("`a*b` and *c* and 2 * 3 * 4 <b>") == "<code>a*b</code> and <em>c</em> and 2 * 3 * 4 &lt;b&gt;"


def test_targets_of_a_chapter():
    assert links.targets("book/chapters/07_name", OPTIONS) == {
        "source-edit-button": "https://github.com/someone/some-book/edit/main/notebooks/07_name.md",
        "Colab": "https://colab.research.google.com/github/someone/some-book/blob/notebooks/07_name.ipynb",
        "Binder": "https://mybinder.org/v2/gh/someone/some-book/notebooks?urlpath=lab/tree/07_name.ipynb",
    }


@pytest.mark.parametrize(
    ("page", "source"), [("book/reading", "book/reading.md"), ("book/execution", "src/medxai/book/execution.md.j2")]
)
def test_targets_of_a_prose_page(page, source):
    assert links.targets(page, OPTIONS) == {"source-edit-button": f"{OPTIONS['repository_url']}/edit/main/{source}"}


def test_buttons_are_corrected_and_others_left_alone():
    app = SimpleNamespace(config=SimpleNamespace(html_theme_options=OPTIONS))
    group = {
        "label": "launch-buttons",
        "buttons": [{"text": "Colab", "url": "wrong"}, {"text": "Live", "javascript": "x()"}],
    }
    alone = {"label": "source-edit-button", "text": "", "url": "wrong"}
    links.correct_links(app, "book/chapters/07_name", "page.html", {"header_buttons": [group, alone]}, None)
    assert group["buttons"][0]["url"].endswith("/blob/notebooks/07_name.ipynb")
    assert group["buttons"][1] == {"text": "Live", "javascript": "x()"}
    assert alone["url"].endswith("/edit/main/notebooks/07_name.md")
    links.correct_links(app, "search", "search.html", {}, None)


@pytest.mark.parametrize(("variable", "owner"), [("forker/their-book", "forker/their-book"), ("", "someone/some-book")])
def test_forks_link_to_themselves(monkeypatch, variable, owner):
    monkeypatch.setenv("GITHUB_REPOSITORY", variable)
    config = SimpleNamespace(html_theme_options=dict(OPTIONS))
    links.use_fork(None, config)
    assert config.html_theme_options["repository_url"] == f"https://github.com/{owner}"


def test_pictures_become_webp_that_is_loaded_lazily(tmp_path):
    rng = np.random.default_rng(0)
    drawing = np.full((40, 60, 3), 255, np.uint8)
    drawing[10:30, 20:40] = 200, 0, 0
    rows, columns = np.mgrid[:200, :300]
    noise = rng.integers(0, 40, (200, 300))
    photograph = np.stack([rows, columns // 2, noise + 100], axis=-1).astype(np.uint8)
    for name, pixels in (("drawing", drawing), ("photograph", photograph)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    before = (tmp_path / "photograph.png").stat().st_size
    text = "# Page\n\n![A square](drawing.png)\n\n```{image} photograph.png\n:alt: Colours\n:width: 50%\n```\n"
    html, warnings = build(tmp_path, text, ["finish"])
    assert not warnings
    first, second = BeautifulSoup(html, "html.parser").find_all("img")
    assert first.attrs == {
        **{"alt": "A square", "width": "60", "height": "40"},
        **{"loading": "lazy", "src": "_images/drawing.webp"},
    }
    assert (second["src"], second["loading"]) == ("_images/photograph.webp", "lazy")
    shown = {path.name: path for path in (tmp_path / "out" / "_images").iterdir()}
    assert set(shown) == {"drawing.webp", "photograph.webp"}
    assert (np.asarray(Image.open(shown["drawing.webp"]).convert("RGB")) == drawing).all()
    assert shown["photograph.webp"].stat().st_size < before / 2
    near = np.abs(np.asarray(Image.open(shown["photograph.webp"]).convert("RGB")).astype(int) - photograph)
    assert 0 < near.mean() < 8


def test_links_to_a_picture_lead_to_its_new_form():
    page = '<a href="../_images/a b.png"><img alt="x" src="../_images/a b.png" /></a> <a href="other.png">'
    found = BeautifulSoup(finish.with_pictures(page, {"a b": (3, 2)}), "html.parser")
    assert [link["href"] for link in found.find_all("a")] == ["../_images/a b.webp", "other.png"]


def test_what_the_theme_gets_wrong_is_mended():
    page = (
        '<script defer src="../_static/scripts/fontawesome.js?digest=1"></script>'
        '<script defer="defer" src="../_static/tex-svg-full.js?v=1"></script><script src="../searchindex.js"></script>'
        '<button class="btn search-button-field x" title="Search" aria-label="Search" data-y="z">Search</button>'
        '<details><summary aria-label="Toggle hidden content">Show</summary></details>'
        '<div role="list" class="citation-list"><div class="citation" id="id1" role="doc-biblioentry">A</div></div>'
        '<button class="other" aria-label="Close">x</button>'
    )
    found = BeautifulSoup(finish.mended(page), "html.parser")
    assert not found.find_all("script")
    assert [tag.attrs for tag in found.select("summary, .citation-list, .citation")] == [
        {},
        {"class": ["citation-list"]},
        {"class": ["citation"], "id": "id1"},
    ]
    assert [button.get("aria-label") for button in found.find_all("button")] == [None, "Close"]
    kept = finish.mended(page + '<span class="math notranslate">x</span><div id="search-results"></div>')
    assert len(BeautifulSoup(kept, "html.parser").find_all("script")) == 2


def test_maps_of_an_explorer_lie_in_files_of_their_own(tmp_path):
    (tmp_path / "_static").mkdir()
    data = {"pictures": [["data:image/jpeg;base64,AA"], ["data:B"]], "sheets": ["data:C"], "signed": [True]}
    text = f'<p>before</p><script type="application/json">{json.dumps(data)}</script>'
    page = finish.with_maps_apart(text, tmp_path, tmp_path / "book" / "page.html")
    found = json.loads(BeautifulSoup(page, "html.parser").script.string)
    assert found["signed"] == [True]
    places, contents = ([*chain(*one["pictures"]), *one["sheets"]] for one in (found, data))
    for place, content in zip(places, contents, strict=True):
        file = (tmp_path / "book" / place).resolve()
        assert file.parent == (tmp_path / "_static" / "explorer").resolve()
        assert file.read_text() == f'explorerFiles["{file.name}"] = "{content}";\n'


def test_other_spellings_of_a_query_are_those_of_the_methods():
    words = search_terms.other_words()
    assert words["gradcam"] == "grad cam"
    assert words["ig"] == "integrated gradients"
    assert not {"gradient", "occlusion"} & set(words)


def test_mathjax_comes_from_the_site(tmp_path):
    html, warnings = build(tmp_path, "# Page\n\n$x^2$\n", ["sphinx.ext.mathjax", "mathjax_local"])
    assert not warnings
    scripts = [tag["src"] for tag in BeautifulSoup(html, "html.parser").select("script[src*='tex-svg']")]
    assert scripts == ["_static/tex-svg-full.js"]
    assert (tmp_path / "out" / scripts[0]).stat().st_size > 1_000_000


def test_configuration_keeps_the_buttons_and_stays_local(configuration):
    options = configuration["html_theme_options"]
    assert options["use_edit_page_button"] is options["use_issues_button"] is options["use_repository_button"] is True
    assert options["launch_buttons"]["colab_url"]
    assert options["launch_buttons"]["binderhub_url"]
    assert not options["launch_buttons"].get("thebe")
    assert not any(
        options["analytics"].get(f"{name}_id") for name in ("google_analytics", "plausible_analytics_domain")
    )
    assert "sphinx_thebe" not in configuration["extensions"]
    assert configuration["nb_execution_mode"] == "off"
    assert configuration["language"] == "en"


def test_every_chapter_is_in_the_table_of_contents():
    toc = (paths.ROOT / "_toc.yml").read_text(encoding="utf-8")
    for chapter in paths.ROOT.glob("notebooks/*.md"):
        assert f"file: book/chapters/{chapter.stem}\n" in toc
