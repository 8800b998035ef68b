"""Counting the time of imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from medxai import paths

SLOW = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"


def counted(folder: Path, code: str) -> list[float]:
    """Run `code` in a new interpreter that counts; return the numbers that it prints."""
    start = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(paths.SOURCE)!r}]\n"
    start += "import os, importlib\nfrom medxai.book import imports\nimports.watch()\n"
    result = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return [float(word) for word in result.stdout.split()]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import slow", 0.1),
        ("def f():\n    import slow\nf()\nf()", 0.1),
        ("importlib.import_module('slow')", 0.1),
        ("import outer", 0.2),
        ("imports.watch()\nimport slow", 0.1),
        ("pid = os.fork()\nif pid: os.waitpid(pid, 0); os._exit(0)\nimport slow", 0.1),
        ("import outer\npid = os.fork()\nif pid: os.waitpid(pid, 0); os._exit(0)\nimport slow", 0.0),
        ("while os.times().user < 0.3: pass", 0.0),
    ],
    ids=[
        "statement",
        "in a function",
        "by name",
        "nested",
        "watched twice",
        "after a fork",
        "before a fork",
        "no import",
    ],
)
def test_each_import_counts_once_where_it_happens(tmp_path: Path, code: str, expected: float) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "outer.py").write_text(f"import slow\n{SLOW}")
    (found,) = counted(tmp_path, f"{code}\nprint(imports.seconds(), flush=True)")
    assert expected <= found < expected + 0.09


def test_a_forked_process_knows_what_was_spent_before(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    code = "import slow\npid = os.fork()\nif pid: os.waitpid(pid, 0); os._exit(0)\nprint(imports.before(), flush=True)"
    (found,) = counted(tmp_path, code)
    assert 0.1 <= found < 0.19
