"""Notebooks in plain Markdown: what a bare Jupyter shows of a chapter, with no role and no directive left."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from markdown_it import MarkdownIt
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from medxai import paths, report
from medxai.book import bibliography, chapters, cross_references, editions, first_cell, plain
from medxai.book.cross_references import Book, Place
from medxai.book.target import Target
from medxai.checks import Result, quiz
from medxai.errors import DataError
from medxai.report import findings

BOOK = Book(
    "https://example.org/",
    pages={
        "book/glossary": Place("book/glossary", title="Glossary"),
        "book/bibliography": Place("book/bibliography", title="Bibliography"),
        "book/chapters/01_x": Place("book/chapters/01_x", title="First"),
        "book/chapters/02_y": Place("book/chapters/02_y", title="Second"),
    },
    sections={"here": Place("book/chapters/01_x", "here", "Right here"), "odd": Place("book/data", "odd")},
    figures={"fig-a": Place("book/chapters/01_x", "fig-a", number="1.1")},
    equations={"eq-a": Place("book/chapters/01_x", "equation-eq-a", number="1.2")},
    exercises={"exercise-a": Place("book/chapters/01_x", number="1.3")},
    terms={"plaque": Place("book/glossary", "term-plaque")},
)
UNKNOWN = Book(None, **{name: value for name, value in vars(BOOK).items() if name != "address"})
NUMBERS = plain.Numbers(
    {"share": "0.456", "change": "-0.0049", "origin": "'net_*a*'", "many": "1234", "nothing": "nan"}, "Of a test."
)
QUESTIONS = """\
- prompt: Which is `a_b`, not a_b?
  options:
    - {text: the *first*, right: true, why: because so}
    - {text: second <one>, why: it is not}
- prompt: And this?
  options:
    - {text: left, why: wrong way}
    - {text: right, right: true, why: the other way}
"""


def written(text: str, book: Book = BOOK, numbers: plain.Numbers | None = NUMBERS) -> str:
    """Return what a Markdown cell with `text` becomes; cells are divided by a line of equals signs."""
    cells = plain.plain(new_notebook(cells=[new_markdown_cell(text, id="markdown-7")]), "01_x", book, numbers).cells
    return "\n=====\n".join(cell.source for cell in cells[1:])


def raw_marks(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what a reader of Markdown would see of MyST, told by a parser and signs that know nothing of `plain`."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(cell.source)
        found += [token.info for token in tokens if token.type == "fence" and token.info.startswith("{")]
        said = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "", cell.source, flags=re.DOTALL)  # braces belong to formulas
        found += re.findall(r"(?<!\\)\{[\w:+-]+\}|^\s*\([\w-]+\)=|^:{3,}|^%|^\+\+\+", said, re.MULTILINE)
        found += re.findall(r"\((?:eq|fig)-[\w-]+\)|<(?:fig|eq|errata|finding|method|/book)[\w/-]*>", cell.source)
        found += [key for key in bibliography.works() if re.search(rf"\b{key}\b", cell.source)]
    return found


@pytest.fixture
def quizzes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(quiz, "QUIZZES", tmp_path)
    (tmp_path / "toy.yml").write_text(QUESTIONS)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{glue:text}`share:.2f`, {glue:text}`share:.1%`", "0.46, 45.6%"),
        ("{glue:text}`change:+.2f` {glue:text}`change:.0f`", "-0.00 -0"),
        ("{glue:text}`many` {glue:text}`many:,d` {glue:text}`nothing:.2f`", "1234 1,234 nan"),
        ("{glue:text}`origin`", r"net\_\*a\*"),
        ("{doc}`/book/glossary`", "[Glossary](https://example.org/book/glossary.html)"),
        ("{doc}`words <../glossary>`", "[words](https://example.org/book/glossary.html)"),
        ("{doc}`02_y`", "[Second](https://example.org/book/chapters/02_y.html)"),
        ("{ref}`here`", "[Right here](https://example.org/book/chapters/01_x.html#here)"),
        ("{ref}`these\nwords <here>`.", "[these words](https://example.org/book/chapters/01_x.html#here)."),
        ("{numref}`fig-a`", "[Fig. 1.1](https://example.org/book/chapters/01_x.html#fig-a)"),
        ("{numref}`figure %s <fig-a>`", "[figure 1.1](https://example.org/book/chapters/01_x.html#fig-a)"),
        ("{eq}`eq-a`", "[(1.2)](https://example.org/book/chapters/01_x.html#equation-eq-a)"),
        ("{term}`Plaque`", "[Plaque](https://example.org/book/glossary.html#term-plaque)"),
        ("{cite:p}`jalaboi2023dermx`", "([Jalaboi et al., 2023a](https://doi.org/10.1016/j.media.2022.102647))"),
        ("{cite:t}`cohen1960coefficient`", "[Cohen (1960)](https://doi.org/10.1177/001316446002000104)"),
        ("{cite:t}`li2018tell`", "[Li et al. (2018)](https://arxiv.org/abs/1802.10171)"),
        ("{cite:t}`jalaboi2023benchmark`", "[Jalaboi et al. (2023b)](https://arxiv.org/abs/2302.12084)"),
        ("{cite:t}`jalaboi2023thesis`", "[Jalaboi (2023)](https://example.org/book/bibliography.html)"),
        (
            "{cite:p}`tan2019efficientnet, li2018tell`",
            "([Tan and Le, 2019](https://example.org/book/bibliography.html); "
            "[Li et al., 2018](https://arxiv.org/abs/1802.10171))",
        ),
        ("$$\na = b\n$$ (eq-a)", "$$\na = b \\tag{1.2}\n$$"),
        ("(here)=\n% a comment\n## Right here", "## Right here"),
    ],
)
def test_each_role_and_mark_has_a_plain_form(text: str, expected: str) -> None:
    assert written(text) == expected


def test_where_no_address_is_known_links_become_words() -> None:
    text = "{ref}`below <here>`, {ref}`here`, {doc}`02_y`, {numref}`fig-a`, {eq}`eq-a`, {term}`plaque`"
    assert written(text, UNKNOWN) == "below (see *Right here*), Right here, Second, Fig. 1.1, (1.2), plaque"
    assert written("{cite:t}`jalaboi2023thesis`", UNKNOWN) == "Jalaboi (2023) (see *Bibliography*)"


def test_without_a_build_the_text_says_that_a_number_is_missing() -> None:
    notebook = new_notebook(cells=[new_markdown_cell("A {glue:text}`share:.2f` of it.")])
    about, cell = plain.plain(notebook, "01_x", BOOK, None).cells
    assert cell.source == r"A \[not computed\] of it."
    assert "were not there" in about.source


PLAIN = r"""# A title with `{doc}` in code

