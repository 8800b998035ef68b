"""The page on libraries: its snippets print what they say, its tables count what they are given."""

import contextlib
import importlib.util
import io
import math
import re

import pandas as pd
import pytest

from medxai import paths
from medxai.report import library_figures
from medxai.studies import libraries

PAGE = (paths.ROOT / "notebooks/02_libraries.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=re.findall(r"^### (.*)", PAGE, re.MULTILINE)[: len(SNIPPETS)])
@pytest.mark.filterwarnings("ignore")
def test_a_snippet_prints_what_its_comments_say(snippet):
    if "import shap" in snippet and importlib.util.find_spec("shap") is None:
        pytest.skip("shap pins a numpy older than the lock's; install it to run this one")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "snippet", "exec"), {})
    promised = [line.split("  # ")[1] for line in snippet.splitlines() if "print(" in line]
    assert len(promised) == len(printed.getvalue().splitlines()) > 0
    for line, words in zip(printed.getvalue().splitlines(), promised, strict=True):
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", line)]
        expected = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", re.split(r", and |: ", words)[0])]
        assert numbers == pytest.approx(expected, rel=1e-4)
        assert numbers or line == words[: len(line)]


def test_every_library_has_a_snippet():
    for library in ("captum", "zennit", "shap", "torchcam"):
        assert any(re.search(rf"^(from|import) {library}", snippet, re.MULTILINE) for snippet in SNIPPETS)


def test_cells_are_counted():
    rows = ["medxai: deeplift", "captum: deeplift"]
    tables = {
        name: pd.DataFrame({"row": rows, "value": values, "reason": ["", "no"]})
        for name, values in {"vgg16": [14.0, 0.3], "xception": [9.0, math.nan], "resnet50": [12.0, 2.4]}.items()
    }
    found = libraries.matrix({**tables, "versions": pd.DataFrame()})
    counts = libraries.counts(found)
    assert counts.loc[("captum", "deeplift")].to_dict() == {"right": 1, "wrong": 1, "refused": 1}
    assert counts.loc[("medxai", "deeplift")]["right"] == 3
    assert "1 ✓, 1 ✗, 1 –" in library_figures.summary(counts, 3).data.replace("\u00a0", " ")
    assert "✗ 0.3" in library_figures.matrix(found, "captum").data
    assert library_figures.reasons(tables, "captum").data.count("<td>no</td>") == 1
