"""Grading: honest notebooks get their marks, and no notebook changes its own, another's, or ends the run."""

import csv
import json
import os
import socket
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from medxai import checks, paths
from medxai.book import chapters, exercises
from medxai.checks import ROUNDED
from medxai.cli import main
from medxai.errors import DataError
from medxai.grading import marks, plain_data, sandbox

CHAPTER = "02_libraries"  # whose exercises need numpy alone
EXERCISE = exercises.in_chapter(CHAPTER)[0]
SECONDS = 30
SLEEP = "86399.25"  # seconds that no other program sleeps
SOLVED = EXERCISE.solved
WRONG = "answer = np.array([1.0, 1.0])\n"
IF_NOT = "try:\n    {}\n    answer = 'it could'\nexcept OSError:\n" + "".join(f"    {x}\n" for x in SOLVED.splitlines())

HOSTILE = {
    "redefines the check": (WRONG + "class checks:\n    check_weights = lambda *_: 'Right'", "wrong", ""),
    "patches the package": (
        WRONG
        + "import medxai.checks as c, medxai.checks.compare as d, medxai.grading.plain_data as p\n"
        + "right = lambda *_, **__: c.Result('right', 'Right.')\nc.Check.judge = c.Check.__call__ = right\n"
        + "np.isclose = np.allclose = d.same = c.same = p.encode = lambda *_, **__: np.array(True)",
        "wrong",
        "",
    ),
    "prints what is right": (WRONG + "print('✓ Right. 1 point')\nanswer", "wrong", ""),
    "writes to all streams": (
        "import os\nfor number in range(100):\n    try:\n"
        + '        os.write(number, b\'{"state": "right", "points": 1}\')\n    except OSError:\n        pass\n'
        + "os._exit(0)",
        "stopped",
        "no plain data",
    ),
    "hands in a verdict": ("answer = checks.check_weights(np.array([0.5, 0.6]), maps, slope)", "malformed", "Result"),
    "hands in what equals all": (
        "class Any(np.ndarray):\n    __eq__ = __le__ = __ge__ = lambda *_: True\n"
        + WRONG
        + "answer = answer.view(Any)",
        "wrong",
        "",
    ),
    "contains itself": ("answer = []\nanswer.append(answer)", "stopped", "RecursionError"),
    "exits": ("import sys\nsys.exit()", "stopped", "SystemExit"),
    "exits at once": ("import os\nos._exit(0)", "stopped", "ended with code 0"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "stopped", "killed by signal 9"),
    "kills all": (
        "import os\nfor number in (os.getppid(), 1, MARKER, -1):\n    try:\n        os.kill(number, 9)\n"
        + "    except OSError:\n        pass",
        "unanswered",
        "",
    ),
    "leaves a process": (
        f"import subprocess\nsubprocess.Popen(['sleep', '{SLEEP}'], start_new_session=True)\n{SOLVED}",
        "right",
        "",
    ),
    "prints for ever": (f"for _ in range(20):\n    print('x' * 10**7)\n{SOLVED}", "right", ""),
    "answers too much": ("answer = np.zeros(10**8)", "stopped", "100000000 numbers"),
    "takes the memory": ("wanted = bytearray(10**11)", "stopped", "MemoryError"),
    "fills the disk": (IF_NOT.format("open('much', 'wb').write(bytes(10**9))"), "right", ""),
    "writes to the package": (IF_NOT.format("open(checks.__file__, 'a').write('check_weights = None')"), "right", ""),
    "writes to others": (IF_NOT.format("open(r'FOLDER/honest_02_libraries.ipynb', 'w')"), "right", ""),
    "reads others": (IF_NOT.format("open(r'FOLDER/honest_02_libraries.ipynb')"), "right", ""),
    "reads the solutions": (IF_NOT.format(f"open(r'{chapters.source(CHAPTER)}')"), "right", ""),
    "calls home": (
        IF_NOT.format("import socket; socket.create_connection(('127.0.0.1', PORT), timeout=5)"),
        "right",
        "",
    ),
    "looks for secrets": ("import os\nanswer = os.environ['SECRET']", "stopped", "KeyError"),
}
"""What a notebook does under the heading of the exercise, the state of its mark, and a part of what failed."""