Text with *emphasis*, **strong**, `code`, $a_{1} = {b}$, a [link](https://example.org) and \{braces\}.

- list, {no role}
  1. another

> quoted

| a | b |
|---|---|
| 1 | 2 |

```python
x = "{ref}`here`"
```

$$
\frac{a}{b}
$$

- [ ] a task

<b>bold</b>
"""


def test_what_is_plain_stays_as_it_is() -> None:
    assert written(PLAIN) == PLAIN.strip()


def test_roles_are_found_where_they_stand() -> None:
    """In lists, quotations, tables, headings and beside code that looks like them."""
    text = (
        "# On {term}`plaque`\n\n- `{term}`, then {term}`plaque`\n  and {glue:text}`share:.1f`\n\n"
        "> 1. {glue:text}`many`\n\n| {glue:text}`many` | {glue:text}`many` |\n|---|---|\n| {glue:text}`share` | x |"
    )
    term = "[plaque](https://example.org/book/glossary.html#term-plaque)"
    assert written(text) == (
        f"# On {term}\n\n- `{{term}}`, then {term}\n  and 0.5\n\n> 1. 1234\n\n| 1234 | 1234 |\n|---|---|\n| 0.456 | x |"
    )


def test_boxes_hints_and_exercises() -> None:
    assert written("```{admonition} Of *what*\n:class: note\nOne.\n\n{eq}`eq-a`\n```", UNKNOWN) == (
        "> **Of *what***\n>\n> One.\n>\n> (1.2)"
    )
    assert written("- one\n\n  ```{note}\n  two\n  ```", UNKNOWN) == "- one\n\n  > **Note**\n  >\n  > two"
    assert written("```{admonition} Hint & help\n:class: dropdown tip\nSee {eq}`eq-a`.\n```", UNKNOWN) == (
        "<details>\n<summary>Hint &amp; help</summary>\n\nSee (1.2).\n\n</details>"
    )
    exercise = "````{exercise}\n:label: exercise-a\n\nCompute\n\n$$\na\n$$ (eq-a)\n\n```{tip}\nThink.\n```\n````"
    assert written(exercise) == (
        "> **Exercise 1.3**\n>\n> Compute\n>\n> $$ a \\tag{1.2} $$\n>\n> > **Tip**\n> >\n> > Think."
    )


def test_a_drawing_is_told_in_words() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><desc>A box\n of *x*.</desc><path d="M0 0"/></svg>'
    text = written(f"```{{raw}} html\n<figure>{svg}<figcaption>One box.</figcaption></figure>\n```", UNKNOWN)
    assert text.startswith("> **A drawing, in words**\n>\n> A box of \\*x\\*.\n>\n> One box.\n>\n> The drawing")
    with pytest.raises(DataError, match="needs <desc> and <figcaption>"):
        written("```{raw} html\n<p>text</p>\n```")


def test_a_figure_keeps_its_caption_below_it() -> None:
    figure = {"caption": "After {cite:t}`cohen1960coefficient`.", "name": "fig-a"}
    metadata = {"mystnb": {"figure": figure, "image": {"alt": "Two dots_"}}, "tags": ["hide-input"]}
    code = new_code_cell("plot()", id="code-3", metadata=metadata)
    _, cell, caption = plain.plain(new_notebook(cells=[code]), "01_x", BOOK, NUMBERS).cells
    assert cell.source == "plot()"
    assert cell.metadata == {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    assert caption.source == (
        "**Fig. 1.1.** After [Cohen (1960)](https://doi.org/10.1177/001316446002000104).\n\n"
        "<details>\n<summary>The figure in words</summary>\n\nTwo dots\\_\n\n</details>"
    )


def test_a_quiz_has_lettered_options_and_a_cell_for_answers(quizzes: Path) -> None:
    before, questions, cell, after = written("Before.\n\n```{quiz} toy\n```\n\nAfter.").split("\n=====\n")
    assert (before, after) == ("Before.", "After.")
    assert questions == (
        "**1.** Which is `a_b`, not a\\_b?\n\n- **A.** the *first*\n- **B.** second \\<one\\>\n\n"
        "**2.** And this?\n\n- **A.** left\n- **B.** right"
    )
    shown = eval(cell.splitlines()[-1], {"quiz": quiz})
    assert [result.state for result in shown.results] == ["unanswered", "unanswered"]


def test_answers_to_a_quiz_are_marked(quizzes: Path) -> None:
    assert quiz.check("toy", {1: "A", 2: " a "}).results == (
        Result("right", "because so"),
        Result("wrong", "wrong way"),
    )
    assert quiz.check("toy", {2: "B"}).results[0].state == "unanswered"
    assert [one.state for one in quiz.check("toy", {1: "C", 2: 2}).results] == ["malformed", "malformed"]
    for odd in ("A", ["A", "B"], {3: "A"}, {"1": "A"}, None):
        assert [one.state for one in quiz.check("toy", odd).results] == ["malformed"]
    marks = quiz.check("toy", {1: "B", 2: "B"})
    assert str(marks) == "1. ✗ Not right yet. it is not\n2. ✓ Right. the other way"
    assert marks._repr_html_().count("<li>") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{glue:text}`absent`", "the role {glue:text}`absent`: the build has no such number"),
        ("{glue:text}`share:.2q`", "0.456 cannot be written like that"),
        ("{doc}`/book/nothing`", "nothing of the book's pages is called 'book/nothing'"),
        ("{ref}`nothing`", "nothing of the book's sections is called 'nothing'"),
        ("{ref}`odd`", "the link needs words"),
        ("{cite:p}`nobody1900`", "references.bib has no work 'nobody1900'"),
        ("{kbd}`Enter`", "the role {kbd}`Enter` has no plain form; known are glue:text"),
        ("```{mermaid}\ngraph\n```", "the directive {mermaid} has no plain form; known are admonition"),
        (":::{card} A title\ntext\n:::", "the directive {card} A title has no plain form"),
        ("> ```{quiz} dataset\n> ```", "the directive {quiz} dataset has no plain form"),
        ("```{quiz} nothing\n```", "quiz nothing: "),
        ("term\n: definition", "dl_open has no plain form"),
        ("note[^1]\n\n[^1]: at the foot", "footnote"),
        ("{{ name }}", "substitution_block has no plain form: 'name'"),
        ("`x`{.red}", "attributes in braces have no plain form"),
        ("[x](other.md)", "a link to 'other.md'"),
        ("![x](../picture.png)", "a link to '../picture.png'"),
        ("![{doc}`02_y`](https://example.org/x.png)", "myst_role has no plain form"),
        ("- (here)=\n  # Here", "stands on the line of a list's mark"),
        ("$$ a $$ (eq-b)", "nothing of the book's equations is called 'eq-b'"),
        ("```{exercise}\ntext\n```", "nothing of the book's exercises is called ''"),
    ],
)
def test_what_has_no_plain_form_is_an_error_with_its_place(text: str, said: str) -> None:
    first = text.split("\n")[0]
    with pytest.raises(DataError) as caught:
        written(text)
    assert str(caught.value).startswith(f"chapter 01_x, markdown cell 7 ({first}): ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def book() -> Book:
    return cross_references.read()


@pytest.mark.parametrize("name", chapters.names())
def test_every_chapter_has_a_plain_form_and_no_mark_is_left(name: str, book: Book) -> None:
    notebook = editions.student(chapters.read(name), name)
    assert raw_marks(notebook), "the test would not see a mark if there were one"
    made = plain.plain(notebook, name, book, None)
    nbformat.validate(made)
    assert raw_marks(made) == []
    assert not any("mystnb" in cell.metadata for cell in made.cells)
    assert plain.plain(made, name, book, None) == made
    assert [c.source for c in made.cells if c.id.count("-") == 1 and c.cell_type == "code"] == [
        cell.source for cell in notebook.cells if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("file", sorted(quiz.QUIZZES.glob("*.yml")), ids=lambda file: file.stem)
def test_no_answer_of_a_quiz_is_in_a_notebook(file: Path) -> None:
    shown = "\n".join(cell.source for cell in plain._quiz(file.stem))
    for question in quiz.load(file):
        for option in question["options"]:
            assert option["why"].strip() not in shown
    rights = [next(i for i, o in enumerate(q["options"]) if o.get("right")) for q in quiz.load(file)]
    assert len(set(rights)) > 1, "the letter is always the same"


def test_numbers_of_a_build_are_read_with_their_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []
    monkeypatch.setattr(
        findings, "display", lambda data, metadata, raw: outputs.append({"data": data, "metadata": metadata})
    )
    for name, value in {"share": np.float64(0.456), "name": "a net", "n": 3}.items():
        report.glue(name, value)
    cell = new_code_cell("", outputs=[nbformat.v4.new_output("display_data", **output) for output in outputs])
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    target = Target("smoke")
    assert plain.built(target, "01_x") is None
    target.chapters.mkdir(parents=True)
    target.data.write_text(json.dumps({"dermxdb": {"kind": "simulated"}}))
    nbformat.write(new_notebook(cells=[cell]), target.chapters / "01_x.ipynb")
    found = plain.built(target, "01_x")
    assert found.texts == {"share": "0.456", "name": "'a net'", "n": "3"}
    assert found.origin == "This build shows simulated annotations, drawn by a program (profile smoke)."


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/Someone/Some-Book", "https://someone.github.io/Some-Book/"),
        ("https://github.com/someone/someone.github.io", "https://someone.github.io/"),
        ("https://git.example.org/someone/book", None),
    ],
)
def test_public_address(repository: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "repository", lambda: repository)
    assert cross_references.public_address() == expected


def test_first_cell_fetches_the_package_without_the_solutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a repository of our own; only the installation is left out."""
    origin = tmp_path / "origin"
    kept = ["pyproject.toml", "src/medxai/__init__.py", "data/table.csv", "book/quizzes/toy.yml"]
    for name in [*kept, "notebooks/01_x.md", "tests/test_x.py"]:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(name)
    git = ["git", "-C", origin, "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["config", "uploadpack.allowFilter", "true"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    run, here = subprocess.run, tmp_path / "student"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "medxai", None)
    monkeypatch.setattr(first_cell, "repository", lambda: origin.as_uri())
    monkeypatch.setattr(subprocess, "run", lambda words, **how: words[0] == "git" and run(words, **how))
    exec(first_cell.cell().source, {})
    clone = here / "medxai-book"
    found = {path.relative_to(clone).as_posix() for path in clone.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".git/")} == set(kept)
    blob = run([*git, "rev-parse", "HEAD:notebooks/01_x.md"], capture_output=True, text=True, check=True).stdout.strip()
    missing = run(
        ["git", "-C", clone, "rev-list", "--objects", "--missing=print", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"?{blob}" in missing.split(), "the text with the solutions was downloaded"
