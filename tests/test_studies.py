"""Stored trials, the dataset study, and the reference results."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from medxai import paths, profiles, report, studies
from medxai import results as reference_results
from medxai.data import dermxdb, real_or_simulated
from medxai.data.typical import typical_image
from medxai.errors import DataError
from medxai.evaluation import published
from medxai.studies import dataset, sitting, store

SMOKE, QUICK = profiles.get("smoke"), profiles.get("quick")


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    return tmp_path


def test_a_record_is_computed_once_and_read_back_to_the_last_bit(results):
    calls = []
    table = pd.DataFrame({"row": ["a", "b"], "value": [1 / 3, np.nan]})

    def compute():
        calls.append(1)
        return {"t": table}

    path = results / "dataset" / "x.json"
    first, second = store.stored(path, compute), store.stored(path, compute)
    assert len(calls) == 1
    pd.testing.assert_frame_equal(first["t"], table, check_exact=True)
    pd.testing.assert_frame_equal(second["t"], table, check_exact=True)


def test_a_record_that_failed_leaves_nothing(results):
    path = results / "dataset" / "x.json"
    with pytest.raises(ZeroDivisionError):
        store.stored(path, lambda: 1 / 0)
    assert not [file for file in results.rglob("*") if file.is_file()]


def test_where_nothing_can_be_written_nothing_is_computed(results):
    (results / "dataset").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"x\.json cannot be written"):
        store.stored(results / "dataset" / "x.json", lambda: pytest.fail("computed"))


@dataclass(frozen=True)
class Data:
    kind: str = "simulated"
    digest: str = "abc"


def made(digest: str = "abc", **changes: object) -> store.Study:
    """A study of one trial that returns its argument and the digest of its data."""

    def compute(data: Data, profile: profiles.Profile, *, number: int) -> store.Record:
        return {"t": pd.DataFrame({"row": ["a"], "value": [number], "data": [data.digest]})}

    definition = {
        "name": "toy",
        "chapter": "01_toy",
        "version": 1,
        "trials": lambda profile: [store.Trial("x", compute, ("d",), (("number", 3),))],
        "data": {"d": lambda profile: Data(digest=digest)},
    }
    return store.Study(**definition | changes)


def test_a_trial_is_given_its_data_and_arguments(results):
    study = made()
    table = study.collect(study.trials(SMOKE), SMOKE)["t"]
    assert table.to_dict("list") == {"row": ["a"], "value": [3], "data": ["abc"]}


def test_a_record_depends_on_all_that_it_is_made_from(results):
    study = made()
    (trial,) = study.trials(SMOKE)
    places = {
        study.record_path(trial, SMOKE),
        study.record_path(replace(trial, arguments=(("number", 4),)), SMOKE),
        study.record_path(replace(trial, name="y"), SMOKE),
        study.record_path(trial, replace(SMOKE, bootstrap=51)),
        made(version=2).record_path(trial, SMOKE),
        made(digest="other").record_path(trial, SMOKE),
    }
    assert len(places) == 6
    assert made().record_path(made().trials(SMOKE)[0], SMOKE) == study.record_path(trial, SMOKE)


def test_a_listed_trial_reads_the_same_in_every_process():
    assert repr(made().trials(SMOKE)) == repr(made().trials(SMOKE))


def test_optional_data_that_are_not_there_leave_their_reason():
    def load():
        raise DataError("put it there")

    study = made(data={"d": lambda profile: store.optional(load), "e": lambda profile: Data()})
    assert study.absent(SMOKE) == {"d": "put it there"}


def test_every_study_keeps_the_contract():
    for name in studies.STUDIES:
        study = studies.study(name)
        trials = study.trials(SMOKE)
        assert study.name == name
        assert (paths.ROOT / "notebooks" / f"{study.chapter}.md").exists()
        assert len({trial.name for trial in trials}) == len(trials) > 0
        everywhere = [trial for profile in profiles.PROFILES.values() for trial in study.trials(profile)]
        assert {name for trial in everywhere for name in trial.data} == set(study.data)
        assert study.version >= 1


def test_an_unknown_study_is_told():
    with pytest.raises(ValueError, match="unknown study 'nothing': use one of dataset"):
        studies.study("nothing")


@pytest.fixture
def simulated(simulated_root, monkeypatch):
    monkeypatch.setattr(real_or_simulated, "dermxdb_root", lambda profile, kind=None: simulated_root)


def test_the_dataset_study_runs_on_simulated_annotations(simulated, results):
    tables = dataset.STUDY.collect(dataset.STUDY.trials(SMOKE), SMOKE)
    assert {*dataset.PUBLISHED, dataset.CEILING, "intra_rater", "conventions"} <= set(tables)
    for name, table in tables.items():
        assert list(table.columns) == ["row", "metric", "value", "low", "high"], name
        inside = table.dropna()
        assert (inside["low"] <= inside["high"]).all(), name


def test_typical_image_was_diagnosed_right_by_most(simulated):
    db = real_or_simulated.open_dermxdb(SMOKE)
    right = db.select("paper").groupby("image")["correct"].sum()
    for disease in dermxdb.DISEASES:
        image = typical_image(db, disease, recognised=True)
        assert db.images.loc[image, "reference"] == disease
        assert right[image] == right[db.images.index[db.images["reference"] == disease].intersection(right.index)].max()


def reference_tables() -> dict[str, pd.DataFrame]:
    names = {path.stem for path in reference_results.folder_of("dataset").glob("*/*.csv")}
    return {name: report.reference("dataset", name) for name in names}


def test_the_reference_gives_every_printed_cell_back():
    counts = report.reproduced("dataset", reference_tables(), dataset.PUBLISHED).loc["All"]
    assert tuple(counts) == (531, 531, 531)
    assert tuple(report.reproduced("dataset", reference_tables(), [dataset.CEILING]).loc["All"]) == (6, 6, 6)


@pytest.mark.real_data
def test_the_reference_is_what_the_code_gives_now(real_dermxdb, real_overlaps):
    db = real_dermxdb
    for made in report.provenance("dataset").values():
        assert made["data"]["dermxdb"]["sha256"] == db.digest
    rebuilt = published.dermatologist_tables(db, real_overlaps)
    for name, table in rebuilt.items():
        now = report.tidy(table).set_index(["row", "metric"])["value"]
        kept = report.reference("dataset", name).set_index(["row", "metric"])["value"]
        pd.testing.assert_series_equal(kept, now[kept.index], rtol=1e-5)


def test_a_reference_is_never_made_from_simulated_annotations(simulated, results):
    with pytest.raises(DataError, match="need the real dermxdb: set MEDXAI_DATA"):
        sitting.write_reference(dataset.STUDY, SMOKE, "medxai run dataset")
    assert not any(results.rglob("*"))


@pytest.mark.parametrize("name", ["dice 3_0", "a/b", "", "é", "a,b"])
def test_a_trial_whose_name_is_no_plain_file_name_is_refused(name) -> None:
    with pytest.raises(ValueError, match=r"expected letters, digits, _, \+, - and \. only"):
        store.Trial(name, lambda: {}, ())
