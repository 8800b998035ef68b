"""The study and the figures of the attribution chapter, its teaching networks, and the names that its parts share."""

import re
from copy import deepcopy
from dataclasses import replace

import jupytext
import numpy as np
import pytest
import torch

from medxai import paths, profiles, report
from medxai.attribution import METHODS
from medxai.book import methods
from medxai.data.labelled_images import LabelledImages
from medxai.experiment.explained import PATCHES, Explained, with_new_top
from medxai.experiment.kept_maps import kept
from medxai.experiment.panel import MAP_METHODS, Panel
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.normalisation import HALF
from medxai.report import attribution_figures as figures
from medxai.results import TIDY
from medxai.studies import attribution as study
from medxai.training.small_convnet import small_convnet

SIDE = 64
SMOKE = profiles.get("smoke")
CHAPTER, CATALOGUE = (paths.NOTEBOOKS / f"{name}.md" for name in ("02_attribution", "02_catalogue"))


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    """A network that is not trained, and noise for paintings: six diseases, three of each, with outlines."""
    draw = np.random.default_rng(0)
    truth = np.zeros((18, SIDE, SIDE), dtype=np.float32)
    for row, side in enumerate(range(10, 46, 2)):
        truth[row, 10 : 10 + side, 10 : 10 + side] = 1
    pictures = draw.integers(0, 256, (18, SIDE, SIDE, 3), dtype=np.uint8)
    names, classes, labels = [f"{row}" for row in range(18)], tuple("abcdef"), np.tile(np.arange(6), 3)
    images = LabelledImages(
        "noise",
        "rendered",
        names,
        pictures,
        labels,
        classes,
        raters=lambda row: {1: truth[row] > 0.5},
        truth=lambda row: truth[row],
    )
    torch.manual_seed(0)
    network = small_convnet(6).eval().requires_grad_(False)
    probabilities = draw.dirichlet(np.ones(6), 18)
    return TrainedNetwork(network, "15", HALF, "noise", images, np.arange(12), np.arange(12, 18), probabilities, labels)


