"""Reference results: made in sittings, kept whole, shown with how many trials there are."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medxai import paths, profiles, report, results, studies
from medxai.errors import DataError
from medxai.profiles import Profile
from medxai.studies import sitting
from medxai.studies.store import Absent, Study, Trial

SMOKE = profiles.get("smoke")
LARGEST = 300_000
"""Bytes of a reference table."""


class Real:
    kind = "real"
    digest = "abc"


class Simulated(Real):
    kind = "simulated"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "data" / "reference")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    return tmp_path


def counted(calls: list[str], names: tuple[str, ...] = ("a", "b"), **changes: object) -> Study:
    """A study that notes which trials are computed; each reads one size of the profile and gives two tables."""

    def compute(data: Real, profile: Profile, *, name: str) -> results.Record:
        calls.append(name)
        line = pd.DataFrame({"row": [name], "metric": ["bootstrap"], "value": [profile.bootstrap / 3]})
        return {"shared": line, f"own_{name}": line}

    definition = {
        "name": "toy",
        "chapter": "01_toy",
        "version": 1,
        "trials": lambda profile: [Trial(name, compute, ("d",), (("name", name),)) for name in names],
        "data": {"d": lambda profile: Real()},
    }
    return Study(**definition | changes)


def test_a_trial_that_is_there_is_not_run_again(capsys):
    calls = []
    sitting.write_reference(counted(calls), SMOKE, "medxai run toy", ["b"])
    assert calls == ["b"]
    assert results.progress("toy") == (1, 2)
    sitting.write_reference(counted(calls), SMOKE, "medxai run toy")
    assert calls == ["b", "a"]
    assert results.progress("toy") == (2, 2)
    assert list(results.reference("toy", "shared")["row"]) == ["a", "b"], "in the order of the study, not of the runs"
    said = capsys.readouterr().out
    assert "trial 1 of 2: b ...\n" in said
    assert "toy: 1 of 2 trials are there, 1 to run" in said
    assert "trial 2 of 2: a ... (estimated less than a minute left)" in said


def test_what_is_missing_is_what_a_sitting_would_run():
    study = counted([], names=("a", "b", "c"))
    assert sitting.missing(study, SMOKE) == ["a", "b", "c"]
    sitting.write_reference(study, SMOKE, "x", ["b"])
    assert sitting.missing(study, SMOKE) == ["a", "c"]
    assert sitting.missing(counted([], names=("a", "b", "c"), version=2), SMOKE) == ["a", "b", "c"]


def test_two_that_want_one_trial_make_it_once():
    calls, begun = [], threading.Event()

    def compute(data: Real, profile: Profile) -> results.Record:
        calls.append("a")
        begun.set()
        time.sleep(0.3)  # long enough for the other to plan the same
        return {"a": pd.DataFrame({"value": [float(profile.bootstrap)]})}

    study = counted([], trials=lambda profile: [Trial("a", compute, ("d",))])
    first = threading.Thread(target=sitting.write_reference, args=(study, SMOKE, "first"))
    first.start()
    assert begun.wait(10)
    sitting.write_reference(study, SMOKE, "second")
    first.join()
    assert calls == ["a"]
    assert results.provenance("toy")["a"]["command"] == "first"


def test_where_the_reference_cannot_be_written_no_trial_is_run():
    calls = []
    results.folder_of("toy").parent.mkdir(parents=True, exist_ok=True)
    results.folder_of("toy").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        sitting.write_reference(counted(calls), SMOKE, "medxai run toy")
    assert calls == []


@pytest.mark.parametrize(
    "changes", [{"version": 2}, {"data": {"d": lambda profile: type("Other", (Real,), {"digest": "other"})()}}]
)
def test_a_trial_out_of_date_is_not_shown_and_goes_when_its_successor_is_finished(changes, capsys):
    sitting.write_reference(counted([]), SMOKE, "first")
    calls = []
    sitting.write_reference(counted(calls, **changes), SMOKE, "second", ["a"])
    assert calls == ["a"]
    said = capsys.readouterr().out
    assert "version is 1: expected 2" in said or "digest of d is abc: expected other" in said
    assert results.progress("toy") == (1, 2)
    assert list(results.reference("toy", "shared")["row"]) == ["a"]
    assert results.reference("toy", "own_b") is None
    kept = json.loads((results.folder_of("toy") / "b" / "provenance.json").read_text())
    assert kept["command"] == "first", "it stays until the new one is there"
    sitting.write_reference(counted(calls, **changes), SMOKE, "second")
    assert calls == ["a", "b"]
    assert {made["command"] for made in results.provenance("toy").values()} == {"second"}


def test_of_the_profile_only_the_sizes_count_that_a_trial_reads():
    sitting.write_reference(counted([]), SMOKE, "x")
    assert results.provenance("toy")["a"]["sizes"] == {"bootstrap": SMOKE.bootstrap}
    calls = []
    sitting.write_reference(counted(calls), replace(SMOKE, samples=99), "x")
    assert calls == []
    sitting.write_reference(counted(calls), replace(SMOKE, bootstrap=99), "x")
    assert calls == ["a", "b"]


def test_what_takes_a_profile_whole_reads_all_of_it():
    for take in (hash, repr, vars, lambda one: one == one, lambda one: replace(one, samples=1)):
        profile = profiles.recording(SMOKE)
        assert profile.sizes_read == set()
        take(profile)
        assert profile.sizes_read >= profiles.SIZES - {"samples"}, take
    assert profiles.recording(SMOKE).bootstrap == SMOKE.bootstrap


def test_trials_that_left_the_study_are_removed_once_all_others_are_there():
    sitting.write_reference(counted([], names=("a", "old")), SMOKE, "x")
    study = counted([], names=("a", "b", "c"))
    sitting.write_reference(study, SMOKE, "x", ["b"])
    assert (results.folder_of("toy") / "old").exists()
    assert "old" not in results.provenance("toy")
    sitting.write_reference(study, SMOKE, "x")
    assert {path.name for path in results.folder_of("toy").iterdir()} == {"a", "b", "c", "trials.json"}


def test_a_trial_is_made_anew_though_its_record_is_stored():
    calls = []
    study = counted(calls)
    study.collect(study.trials(SMOKE), SMOKE)
    sitting.write_reference(study, SMOKE, "x")
    assert calls == ["a", "b"] * 2


def test_provenance_says_how_a_trial_was_made():
    sitting.write_reference(counted([], seed=7), SMOKE, "medxai run toy --reference")
    made = results.provenance("toy")["a"]
    assert made["data"] == {"d": {"kind": "real", "sha256": "abc"}}
    assert (made["seed"], made["profile"], made["command"]) == (7, "smoke", "medxai run toy --reference")
    assert (made["study"], made["trial"], made["arguments"], made["version"]) == ("toy", "a", {"name": "a"}, 1)
    assert made["seconds"] >= 0
    assert {"commit", "date", "hardware", "versions"} <= set(made)
    assert (results.folder_of("toy") / "a" / "own_a.csv").read_text() == "row,metric,value\na,bootstrap,16.67\n"


def test_a_reference_needs_real_data_and_known_trials():
    absent = {"d": lambda profile: Absent("put it there")}
    with pytest.raises(DataError, match="'toy' need the real d: put it there"):
        sitting.write_reference(counted([], data=absent), SMOKE, "x")
    with pytest.raises(DataError, match="'toy' need the real d: set MEDXAI_DATA"):
        sitting.write_reference(counted([], data={"d": lambda profile: Simulated()}), SMOKE, "x")
    with pytest.raises(ValueError, match="trial of study toy is c: expected some of a, b"):
        sitting.write_reference(counted([]), SMOKE, "x", ["c"])
    assert not results.folder_of("toy").exists()


def test_an_interrupt_says_what_is_kept():
    def stop(data: Real, profile: Profile) -> results.Record:
        raise KeyboardInterrupt

    study = counted([])
    trials = [*study.trials(SMOKE), Trial("c", stop, ("d",))]
    with pytest.raises(KeyboardInterrupt, match="stopped in trial c; 2 of 3 trials of toy are kept, the same"):
        sitting.write_reference(counted([], trials=lambda profile: trials), SMOKE, "x")
    assert results.progress("toy") == (2, 3)


def test_a_study_half_done_is_shown_as_such():
    study = counted([])
    assert "not made yet" in report.reference_note("toy").data
    assert results.progress("toy") == (0, 0)
    sitting.write_reference(study, SMOKE, "x", ["a"])
    table = study.collect(study.trials(SMOKE), SMOKE)["shared"]

    def shown() -> str:
        found = results.reference("toy", "shared")
        return report.compare(None, found, table, metrics=("bootstrap",), caption="c")._repr_html_()

    assert "1 of 2 trials" in report.reference_note("toy").data
    assert ">reference, 1 of 2 trials<" in shown()
    sitting.write_reference(study, SMOKE, "x")
    assert "2 of 2 trials" in report.reference_note("toy").data
    assert ">reference<" in shown()


def test_numbers_are_rounded_to_what_they_can_mean():
    values = [1 / 3, -2e-7 / 3, 0.0, 1234.56, 123456.7, np.nan, np.inf]
    table = pd.DataFrame({"value": values, "count": range(7), "row": list("abcdefg")})
    found = results.rounded(table, 4)
    np.testing.assert_array_equal(found["value"], [0.3333, -6.667e-08, 0.0, 1235.0, 123457.0, np.nan, np.inf])
    pd.testing.assert_frame_equal(found[["count", "row"]], table[["count", "row"]])


SITTING = """
    import sys, time
    from pathlib import Path
    import pandas as pd
    from medxai import paths, profiles
    from medxai.studies import sitting
    from medxai.studies.store import Study, Trial

    checkout, slow = Path(sys.argv[1]), sys.argv[2]
    paths.ROOT, paths.REFERENCE, paths.RESULTS = checkout, checkout / "data" / "reference", checkout / "results"
    checkout.joinpath("requirements.lock").touch()

    def compute(profile, *, number):
        with open(checkout / "log", "a") as log:
            print(number, file=log, flush=True)
        if str(number) == slow:
            time.sleep(60)
        return {"t": pd.DataFrame({"row": ["x"], "value": [number / 3]}), "u": pd.DataFrame({"number": [number]})}

    trials = [Trial(f"t{number}", compute, (), (("number", number),)) for number in range(3)]
    sitting.write_reference(Study("toy", "c", 1, lambda profile: trials, {}), profiles.get("smoke"), "x")
