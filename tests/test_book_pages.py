"""Pages that the build writes: execution status, findings, the announcement."""

import base64
import re
from pathlib import Path

import nbformat
import pytest

from medxai import paths
from medxai.book import chapters, execute, pages, site, times
from medxai.book.site import SiteFailed
from medxai.book.target import Target
from medxai.files import dump, write

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def record(chapter: str = "01_dataset", **changes: object) -> dict:
    return {
        "chapter": chapter,
        "profile": "quick",
        "edition": "student",
        "data": {"dermxdb": "simulated"},
        "seconds": 20.0,
        "trials": {"presence": 6.0, "ceiling": 4.0},
        "importing": 0.4,
        "imported_before": 4.66,
        "peak_memory_mb": 412,
        "slowest": [{"cell": "code cell 4 (table = f(`x`))", "seconds": 12.3}],
        "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        "commit": "abc1234+",
        "finished": "2026-11-21T08:05:01+00:00",
        **changes,
    }


def test_execution_page_says_all_that_a_reader_needs() -> None:
    page = pages.execution([record()], {"01_dataset": 60})
    for part in (
        "{doc}`chapters/01_dataset`",
        "`quick`",
        "simulated dermxdb",
        "20.0 s",
        "10.0 s",
        "0.4 s",
        "in 4.7 s",
        "60 s, 50% used",
        "`presence` 6.0 s; `ceiling` 4.0 s.",
        "412 MB",
        "2026-11-21 08:05:01",
        "`abc1234+`",
        "``` code cell 4 (table = f(`x`)) ``` 12.3 s",
        "python 3.11.7, numpy 2.4.6",
    ):
        assert part in page


def test_every_row_of_the_tables_has_every_column() -> None:
    page = pages.execution([record(), record("02_x")], {"01_dataset": 60})
    tables = [part.split("\n```")[0].split("\n* - ")[1:] for part in page.split("```{list-table}")[1:]]
    assert [[row.count("\n  - ") for row in rows] for rows in tables] == [[5, 5, 5], [4, 4, 4]]


def test_a_chapter_without_trials() -> None:
    page = pages.execution([record(trials={})], {"01_dataset": 60})
    assert "  - none\n  - 20.0 s\n" in page
    assert "have none" in page
    assert "60 s, 33% used" in page


def test_records_have_their_studies_and_the_trials_of_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    target = Target("quick")
    for name in ("01_dataset", "02_x"):
        write(target.chapters / f"{name}.json", dump({"chapter": name, "importing": 0.5}))
    write(target.trials / "dataset.json", dump({"chapter": "01_dataset", "trials": {"a": 3.0}, "importing": 0.25}))
    first, second = pages.records(target, ["01_dataset", "02_x"])
    assert first == {"chapter": "01_dataset", "studies": ["dataset"], "trials": {"a": 3.0}, "importing": 0.75}
    assert second == {"chapter": "02_x", "studies": [], "trials": {}, "importing": 0.5}


def test_budget_is_for_the_quick_profile_and_warns_beyond_one_and_a_half() -> None:
    budgets = {"01_dataset": 60.0}
    assert times.ratio(record(seconds=35), budgets) == 0.75
    assert times.ratio(record(profile="smoke"), budgets) is None
    assert times.ratio(record("02_x"), budgets) is None
    assert times.overruns([record(seconds=80)], budgets) == []
    assert times.overruns([record(seconds=81)], budgets) == [
        "chapter 01_dataset, with its trials, took 1.5 times its budget"
    ]


def test_every_chapter_has_a_budget() -> None:
    assert list(times.budget()) == chapters.names()


def test_what_to_expect_is_the_last_time_else_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SECONDS", tmp_path)
    half = times.budget()["01_dataset"] / 2
    assert times.expected("quick", "study dataset") == times.expected("quick", "chapter 01_dataset") == half
    assert times.expected("quick", "site") == times.SITE
    assert times.expected("smoke", "site") is None
    times.keep("quick", "study dataset", {"a": 3.0, "b": 4.5})
    times.keep("smoke", "site", 9.5)
    assert times.expected("quick", "study dataset") == 7.5
    assert times.kept("quick", "study dataset") == {"a": 3.0, "b": 4.5}
    assert times.expected("smoke", "site") == 9.5


def executed(folder: Path, *labels: str) -> Path:
    """An executed chapter that displays one finding for each label."""
    notes = [
        {"label": label, "sentence": f"Sentence {label}.", "alt": "One\nplot", "anchor": label} for label in labels
    ]
    data = {"image/png": base64.b64encode(PNG).decode()}
    outputs = [nbformat.v4.new_output("display_data", data, metadata={pages.FINDING: note}) for note in notes]
    plain = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(b"other").decode()})
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("f()", outputs=[plain, *outputs])]
    path = folder / "01_dataset.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_findings_are_taken_from_the_executed_chapter(tmp_path: Path) -> None:
    found = pages.findings(executed(tmp_path, "second-look", "another"))
    assert [(finding.chapter, finding.label, finding.png) for finding in found] == [
        ("01_dataset", "second-look", PNG),
        ("01_dataset", "another", PNG),
    ]


