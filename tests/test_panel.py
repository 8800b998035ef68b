"""The panel: every number of a row computed once more by hand, on a network of a few weights; who refuses; controls."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from medxai.attribution import CONTROLS, METHODS, explain
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import sanity
from medxai.evaluation.metrics import METRICS
from medxai.experiment.panel import CHANGE, MAP_METHODS, Panel
from medxai.models.normalisation import Normalisation
from tiny_network import SIDE, tiny

SAMPLES = 12
NORMALISATION = Normalisation((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
ROW = 1
"""The image whose numbers are computed by hand."""


def drawn(images: int = 3, masks: bool = True) -> LabelledImages:
    generator = np.random.default_rng(5)
    pictures = generator.integers(0, 256, (images, SIDE // 4, SIDE // 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    outlines = np.zeros((images, SIDE, SIDE), bool)
    outlines[:, 5:15, 8:20] = True
    names = [f"image_{i}" for i in range(images)]
    return LabelledImages.with_masks(names, pictures, outlines if masks else None)


@pytest.fixture(scope="module")
def panel() -> Panel:
    images = drawn()
    methods = ["gradient_x_input", "smoothgrad", "grad_cam", "occlusion"]
    return Panel(tiny(), images, np.array([0, 2, 1]), NORMALISATION, SAMPLES, methods, progress=False)


@pytest.fixture(scope="module")
def explained(panel: Panel):
    return panel.maps(range(3))


@pytest.fixture(scope="module")
def scores(panel: Panel, explained) -> pd.DataFrame:
    return panel.scores(range(3), explained.maps).scores.set_index(["image", "method"])


def pixels(row: int = ROW) -> Tensor:
    """One image as the network sees it, by hand, (1, 3, SIDE, SIDE)."""
    picture = torch.from_numpy(drawn().pictures[row]).float() / 255
    return ((picture - torch.tensor(NORMALISATION.mean)) / torch.tensor(NORMALISATION.deviation)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def contributions() -> np.ndarray:
    """Gradient times input of the image computed by hand, (SIDE, SIDE)."""
    image = pixels().requires_grad_()
    return (torch.autograd.grad(tiny()(image)[0, 2], image)[0] * image).sum(1)[0].detach().numpy()


def probability(images: Tensor) -> np.ndarray:
    logits = tiny()(images).double().numpy()
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[:, 2]


def logit(images: Tensor) -> np.ndarray:
    return tiny()(images)[:, 2].double().numpy()


def covered(areas: np.ndarray, fill: Tensor | float = 0.0) -> Tensor:
    """The image with each area (k, SIDE, SIDE) filled."""
    return torch.where(torch.from_numpy(areas)[:, None], torch.as_tensor(fill, dtype=torch.float32), pixels())


class TestMaps:
    def test_are_those_of_explain(self, panel: Panel, explained, contributions: np.ndarray) -> None:
        assert list(explained.maps) == [*panel.methods, *CONTROLS]
        assert explained.refused == {}
        np.testing.assert_allclose(explained.maps["gradient_x_input"][ROW], contributions, rtol=1e-4, atol=1e-6)
        generator = torch.Generator().manual_seed(0)
        smooth = explain(tiny(), pixels(), 2, "smoothgrad", samples=SAMPLES, generator=generator)[0]
        np.testing.assert_allclose(explained.maps["smoothgrad"][ROW], smooth, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(explained.maps["smoothgrad"][ROW], panel.map(ROW, "smoothgrad"))

    def test_of_another_class_network_image_or_option(self, panel: Panel) -> None:
        own = panel.map(ROW, "smoothgrad")
        others = ({"targets": [0]}, {"network": tiny(1)}, {"pixels": pixels(0)}, {"samples": 3})
        assert all(np.abs(panel.map(ROW, "smoothgrad", **other) - own).max() > 1e-6 for other in others)

    def test_costs_are_counted(self, explained, panel: Panel) -> None:
        costs = explained.costs.set_index("method")
        assert list(costs.index) == list(explained.maps)
        assert costs.loc["gradient_x_input", "images"] == 1
        assert costs.loc["smoothgrad", "images"] == SAMPLES
        assert (costs.loc[list(CONTROLS), "images"] == 0).all()
        assert (costs["seconds"] > 0).all()
        assert np.ptp(costs["seconds"] / costs["ratio"]) < 1e-9
        assert not panel.network._forward_pre_hooks

    def test_a_method_that_refuses_leaves_its_reason_and_the_others_go_on(self) -> None:
        flat = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 3)).eval()
        methods = ["grad_cam", "gradient"]
        panel = Panel(flat, drawn(), np.zeros(3, int), NORMALISATION, SAMPLES, methods, progress=False)
        found = panel.maps(range(2))
        assert list(found.maps) == ["gradient", *CONTROLS]
        assert "no convolution" in found.refused["grad_cam"]
        assert "grad_cam" not in set(found.costs["method"])

    def test_what_has_not_converged_is_told_once_with_its_method(self) -> None:
        class Waves(nn.Module):
            def forward(self, images: Tensor) -> Tensor:  # up and down on the way from the baseline
                return (100 * images.mean((2, 3))).sin()

        methods = ["gradient", "integrated_gradients"]
        panel = Panel(Waves(), drawn(), np.zeros(3, int), NORMALISATION, 2, methods, progress=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = panel.maps(range(3))
            panel.map(0, "integrated_gradients", baseline=-1.0)
        assert list(found.unconverged) == ["integrated_gradients"]
        assert "not converged at 2 steps" in found.unconverged["integrated_gradients"]

    def test_a_network_without_gradients_is_explained_by_what_needs_none(self) -> None:
        class Steps(nn.Module):
            def forward(self, images: Tensor) -> Tensor:
                return (images.detach().mean((2, 3)) * 5).round()

        methods = ["gradient", "occlusion"]
        panel = Panel(Steps(), drawn(), np.zeros(3, int), NORMALISATION, SAMPLES, methods, progress=False)
        found = panel.maps([0])
        assert list(found.maps) == ["occlusion", *CONTROLS]
        assert "autograd finds no way from the logits back to the images" in found.refused["gradient"]
        assert found.costs["ratio"].isna().all()

    def test_a_map_that_is_not_finite_is_named_with_its_image(self) -> None:
        class Root(nn.Module):
            def forward(self, images: Tensor) -> Tensor:  # its slope at zero is infinite
                return (images.flatten(1)[:, :3] - pixels(1).flatten(1)[:, :3]).abs().sqrt()

        panel = Panel(Root(), drawn(), np.zeros(3, int), NORMALISATION, SAMPLES, ["gradient"], progress=False)
        found = panel.maps(range(3))
        assert list(found.maps) == list(CONTROLS)
        assert found.refused == {"gradient": "the map of image_1 holds NaN or infinity"}

    def test_every_method_has_what_it_needs_where_training_images_are_known(self, panel: Panel) -> None:
        every = replace(panel, methods=None, training=panel.pixels([0, 1, 2]), samples=4)
        found = every.maps([0])
        assert found.refused == {}
        assert list(found.maps) == [*MAP_METHODS, *CONTROLS]

    @pytest.mark.parametrize(
        ("methods", "said"),
        [
            (["magic"], "method 'magic' is unknown, or gives no map: expected gradient, "),
            (["tcav"], "method 'tcav' is unknown, or gives no map"),
            ("gradient", "methods is 'gradient': expected a list of names, at least one"),
            ([], "expected a list of names, at least one"),
            (["deep_shap"], "method 'deep_shap' needs baselines: give methods={'deep_shap': {'baselines': ...}}"),
            ({"occlusion": {"size": 3}}, "'size' is no option of occlusion: expected baseline, window, stride"),
        ],
    )
    def test_bad_methods_are_told_before_any_work(self, panel: Panel, methods: object, said: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            replace(panel, methods=methods)


class TestScores:
    """The numbers of gradient times input on one image, each by its formula."""

    @pytest.fixture(scope="class")
    @staticmethod
    def found(scores: pd.DataFrame) -> pd.Series:
        return scores.loc[(f"image_{ROW}", "gradient_x_input")]

    def test_there_is_a_line_for_each_image_and_map_and_a_column_for_each_metric(self, scores: pd.DataFrame) -> None:
        assert len(scores) == 3 * (4 + len(CONTROLS))
        later = {"parameter_randomisation", "label_randomisation", "max_sensitivity"}
        later |= {name for name, one in METRICS.items() if one.family == "truth"}
        assert set(METRICS) - later <= set(scores)
        for name in set(METRICS) & set(scores):
            assert scores[name].dropna().between(METRICS[name].low - 1e-9, METRICS[name].high + 1e-9).all(), name

    def test_drops_are_of_the_probability(self, found: pd.Series, contributions: np.ndarray) -> None:
        positive = np.maximum(contributions, 0)
        fifth = contributions >= np.sort(contributions.ravel())[-round(0.2 * SIDE**2)]
        areas = np.stack([positive >= positive.max() / 2, fifth])
        drops = probability(pixels()) - probability(covered(areas))
        assert found[["occlusion_drop", "occlusion_drop_equal_area"]].tolist() == pytest.approx(drops, abs=1e-6)

    def test_deletion_and_insertion_are_areas_under_curves(self, found: pd.Series, contributions: np.ndarray) -> None:
        steps = max(4, SAMPLES // 3)
        place = np.argsort(np.argsort(-contributions.ravel(), kind="stable")).reshape(SIDE, SIDE)
        first = np.stack([place < round(share * SIDE**2) for share in np.linspace(0, 1, steps + 1)])
        width = 5 / 224 * SIDE
        smooth = torch.from_numpy(gaussian_filter(pixels()[0].numpy(), (0, width, width), mode="nearest"))
        deletion, insertion = probability(covered(first)), probability(covered(~first, smooth))
        assert found["deletion"] == pytest.approx(np.trapezoid(deletion, dx=1 / steps), abs=1e-6)
        assert found["insertion"] == pytest.approx(np.trapezoid(insertion, dx=1 / steps), abs=1e-6)

    def test_sensitivity_n_is_a_mean_over_all_sizes(self, found: pd.Series, contributions: np.ndarray) -> None:
        cells = contributions.reshape(8, 3, 8, 3).sum((1, 3)).ravel()
        each = []
        for size in (4, 16, 32):
            first = np.tile(np.arange(64) < size, (2 * SAMPLES, 1))
            chosen = np.random.default_rng([0, size]).permuted(first, axis=1)
            areas = chosen.reshape(-1, 8, 8).repeat(3, 1).repeat(3, 2)
            each.append(pearsonr(chosen @ cells, logit(pixels()) - logit(covered(areas))).statistic)
        assert np.ptp(each) > 0.01
        assert found["sensitivity_n"] == pytest.approx(np.mean(each), abs=1e-4)

    def test_infidelity_is_what_the_best_factor_leaves(self, found: pd.Series, contributions: np.ndarray) -> None:
        corners = np.random.default_rng(0).integers((SIDE - 5, SIDE - 5), size=(4 * SAMPLES, 2))
        areas = np.zeros((len(corners), SIDE, SIDE), bool)
        for area, (y, x) in zip(areas, corners, strict=True):
            area[y : y + 6, x : x + 6] = True
        sums, drops = (areas * contributions).sum((1, 2)), logit(pixels()) - logit(covered(areas))
        factor = (sums @ drops) / (sums @ sums)
        assert found["infidelity"] == pytest.approx(((factor * sums - drops) ** 2).sum() / (drops**2).sum(), abs=1e-4)

    def test_the_gap_is_to_the_logit_less_that_of_the_mean_colour(self, found, contributions: np.ndarray) -> None:
        wanted = float((logit(pixels()) - logit(torch.zeros(1, 3, SIDE, SIDE)))[0])
        assert found["completeness_gap"] == pytest.approx(abs(contributions.sum() - wanted) / abs(wanted), rel=1e-4)

    def test_place(self, found: pd.Series, contributions: np.ndarray) -> None:
        inside, positive = drawn().reference(ROW), np.maximum(contributions, 0) / contributions.max()
        both = np.minimum(inside, positive).sum()
        ranks = pd.Series(contributions.ravel()).rank().to_numpy().reshape(SIDE, SIDE)
        wanted = {
            "fuzzy_f1": 2 * both / (inside.sum() + positive.sum()),
            "fuzzy_sensitivity": both / inside.sum(),
            "fuzzy_specificity": np.minimum(1 - inside, 1 - positive).sum() / (1 - inside).sum(),
            "pixel_auc": roc_auc_score(inside.ravel() > 0, contributions.ravel()),
            "hit_rate": inside.flat[contributions.argmax()],
            "mass": (positive * inside).sum() / positive.sum(),
        }
        for name, scaled in (
            ("quantile", np.minimum(np.maximum(contributions, 0) / np.quantile(np.maximum(contributions, 0), 0.99), 1)),
            ("rank", (ranks - 0.5) / SIDE**2),
        ):
            wanted[f"fuzzy_f1_{name}"] = 2 * np.minimum(inside, scaled).sum() / (inside.sum() + scaled.sum())
        assert found[list(wanted)].tolist() == pytest.approx(list(wanted.values()), abs=1e-6)

    def test_the_threshold_of_the_union_comes_from_the_other_images(self, found: pd.Series, explained) -> None:
        maps, inside = np.maximum(explained.maps["gradient_x_input"], 0), drawn().reference(ROW) > 0
        maps = maps / maps.max((1, 2), keepdims=True)

        def iou(row: int, threshold: float) -> float:
            return ((maps[row] >= threshold) & inside).sum() / ((maps[row] >= threshold) | inside).sum()

        best = max(np.linspace(0.05, 0.95, 19), key=lambda threshold: iou(0, threshold) + iou(2, threshold))
        assert found["iou"] == pytest.approx(iou(ROW, best))

    def test_concentration(self, found: pd.Series, contributions: np.ndarray) -> None:
        sizes = np.abs(contributions).ravel().astype(float)
        apart = np.abs(np.subtract.outer(sizes, sizes)).mean()
        assert found["gini"] == pytest.approx(apart / (2 * sizes.mean()), rel=1e-5)
        assert found["entropy"] == pytest.approx(-(sizes / sizes.sum()) @ np.log(sizes / sizes.sum()), rel=1e-5)

    def test_curves_are_means_over_the_images(self, panel: Panel, explained, contributions: np.ndarray) -> None:
        one = panel.scores([ROW], {"gradient_x_input": explained.maps["gradient_x_input"][[ROW]]}).curves
        all_ = panel.scores(range(3), explained.maps).curves.query("method == 'gradient_x_input'")
        other = panel.scores([0, 2], {"gradient_x_input": explained.maps["gradient_x_input"][[0, 2]]}).curves
        keys = ["method", "curve", "share"]
        table = all_.merge(one, on=keys).merge(other, on=keys)
        assert len(table) == len(one)
        np.testing.assert_allclose(table["value_x"], table["value_y"] / 3 + 2 * table["value"] / 3, atol=1e-6)
        ends = one.set_index(["curve", "share"])["value"]
        assert ends[("deletion", 0)] == ends[("insertion", 1)] == pytest.approx(float(probability(pixels())[0]))
        assert ends[("deletion", 1)] == pytest.approx(float(probability(torch.zeros(1, 3, SIDE, SIDE))[0]))
        inside = drawn().reference(ROW) > 0
        cut = np.quantile(contributions[~inside], 0.9, method="inverted_cdf")
        assert ends[("roc", 0.1)] == pytest.approx((contributions[inside] > cut).mean(), abs=0.02)

    def test_without_outlines_nothing_is_said_of_the_place(self, panel: Panel) -> None:
        bare = replace(panel, images=drawn(masks=False))
        found = bare.scores([0], bare.maps([0], ["gradient_x_input"]).maps)
        assert not {"pixel_auc", "iou", "fuzzy_f1", "mass"} & set(found.scores)
        assert found.scores["deletion"].notna().all()
        assert set(found.curves["curve"]) == {"deletion", "insertion"}


class TestSanity:
    @pytest.fixture(scope="class")
    @staticmethod
    def checked(panel: Panel):
        return panel.sanity([ROW], ["gradient_x_input", "smoothgrad", "sobel_edges"], stages=2, misled=tiny(7))

    def test_maps_are_compared_by_the_ranks_of_their_absolute_values(self, panel: Panel, checked) -> None:
        found = checked.checks.set_index("method")
        *_, (share, random) = sanity.cascade(panel.network, panel.pixels([0, 1, 2]), stages=2, seed=0)
        own, by_chance, by_heart = (
            np.abs(panel.map(ROW, "gradient_x_input", network=network)).ravel()
            for network in (panel.network, random, tiny(7))
        )
        line = found.loc["gradient_x_input"]
        assert line["parameter_randomisation"] == pytest.approx(spearmanr(own, by_chance).statistic)
        assert line["label_randomisation"] == pytest.approx(spearmanr(own, by_heart).statistic)
        edges = found.loc["sobel_edges", ["parameter_randomisation", "label_randomisation"]]
        assert edges.tolist() == pytest.approx([1, 1])
        last = checked.cascade.set_index(["method", "share"]).loc[("gradient_x_input", share)]
        assert last["absolute_rank_correlation"] == line["parameter_randomisation"]
        assert checked.cascade.groupby("method")["share"].nunique().tolist() == [2, 2, 2]

    def test_a_flipped_sign_is_no_change(self, panel: Panel) -> None:
        flipped = tiny()
        flipped[-1].weight.mul_(-1)
        found = panel.sanity([ROW], ["gradient_x_input"], stages=2, misled=flipped).checks
        assert found["label_randomisation"].tolist() == pytest.approx([1])

    def test_the_largest_change_is_of_images_between_black_and_white(self, panel: Panel, checked) -> None:
        low, high = ((np.array([end] * 3) - NORMALISATION.mean) / NORMALISATION.deviation for end in (0, 1))
        radius = CHANGE * np.mean(high - low)
        draws = torch.Generator().manual_seed(0)
        own, changes = panel.map(ROW, "gradient_x_input").astype(float), []
        for _ in range(3):
            change = (2 * torch.rand(3, SIDE, SIDE, generator=draws, dtype=torch.double) - 1) * radius
            image = np.clip((pixels()[0] + change).numpy(), low[:, None, None], high[:, None, None])
            again = panel.map(ROW, "gradient_x_input", pixels=torch.from_numpy(image)[None].float())
            changes.append(np.linalg.norm(again - own))
        found = checked.checks.set_index("method").loc["gradient_x_input", "max_sensitivity"]
        assert found == pytest.approx(max(changes) / np.linalg.norm(own), rel=1e-4)

    def test_one_image_and_a_normalisation_of_single_values_leave_the_rest(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)  # by chance no feature might be above zero, and the gradient be zero
            network = nn.Sequential(
                *(nn.Conv2d(3, 4, SIDE), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
            ).eval()
        panel = Panel(network, drawn(1), np.zeros(1, int), NORMALISATION, SAMPLES, ["gradient"], progress=False)
        found = panel.sanity([0], ["gradient", "sobel_edges"], stages=3)
        assert found.cascade.empty
        assert "batch normalisation are not defined for one value a channel" in found.left_out[0]
        assert found.checks["max_sensitivity"].notna().all()
        assert "parameter_randomisation" not in found.checks

    def test_a_network_of_one_module_cannot_be_randomised_in_stages(self) -> None:
        network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).eval()
        panel = Panel(network, drawn(1), np.zeros(1, int), NORMALISATION, SAMPLES, ["gradient"], progress=False)
        assert "a single module" in panel.sanity([0], ["gradient"], stages=3).left_out[0]
        assert panel.sanity([], ["gradient"], stages=3).checks.empty


def test_titles_of_all_maps_are_known() -> None:
    assert set(MAP_METHODS) == {name for name, method in METHODS.items() if method.kind == "map"}
