"""The pipeline on a tiny book of its own: one chapter of three cells, executed and built for real."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
import pytest

from medxai import paths
from test_book_editions import HEADER

CONFIG = """\
title: Tiny
only_build_toc_files: true
repository: {url: "https://github.com/owner/name", branch: main}
execute: {execute_notebooks: "off"}
"""
TOC = """\
format: jb-book
root: book/index
chapters:
- file: book/chapters/01_tiny
- file: book/execution
"""
CHAPTER = (
    HEADER
    + """(tiny)=
(method-lime)=
# A tiny chapter

Prose.

```{code-cell} ipython3
:tags: [parameters]

profile = "quick"
```

```{code-cell} ipython3
import os

from medxai import paths, profiles
from medxai.studies import tiny

if profile == "full":
    from medxai.evaluation import sums
print(profiles.get(profile).name, os.getcwd(), os.environ["MEDXAI_DATA_KIND"])
```

```{code-cell} ipython3
answer = ...
### BEGIN SOLUTION
answer = sum(number for number in range(10))
### END SOLUTION
answer
```

```{code-cell} ipython3
import matplotlib.pyplot as plt

plt.subplots(figsize=(1, 1))[0]
```
"""
)
STUDIES = """\
import importlib

STUDIES = ("tiny",)


def study(name):
    return importlib.import_module(f"medxai.studies.{name}").STUDY
"""
STUDY = """\
from types import SimpleNamespace

from medxai import paths

VERSION = 1


def trials(profile):
    return [SimpleNamespace(name="first"), SimpleNamespace(name="second")]


def record_path(trial, profile):
    return paths.RESULTS / f"{trial.name}-{VERSION}"


def run_trial(trial, profile):
    record_path(trial, profile).touch()
    with (paths.RESULTS / "trials.log").open("a") as file:
        print(trial.name, profile.name, file=file)


