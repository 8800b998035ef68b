"""The page on libraries: its snippets print what they say, its tables count what they are given."""

import contextlib
import importlib.util
import io
import math
import re

import pandas as pd
import pytest

from medxai import paths, report
from medxai.report import family_figures, library_figures
from medxai.studies import libraries

PAGE = (paths.ROOT / "notebooks/02_libraries.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


TITLES = re.findall(r"^### (.*)", PAGE.partition("(reproductions)=")[2], re.MULTILINE)[: len(SNIPPETS)]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=TITLES)
@pytest.mark.filterwarnings("ignore")
def test_a_snippet_prints_what_its_comments_say(snippet):
    if "import shap" in snippet and importlib.util.find_spec("shap") is None:
        pytest.skip("shap is no dependency, as it brings numba and its compiler; install it to run this one")
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


def test_families_are_counted_and_refusals_told_without_their_layer():
    said = "LRP gamma: 'layer_norm', at layer 'blocks.0.norm1' or after it, has no rule"
    rows = ["gradient", "lrp_gamma", "lime"]
    tables = {
        name: pd.DataFrame({"row": rows, "value": values, "reason": [None, said, None]})
        for name, values in {
            "torchvision-swin_t": [14.0, math.nan, 4.5],
            "timm-dla34": [5.9, 9.0, 6.0],
            "timm-swin_tiny_patch4_window7_224": [16.0, math.nan, 7.0],
        }.items()
    }
    lines = libraries.swept(tables)
    assert lines["verdict"].tolist() == [
        "right",
        "refused",
        "right",
        "wrong",
        "right",
        "right",
        "right",
        "refused",
        "right",
    ]
    assert lines.loc[lines["verdict"] == "refused", "why"].unique().tolist() == ["'layer_norm' has no rule"]
    counts = re.sub(r"\s+", " ", family_figures.counts(lines).data)
    assert "<th>attention</th> <td>2</td> <td>2 ✓</td> <td>2 –</td> <td>2 ✓</td>" in counts
    assert "<th>convolutions</th> <td>1</td> <td>1 ✗</td> <td>1 ✓</td> <td>1 ✓</td>" in counts
    refusals = re.sub(r"\s+", " ", family_figures.refusals(lines).data)
    assert "layer_norm&#x27; has no rule</th> <td>2</td> <td>2</td> <td>LRP" in refusals.replace("'", "&#x27;")
    assert family_figures.by_network(lines).data.count("LRP-γ") == 2


def test_no_map_of_ours_is_wrong_in_the_reference():
    tables = {name: report.reference("libraries", name) for name in libraries.family_names()}
    lines = libraries.swept(tables)
    assert lines["network"].nunique() == len(tables)
    assert lines.loc[lines["verdict"] == "wrong", ["network", "method", "why"]].to_numpy().tolist() == []
    eleven = libraries.matrix({name: report.reference("libraries", name) for name in libraries.names()}).loc["medxai"]
    assert not (eleven < libraries.RIGHT).any(axis=None)
