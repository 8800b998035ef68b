"""Editions: solutions are cut from the text, and nothing of them is left anywhere."""

import json
from pathlib import Path

import nbformat
import pytest

from medxai import paths
from medxai.book import chapters, editions, first_cell, student
from medxai.errors import DataError

HEADER = """---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
CHAPTER = (
    HEADER
    + """# A chapter

Everybody may read that `mean = values.sum() / len(values)`.

```{code-cell} ipython3
def overlap(a, b):
    ### BEGIN SOLUTION
    intersection_of_both = (a & b).sum()
    return 2 * intersection_of_both / (a.sum() + b.sum())
    ### END SOLUTION


print(overlap)
```

+++ {"tags": ["solution"]}

Twice the **intersection** over the sum of areas, not "over the union".

```{code-cell} ipython3
:tags: [solution]

mean = values.sum() / len(values)
short = 1
```
"""
)


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    """A folder with one chapter that has all kinds of solutions."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "01_overlap.md").write_text(CHAPTER)
    return folder


def cell(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, id="code-7")


def notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[cell(source) for source in sources])


def test_student_edition_has_stubs_where_solutions_were(notebooks: Path) -> None:
    full = chapters.read("01_overlap", notebooks)
    public = editions.student(full, "01_overlap")
    assert [cell.cell_type for cell in public.cells] == ["markdown", "code"]
    assert public.cells[1].source == "def overlap(a, b):\n    ...  # your answer here\n\n\nprint(overlap)"
    assert len(full.cells) == 4, "the notebook that was given is changed"


def test_student_edition_runs(notebooks: Path) -> None:
    public = editions.student(chapters.read("01_overlap", notebooks), "01_overlap")
    names: dict = {}
    for source in chapters.code(public):
        exec(source, names)
    assert names["overlap"](1, 2) is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("### BEGIN SOLUTION\na = 1", "without '### END SOLUTION' after it"),
        ("a = 1\n### END SOLUTION", "a solution begins with '### BEGIN SOLUTION'"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "'### END SOLUTION' closes it first"),
        ("# begin solution\na = 1\n# end solution", "found '# begin solution'"),
        ("### BEGIN SOLUTION\na = 1\n## END SOLUTION", "found '## END SOLUTION'"),
    ],
)
def test_wrong_marks_are_refused_with_chapter_and_cell(source: str, message: str) -> None:
    with pytest.raises(DataError, match=r"^chapter 01_x, code cell 7 \(") as caught:
        editions.student(notebook(source), "01_x")
    assert message in str(caught.value)


def test_two_solutions_in_one_cell() -> None:
    source = "### BEGIN SOLUTION\na = 1\n### END SOLUTION\nb = 2\n### BEGIN SOLUTION\nc = 3\n### END SOLUTION"
    assert editions.student(notebook(source), "01_x").cells[0].source == "# your answer here\nb = 2\n# your answer here"
    assert editions.solution_lines(notebook(source), "01_x") == ["a = 1", "c = 3"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("page.html", "<pre><span>intersection_of_both</span> <span>=</span> (a &amp; b).<b>sum</b>()</pre>"),
        ("page.html", "<p>Twice the <strong>intersection</strong> over the sum of\n areas, not “over the union”.</p>"),
        ("_sources/page.md", 'Twice the **intersection** over the sum of areas, not "over the union".'),
        ("page.ipynb", json.dumps({"cells": [{"source": ["x\n", "    intersection_of_both = (a & b).sum()\n"]}]})),
        ("searchindex.js", 'Search.setIndex({"titles": "intersection_of_both = (a & b).sum()"})'),
    ],
)
def test_a_leak_is_found_in_any_dress(notebooks: Path, tmp_path: Path, file: str, text: str) -> None:
    site = tmp_path / "site"
    (site / file).parent.mkdir(parents=True)
    (site / file).write_text(text)
    (leak,) = editions.leaks(["01_overlap"], site, notebooks)
    assert leak.startswith(f"{file}: ")


def test_public_and_short_lines_are_no_leaks(notebooks: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.md").write_text("mean = values.sum() / len(values)\nshort = 1\n")
    assert editions.leaks(["01_overlap"], site, notebooks) == []


@pytest.fixture
def public_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a fork, as GitHub's own environment gives it; nothing has been built there."""
    monkeypatch.setattr(paths, "BUILD", tmp_path / "_build")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/fork")
    return "https://github.com/someone/fork"


def test_student_tree_has_both_forms_and_no_solution(tmp_path: Path, public_address: str) -> None:
    tree = tmp_path / "student"
    written = student.write(tree)
    assert sorted(tree.iterdir()) == sorted(written)
    assert {path.suffix for path in written} == {".md", ".ipynb"}
    for path in tree.glob("*.ipynb"):
        found = nbformat.read(path, as_version=4)
        nbformat.validate(found)
        assert "https://someone.github.io/fork/book/chapters/" in found.cells[0].source
        assert public_address in found.cells[1].source
        assert not any(cell.get("outputs") for cell in found.cells)
        assert "{glue:text}" not in path.read_text()
    assert editions.leaks(chapters.names(), tree) == []


def test_student_tree_replaces_an_older_one_but_nothing_else(tmp_path: Path, public_address: str) -> None:
    tree = tmp_path / "student"
    student.write(tree)
    student.write(tree)
    (tree / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match=r"holds thesis\.txt, which is not of a student tree"):
        student.write(tree)
    assert (tree / "thesis.txt").read_text() == "precious"


def test_bootstrap_cell_does_nothing_where_the_package_is(public_address: str, tmp_path: Path) -> None:
    names: dict = {}
    exec(first_cell.cell().source, names)
    assert "medxai" in names
    assert "subprocess" not in names