def notebook(*sources: str, heading: str = "### Exercise 1: equation 19 by hand") -> str:
    """Return a notebook with an exercise's first cell and others below its heading."""
    texts = [nbformat.v4.new_markdown_cell(text) for text in (heading, "### What I tried", "## Summary")]
    first, *cells = [nbformat.v4.new_code_cell(source) for source in (EXERCISE.first, *sources)]
    after = nbformat.v4.new_code_cell("answer = 'not under the heading'")
    return nbformat.writes(nbformat.v4.new_notebook(cells=[texts[0], first, texts[1], *cells, texts[2], after]))


def hand_in(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / f"{name}_{CHAPTER}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(table: Path) -> dict[tuple[str, str], dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return {(row["notebook"], row["exercise"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def walls() -> list[str]:
    try:
        return sandbox.walls()
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def hostile(walls: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Marks of the hostile notebooks by name, from one run, with an honest one before them and one after them."""
    folder = tmp_path_factory.mktemp("hostile")
    package = Path(checks.__file__).with_name("libraries.py")
    before = package.read_bytes()
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        patch.setenv("SECRET", "of the marker")
        port, pid = str(server.getsockname()[1]), str(os.getpid())
        for name, (source, _, _) in HOSTILE.items():
            hand_in(
                folder,
                name,
                notebook(source.replace("FOLDER", str(folder)).replace("PORT", port).replace("MARKER", pid)),
            )
        honest = hand_in(folder, "honest", notebook(SOLVED)), hand_in(folder, "zuletzt", notebook(SOLVED))
        there = {path: path.read_bytes() for path in folder.iterdir()}
        marks.grade(folder, folder / "marks.csv", seconds=SECONDS, tell=lambda _: None)
    assert {path: path.read_bytes() for path in there} == there
    assert package.read_bytes() == before
    table = rows(folder / "marks.csv")
    assert [table[path.name, EXERCISE.name]["points"] for path in honest] == ["1", "1"]
    return {name: table[f"{name}_{CHAPTER}.ipynb", EXERCISE.name] for name in HOSTILE}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_notebook_gets_what_its_answer_deserves(hostile: dict[str, dict[str, str]], name: str) -> None:
    _, state, failed = HOSTILE[name]
    assert hostile[name]["state"] == state, hostile[name]
    assert hostile[name]["points"] == str(int(hostile[name]["state"] == "right"))
    assert failed in hostile[name]["failed"]


def test_nothing_is_left_running(hostile: dict[str, dict[str, str]]) -> None:
    assert hostile["leaves a process"]["points"] == "1"
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert running
    assert not [command for command in running if SLEEP.encode() in command]


@pytest.mark.parametrize(
    "source",
    [
        "while True:\n    pass",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    ],
    ids=["loops", "stops itself", "forks"],
)
def test_what_does_not_end_is_ended(walls: list[str], source: str) -> None:
    task = marks.task(marks.key(EXERCISE), [source])
    assert sandbox.run(task, 8, walls) == {"failed": "It took more than 8 s."}


@pytest.mark.parametrize("name", ["redefines the check", "patches the package", "prints what is right", "exits"])
def test_the_verdict_is_reached_outside_with_or_without_walls(name: str) -> None:
    source, state, failed = HOSTILE[name]
    key = marks.key(EXERCISE)
    found = marks.mark("theirs", key, sandbox.run(marks.task(key, [source]), SECONDS, []))
    assert (found.state, found.points) == (state, 0)
    assert failed in found.failed


def test_an_honest_class_gets_its_marks(walls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(tmp_path, "anna/right", notebook("%matplotlib inline\nimport json", SOLVED))
    hand_in(tmp_path, "ben/open", notebook(EXERCISE.open))
    hand_in(tmp_path, "ben/rounded", notebook("answer = np.array([0.67, 1.3])", "raise KeyError('tried something')"))
    hand_in(tmp_path, "cleo/kind", notebook("answer = 'two thirds'"))
    hand_in(tmp_path, "cleo/long", notebook(f"raise ValueError('{'long ' * 1000}')"))
    assert main(["grade", str(tmp_path)]) == 0
    assert "anna/right_02_libraries.ipynb: 1 of 3 right" in capsys.readouterr().out
    table = rows(tmp_path / "marks.csv")
    assert len(table) == 5 * len(exercises.in_chapter(CHAPTER))
    assert max(len(row["failed"]) for row in table.values()) <= marks.LONGEST_TEXT
    found = {name.split("_")[0]: row for (name, exercise), row in table.items() if exercise == EXERCISE.name}
    assert {name: (row["state"], row["points"]) for name, row in found.items()} == {
        "anna/right": ("right", "1"),
        "ben/open": ("unanswered", "0"),
        "ben/rounded": ("wrong", "0"),
        "cleo/kind": ("malformed", "0"),
        "cleo/long": ("stopped", "0"),
    }
    assert found["ben/rounded"]["wrong_idea"] == ROUNDED
    assert "of type str" in found["cleo/kind"]["failed"]
    missing = table["ben/open_02_libraries.ipynb", f"{CHAPTER}-2"]
    assert (missing["state"], missing["points"]) == ("missing", "")
    assert "heading 'Exercise 2'" in missing["failed"]


def judged(values: list[object], exercise: exercises.Exercise = EXERCISE) -> marks.Mark:
    return marks.mark("theirs", marks.key(exercise), {"values": values})


def test_a_known_mistake_is_named_and_an_unknown_one_is_not() -> None:
    key = marks.key(EXERCISE)
    for mistake in key.check.mistakes:
        found = judged([np.asarray(mistake.value(*key.data[0]))])
        assert (found.state, found.points, found.wrong_idea) == ("wrong", 0, mistake.why)
    found = judged([np.array([123.0, 456.0])])
    assert (found.state, found.points, found.wrong_idea) == ("wrong", 0, "")


TWICE = exercises.Exercise(
    "00_toy-1",
    first="""\
from medxai.checks import Check

check_twice = Check(
    reference=lambda number: 2 * number,
    mistakes=(),
    example=lambda: (3.0,),
    hint="Add it to itself.",
    meaning=lambda right, number: f"{right}",
    is_function=True,
)
number = 1.0""",
    open="def twice(number):\n    ...  # your answer here\n\n\ncheck_twice(twice, number)",
    solved="def twice(number):\n    return 2 * number\n\n\ncheck_twice(twice, number)",
)


@pytest.mark.parametrize(
    ("answer", "state", "failed"),
    [
        (TWICE.solved, "right", ""),
        (TWICE.open, "unanswered", ""),
        ("def twice(number):\n    raise NotImplementedError", "unanswered", ""),
        ("twice = lambda number: 2.0", "wrong", ""),  # right for the exercise's data, but not for the check's example
        ("twice = lambda number: 1 / 0", "stopped", "Your function stopped with ZeroDivisionError"),
        ("twice = 2.0", "stopped", "a function is expected"),
        ("twice = Check.value = Check.judge = lambda *_: 2.0", "wrong", ""),
    ],
)
def test_a_function_is_called_inside_and_judged_outside(answer: str, state: str, failed: str) -> None:
    key = marks.key(TWICE)
    found = marks.mark("theirs", key, sandbox.run(marks.task(key, [answer]), SECONDS, []))
    assert (found.state, found.points) == (state, int(state == "right")), found
    assert failed in found.failed


DAMAGED = {
    "empty": b"",
    "binary": bytes(range(256)),
    "no notebook": b'{"cells": 3}',
    "no cells": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "of the future": b'{"nbformat": 99, "cells": []}',
    "strange sources": notebook(SOLVED).replace('"source": [', '"source": 3, "was": [').encode(),
}


def test_a_damaged_notebook_is_told_and_stops_nobody(walls: list[str], tmp_path: Path) -> None:
    for name, content in DAMAGED.items():
        hand_in(tmp_path, name, content)
    hand_in(tmp_path, "=1+1", notebook(EXERCISE.open))
    (tmp_path / "my homework.ipynb").write_text(notebook(SOLVED))
    other = hand_in(tmp_path.with_name("elsewhere"), "linked", notebook(SOLVED))
    (tmp_path / f"link_{CHAPTER}.ipynb").symlink_to(other)
    hand_in(tmp_path, ".ipynb_checkpoints/copy", notebook(SOLVED))
    found = marks.grade(tmp_path, tmp_path / "marks.csv", seconds=SECONDS, tell=lambda _: None)
    for name in DAMAGED:
        states = {(mark.state, mark.points) for mark in found if mark.notebook == f"{name}_{CHAPTER}.ipynb"}
        assert states <= {("unreadable", None), ("missing", None)}, name
        assert states, name
    (unnamed,) = [mark for mark in found if mark.notebook == "my homework.ipynb"]
    assert "says no chapter: expected one of 01_dataset" in unnamed.failed
    assert not [mark for mark in found if "link" in mark.notebook or "copy" in mark.notebook]
    text = (tmp_path / "marks.csv").read_text(encoding="utf-8")
    assert "\n'=1+1_02_libraries.ipynb," in text
    assert not [line for line in text.splitlines() if line.startswith(tuple("=+-@"))]


def test_what_cannot_be_marked_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        assert main(["grade", str(folder)]) == 2
        assert "is no folder that holds a notebook" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()
    path = hand_in(tmp_path, "anna", notebook(SOLVED))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["grade", str(tmp_path)]) == 2
    assert "install bubblewrap" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [path], "nothing half-written"
    assert main(["grade", str(tmp_path), "--seconds", "-1"]) == 2
    assert "the time limit is -1 s: expected more than 0" in capsys.readouterr().err
    (tmp_path / "marks.csv").write_text("precious")
    assert main(["grade", str(tmp_path), "--trusted"]) == 2
    assert "marks.csv is there already" in capsys.readouterr().err
    assert (tmp_path / "marks.csv").read_text() == "precious"


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(False),
        3,
        2.5,
        np.float32(0.012),
        np.nan,
        "text",
        ["b.png", "a.png"],
        {"x", "y"},
        np.array([[1, 2], [3, 4]]),
        np.array([0.1, np.inf], np.float32),
        pd.Series({"a": 1.5, "b": np.nan}),
        pd.DataFrame({"x": [1, 2], "y": ["p", "q"]}, index=[4, 7]),
        {"a": 1, 2: [3.5]},
    ],
    ids=lambda value: type(value).__name__,  # the same in each process, as the order of a set is not
)
def test_plain_data_come_back_as_they_were(value: object) -> None:
    back = plain_data.decode(json.loads(json.dumps(plain_data.encode(value))))
    if isinstance(value, pd.Series | pd.DataFrame):
        assert back.equals(value.astype(back.dtypes if isinstance(value, pd.DataFrame) else back.dtype))
    elif isinstance(value, set):
        assert set(back) == value
    else:
        np.testing.assert_equal(back, value)
        assert getattr(back, "dtype", None) == (None if isinstance(value, np.bool_) else getattr(value, "dtype", None))


def test_what_is_no_data_comes_back_as_an_empty_object_of_its_name() -> None:
    for value, name in ((object(), "object"), (len, "builtin_function_or_method"), (1j, "complex")):
        back = plain_data.decode(plain_data.encode(value))
        assert type(back).__name__ == name
        assert vars(back) == {}


@pytest.mark.parametrize("forged", [None, {}, {"array": [[1], [2, 3]], "kind": "int64"}, {"array": ["x"], "kind": "O"}])
def test_forged_data_are_refused(forged: object) -> None:
    said = json.dumps({"values": [forged]}).encode()
    assert sandbox._read(said, 0) == {"failed": "The answer is no plain data."}


def test_the_page_for_teachers_names_the_limits() -> None:
    page = (paths.PAGES / "course.md").read_text(encoding="utf-8")
    limits = f"An exercise has {marks.SECONDS:g} seconds", f"{sandbox.LIMITS['RLIMIT_AS'] // 2**30} GB of"
    for told in (*limits, f"{sandbox.PROCESSES} processes", *(f"`{name}`" for name in marks.Mark.__dataclass_fields__)):
        assert told in " ".join(page.split()), told
