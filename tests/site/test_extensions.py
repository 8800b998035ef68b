"""The book's Sphinx extensions and its configuration."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bs4 import BeautifulSoup
from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

import links
import quiz
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