def test_the_figure_of_a_finding_is_published_with_its_computed_description(tmp_path: Path) -> None:
    notebook = nbformat.read(executed(tmp_path, "second-look"), as_version=4)
    notebook.metadata.papermill = {}
    notebook.cells[-1].metadata.mystnb = {"figure": {"name": "fig"}, "image": {"alt": "of old"}}
    *_, text, found = execute.publishable(notebook, "01_dataset").cells
    assert found.metadata.mystnb == {"figure": {"name": "fig"}, "image": {"alt": "One\nplot"}}
    assert "mystnb" not in text.metadata


def test_front_page_shows_sentence_figure_and_link_of_each_finding(tmp_path: Path) -> None:
    text = pages.front(pages.findings(executed(tmp_path, "second-look")))
    assert "```{figure} /book/_generated/second-look.png\n:alt: One plot\n" in text
    assert "Sentence second-look. {ref}`Read on <second-look>`." in text


def test_front_page_opens_with_the_cover_and_folds_what_does_not_lead(tmp_path: Path) -> None:
    labels = ["first", pages.LEADING[1], pages.COVER, "last", pages.LEADING[0]]
    text = pages.front(pages.findings(executed(tmp_path, *labels)))
    assert re.findall(r"_generated/(.*)\.png", text) == [pages.COVER, *pages.LEADING[:2], "first", "last"]
    assert text.index("{dropdown} More findings (2)") < text.index("_generated/first.png")


def test_what_leads_on_the_front_page_is_in_a_chapter() -> None:
    text = "".join(chapters.source(name).read_text(encoding="utf-8") for name in chapters.names())
    assert all(f"\n({label})=\n" in text and f'"{label}"' in text for label in (pages.COVER, *pages.LEADING))


def test_sentences_are_shown_as_they_are() -> None:
    finding = pages.Finding("01_x", "x", "It costs $2 [1, 3] for *two*, not $4_a.", "alt", "x", PNG)
    assert r"It costs \$2 \[1, 3\] for \*two\*, not \$4\_a. {ref}" in pages.front([finding])


def test_front_page_without_findings_says_so() -> None:
    assert pages.front([]) == "The chapters of this build report no finding.\n"


@pytest.mark.parametrize(("kind", "words"), [("real", "the real DermXDB"), ("simulated", "simulated annotations")])
def test_announcement_says_which_data(kind: str, words: str) -> None:
    sentence = pages.announcement("smoke", {"dermxdb": kind})
    assert words in sentence
    assert "smoke" in sentence


TOC = """\
format: jb-book
root: book/index
parts:
- caption: One
  chapters:
  - file: book/a
  - file: book/b
    sections:
    - file: book/c
- caption: Two
  numbered: true
  chapters:
  - file: book/chapters/01_x
"""


@pytest.fixture
def toc(tmp_path: Path) -> Path:
    """A table of contents with sections and parts."""
    (tmp_path / "_toc.yml").write_text(TOC)
    return tmp_path / "_toc.yml"


def test_documents_of_a_table_of_contents_in_reading_order(toc: Path) -> None:
    assert list(site.contents(file=toc)) == ["book/index", "book/a", "book/b", "book/c", "book/chapters/01_x"]


def test_leaving_out_a_chapter_leaves_out_a_part_that_it_empties(toc: Path) -> None:
    left = site.contents(["book/chapters/01_x"], toc)
    assert [part.caption for part in left["book/index"].subtrees] == ["One"]
    assert list(left) == ["book/index", "book/a", "book/b", "book/c"]
    left = site.contents(["book/c"], toc)
    assert [part.caption for part in left["book/index"].subtrees] == ["One", "Two"]
    assert left["book/b"].subtrees == []


def test_a_site_with_a_page_too_few_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").touch()
    (tmp_path / "a.html").touch()
    site.check(0, "", tmp_path, ["a"], strict=True)
    with pytest.raises(SiteFailed, match="lacks 1 of 3 pages: b"):
        site.check(0, "", tmp_path, ["a", "b"], strict=True)


def test_a_warning_fails_a_strict_build_though_the_exit_code_is_0(tmp_path: Path) -> None:
    (tmp_path / "index.html").touch()
    site.check(0, "x.md:3: WARNING: unknown document", tmp_path, [], strict=False)
    with pytest.raises(SiteFailed, match=r"x\.md:3: WARNING: unknown document"):
        site.check(0, "x.md:3: WARNING: unknown document", tmp_path, [], strict=True)