STUDY = SimpleNamespace(chapter="01_tiny", trials=trials, run_trial=run_trial, record_path=record_path)
"""


@dataclass(frozen=True)
class Project:
    """A checkout in miniature; commands in it use its own copy of the package."""

    root: Path
    said: str = ""

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(self.root / "src"), "MEDXAI_DATA": "data/external"}
        environment.pop("MEDXAI_DATA_KIND", None)
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300)

    def build(self, *options: str) -> subprocess.CompletedProcess:
        return self.python("-m", "medxai.cli", "build", "--profile", "smoke", "--data", "simulated", *options)

    def due(self) -> set[str]:
        """Return the rules that Snakemake would run now."""
        code = (
            "import subprocess; from medxai.book import build; from medxai.book.target import Target;"
            "subprocess.run([*build.command(Target('smoke'), ['01_tiny']), '--dry-run'], check=True)"
        )
        result = self.python("-c", code)
        assert result.returncode == 0, result.stderr
        lines = (result.stdout + result.stderr).splitlines()
        return {line.split()[1].rstrip(":") for line in lines if line.split()[:1] in (["rule"], ["localrule"])}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny book, built once at the smoke profile on simulated annotations."""
    root = tmp_path_factory.mktemp("book")
    shutil.copytree(
        paths.ROOT / "src" / "medxai", root / "src" / "medxai", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.rmtree(root / "src" / "medxai" / "studies")
    shutil.copytree(paths.ROOT / "workflow", root / "workflow")
    for folder in ("published", "dermxdb"):
        shutil.copytree(paths.CARRIED / folder, root / "data" / folder)
    for file in ("requirements.lock", "data/methods.csv", "data/review_references.csv"):
        shutil.copy(paths.ROOT / file, root / file)
    files = {
        "_config.yml": CONFIG,
        "_toc.yml": TOC,
        "budget.csv": "chapter,seconds\n01_tiny,60\n",
        "book/index.md": "# Tiny\n\n```{include} _generated/findings.md\n```\n",
        "notebooks/01_tiny.md": CHAPTER,
        "src/medxai/studies/__init__.py": STUDIES,
        "src/medxai/studies/tiny.py": STUDY,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    project = Project(root)
    result = project.build()
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == "The site is at _build/smoke/html/index.html\n"
    return Project(root, result.stderr)


@pytest.fixture
def changed(project: Project, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The file that the test names as parameter; it gets its content back afterwards."""
    path = project.root / request.param
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def chapter(project: Project) -> nbformat.NotebookNode:
    notebook = nbformat.read(project.root / "_build/smoke/chapters/01_tiny.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_the_chapter_was_executed_with_its_profile_in_its_folder(project: Project) -> None:
    (output,) = chapter(project).cells[4].outputs
    assert output.text == "smoke notebooks simulated\n"


def test_student_edition_is_what_is_executed(project: Project) -> None:
    assert chapter(project).cells[-2].source == "answer = ...\n# your answer here\nanswer"
    assert chapter(project).cells[-2].outputs[0].data["text/plain"] == "Ellipsis"


def test_figures_are_shown(project: Project) -> None:
    outputs = chapter(project).cells[-1].outputs
    assert outputs
    assert all("image/png" in output.data for output in outputs), "a figure without a picture"


def test_the_map_of_methods_links_to_the_sections_of_the_chapters(project: Project) -> None:
    page = (project.root / "_build/smoke/source/book/_generated/methods.md").read_text()
    assert re.findall(r"<(method-\w+)>", page) == ["method-lime"]


def test_cells_that_are_not_the_authors_are_not_shown(project: Project) -> None:
    hidden = {cell.id for cell in chapter(project).cells if "remove-cell" in cell.metadata.get("tags", ())}
    first, *_ = chapter(project).cells
    assert first.id == "bootstrap"
    assert "https://github.com/owner/name" in first.source
    assert len(hidden) == 2
    page = (project.root / "_build/smoke/html/book/chapters/01_tiny.html").read_text()
    assert "git clone" not in page.replace('"', " ")
    assert "# Parameters" not in page


def test_no_path_of_this_machine_is_published(project: Project) -> None:
    for path in (project.root / "_build/smoke").rglob("*"):
        if path.suffix in {".html", ".ipynb", ".md", ".js"}:
            text = path.read_text(encoding="utf-8")
            assert str(project.root) not in text, path
            assert sys.prefix not in text, path


def test_execution_record(project: Project) -> None:
    record = json.loads((project.root / "_build/smoke/chapters/01_tiny.json").read_text())
    assert record["chapter"] == "01_tiny"
    assert record["profile"] == "smoke"
    assert record["data"] == {"dermxdb": "simulated"}
    assert 20 < record["peak_memory_mb"] < 2000
    assert 0 < record["importing"] < record["imported_before"] < 300, "large packages are loaded once, before the fork"
    assert record["modules"] == ["medxai.studies.tiny"], "what the kernel loaded itself"
    assert 0 < record["seconds"] < 300
    assert len({cell["cell"] for cell in record["slowest"]}) == 3
    assert "code cell 4 (import matplotlib.pyplot as plt)" in {cell["cell"] for cell in record["slowest"]}
    assert record["commit"] == "unknown", "the tiny book is no git checkout"


def test_every_page_says_which_data_it_shows(project: Project) -> None:
    pages = list((project.root / "_build/smoke/html/book").rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        assert "This build shows simulated annotations" in page.read_text(), page


def test_every_trial_ran_once(project: Project) -> None:
    log = (project.root / "results/trials.log").read_text().splitlines()
    assert sorted(log) == ["first smoke", "second smoke"]


def test_the_build_says_what_it_does_from_the_first_word_to_the_last(project: Project) -> None:
    lines = project.said.splitlines()
    assert lines[0] == "Building 01_tiny at profile smoke: looking at the data"
    assert "Looking for what has changed" in lines
    assert any(re.match(r"[012] of 3 steps done\. ", line) for line in lines)
    events = [json.loads(line) for line in (project.root / "_build/smoke/progress.jsonl").read_text().splitlines()]
    said = [(event["job"], event["doing"]) for event in events if "doing" in event]
    assert [doing for job, doing in said if job == "study tiny"][2:] == ["trial 1 of 2, first", "trial 2 of 2, second"]
    assert [doing for job, doing in said if job == "chapter 01_tiny"][1:] == [f"cell {n} of 4" for n in (1, 2, 3, 4)]
    assert ("site", "Sphinx is reading sources, 100 %") in said


def test_the_page_of_times_has_trials_and_importing(project: Project) -> None:
    page = (project.root / "_build/smoke/source/book/execution.md").read_text()
    assert re.search(r"- `01_tiny`: `first` 0\.\d s; `second` 0\.\d s\.\n", page)
    assert "  - Importing\n" in page


def test_second_build_executes_nothing(project: Project) -> None:
    made = {path: path.stat().st_mtime_ns for path in (project.root / "_build/smoke").rglob("*") if path.is_file()}
    result = project.build()
    assert result.returncode == 0, result.stderr
    assert result.stdout == "The site is at _build/smoke/html/index.html\n"
    left = {path: path.stat().st_mtime_ns for path in made}
    assert {path.name for path in made if made[path] != left[path]} <= {"build.log", "progress.jsonl"}


@pytest.mark.parametrize(
    ("changed", "old", "new", "due"),
    [
        ("src/medxai/training/fit.py", '"""', '"""Other. ', set()),
        ("src/medxai/evaluation/sums.py", "def ratio(", "def other(", {"chapter", "site"}),
        ("src/medxai/profiles.py", '"""', '"""Other. ', {"chapter", "site"}),
        ("notebooks/01_tiny.md", "Prose.", "Better prose.", {"chapter", "site"}),
        ("data/published/INDEX.csv", "", "x", {"chapter", "site"}),
        ("_build/smoke/data.json", "simulated", "real", {"study", "chapter", "site"}),
        ("src/medxai/studies/tiny.py", "VERSION = 1", "VERSION = 2", {"study", "chapter", "site"}),
        ("book/index.md", "# Tiny", "# Little", {"site"}),
        ("data/methods.csv", "LIME", "Lime", {"site"}),
    ],
    indirect=["changed"],
)
def test_what_a_change_makes_due(project: Project, changed: Path, old: str, new: str, due: set[str]) -> None:
    before = changed.read_text()
    changed.write_text(before.replace(old, new, 1))
    for name in ("src/medxai/paths.py", "data/published/INDEX.csv"):
        (project.root / name).touch()  # newer, but the same
    assert changed.read_text() != before
    assert project.due() - {"all"} == due


@pytest.mark.parametrize("changed", ["notebooks/01_tiny.md"], indirect=True)
def test_a_failing_cell_fails_the_build_says_where_and_the_next_build_recovers(project: Project, changed: Path) -> None:
    changed.write_text(CHAPTER.replace("import os\n", "\nshare = 1 / 0\nimport os\n"))
    site = (project.root / "_build/smoke/html/index.html").read_text()
    result = project.build()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "chapter 01_tiny: code cell 2 (share = 1 / 0) failed: ZeroDivisionError: division by zero "
        "(the notebook up to there: _build/smoke/failed/01_tiny.ipynb)"
    )
    assert "ZeroDivisionError" in (project.root / "_build/smoke/failed/01_tiny.ipynb").read_text()
    assert (project.root / "_build/smoke/html/index.html").read_text() == site, "the last good site is gone"
    changed.write_text(CHAPTER)
    (project.root / "src/medxai/studies/tiny.py").write_text(STUDY.replace("VERSION = 1", "VERSION = 2"))
    assert project.build().returncode == 0
    assert not (project.root / "_build/smoke/failed").exists()
    log = (project.root / "results/trials.log").read_text().splitlines()
    assert sorted(log) == ["first smoke"] * 2 + ["second smoke"] * 2, "a new version of the study runs its trials again"


@pytest.mark.parametrize("changed", ["src/medxai/studies/tiny.py"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('mean')", "KeyError: 'mean' (see _build/smoke/build.log)"),
        ("import os; os.kill(os.getpid(), 9)", "its process was ended by signal 9, perhaps for want of memory"),
    ],
)
def test_a_trial_that_breaks_is_told(project: Project, changed: Path, fault: str, said: str) -> None:
    start = "    record_path(t"
    changed.write_text(STUDY.replace("VERSION = 1", "VERSION = 3").replace(start, f"    {fault}\n{start}"))
    result = project.build()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"study tiny: {said}"


@pytest.mark.parametrize("changed", ["book/index.md"], indirect=True)
def test_a_warning_of_sphinx_fails_the_build(project: Project, changed: Path) -> None:
    changed.write_text(changed.read_text() + "\n{doc}`nowhere`\n")
    result = project.build()
    assert result.returncode == 1
    assert "the site could not be built" in result.stderr
    assert "nowhere" in result.stderr


def test_two_builds_at_once_are_refused(project: Project) -> None:
    with (project.root / "_build/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = project.build()
    assert result.returncode == 1
    assert "another build of" in result.stderr


@pytest.mark.parametrize(
    ("how", "interrupts"),
    [(signal.SIGKILL, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_IGN)],
)
def test_what_a_killed_build_leaves_behind_is_stopped_or_keeps_the_lock(
    project: Project, how: int, interrupts: signal.Handlers
) -> None:
    code = (
        "import sys; from medxai.book import build; from medxai.book.target import Target;"
        "build.command = lambda *given: [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True);"
        " time.sleep(60)'];"
        "lock = build._only_build(); build._snakemake(Target('smoke'), [], 'simulated', lock.__enter__())"
    )
    log, environment = project.root / "_build/smoke/build.log", os.environ | {"PYTHONPATH": str(project.root / "src")}
    log.unlink()
    shell = partial(signal.signal, signal.SIGINT, interrupts)  # ignored: as in the background of a shell
    process = subprocess.Popen([sys.executable, "-c", code], cwd=project.root, env=environment, preexec_fn=shell)
    while not log.exists() or not log.read_text():
        time.sleep(0.05)
    process.send_signal(how)
    process.wait(30)
    if how == signal.SIGKILL:
        assert "another build of" in project.build().stderr
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)
        time.sleep(1)
    with (project.root / "_build/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or BlockingIOError
