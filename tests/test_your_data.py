"""Data of one's own: reading a folder, scores beside controls, images to try it on."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from medxai import profiles
from medxai.attribution import CONTROLS
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError
from medxai.evaluation import score_tables, suite
from medxai.experiment import image_sets
from medxai.models.normalisation import HALF, IMAGENET
from medxai.studies import your_data, your_data_example
from medxai.studies.your_data import OUTLINE, evaluate, read_folder, summary

SIDE = 48


def bright() -> nn.Sequential:
    """A model that looks at the bright shape and nothing else: the logit of class 1 is what lies above a threshold."""
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    mean, spread = torch.tensor(IMAGENET.mean), torch.tensor(IMAGENET.deviation)
    with torch.no_grad():
        model[0].weight[:] = spread[None, :, None, None] / 3  # back to the mean of RGB in [0, 1]
        model[0].bias[:] = mean.mean() - 0.65
        model[4].weight[:] = torch.tensor([[0.0], [300.0]])
        model[4].bias[:] = torch.tensor([1.0, 0.0])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a toy with 10 images."""
    folder = tmp_path_factory.mktemp("own")
    your_data_example.toy_folder(folder, images=10, seed=3)
    return folder


@pytest.fixture(scope="module")
def images(folder: Path) -> LabelledImages:
    return read_folder(folder / "images", folder / "masks", size=SIDE)


@pytest.fixture(scope="module")
def results(images: LabelledImages) -> your_data.Results:
    return evaluate(bright(), images, target=1, classes=["dark", "bright"], samples=8, checked=1, progress=False)


@pytest.fixture(scope="module")
def table(results: your_data.Results):
    return summary(results, resamples=200).set_index(["metric", "method"])


