"""The words around the code: README, citation, workflows, and the book's promises about its own text."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from medxai.book import methods
from medxai.data.dermxdb import CHARACTERISTICS
from medxai.paths import ROOT, published

PAGES = sorted([*ROOT.glob("book/*.md"), *ROOT.glob("notebooks/*.md")])
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<kind>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(\{(code-cell|code-block|math|raw|include|bibliography|quiz)\}|\w|$)")
NOT_TYPED = re.compile(r"\$\$.*?\$\$|\$[^$]+\$|(\{[\w:-]+\})?`[^`]*`", re.DOTALL)
METRIC = re.compile(
    r"\b(F1|F1-score|kappa|AUC|IoU|intersection over union|Dice|sensitivity|specificity|accuracy|precision|recall"
    r"|agreement|overlap|score|faithfulness)\b",
    re.IGNORECASE,
)
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+(?![\w.]*[A-Za-z])")

# Written in pieces, so that this file does not hold what it forbids.
NOT_PUBLIC = re.compile(
    r"(?<![\w.])/(work|root|farm|Users)/|/home/\w|/bash_" + r"jobs|\.\./sha" + r"red|py" + r"pi\.org|python"
    r"hosted\.org|https?://[^\s\"']*/(simple|packages)/"
)


def tracked_texts() -> dict[str, str]:
    """Return name and content of each text file that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    texts = {}
    for name in names:
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or a file that is being deleted
    return texts


def prose(text: str) -> str:
    """Return what a MyST page says in words: no code, formulas, roles; captions and alternative texts included."""

    def words(block: re.Match[str]) -> str:
        body = block["body"]
        if not CODE.match(block["kind"]):
            return prose(body)
        header = re.match(r"---\n(.*?)^---$", body, re.MULTILINE | re.DOTALL)
        return header[1] if header else ""

    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return NOT_TYPED.sub(" ", FENCE.sub(words, text))


def typed_results(text: str) -> list[str]:
    """Return the sentences of a page in which a decimal number stands beside the name of a metric."""
    sentences = re.split(r"(?<=[.!?:;])\s+|\n\s*\n", prose(text))
    return [" ".join(each.split()) for each in sentences if METRIC.search(each) and DECIMAL.search(each)]


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("The mean F1 is 0.41.\n", True),
        ("An agreement\nof .5 is usual.\n", True),
        ("```{list-table}\n* - kappa\n  - 0.63\n```\n", True),
        (
            "```{code-cell}\n---\nmystnb:\n  figure:\n    caption: A Dice of 0.53.\n---\nplot()\n```\n",
            True,
        ),
        ("The mean F1 is {glue:text}`f1:.2f`.\n", False),
        ("At $s = 0.5$ the F1 is at most `0.67`.\n", False),
        ("```{code-cell}\nassert f1 > 0.4\n```\n", False),
        ("The F1 has a 95% interval. Version 1.2 of the schema.\n", False),
        ("The F1 of table A.8 and of chapter 3.\n", False),
    ],
)
def test_typed_results_are_recognised(page: str, found: bool) -> None:
    assert bool(typed_results(page)) is found


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "errata.md"], ids=lambda p: p.name)
def test_no_result_is_typed_into_the_prose(page: Path) -> None:
    assert typed_results(page.read_text(encoding="utf-8")) == []


def test_readme_sets_up_with_exactly_two_commands() -> None:
    section = re.search(
        r"^## Set-up\n(.*?)^## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert section is not None
    blocks = re.findall(r"```bash\n(.*?)```", section[1], re.DOTALL)
    assert [block.split("\n") for block in blocks] == [["make book", "make test", ""]]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "data/README.md"], ids=lambda page: page.parent.name)
def test_local_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local, "no local links were found: the pattern is broken"
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_citation_agrees_with_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == project["version"]
    assert project["license"] in citation["license"]
    assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", ["/" + "work/main/x", "see ../" + "shared/data", "https://a.b/" + "simple/numpy"])
def test_machine_paths_are_recognised(sample: str) -> None:
    assert NOT_PUBLIC.search(sample)


def test_files_name_no_machine_and_no_package_index() -> None:
    found = {name: match[0] for name, text in tracked_texts().items() if (match := NOT_PUBLIC.search(text))}
    assert found == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_use_known_targets_and_pinned_actions(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {target for step in steps for target in re.findall(r"\bmake ([a-z]+)", step.get("run", ""))}
    assert used <= targets
    unpinned = [step["uses"] for step in steps if "uses" in step and not re.fullmatch(r"[\w./-]+@v\d+", step["uses"])]
    assert unpinned == []


def test_issue_template_asks_for_page_commit_and_environment() -> None:
    template = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/problem.yml").read_text(encoding="utf-8"))
    required = {field["id"] for field in template["body"] if field["validations"]["required"]}
    assert {"page", "commit", "environment"} <= required


def test_ci_script_runs_and_is_well_formed() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)


def glossary() -> set[str]:
    text = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
    lists = re.findall(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)
    return {line.lower() for block in lists for line in block.splitlines() if line and not line.startswith(" ")}


def test_glossary_has_every_characteristic() -> None:
    assert {name.lower() for name in CHARACTERISTICS} <= glossary()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_terms_quizzes_and_citations_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    terms = {(target or term).lower() for term, target in re.findall(r"\{term\}`([^`<]+?)(?:\s*<([^`>]+)>)?`", text)}
    assert terms - glossary() == set()
    quizzes = re.findall(r"^`{3,}\{quiz\} (\S+)", text, re.MULTILINE)
    assert [name for name in quizzes if not (ROOT / f"book/quizzes/{name}.yml").exists()] == []
    assert cited(text) - bibliography() == set()


def test_every_reference_is_cited() -> None:
    used = set().union(*(cited(page.read_text(encoding="utf-8")) for page in PAGES), methods.citations())
    assert bibliography() == used


def test_erratum_d17_is_what_the_overlap_of_the_printed_numbers_gives() -> None:
    """Mean ± deviation of a network and of the experts that touch overlap; as printed, with two digits."""
    table = pd.read_csv(published("dermx_table_05_identification_f1"), index_col=0).drop(index="Mean")
    outside = {}
    for network in ("dermx", "dermx_plus"):
        mean, std, expert, experts_std = (
            table[f"{of}_{part}"] for of in (network, "expert") for part in ("mean", "std")
        )
        below = (mean + std).round(2) < (expert - experts_std).round(2)
        above = (mean - std).round(2) > (expert + experts_std).round(2)
        outside[network] = [*table.index[below], *table.index[above]]
    assert outside == {"dermx": ["Scale", "Scar"], "dermx_plus": ["Scale", "Plaque", "Scar"]}
    erratum = " ".join((ROOT / "book/errata.md").read_text(encoding="utf-8").split())
    assert "both networks are below for scale and above for scar, and DermX+ is above for plaque" in erratum


def cited(text: str) -> set[str]:
    return {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")}


def bibliography() -> set[str]:
    return set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE))