"""


def test_a_run_that_is_killed_and_continued_in_another_clone_gives_the_same_tables(tmp_path):
    script = tmp_path / "sitting.py"
    script.write_text(textwrap.dedent(SITTING))

    def sitting(checkout: Path, slow: str = "") -> subprocess.Popen:
        return subprocess.Popen([sys.executable, str(script), str(checkout), slow], stdout=subprocess.DEVNULL)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    def tables(checkout: Path) -> dict[str, str]:
        folder = checkout / "data" / "reference" / "toy"
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.csv")}

    first, second, unbroken = tmp_path / "first", tmp_path / "second", tmp_path / "unbroken"
    git("init", str(first))
    killed = sitting(first, slow="1")
    deadline = time.monotonic() + 60
    while not ((first / "log").exists() and "1\n" in (first / "log").read_text()):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert set(tables(first)) == {"t0/t.csv", "t0/u.csv"}, "the first trial is whole, of the second there is nothing"

    git("-C", str(first), "add", "data")
    git("-C", str(first), "commit", "-m", "The first trial")
    git("clone", str(first), str(second))
    assert sitting(second).wait() == 0
    unbroken.mkdir()
    assert sitting(unbroken).wait() == 0
    assert (second / "log").read_text() == "1\n2\n", "the first trial is not run again"
    assert tables(second) == tables(unbroken)
    assert len(tables(second)) == 6


class TestWhatIsCommitted:
    """The reference results of this checkout."""

    @pytest.fixture(autouse=True)
    def checkout(self):
        """The real one."""

    def test_tables_are_small(self):
        sizes = {path: path.stat().st_size for path in paths.REFERENCE.rglob("*.csv")}
        assert sizes
        assert not [f"{path}: {size} bytes" for path, size in sizes.items() if size > LARGEST]

    @pytest.mark.parametrize("study", studies.STUDIES)
    def test_each_study_has_a_plan_and_only_trials_of_it(self, study):
        plan = results.plan(study)
        folder = results.folder_of(study)
        assert {path.name for path in folder.iterdir()} <= {*plan["trials"], "trials.json"}
        done, whole = results.progress(study)
        assert 0 < done <= whole == len(plan["trials"])

    @pytest.mark.parametrize("study", studies.STUDIES)
    def test_each_trial_is_a_full_run_on_real_data_at_a_commit(self, study):
        for trial, made in results.provenance(study).items():
            assert made["profile"] == "full", trial
            assert {data["kind"] for data in made["data"].values()} <= {"real"}, trial
            assert not made["commit"].endswith("+"), trial
