"""No path of the machine that built a notebook is left in it."""

import sys
from pathlib import Path

import pytest

from medxai import paths
from medxai.book import scrub


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{paths.ROOT}/src/medxai/cli.py:3: UserWarning", "src/medxai/cli.py:3: UserWarning"),
        (f"cwd is {paths.ROOT}", "cwd is ."),
        (f"PosixPath('{paths.ROOT}/results')", "PosixPath('results')"),
        (f"{Path.home()}/.cache/x", "~/.cache/x"),
        (f"\x1b[0;32m{Path.home()}/x\x1b[0m", "\x1b[0;32m~/x\x1b[0m"),
        (f"see {Path.home()}", "see ~"),
        ("/tmp/ipykernel_4711/123456.py:1: FutureWarning", "<cell>:1: FutureWarning"),
        (f"https://example.org{Path.home()}/page", f"https://example.org{Path.home()}/page"),
        ("nothing here", "nothing here"),
    ],
)
def test_paths_become_names(text: str, expected: str) -> None:
    assert scrub.scrub(text) == expected
    assert scrub.remaining(expected) == []


def test_data_outside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "restricted"))
    assert scrub.scrub(f"{tmp_path}/restricted/dermxdb/a.json") == "MEDXAI_DATA/dermxdb/a.json"


def test_every_text_is_looked_at_but_not_the_bytes_of_pictures() -> None:
    path = f"{sys.prefix}/lib"
    cell = {"metadata": {"a": [path]}, "outputs": [{"data": {"text/plain": path, "image/png": path}, "n": 1}]}
    assert len(scrub.remaining(cell)) == 2
    cleaned = scrub.scrub(cell)
    assert scrub.remaining(cleaned) == []
    assert cleaned["outputs"][0]["data"]["image/png"] == path
    assert cleaned["outputs"][0]["n"] == 1
