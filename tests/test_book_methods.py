"""The tables of the page *A map of methods*: complete, cited, linked to the sections that exist."""

import csv
import re

import pytest

from medxai import paths
from medxai.book import methods
from medxai.errors import DataError


def rows(table: str) -> list[list[str]]:
    """Return the cells of a list table in MyST, its header first."""
    body = table.split("```{list-table}")[1].split("\n\n", 1)[1].removesuffix("\n```\n")
    return [row.rstrip("\n").split("\n  - ") for row in re.split(r"^\* - ", body, flags=re.MULTILINE)[1:]]


def printed(file: str) -> list[dict[str, str]]:
    with (paths.CARRIED / "published" / file).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_row_of_the_reviews_first_table_is_there_in_its_order() -> None:
    reviewed = [row for row in rows(methods.attribution(set()))[1:] if row[-1] == "review"]
    expected = printed("review_table_1_attribution_methods.csv")
    assert len(expected) == 14
    assert [row[0].split(" {cite:p}")[0] for row in reviewed] == [row["method"] for row in expected]
    for shown, row in zip(reviewed, expected, strict=True):
        assert shown[3] == row["description"]
        assert shown[4].startswith(row["notes"].removesuffix(", see ERRATA"))
        assert shown[0].endswith(f"\\[{row['reference']}\\]") is bool(row["reference"])


def test_every_row_of_the_reviews_second_table_is_there_as_printed() -> None:
    shown = rows(methods.applications(set()))[1:]
    expected = printed("review_table_2_applications.csv")
    assert len(expected) == 23
    names = ("category", "model", "application", "modality")
    assert [row[1:5] for row in shown] == [[row[name] for name in names] for row in expected]
    for cells, row in zip(shown, expected, strict=True):
        assert cells[0].replace("\\", "").startswith(row["algorithm"])
        assert f"\\[{row['reference']}\\]" in cells[0]
        assert row["note"][1:] in cells[0]


def test_every_row_has_every_column_and_a_citation() -> None:
    for table in (methods.attribution(set()), methods.applications(set())):
        header, *body = rows(table)
        assert len(header) == 6
        assert all(len(row) == 6 and all(row) and "{cite:p}`" in row[0] for row in body)


def test_names_are_unique_and_good_as_labels() -> None:
    names = [method["name"] for method in methods.methods()]
    assert len(names) == len(set(names)) == 34
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def test_only_sections_that_exist_are_linked() -> None:
    text = "(method-saliency)=\n## Saliency\n\nText (method-lime)= in a line.\n\n(method-grad_cam)=\n(other)=\n## A"
    known = methods.labels([text, "no label"])
    assert known == {"method-saliency", "method-grad_cam"}
    for table in (methods.attribution, methods.applications):
        assert set(re.findall(r"<(method-\w+)>", table(known))) == known
        assert "<method-" not in table(set())
    assert "{ref}`Saliency Maps <method-saliency>`" in methods.attribution(known)


def test_a_reason_is_linked_to_a_section_that_exists_and_is_words_without() -> None:
    words = "impact score and coverage"
    assert f"{{ref}}`{words} <measure-impact>`" in methods.applications({"measure-impact"})
    without = methods.applications(set())
    assert words in without
    assert "<measure-impact>" not in without


def test_every_row_of_the_review_leads_to_a_section_that_exists_or_says_why_not() -> None:
    """Sections are those of the chapters as they are, so a link that leads nowhere fails here."""
    known = methods.labels(page.read_text(encoding="utf-8") for page in (paths.ROOT / "notebooks").glob("*.md"))
    for row in rows(methods.attribution(known))[1:]:
        assert "<method-" in row[0], row[0]
    for row in rows(methods.applications(known))[1:]:
        links, *_ = re.findall(r"<method-|^[A-Z][^<]{30,}\.$", row[-1]) or [""]
        assert links, row
        assert "–" not in row[-1]


def test_errata_that_are_linked_exist() -> None:
    linked = set(re.findall(r"<(errata-\w+)>", methods.attribution(set()) + methods.applications(set())))
    text = (paths.ROOT / "book" / "errata.md").read_text(encoding="utf-8")
    assert {"errata-v1", "errata-v2", "errata-v5"} <= linked
    assert linked <= set(re.findall(r"^\((errata-\w+)\)=$", text, re.MULTILINE))


def test_menus_offer_the_values_of_their_columns() -> None:
    table = methods.attribution(set())
    header, *body = rows(table)
    menus = re.findall(r'<label>([\w ]+) <select data-column="(\d)">(.*?)</select>', table)
    assert [title for title, _, _ in menus] == ["Group", "Needs", "From"]
    for title, column, options in menus:
        assert header[int(column)] == title
        assert set(re.findall(r"<option>(.*?)</option>", options)) == {row[int(column)] for row in body}


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("METHODS", ("saliency,Saliency Maps", "saliency,Saliency"), "saliency has no description and no notes"),
        ("METHODS", ("lime,LIME,perturbation,answers only,ribeiro2016why", "lime,LIME,,,"), "lime has no citation"),
        ("METHODS", ("smoothgrad,SmoothGrad,backpropagation,gradients,,,,\n", ""), "no method has.*SmoothGrad"),
        ("REFERENCES", ("\n53,", "\n153,"), "no line for reference 53"),
        (
            "REFERENCES",
            ("56,kim2018interpretability,tcav", "56,kim2018interpretability,"),
            "reference 56 needs methods",
        ),
    ],
)
def test_a_gap_in_our_files_is_told(tmp_path, monkeypatch, file, change, said) -> None:
    text = getattr(methods, file).read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "changed.csv").write_text(text.replace(*change), encoding="utf-8")
    monkeypatch.setattr(methods, file, tmp_path / "changed.csv")
    table = methods.attribution if file == "METHODS" else methods.applications
    with pytest.raises(DataError, match=rf"changed\.csv.*{said}"):
        table(set())
