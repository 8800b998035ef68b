"""The command line: what it says, and how it ends."""

from pathlib import Path

import pytest

from medxai import cli, paths
from medxai.data import real_or_simulated
from medxai.data.datasets import DATASETS
from medxai.errors import DataError
from medxai.models.architectures import DEFAULT


def test_bad_input_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "--chapters", "77_nothing"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("unknown chapter 77_nothing: use one of 01_dataset")
    assert captured.err.count("\n") == 1


def test_debug_shows_where_an_error_comes_from() -> None:
    with pytest.raises(ValueError, match="unknown chapter"):
        cli.main(["--debug", "build", "--chapters", "77_nothing"])


@pytest.mark.skipif(not Path("/sys").exists(), reason="only Linux has a folder in which nobody can write")
def test_a_place_that_nobody_can_write_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["student", "/sys/notebooks"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("/sys/")
    assert said.endswith("; expected a place that can be written, with room\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "unknown study 'nothing'"),
        (["run", "dataset", "nothing"], "trial of study dataset is nothing: expected some of presence, "),
        (["data", "fetch", "nothing"], "nothing"),
    ],
)
def test_unknown_names_are_told_with_those_that_are_known(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_a_model_the_network_of_the_book_explains() -> None:
    assert cli._parser().parse_args(["explain", "images", "--output", "report.html"]).model == DEFAULT


def test_an_interrupted_reference_ends_with_130_and_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medxai.studies import sitting

    asked = []

    def stop(study: object, profile: object, command: str, names: list[str]) -> None:
        asked.append((command, names))
        raise KeyboardInterrupt("1 of 4 trials are kept")

    monkeypatch.setattr(sitting, "write_reference", stop)
    assert cli.main(["run", "dataset", "ceiling", "--profile", "full", "--reference"]) == 130
    assert asked == [("medxai run dataset ceiling --profile full --reference", ["ceiling"])]
    assert capsys.readouterr().err == "1 of 4 trials are kept\n"


@pytest.mark.parametrize("arguments", [[], ["build", "--profile", "huge"], ["build", "--data", "imagined"], ["data"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_real_data_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    assert cli.main(["build", "--profile", "smoke", "--data", "real"]) == 2
    assert "does not hold DermXDB" in capsys.readouterr().err
    assert not (tmp_path / "build" / "smoke").exists()


def test_data_check_names_every_data_set_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path))
    assert cli.main(["data", "check"]) == 0
    said = capsys.readouterr().out
    for dataset in DATASETS.values():
        assert f"{dataset.name}: not there, at {dataset.place}" in said
        assert dataset.advice in said


class TestFetchInABuild:
    """A build without annotations tries once a day to fetch them, and goes on whatever comes of it."""

    @pytest.fixture
    def tries(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """The names that were asked for; every try fails."""
        from medxai.data import fetch

        asked: list[str] = []

        def fail(name: str, *, wait: float) -> Path:
            asked.append(name)
            raise DataError(f"no network ({wait:.0f} s)")

        monkeypatch.setattr(fetch, "fetch", fail)
        monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
        monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
        monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "nothing"))
        monkeypatch.setattr(real_or_simulated, "dermxdb_root", lambda profile, kind: tmp_path / "simulated")
        return asked

    def test_tries_once_and_remembers(self, tries: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        from medxai.book.build import settle_data
        from medxai.book.target import Target

        target = Target("quick")
        assert settle_data(target, "auto") == "simulated"
        assert "Going on with simulated annotations: no network" in capsys.readouterr().err
        settle_data(target, "auto")
        assert tries == ["dermxdb"]
        assert target.data_kinds() == {"dermxdb": "simulated"}

    def test_an_image_set_that_was_added_changes_the_manifest(self, tries: list[str], monkeypatch, tmp_path) -> None:
        from medxai.book.build import settle_data
        from medxai.book.target import Target

        monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "external"))
        target = Target("smoke")
        manifests = []
        for name in ("busi/manifest.csv", "weights/w.pth", "unrelated/file"):
            settle_data(target, "simulated")
            manifests.append(target.data.read_text())
            path = tmp_path / "external" / name
            path.parent.mkdir(parents=True)
            path.write_text("x")
        settle_data(target, "simulated")
        assert len(set(manifests)) == 3
        assert target.data.read_text() == manifests[-1], "what no chapter uses makes nothing run again"

    def test_tries_again_after_a_day(self, tries: list[str]) -> None:
        from medxai.book.build import settle_data
        from medxai.book.target import Target

        settle_data(Target("quick"), "auto")
        memory = paths.RESULTS / "fetch_dermxdb_failed.json"
        year = memory.read_text().split('"when": "')[1][:4]
        memory.write_text(memory.read_text().replace(year, str(int(year) - 1), 1))
        settle_data(Target("quick"), "auto")
        assert tries == ["dermxdb", "dermxdb"]

    @pytest.mark.parametrize(("profile", "kind"), [("smoke", "auto"), ("quick", "simulated")])
    def test_does_not_try_where_it_need_not(self, tries: list[str], profile: str, kind: str) -> None:
        from medxai.book.build import settle_data
        from medxai.book.target import Target

        settle_data(Target(profile), kind)
        assert tries == []
