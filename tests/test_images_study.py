"""The study of the images chapter: choice of images, its two trials, its reference, its figures."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from medxai import paths, profiles, report
from medxai.data import dermxdb, photo_sets, real_or_simulated
from medxai.errors import DataError
from medxai.models import weights
from medxai.report import image_figures
from medxai.studies import images as study
from medxai.studies import sitting, store
from pictures import stripes

SMOKE = profiles.get("smoke")


@pytest.fixture
def simulated(simulated_root, monkeypatch, tmp_path):
    """Simulated annotations, no other data."""
    monkeypatch.setattr(real_or_simulated, "dermxdb_root", lambda profile, kind=None: simulated_root)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "nothing"))
    return real_or_simulated.open_dermxdb(SMOKE)


def test_chosen_images_are_spread_over_the_diseases(simulated):
    names = dermxdb.chosen(simulated, 12)
    assert simulated.images.loc[names, "reference"].value_counts().to_dict() == dict.fromkeys(dermxdb.DISEASES, 2)
    assert len(dermxdb.chosen(simulated, None)) == simulated.images["paper"].sum()


def test_the_study_runs_on_simulated_annotations_alone_and_says_what_is_absent(simulated):
    tables = study.STUDY.collect(study.STUDY.trials(SMOKE), SMOKE)
    table = tables["separability"]
    assert set(table["metric"]) == {"macro_f1", *(f"f1_{d.lower().replace(' ', '_')}" for d in dermxdb.DISEASES)}
    assert table["row"].nunique() == 4
    assert ((table["low"] >= 0) & (table["low"] <= table["value"]) & (table["value"] <= table["high"])).mean() > 0.9
    assert set(tables["transfer"]["row"]) == set(study.TRANSFER)
    assert tables["transfer"]["value"].isna().all()
    reasons = study.STUDY.absent(SMOKE)
    assert set(reasons) == {"busi"}
    assert "is not BUSI" in reasons["busi"]


def write_ultrasound(root) -> None:
    """Thirty images whose class is the direction of their stripes, in the layout of the download."""
    images, labels = stripes(30, classes=3)
    (root / "LICENSE.txt").parent.mkdir(parents=True)
    (root / "LICENSE.txt").write_text("CC BY 4.0")
    for number, (image, label) in enumerate(zip(images, labels, strict=True), start=1):
        name = photo_sets.BUSI_LABELS[label]
        folder = root / photo_sets.BUSI_FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{name} ({number}).png"), image)
        assert cv2.imwrite(str(folder / f"{name} ({number})_mask.png"), 0 * image)


def test_every_model_of_the_transfer_trial_is_trained_at_full_size(simulated, tmp_path, monkeypatch):
    write_ultrasound(tmp_path / "data" / "busi")
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(study, "NETWORK_SIZE", 32)
    monkeypatch.setattr(photo_sets, "near_copies", lambda images: np.arange(len(images)) // 2)  # stripes are alike
    profile = replace(SMOKE, network_epochs=1)
    trial = next(trial for trial in study.STUDY.trials(profile) if trial.name == "transfer")
    table = study.STUDY.run_trial(trial, profile)["transfer"]
    assert set(table["row"]) == set(study.TRANSFER)
    assert {"macro_f1", "auc_malignant"} < set(table["metric"])
    assert table[["value", "low", "high"]].notna().all(axis=None)
    small = study.STUDY.run_trial(trial, SMOKE)["transfer"].set_index("row")["value"]
    assert set(small.index[small.isna()]) == set(study.TRANSFER[3:]), "only the heads are trained in a small run"


def test_a_reference_is_never_made_from_simulated_annotations(simulated):
    with pytest.raises(DataError, match="'images' need the real dermxdb: set MEDXAI_DATA"):
        sitting.write_reference(study.STUDY, SMOKE, "medxai run images")


def test_a_reference_is_never_made_without_some_of_its_data(simulated, monkeypatch):
    real = dict.fromkeys(study.STUDY.data, lambda profile: weights.Pretrained(torch.nn.Linear(1, 1), "a test"))
    absent = lambda profile: store.Absent("put it there")  # noqa: E731
    partly = replace(study.STUDY, data=real | {"busi": absent})
    with pytest.raises(DataError, match="'images' need the real busi: put it there"):
        sitting.write_reference(partly, SMOKE, "medxai run images")


def test_the_reference_holds_the_separability_that_the_paintings_must_have():
    table = report.reference("images", "separability").query("metric == 'macro_f1'").set_index("row")["value"]
    assert table["Mean colour, linear model"] < 0.6
    assert table["Small ConvNet"] > table["Mean colour, linear model"] + 0.1


def test_in_the_reference_weights_of_imagenet_help_on_ultrasound():
    table = report.reference("images", "transfer")
    assert table[["value", "low", "high"]].notna().all(axis=None)
    for metric in ("macro_f1", "auc_malignant"):
        scores = table[table["metric"] == metric].set_index("row")
        assert list(scores.index) == list(study.TRANSFER)
        for without, with_weights in (study.TRANSFER[1:3], study.TRANSFER[3:]):
            assert scores.loc[with_weights, "low"] > scores.loc[without, "value"]
            assert scores.loc[with_weights, "value"] > scores.loc[without, "high"]
            if (metric, with_weights) != ("auc_malignant", study.HEAD):  # there the intervals meet, by 0.005
                assert scores.loc[with_weights, "low"] > scores.loc[without, "high"], "the intervals are apart"


def test_a_real_image_is_shown_with_its_lesion_outlined_and_its_credit(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    for name, pixels in (("image.png", np.zeros((40, 40), np.uint8)), ("none.png", 0 * mask), ("lesion.png", mask)):
        cv2.imwrite(str(tmp_path / name), pixels)
    table = {
        "label": ["benign", "malignant"],
        "path": [tmp_path / "image.png"] * 2,
        "masks": [(tmp_path / "none.png",), (tmp_path / "lesion.png",)],
    }
    made = photo_sets.ImageSet("toy", "CC BY 4.0", "Somebody 2020", pd.DataFrame(table, index=["a", "b"]))
    figure = image_figures.real_images(made, 2)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert shown[0].sum() == 0
    assert shown[1][10, 20].tolist() == [230, 159, 0]
    assert "Somebody 2020" in figure.get_supxlabel()
