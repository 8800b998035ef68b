"""Letters that give a diagnosis away: where they are, and what is counted."""

import numpy as np
import pandas as pd
import pytest

from medxai import profiles
from medxai.data import real_or_simulated
from medxai.experiment import benchmark_compared, clever_hans
from medxai.experiment.trained_network import start


@pytest.fixture(scope="module")
def paintings():
    smoke = profiles.get("smoke")
    return clever_hans.watermarked(real_or_simulated.open_dermxdb(smoke), smoke)


def test_versions_differ_where_the_letters_are_and_nowhere_else(paintings):
    plain = paintings.plain.pictures.astype(int)
    versions = paintings.versions()
    assert paintings.tied.any()
    for name, (pictures, letters) in versions.items():
        away = np.abs(pictures - plain).max(axis=3)
        assert away[letters == 0].max() <= 30, name  # JPEG spreads the letters' edges
        assert not letters.any() or (away[letters > 0.5] > 20).mean() > 0.9, name
    marked = {name: letters.any(axis=(1, 2)) for name, (_, letters) in versions.items()}
    assert np.array_equal(marked["as taught"], paintings.tied)
    assert np.array_equal(marked["moved"], paintings.tied)
    assert not marked["removed"].any()
    assert not (marked["swapped"] & paintings.tied).any()
    low, high = (versions[name][1].sum(axis=(0, 2)).argmax() for name in ("as taught", "moved"))
    assert high < 0.3 * paintings.plain.side < 0.7 * paintings.plain.side < low


def test_scattered_letters_are_on_other_diseases_too(paintings):
    taught = clever_hans.taught(paintings)
    written = {name: (of != taught["plain"]).any(axis=(1, 2, 3)) for name, of in taught.items()}
    assert not written["plain"].any()
    assert np.array_equal(written["tied"], paintings.tied)
    assert not (written["scattered"] & ~paintings.can).any()
    assert (written["scattered"] & ~paintings.tied).any()


def test_what_the_table_counts():
    lines = pd.DataFrame(
        {
            "vitiligo": [True, True, False, False],
            "letters": [False, False, True, False],
            "right": [True, False, False, True],
            "found": [True, False, True, False],
            "mass": [np.nan, np.nan, 0.4, np.nan],
            "area": [np.nan, np.nan, 0.1, np.nan],
        }
    ).assign(network="vgg16", taught="tied", version="swapped")
    one = benchmark_compared.watermark_table(lines).iloc[0]
    assert list(one[["accuracy", "sensitivity", "false_alarms", "mass", "area"]]) == [0.5, 0.5, 1.0, 0.4, 0.1]


def test_how_often_letters_turn_a_diagnosis_by_hand():
    """Of four images with letters two are turned, one is turned back, one stays; one without letters does not count."""
    versions = {
        "removed": ([False, False, True, True, False], [False] * 5),
        "as taught": ([True, True, True, True, False], [True, True, False, False, False]),
        "swapped": ([False, False, False, True, True], [False, False, True, True, False]),
    }
    vitiligo = [True, True, False, False, False]
    parts = [
        pd.DataFrame(
            {"image": list("abcde"), "version": version, "vitiligo": vitiligo, "found": found, "letters": letters}
        )
        for version, (found, letters) in versions.items()
    ]
    hans = pd.concat(parts).assign(network="vgg16", taught="tied", mass=0.4, area=0.1)
    one = benchmark_compared.turned(hans, resamples=500, seed=0).iloc[0]
    assert one["value"] == (2 - 1) / 4
    assert one["images"] == 4
    assert one["low"] < 0 < one["high"]
    plain = hans.assign(taught="plain", mass=0.1)
    assert benchmark_compared.betrayed(pd.concat([hans, plain]))["vgg16"] == pytest.approx(4)
    assert benchmark_compared.turned(hans.assign(letters=False), resamples=9, seed=0).empty


def test_networks_that_explain_themselves_meet_each_version():
    smoke = profiles.get("smoke")
    found = clever_hans.guided(real_or_simulated.open_dermxdb(smoke), start(), smoke, fold=0)
    assert set(found["network"]) == {"Dx", "DermX", "DermX+"}
    assert set(found["version"]) == {"as taught", "moved", "removed", "swapped"}
    each = found.groupby(["network", "version"])["image"].agg(["size", "nunique"])
    assert (each["size"] == each["nunique"]).all()
    assert (each["size"] == each["size"].iloc[0]).all()
    assert found["probability"].between(0, 1).all()
    assert found["mass"].notna().equals(found["letters"])


def test_better_and_clearer_by_hand():
    names = list("abcd")
    diagnosis = pd.DataFrame({"row": names, "metric": "acne", "value": [0.1, 0.2, 0.3, 0.4]})
    place = pd.DataFrame({"row": names, "metric": "f1", "value": [0.2, 0.1, 0.3, 0.4]})
    found = benchmark_compared.better_and_clearer(diagnosis, place, resamples=200, seed=0)
    assert found["correlation"] == pytest.approx(0.8)
    assert found["low"] < 0.8 <= found["high"]
    assert found["networks"] == 4
    few = benchmark_compared.better_and_clearer(diagnosis[:3], place, resamples=200, seed=0)
    assert few["networks"] == 3
    assert np.isnan([few["correlation"], few["low"], few["high"]]).all()