def write(path: Path, size: tuple[int, int] = (20, 20), value: int = 200, mode: str = "L") -> Path:
    """Write a plain picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)
    return path


def masks_of(images: LabelledImages) -> np.ndarray:
    """All outlines, bool (n, side, side)."""
    return np.stack([images.reference(row) > 0 for row in range(len(images))])


def few(images: LabelledImages, number: int = 2, *, masks: bool = True) -> LabelledImages:
    """The first images, with their masks or without."""
    outlines = masks_of(images)[:number] if masks else None
    return LabelledImages.with_masks(images.names[:number], images.pictures[:number], outlines)


class TestReadFolder:
    def test_reads_what_was_written(self, folder: Path) -> None:
        images = read_folder(folder / "images", folder / "masks", size=your_data_example.SIDE)
        pictures, masks, _ = your_data_example.toy_images(10, your_data_example.SIDE, 3)
        assert images.names == [f"toy_{i:02}.png" for i in range(10)]
        np.testing.assert_array_equal(images.pictures, pictures)
        np.testing.assert_array_equal(masks_of(images), masks)

    def test_finds_all_formats_in_folders_below_and_passes_over_the_rest(self, tmp_path: Path) -> None:
        for name in ("b/2.JPG", "a.png", "b/1.bmp", "c/d/3.tif", "4.webp", "5.jpeg"):
            write(tmp_path / name)
        for name in ("a_mask.png", ".hidden.png", ".cache/6.png"):
            write(tmp_path / name)
        (tmp_path / "labels.csv").write_text("x")
        images = read_folder(tmp_path, size=16)
        assert images.names == ["4.webp", "5.jpeg", "a.png", "b/1.bmp", "b/2.JPG", "c/d/3.tif"]
        assert images.raters is None
        assert images.pictures.shape == (6, 16, 16, 3)

    @pytest.mark.parametrize("inside", [True, False])
    def test_masks_may_lie_below_or_beside_the_images(self, tmp_path: Path, inside: bool) -> None:
        write(tmp_path / "a/1.jpg")
        write(tmp_path / "2.png")
        masks = tmp_path / "masks" if inside else tmp_path
        write(masks / "a/1_mask.png")
        write(masks / "2_mask.png", value=0)
        images = read_folder(tmp_path, masks, size=16)
        assert images.names == ["2.png", "a/1.jpg"]
        assert masks_of(images).all((1, 2)).tolist() == [False, True]

    @pytest.mark.parametrize(("mode", "value"), [("1", 1), ("P", 1), ("RGB", (0, 0, 1)), ("RGBA", (1, 0, 0, 255))])
    def test_any_pixel_that_is_not_black_is_inside(self, tmp_path: Path, mode: str, value: object) -> None:
        write(tmp_path / "images/1.png")
        mask = Image.new(mode, (20, 20), 0 if mode in "1P" else (0, 0, 0, 255)[: len(mode)])
        mask.paste(value, (0, 0, 10, 20))
        if mode == "P":
            mask.putpalette([0, 0, 0, 0, 0, 1])
        (tmp_path / "masks").mkdir()
        mask.save(tmp_path / "masks/1.png")
        inside = read_folder(tmp_path / "images", tmp_path / "masks", size=20).reference(0) > 0
        assert inside[:, :10].all()
        assert not inside[:, 10:].any()

    def test_grey_and_small_images_become_rgb_of_the_size(self, tmp_path: Path) -> None:
        write(tmp_path / "1.png", size=(10, 30), value=77)
        assert (read_folder(tmp_path, size=32).pictures == 77).all()

    @pytest.mark.parametrize(
        ("prepare", "said"),
        [
            (lambda f: None, "images is not there: expected a folder of images"),
            (lambda f: (f / "images").write_text("x"), "images is a file"),
            (lambda f: (f / "images").mkdir(), "holds no image: expected files that end in .png, .jpg"),
            (lambda f: write(f / "images/1_mask.png"), "holds no image"),
            (lambda f: (write(f / "images/1.png"), (f / "images/2.png").write_bytes(b"no")), "2.png is no image that"),
            (lambda f: truncate(write(f / "images/1.png", (90, 90))), "1.png is damaged"),
            (
                lambda f: write(f / "images/1.png", mode="I;16"),
                "1.png has 16 bits a channel: expected 8 bits",
            ),
            (lambda f: frames(f / "images/1.tif"), "1.tif holds 3 pictures: expected one a file"),
            (
                lambda f: [write(f / f"images/1.{end}") for end in ("jpg", "png")],
                "share a name: expected one file",
            ),
        ],
    )
    def test_bad_images_are_told_in_one_sentence(self, tmp_path: Path, prepare, said: str) -> None:
        prepare(tmp_path)
        with pytest.raises(DataError, match=re.escape(said)) as error:
            read_folder(tmp_path / "images", size=16)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("prepare", "said"),
        [
            (lambda masks: None, "masks is not there"),
            (lambda masks: write(masks / "2.png"), "2.png is a mask without an image: there is no 2 in"),
            (lambda masks: write(masks / "a/1.png"), "1.png is a mask without an image"),
            (lambda masks: masks.mkdir(), "1.png has no mask: expected 1_mask.png in"),
            (
                lambda masks: write(masks / "1.png", size=(20, 21)),
                "1.png is 20 x 21 pixels, its image 20 x 20: expected a",
            ),
            (lambda masks: [write(masks / f"1{end}.png") for end in ("", "_mask")], "share a name"),
            (lambda masks: dot(masks / "1.png"), "1.png outlines less than half a pixel at 16 x 16"),
        ],
    )
    def test_masks_that_do_not_fit_are_told_in_one_sentence(self, tmp_path: Path, prepare, said: str) -> None:
        write(tmp_path / "images/1.png")
        prepare(tmp_path / "masks")
        with pytest.raises(DataError, match=re.escape(said)):
            read_folder(tmp_path / "images", tmp_path / "masks", size=16)

    def test_composed_and_decomposed_names_are_the_same(self, tmp_path: Path) -> None:
        write(tmp_path / "images/l\u00e9sion.png")
        write(tmp_path / "masks/le\u0301sion_mask.png")
        assert (read_folder(tmp_path / "images", tmp_path / "masks", size=16).reference(0) == 1).all()
        write(tmp_path / "images/le\u0301sion.png")
        with pytest.raises(DataError, match="share a name"):
            read_folder(tmp_path / "images", size=16)

    def test_names_of_another_encoding_can_be_written(self, tmp_path: Path) -> None:
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/al\xe9"))
        write(folder / os.fsdecode(b"l\xe9sion.png"))
        images = read_folder(folder, size=16)
        assert (images.name, images.names) == ("al\\xe9", ["l\\xe9sion.png"])

    @pytest.mark.parametrize("size", [8, 0, 64.0, "64"])
    def test_bad_size(self, folder: Path, size: object) -> None:
        with pytest.raises(ValueError, match=r"size is .*: expected a number of pixels of at least 16"):
            read_folder(folder / "images", size=size)


def truncate(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:3000])


def frames(path: Path) -> None:
    path.parent.mkdir()
    first, *others = (Image.new("L", (20, 20), value) for value in (1, 2, 3))
    first.save(path, save_all=True, append_images=others)


def dot(path: Path) -> None:
    path.parent.mkdir()
    write(path.parent.parent / "images" / path.name, size=(60, 60))
    mask = Image.new("L", (60, 60))
    mask.putpixel((5, 5), 1)
    mask.save(path)


class TestEvaluate:
    def test_everything_has_maps_and_scores(self, results: your_data.Results, images: LabelledImages) -> None:
        assert list(results.maps) == [*your_data.QUICK, *CONTROLS, OUTLINE]
        assert all(maps.shape == images.pictures.shape[:3] for maps in results.maps.values())
        assert results.refused == {}
        assert (results.model.targets == 1).all()
        assert len(results.scores) == len(images.names) * len(results.maps)
        assert {"pixel_auc", "iou", "deletion", "infidelity", "gini", "max_sensitivity"} <= set(results.scores)
        checked = results.scores.groupby("image")["max_sensitivity"].count() > 0
        assert checked.sum() == results.checked == 1

    def test_what_the_model_uses_wins_and_noise_loses(self, table) -> None:
        assert table.loc[("pixel_auc", "uniform_random"), "value"] == pytest.approx(0.5, abs=0.05)
        for metric, sign in (("deletion", -1), ("insertion", 1), ("occlusion_drop_equal_area", 1), ("infidelity", -1)):
            values = sign * table.loc[metric]["value"]
            assert values[OUTLINE] > values["uniform_random"], metric
            assert values["integrated_gradients"] > values[list(CONTROLS)].max(), metric
        for metric in ("pixel_auc", "mass", "iou"):
            assert table.loc[(metric, "integrated_gradients"), "verdict"] == "better", metric
            assert table.loc[(metric, OUTLINE), "value"] == 1

    def test_scores_are_those_of_the_suite(self, results: your_data.Results, images: LabelledImages) -> None:
        stack = np.stack([maps[2] for maps in results.maps.values()])
        expected = suite.place(stack, images.reference(2))
        mine = results.scores[results.scores["image"] == images.names[2]]
        assert mine["method"].tolist() == list(results.maps)
        np.testing.assert_array_equal(mine["pixel_auc"], expected["pixel_auc"])
        np.testing.assert_array_equal(mine["mass"], expected["mass"])

    def test_controls_do_not_notice_a_random_network(self, table, results: your_data.Results) -> None:
        values = table.loc["parameter_randomisation"]["value"]
        assert values[
            ["uniform_random", "smoothed_random", "centre_gaussian", "sobel_edges"]
        ].tolist() == pytest.approx([1] * 4)
        assert results.cascade["share"].unique().tolist() == [0.5, 1]  # two modules with parameters

    def test_difference_and_verdict_agree_with_the_means(self, table) -> None:
        compared = table[table["control"].notna()]
        assert set(compared.index.get_level_values("metric")) <= set(score_tables.compared())
        for (metric, _), line in compared.iterrows():
            assert line["difference"] == pytest.approx(line["value"] - table.loc[(metric, line["control"]), "value"])
            assert (line["difference_low"] > 0 or line["difference_high"] < 0) == (line["verdict"] != "open")

    def test_the_model_stays_as_it_was(self, images: LabelledImages) -> None:
        model = bright().train()
        before = [value.clone() for value in model.state_dict().values()]
        some = few(images, masks=False)
        evaluate(model, some, methods=["gradient"], samples=4, checked=1, progress=False)
        assert model.training
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
        assert all(map(torch.equal, before, model.state_dict().values()))

    def test_without_masks_and_with_the_predicted_class(self, images: LabelledImages) -> None:
        some = few(images, 3, masks=False)
        found = evaluate(bright(), some, methods=["gradient"], samples=4, checked=0, progress=False)
        assert OUTLINE not in found.maps
        assert not {"pixel_auc", "iou", "max_sensitivity"} & set(found.scores)
        np.testing.assert_array_equal(found.model.targets, found.model.probabilities.argmax(1))
        assert found.model.classes == ("class 0", "class 1")
        assert found.cascade.empty

    def test_an_empty_mask_has_no_score(self, images: LabelledImages) -> None:
        masks = masks_of(images)[:3]
        masks[1] = False
        some = LabelledImages.with_masks(images.names[:3], images.pictures[:3], masks)
        found = evaluate(bright(), some, target=1, methods=["gradient"], samples=4, checked=0, progress=False)
        mine = found.scores[found.scores["image"] == some.names[1]]
        assert mine[["pixel_auc", "fuzzy_f1", "iou", "mass"]].isna().all(axis=None)
        assert mine["deletion"].notna().all()
        lines = summary(found, resamples=100).set_index(["metric", "method"])
        assert lines.loc[("pixel_auc", "gradient"), "images"] == 2
        assert lines.loc[("deletion", "gradient"), "images"] == 3

    def test_one_image_loses_only_the_checks_that_need_several(self, images: LabelledImages) -> None:
        """As a folder of one image and a network whose last maps have one pixel do."""
        with torch.random.fork_rng():
            torch.manual_seed(0)  # by chance no feature might be above zero, and the gradient be zero
            model = nn.Sequential(nn.Conv2d(3, 4, SIDE), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
        found = evaluate(model, few(images, 1), methods=["gradient"], samples=4, checked=1, progress=False)
        assert found.cascade.empty
        assert found.left_out[0].startswith("The check by random weights was left out: the statistics of batch")
        assert found.scores[["pixel_auc", "deletion", "max_sensitivity"]].notna().iloc[0].all()
        assert found.scores["iou"].isna().all()
        lines = summary(found, resamples=100).set_index(["metric", "method"])
        assert np.isnan(lines.loc[("pixel_auc", "gradient"), "low"])

    def test_same_seed_same_results(self, images: LabelledImages) -> None:
        some = few(images)
        options = {"methods": ["smoothgrad"], "samples": 4, "checked": 1, "progress": False}
        one, two, other = (evaluate(bright(), some, seed=seed, **options) for seed in (1, 1, 2))
        assert one.scores.equals(two.scores)
        assert not np.array_equal(one.maps["smoothgrad"], other.maps["smoothgrad"])

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"methods": ["magic"]}, "method 'magic' is unknown, or gives no map: expected gradient, "),
            ({"methods": ["tcav"]}, "method 'tcav' is unknown, or gives no map"),
            ({"methods": "gradient"}, "methods is 'gradient': expected a list of names, at least one"),
            ({"methods": []}, "expected a list of names, at least one"),
            ({"methods": ["deep_shap"]}, "method 'deep_shap' needs baselines: give methods={'deep_shap': "),
            ({"target": 2}, "target is 2: expected a class from 0 to 1, for all images or for each of 10"),
            ({"target": [0, 1]}, "expected a class from 0 to 1"),
            ({"target": 0.5}, "expected a class from 0 to 1"),
            ({"classes": ["one"]}, "classes are 1 names: expected 2"),
            ({"samples": 0}, "samples is 0: expected a whole number above 0"),
            ({"checked": -1}, "checked is -1: expected a whole number"),
            ({"normalise": ((0.5,), (0.5,))}, "expected three means and three standard deviations above 0"),
            ({"normalise": ((0.5,) * 3, (0,) * 3)}, "expected three means and three standard deviations above 0"),
        ],
    )
    def test_bad_arguments_are_told_in_one_sentence(self, images: LabelledImages, options: dict, said: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            evaluate(bright(), images, progress=False, **options)

    @pytest.mark.parametrize("logits", [(3.0, 3.0, -2.0, 3.0), (-2.0,)])
    def test_findings_that_do_not_exclude_each_other(self, images: LabelledImages, logits: tuple) -> None:
        model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, len(logits)))
        nn.init.normal_(model[2].weight, std=1e-3)
        model[2].bias.data = torch.tensor(logits)
        number = logits.index(-2.0)
        options = {"methods": ["gradient"], "samples": 1, "checked": 0, "progress": False, "target": number}
        found = evaluate(model, few(images), multi_label=len(logits) > 1, **options)
        assert found.model.multi_label
        assert found.model.probabilities[0, number] == pytest.approx(1 / (1 + np.exp(2)), abs=1e-2)
        assert found.model.classes[number] == f"finding {number}"
        # Scores are of that probability, too; of one logit there is no other.
        without = evaluate(model, few(images), **options)
        drop = found.scores["occlusion_drop_equal_area"]
        assert (len(logits) == 1) == drop.equals(without.scores["occlusion_drop_equal_area"])

    def test_models_that_cannot_be_explained(self, images: LabelledImages) -> None:
        flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        endless = nn.Sequential(flat, nn.Linear(3, 2))
        nn.init.constant_(endless[1].weight, torch.inf)
        for model, said in (
            (flat[:1], r"returns \(1, 3, 1, 1\) for one image: expected logits \(1, classes\)"),
            (nn.Conv2d(3, 2, 1), rf"returns \(1, 2, {SIDE}, {SIDE}\)"),
            (endless, "logits are not finite"),
            (
                nn.Sequential(nn.Flatten(), nn.Linear(7, 2)),
                rf"fails on an image of {SIDE} x {SIDE} pixels: RuntimeError: .*shapes cannot be multiplied",
            ),
        ):
            with pytest.raises(ValueError, match=said):
                evaluate(model, images, progress=False)


class TestExample:
    def test_toy_is_learnt_and_its_masks_are_the_shapes(self, tmp_path: Path) -> None:
        example = your_data_example.toy(tmp_path)
        labels = your_data_example.toy_folder(tmp_path, your_data_example.IMAGES, 0)
        images = read_folder(tmp_path / "images", tmp_path / "masks", size=your_data_example.SIDE)
        found = evaluate(example.model, images, methods=["gradient"], samples=1, checked=0, progress=False)
        assert example.kind == "simulated"
        assert (found.model.targets == labels).mean() > 0.9
        assert sorted(np.bincount(labels)) == [6, 6]
        grey = images.pictures.mean(-1)
        assert grey[masks_of(images)].mean() > grey[~masks_of(images)].mean() + 60
        with pytest.raises(ValueError, match="images is 0: expected at least 1"):
            your_data_example.toy_folder(tmp_path, 0)

    def test_toy_without_real_data(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "nothing"))
        monkeypatch.setattr(your_data_example, "EPOCHS", 1)
        example = your_data_example.prepare(tmp_path, profiles.get("smoke"))
        assert example.kind == "simulated"
        assert "a small ConvNet" in example.note

    @pytest.mark.real_data
    def test_ultrasound(self, tmp_path: Path) -> None:
        profile = profiles.get("smoke")
        try:
            image_sets.open_ultrasound()
        except DataError as error:
            pytest.skip(str(error))
        example = your_data_example.prepare(tmp_path, profile)
        assert example.kind == "real"
        assert "BUSI" in example.note
        assert "EfficientNet-Lite0 with ImageNet weights" in example.note
        images = read_folder(tmp_path / "images", tmp_path / "masks", size=profile.explained_size)
        assert masks_of(images).any((1, 2)).all()
        methods = ["gradient", "grad_cam"]
        found = evaluate(example.model, few(images), methods=methods, samples=4, checked=1, progress=False)
        assert found.methods == methods
        assert found.model.normalisation == HALF
        assert found.model.probabilities.shape == (2, len(example.classes))
        assert found.scores[["pixel_auc", "deletion"]].notna().all(axis=None)
