"""The study of the images chapter: colour statistics, linear model, small ConvNet, choice of images."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from medxai import paths, profiles, report
from medxai.data import dermxdb, photo_sets, sources
from medxai.errors import DataError
from medxai.evaluation import classification
from medxai.report import image_figures
from medxai.studies import images as study
from medxai.training.small_convnet import fit_predict

SMOKE = profiles.get("smoke")


def stripes(number: int = 48, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of horizontal (0) or vertical (1) stripes whose colours do not tell the class."""
    generator = np.random.default_rng(0)
    labels = np.arange(number) % 2
    wave = np.sin(np.arange(side) * 2 * np.pi / 8)
    patterns = [np.broadcast_to(wave[:, None], (side, side)), np.broadcast_to(wave[None], (side, side))]
    colour = generator.uniform(90, 160, (number, 1, 1, 3))
    images = colour + 60 * np.stack([patterns[label] for label in labels])[..., None]
    return np.clip(images, 0, 255).astype(np.uint8), labels


def test_a_convnet_sees_texture_that_colour_does_not_tell():
    images, labels = stripes()
    train, test = np.arange(32), np.arange(32, 48)
    predicted = fit_predict(images, labels, train, test, epochs=15, seed=0)
    assert (predicted == labels[test]).mean() > 0.9
    colour = classification.colour_statistics(images, spread=True)
    assert (classification.linear_predictions(colour, labels, 4, 0) == labels).mean() < 0.8


def test_training_is_the_same_for_the_same_seed():
    images, labels = stripes(24)
    runs = [fit_predict(images, labels, np.arange(16), np.arange(16, 24), epochs=2, seed=seed) for seed in (1, 1)]
    np.testing.assert_array_equal(*runs)


def test_colour_statistics_of_a_flat_and_a_split_picture():
    flat = np.full((1, 4, 4, 3), 7, np.uint8)
    split = flat.copy()
    split[:, :2] = 9
    np.testing.assert_allclose(classification.colour_statistics(flat, spread=True), [[7, 7, 7, 0, 0, 0]])
    np.testing.assert_allclose(classification.colour_statistics(split, spread=True), [[8, 8, 8, 1, 1, 1]])
    assert classification.colour_statistics(split, spread=False).shape == (1, 3)


def test_a_linear_model_tells_colours_apart():
    colours = np.repeat([[10.0, 0, 0], [0, 10, 0], [0, 0, 10]], 10, axis=0)
    colours += np.random.default_rng(0).normal(0, 1, colours.shape)
    labels = np.repeat([0, 1, 2], 10)
    np.testing.assert_array_equal(classification.linear_predictions(colours, labels, 5, 0), labels)


def test_f1_by_class_is_scikit_learns():
    generator = np.random.default_rng(0)
    truth, guess = generator.integers(0, 3, 50), generator.integers(0, 3, 50)
    scores = classification.f1_by_class(truth, guess, ["a", "b", "c"])
    assert list(scores.index) == ["a", "b", "c", "Mean"]
    np.testing.assert_allclose(scores["Mean"], f1_score(truth, guess, average="macro"))


@pytest.fixture
def simulated(simulated_root, monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "dermxdb_root", lambda profile, kind=None: simulated_root)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    return study.open_data(SMOKE)


def test_chosen_images_are_spread_over_the_diseases(simulated):
    names = study.chosen(simulated, 12)
    assert simulated.images.loc[names, "reference"].value_counts().to_dict() == dict.fromkeys(dermxdb.DISEASES, 2)
    assert len(study.chosen(simulated, None)) == simulated.images["paper"].sum()


def test_the_study_runs_on_simulated_annotations(simulated):
    (table,) = study.collect(study.trials(SMOKE), SMOKE).values()
    assert set(table["metric"]) == {"macro_f1", *(f"f1_{d.lower().replace(' ', '_')}" for d in dermxdb.DISEASES)}
    assert table["row"].nunique() == 3
    assert table["value"].between(0, 1).all()


def test_a_reference_is_never_made_from_simulated_annotations(simulated):
    with pytest.raises(DataError, match="need the real annotations"):
        study.write_reference(SMOKE, "medxai run images")


def test_the_reference_holds_the_separability_that_the_paintings_must_have():
    table = report.reference("images", "separability").query("metric == 'macro_f1'").set_index("row")["value"]
    assert table["Mean colour, linear model"] < 0.6
    assert table["Small ConvNet"] > table["Mean colour, linear model"] + 0.1
    made = report.provenance("images")
    assert (made["profile"], made["data"]["dermxdb"]["kind"]) == ("full", "real")
    sentence, _, _ = image_figures.separability_finding(report.reference("images", "separability"))
    assert f"{table['Small ConvNet']:.2f}" in sentence


def test_a_real_image_is_shown_with_its_lesion_outlined_and_its_credit(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    for name, pixels in (("image.png", np.zeros((40, 40), np.uint8)), ("none.png", 0 * mask), ("lesion.png", mask)):
        cv2.imwrite(str(tmp_path / name), pixels)
    table = {
        "label": ["benign", "malignant"],
        "path": [tmp_path / "image.png"] * 2,
        "mask": [tmp_path / "none.png", tmp_path / "lesion.png"],
    }
    made = photo_sets.ImageSet("toy", "CC BY 4.0", "Somebody 2020", pd.DataFrame(table, index=["a", "b"]))
    figure = image_figures.real_images(made, 2)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert shown[0].sum() == 0
    assert shown[1][10, 20].tolist() == [230, 159, 0]
    assert "Somebody 2020" in figure.get_supxlabel()
