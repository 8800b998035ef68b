"""The study of failure detection: its trials, the paintings' splits, and one trial on simulated images."""

from dataclasses import replace

import numpy as np
import pytest

from medxai import paths, profiles, results
from medxai.data import real_or_simulated
from medxai.experiment import doubted
from medxai.studies import failure_detection
from medxai.studies.failure_detection import PAINTINGS, SETS, STUDY
from medxai.studies.store import Absent

FULL, SMOKE = profiles.get("full"), profiles.get("smoke")


def test_every_set_is_a_trial_at_full_size() -> None:
    trials = {trial.name: trial for trial in STUDY.trials(FULL)}
    assert set(trials) == {*SETS, PAINTINGS}
    assert trials[PAINTINGS].data == ("dermxdb",)
    assert [trial.name for trial in STUDY.trials(profiles.get("quick"))] == ["breast"]
    assert FULL.failure_seeds == 5
    assert doubted.SHIFTS[1:][: FULL.failure_shifts] == doubted.SHIFTS[1:]


def test_a_set_that_is_not_there_has_no_tables() -> None:
    assert failure_detection._judged(Absent("put it there"), SMOKE, name="retina") == {}


def test_paintings_are_split_without_overlap_and_each_disease_alike(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    monkeypatch.setenv("MEDXAI_DATA_KIND", "simulated")
    found = failure_detection.painted(
        real_or_simulated.open_dermxdb(SMOKE), replace(SMOKE, painted_size=64, painted_images=72)
    )
    parts = [found.train, found.val, found.test]
    names = [name for part in parts for name in part.names]
    assert len(names) == len(set(names)) == 72
    assert [len(part) for part in parts] == [43, 7, 22]
    assert found.kind == "rendered"
    assert len(np.unique(found.train.labels)) == len(found.classes)
    whole = np.concatenate([part.labels for part in parts])
    for disease in range(len(found.classes)):
        assert abs((found.train.labels == disease).sum() - 0.6 * (whole == disease).sum()) <= 1
    for part in parts:
        assert part.pictures.shape[1:] == (doubted.RECIPE.side, doubted.RECIPE.side, 3)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", tmp_path_factory.mktemp("results"))
        patch.setenv("MEDXAI_DATA_KIND", "simulated")
        patch.setattr(doubted, "RECIPE", replace(doubted.RECIPE, side=28))  # a fifth of the pixels
        yield STUDY.collect(STUDY.trials(SMOKE), SMOKE)


def test_a_trial_has_all_tables(tables: dict) -> None:
    assert set(tables) == {"doubts", "curves", "parts", "added", "referred", "images", "asked"}
    for name, table in tables.items():
        assert (table["set"] == "breast").all()
        assert len(table) > 0 or name == "curves", name
    of = tables["doubts"]
    assert set(of["system"]) == {doubted.NETWORK, doubted.DROPOUT, doubted.ENSEMBLE}
    assert set(of["shift"]) == set(doubted.SHIFTS[: 1 + SMOKE.failure_shifts])
    assert of.groupby("system")["images"].first().to_dict() == {
        system: SMOKE.failure_images * (1 if system == doubted.ENSEMBLE else SMOKE.failure_seeds)
        for system in (doubted.NETWORK, doubted.DROPOUT, doubted.ENSEMBLE)
    }
    assert of["value"].isna().all()  # of two dozen answers nothing is decided
    assert len(tables["images"]) == SMOKE.failure_images == tables["asked"]["images"][0]


def test_tables_are_small(tables: dict) -> None:
    """With six shifts for two, and a thousand images for a dozen."""
    more = {"doubts": 3, "added": 3, "images": FULL.failure_images / SMOKE.failure_images}
    filled = {name: table.fillna({"value": 0.1234, "low": 0.1234, "high": 0.1234}) for name, table in tables.items()}
    for name, table in filled.items():
        size = more.get(name, 1) * len(results.rounded(table, 4).to_csv(index=False))
        assert size < 300_000, name