@pytest.fixture(scope="module")
def tables(trained, tmp_path_factory):
    """What the study measures on it, with small sizes; its maps lie in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", tmp_path_factory.mktemp("results"))
        patch.setattr(study, "train", lambda *_, **__: trained)
        patch.setattr(study.image_sets, "paintings", lambda *_: trained.images)
        patch.setattr(study, "BUDGETS", {"lime": 40, "gradient_shap": 4})
        yield study._measured(None, None, SMOKE)


def values(table, metric):
    return table[table["metric"] == metric].set_index("row")["value"]


def test_the_catalogue_has_every_method_of_the_program_and_the_chapters_every_one_of_the_page():
    sections = methods.labels([CATALOGUE.read_text(encoding="utf-8")])
    assert sections >= {f"method-{name}" for name in METHODS}
    labels = methods.labels(page.read_text(encoding="utf-8") for page in CATALOGUE.parent.glob("*.md"))
    assert {label for label in labels if label.startswith("method-")} == {
        f"method-{method['name']}" for method in methods.methods()
    }


def test_every_card_of_the_catalogue_explains_with_its_own_method():
    sections = re.split(r"^\(method-(\w+)\)=$", CATALOGUE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        if name in METHODS and METHODS[name].kind == "map":
            body = text.split("\n### ")[1]
            assert f'"{name}"' in body, name
            for part in ("{cite:", "Cost:", "**Strong point.**", "**Fails.**", "**Do not trust it**"):
                assert part in body, (name, part)


def test_tidied_leaves_out_what_is_not_defined_and_gives_a_range_to_several():
    table = study.tidied([("a", "x", 1.0), ("b", "x", np.nan), ("a", "x", np.nan), ("a", "x", 4.0), ("a", "y", 7.0)])
    assert list(table) == TIDY
    found = table.set_index(["row", "metric"])
    assert found.loc[("a", "x")].tolist() == [2.5, 1.0, 4.0]
    assert found.loc[("a", "y"), "value"] == 7
    assert found.loc[("a", "y"), ["low", "high"]].isna().all()
    assert found.loc[("b", "x")].isna().all()


def test_patches_are_means_of_squares_and_leave_out_what_is_over():
    numbers = np.arange(PATCHES**2).reshape(PATCHES, -1)
    padded = np.pad(np.kron(numbers, np.ones((12, 12))), [(0, 5), (0, 5)])
    np.testing.assert_array_equal(study.patches(padded), numbers)


def test_the_first_painting_has_a_lesion_of_middling_size(trained):
    rows = Explained.of(trained, replace(SMOKE, attributed_images=6)).rows
    areas = [trained.images.truth(row).mean() for row in rows]
    assert len(rows) == 6
    assert abs(areas[0] - 0.2) == min(abs(area - 0.2) for area in areas)


def test_the_other_class_is_the_most_probable_of_the_others(trained):
    explained = Explained.of(trained, replace(SMOKE, attributed_images=6))
    for row, targets in zip(explained.rows, explained.targets, strict=True):
        own, other = trained.label(row), [int(one) for one in np.argsort(-trained.probabilities[row])]
        assert targets.tolist() == [own, next(one for one in other if one != own)]


def test_only_the_upper_half_is_new(trained):
    network = with_new_top(Explained.of(trained, SMOKE).panel)
    pairs = zip(trained.network, network, strict=True)
    new = [not torch.equal(old.weight, one.weight) for old, one in pairs if isinstance(old, torch.nn.Conv2d)]
    assert new == [False, False, True, True]
    assert not torch.equal(trained.network[-1].weight, network[-1].weight)


def test_every_number_of_the_chapter_is_measured(tables):
    assert all(list(table) == TIDY and table["value"].notna().any() for table in tables.values())
    maps = set(MAP_METHODS)
    assert (
        set(tables["costs"]["row"]) == set(tables["class_dependence"]["row"]) == set(tables["sparsity"]["row"]) == maps
    )
    assert set(tables["randomisation"]["row"]) == set(study.ONE_PASS)
    assert len(tables["similarity"]) == len(maps) * (len(maps) - 1)
    assert tables["network"].set_index("metric")["value"][["seen", "held_out", "explained"]].tolist() == [12, 6, 2]
    assert set(tables["chance"]["metric"]) == {"images_40", "images_4"}
    assert "refused" not in tables


def test_costs_and_sums_are_those_of_the_methods(tables):
    images = values(tables["costs"], "images")
    assert images[["gradient", "integrated_gradients", "lime"]].tolist() == [1, 2, 128]
    assert (values(tables["costs"], "seconds") > 0).all()
    share = values(tables["completeness"], "share")
    np.testing.assert_allclose(share[["deeplift", "deep_shap", "shapley_value_sampling"]], 1, atol=1e-3)
    wanted, total = (values(tables["completeness"], metric) for metric in ("wanted", "sum"))
    np.testing.assert_allclose(total / wanted, share)


def test_wanted_sums_are_differences_of_logits(tables, trained):
    row = Explained.of(trained, SMOKE).rows[0]
    wanted, target = values(tables["completeness"], "wanted"), trained.label(row)
    background = trained.background(2)
    logit, grey, ground = (
        trained.network(images)[:, target].mean().item()
        for images in (trained.image(row), torch.zeros(1, 3, SIDE, SIDE), background)
    )
    found = wanted[["lrp_epsilon", "deeplift", "deep_shap"]]
    np.testing.assert_allclose(found, [logit, logit - grey, logit - ground], atol=1e-5)


def test_the_maps_of_the_trial_are_those_of_the_chapters(tables, trained, monkeypatch):
    explained = Explained.of(trained, SMOKE)
    expected = [
        explained.panel.explain(explained.rows, "gradient", targets=targets).numpy() for targets in explained.targets.T
    ]
    with monkeypatch.context() as patch:
        patch.setattr(Panel, "maps", None)  # nothing is explained again
        maps = explained.maps
    assert set(maps) == set(MAP_METHODS)
    np.testing.assert_allclose(maps["gradient"], np.stack(expected, axis=1), atol=1e-6)


def test_maps_are_made_anew_for_another_network_class_or_number_of_samples(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    panel = Panel.of(trained, 2, ["gradient", "smoothgrad"])
    other = deepcopy(trained.network)
    other[-1].weight += 1
    first = kept(panel, [12], [0])
    np.testing.assert_array_equal(kept(panel, [12], [0])["gradient"], first["gradient"])
    changed = [kept(panel, [12], [1]), kept(panel, [13], [0]), kept(replace(panel, network=other), [12], [0])]
    assert all(not np.array_equal(maps["gradient"], first["gradient"]) for maps in changed)
    more = kept(replace(panel, samples=3), [12], [0])
    assert not np.array_equal(more["smoothgrad"], first["smoothgrad"])
    assert len(list((tmp_path / "maps").glob("*.npz"))) == 5


def test_signs_do_not_count_where_maps_are_compared():
    one = np.random.default_rng(0).standard_normal((1, 8, 8))
    lines = [*study._alike({"gradient": one, "zero": 0 * one}, {"gradient": -2 * one, "zero": one})]
    assert lines[0] == ("gradient", "absolute_rank_correlation", pytest.approx(1))
    assert np.isnan(lines[1][2])


def reference(name):
    return report.reference("attribution", name)


def test_the_reference_is_a_full_run_on_real_annotations():
    for made in report.provenance("attribution").values():
        assert made["profile"] == "full"
        assert made["data"]["dermxdb"]["kind"] == "real"
        assert not made["commit"].endswith("+")
    assert set(reference("costs")["row"]) == set(MAP_METHODS)


def test_tables_show_both_runs_and_stand_without_a_reference(tables):
    sums = tables["completeness"]
    here = sums.assign(value=sums["value"].where(sums["metric"] != "share", 0.123))
    shown = figures.completeness(here, sums, study.SUMS_TO).data
    assert shown.count("12.3%") == len(values(here, "share"))
    assert f"{values(sums, 'share')['lrp_epsilon']:.1%}" in shown
    assert "reference" not in figures.completeness(here, None, study.SUMS_TO).data
    some = tables["costs"][tables["costs"]["row"] != "gradient"]
    assert figures.costs(some).data.count("–") == 2 * sum(name not in set(some["row"]) for name in METHODS)


def test_the_matrix_of_methods_is_symmetric_and_numbered(tables):
    axes = figures.similarity(tables["similarity"]).axes[0]
    shown = axes.collections[0].get_array().reshape(len(MAP_METHODS), -1)
    np.testing.assert_allclose(shown, shown.T)
    np.testing.assert_array_equal(np.diag(shown), 1)
    known = values(tables["similarity"], "patches")
    place = [MAP_METHODS.index(name) for name in ("gradient", "occlusion")]
    assert shown[tuple(place)] == pytest.approx(known["gradient occlusion"])
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["1", "", "3"]


def test_figures_say_what_they_show(tables, trained):
    runs = {"reference": tables["class_dependence"], "this build": tables["class_dependence"]}
    drawn = figures.alike(runs, "grey: hardly depends on the class", band=(0.8, 1))
    assert {"Gradient", "Integrated gradients, last layer"} <= {
        one.get_text() for one in drawn.axes[0].get_yticklabels()
    }
    assert "rendered" in drawn.get_supxlabel()
    picture, truth, maps = trained.images.pictures[0], trained.images.truth(0), np.ones((2, SIDE, SIDE))
    for method, note in (("grad_cam", figures.UNSIGNED), ("gradient", figures.SIGNED)):
        pair = figures.pair(picture, truth, maps, ["Acne", "Psoriasis"], method)
        assert [axes.get_title() for axes in pair.axes] == ["the painting", "for acne", "for psoriasis"]
        assert note in pair.get_supxlabel().replace("\n", " ")
    assert len(figures.chance(tables["chance"]).legends[0].get_texts()) == 2


def cells_with(word: str) -> dict[str, object]:
    """Run the chapter's first code cell that contains a word, after its imports, and return what it defines."""
    code = [cell.source for cell in jupytext.read(CHAPTER).cells if cell.cell_type == "code"]
    names: dict[str, object] = {}
    imports = next(cell for cell in code if cell.startswith("import cv2"))
    exec(imports.split("\nplots.use_style()")[0], names)
    exec(next(cell for cell in code if word in cell), names)
    return names


def test_a_saturated_neuron_has_no_gradient_and_an_integral():
    lines = {name: line.flatten().numpy() for name, line in cells_with("saturating = nn.Sequential")["lines"].items()}
    half, two = 10, 40  # of the values from 0 to 3 in steps of 0.05
    assert [line[half] for line in lines.values()] == pytest.approx([0.5] * 4, abs=1e-3)
    assert lines["the score itself"][two] == lines["DeepLIFT"][two] == pytest.approx(1)
    assert lines["Integrated gradients"][two] == pytest.approx(1, abs=0.01)
    assert lines["Gradient × input"][two] == 0


def test_only_cam_shows_what_speaks_against():
    maps = cells_with("against = nn.Sequential")["spotted"]
    bright, dark = (16, 8), (16, 23)
    assert all(one[bright] > 0 for one in maps.values())
    assert maps["cam"][dark] == pytest.approx(-0.7 * maps["cam"][bright])
    assert maps["grad_cam"][dark] == maps["grad_cam_plus_plus"][dark] == 0
