"""The study and the figures of the attribution chapter, and the names that its parts share."""

import re

import numpy as np
import pytest
import torch

from medxai import paths, profiles, report
from medxai.attribution import METHODS
from medxai.book import methods
from medxai.models.normalisation import IMAGENET
from medxai.report import attribution_figures as figures
from medxai.results import TIDY
from medxai.studies import attribution as study
from medxai.training.small_convnet import small_convnet

SMOKE = profiles.get("smoke")
CHAPTER = paths.ROOT / "notebooks" / "02_attribution.md"


@pytest.fixture(scope="module")
def trained():
    """A network that is not trained, and noise for paintings: six diseases, three of each."""
    draw = np.random.default_rng(0)
    labels = np.tile(np.arange(6), 3)
    pictures = draw.integers(0, 256, (18, study.SIDE, study.SIDE, 3), dtype=np.uint8)
    truth = np.zeros((18, study.SIDE, study.SIDE), dtype=bool)
    truth[:, 20:50, 20:50] = True
    torch.manual_seed(0)
    network = small_convnet(6).eval().requires_grad_(False)
    test = np.arange(12, 18)
    probabilities = draw.dirichlet(np.ones(6), 6)
    names = np.array([f"{i}" for i in range(18)])
    return study.Trained(network, names, pictures, truth, labels, np.arange(12), test, probabilities)


def test_the_table_of_methods_the_page_and_the_chapter_have_the_same_methods():
    assert {method["name"] for method in methods.methods()} == set(METHODS)
    sections = methods.labels([CHAPTER.read_text(encoding="utf-8")])
    assert sections == {f"method-{name}" for name in METHODS}


def test_every_section_of_the_chapter_explains_with_its_own_method():
    sections = re.split(r"^\(method-(\w+)\)=$", CHAPTER.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        if name in METHODS and METHODS[name].kind == "map":
            body = text.split("\n### ")[1]
            assert f'"{name}"' in body, name
            for part in ("{cite:", "Cost:", "**Strong point.**", "**Fails.**", "**Do not trust it**"):
                assert part in body, (name, part)


def test_spread_leaves_out_what_is_not_defined():
    assert study.spread([1.0, np.nan, 4.0]) == {"value": 2.5, "low": 1.0, "high": 4.0}
    assert np.isnan([*study.spread([np.nan]).values()]).all()


def test_patches_are_means_of_squares():
    values = np.kron(np.arange(study.PATCHES**2).reshape(study.PATCHES, -1), np.ones((12, 12)))
    np.testing.assert_array_equal(study.patches(values), np.arange(study.PATCHES**2).reshape(study.PATCHES, -1))


def test_only_the_top_is_new(trained):
    network = study.with_new_top(trained)
    for index, (old, new) in enumerate(zip(trained.network, network, strict=True)):
        if not getattr(old, "weight", torch.zeros(0)).numel() or isinstance(old, torch.nn.BatchNorm2d):
            continue
        assert torch.equal(old.weight, new.weight) is (index < study.NEW_FROM)
    assert not network.training


def test_every_number_of_the_chapter_is_measured(trained, monkeypatch):
    monkeypatch.setattr(study, "train", lambda db, profile: trained)
    monkeypatch.setattr(study, "BUDGETS", (64,))
    monkeypatch.setattr(study, "shown", lambda trained: [12])
    monkeypatch.setitem(study.measure.__kwdefaults__, "repeats", 1)
    tables = study._measured(None, SMOKE)
    assert all(list(table) == TIDY and table["value"].notna().any() for table in tables.values())
    maps = {name for name, method in METHODS.items() if method.kind == "map"}
    assert set(tables["costs"]["row"]) == set(tables["class_dependence"]["row"]) == maps
    assert len(tables["similarity"]) == 2 * len(maps) * (len(maps) - 1) // 2
    costs = tables["costs"].pivot(index="row", columns="metric", values="value")
    assert costs.loc["integrated_gradients", "images"] == 50
    assert costs.loc["kernel_shap", "images"] >= 256
    assert (costs["seconds"] > 0).all()
    sums = tables["completeness"].pivot(index="row", columns="metric", values="value")
    np.testing.assert_allclose(sums.loc[["deeplift", "shapley_value_sampling"], "share"], 1, atol=1e-3)
    np.testing.assert_allclose(sums["sum"] / sums["wanted"], sums["share"])


def reference(name):
    return report.reference("attribution", name)


def test_the_reference_has_every_method():
    assert set(figures.wide(reference("costs")).index) == {n for n, method in METHODS.items() if method.kind == "map"}


def test_the_finding_carries_the_numbers_of_the_reference():
    tables = [reference("class_dependence"), reference("randomisation")]
    sentence, _, alt = figures.sanity_finding(*tables)
    for table in tables:
        for name in ("guided_backpropagation", "gradient"):
            assert f"{figures.wide(table, 'rank_correlation')['value'][name]:.2f}" in sentence
    assert "Guided backpropagation and DeConvNet" in alt


def test_tables_show_both_runs_and_stand_without_a_reference():
    sums = reference("completeness")
    here = sums.assign(value=sums["value"].where(sums["metric"] != "share", 0.123))
    shown = figures.completeness(here, sums).data
    assert "12.3%" in shown
    assert f"{figures.wide(sums)['share']['lrp_epsilon']:.1%}" in shown
    assert figures.completeness(here, None).data.count("–") == len(study.SUMS_TO)
    pairs = reference("similarity")
    claims = figures.claims(pairs, pairs).cells
    assert len(claims) == 2 * len(figures.CLAIMS)
    assert (claims["reference"] == claims["this_build"]).all()
    assert figures.claims(pairs, None).cells["reference"].isna().all()


def test_a_saturated_neuron_has_no_gradient_and_an_integral():
    table = figures.saturated(np.array([0.5, 2.0]))
    assert table.loc[2.0, "score"] == 1
    assert table.loc[2.0, "gradient_x_input"] == 0
    assert table.loc[2.0, ["integrated_gradients", "deeplift"]].to_numpy() == pytest.approx(1, abs=0.01)
    assert table.loc[0.5].to_numpy() == pytest.approx([0.5, 1, 0.5, 0.5, 0.5])


def test_pictures_come_back_from_what_the_network_sees(trained):
    pictures = trained.pictures[:2]
    np.testing.assert_array_equal(IMAGENET.undo(IMAGENET.apply(pictures)), pictures)


@pytest.mark.parametrize("draw", ["coarse", "baselines", "windows", "asked", "randomised"])
def test_figures_of_failures_can_be_drawn(trained, draw):
    figure = getattr(figures, draw)(trained, 14)
    assert len([axes for axes in figure.axes if axes.images]) >= 3
    assert "rendered" in figure.get_supxlabel()
