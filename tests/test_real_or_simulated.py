"""Which annotations a run uses, and what is said about the data sets that are there."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from medxai import paths, profiles
from medxai.data import real_or_simulated, simulate
from medxai.data.datasets import DATASETS
from medxai.errors import DataError

SMALL = replace(profiles.get("smoke"), simulated_images=12)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of data sets, an empty folder of results, nothing forced."""
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "external"))
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.delenv("MEDXAI_DATA_KIND", raising=False)


@pytest.fixture(params=["folder", "archive"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something that looks like the real annotations, unpacked or as an archive."""
    root = tmp_path / "external" / "dermxdb"
    name = "annotations/labeller1_x.json" if request.param == "folder" else "dermxdb-core.tar.xz"
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("{}")
    return root


def test_real_annotations_are_taken_where_they_are(real, monkeypatch):
    assert real_or_simulated.real_dermxdb() == real
    assert real_or_simulated.dermxdb_root(SMALL) == real
    assert real_or_simulated.dermxdb_root(SMALL, "real") == real
    monkeypatch.setenv("MEDXAI_DATA_KIND", "real")
    assert real_or_simulated.dermxdb_root(SMALL) == real


def test_simulated_ones_can_be_forced(real, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDXAI_DATA_KIND", "simulated")
    root = real_or_simulated.dermxdb_root(SMALL)
    assert root.parent == tmp_path / "results" / "simulated"
    assert (root / "SIMULATED.json").is_file()
    assert real_or_simulated.dermxdb_root(SMALL, "real") == real, "an argument goes before the environment"


@pytest.mark.parametrize("content", [None, "photographs/x.jpg"])
def test_without_real_ones_auto_simulates_once(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "external" / "dermxdb" / content).parent.mkdir(parents=True)
        (tmp_path / "external" / "dermxdb" / content).write_bytes(b"")
    assert real_or_simulated.real_dermxdb() is None
    root = real_or_simulated.dermxdb_root(SMALL)
    assert len(list((root / "annotations").glob("*.json"))) >= 12 * 8
    monkeypatch.setattr(simulate, "write", lambda *_, **__: pytest.fail("written a second time"))
    assert real_or_simulated.dermxdb_root(SMALL) == root
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_changed_simulator_is_another_data_set(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(simulate, "write", lambda root, **options: written.append((root.name, options)) or root)
    real_or_simulated.dermxdb_root(SMALL)
    (tmp_path / "simulate.py").write_text("another")
    monkeypatch.setattr(real_or_simulated, "__file__", str(tmp_path / "simulate.py"))
    real_or_simulated.dermxdb_root(SMALL)
    real_or_simulated.dermxdb_root(replace(SMALL, simulated_images=13))
    assert len({name for name, _ in written}) == 3
    assert [options["images"] for _, options in written] == [12, 12, 13]


def _root(results: Path, barrier: object, queue: object) -> None:
    paths.RESULTS = results
    barrier.wait()
    queue.put(real_or_simulated.dermxdb_root(SMALL, "simulated"))


def test_two_processes_at_once_get_the_same_whole_data_set(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_root, args=(tmp_path / "results", barrier, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    first, second = queue.get(timeout=300), queue.get(timeout=300)
    for worker in workers:
        worker.join()
    assert first == second
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    alone = simulate.write(tmp_path / "alone", images=12, seed=real_or_simulated.SEED)
    files = sorted(path.relative_to(alone) for path in alone.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert all((alone / file).read_bytes() == (first / file).read_bytes() for file in files)


@pytest.mark.parametrize("content", [None, "holiday.jpg", "annotations/holiday.jpg"])
def test_real_ones_that_are_not_there_are_told(tmp_path, content):
    place = tmp_path / "external" / "dermxdb"
    if content is not None:
        (place / content).parent.mkdir(parents=True)
        (place / content).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        real_or_simulated.dermxdb_root(SMALL, "real")
    assert str(caught.value).startswith(f"{place} does not hold DermXDB: run `medxai data fetch dermxdb`")
    assert not (tmp_path / "results").exists()


def test_an_unknown_kind_is_told(monkeypatch):
    monkeypatch.setenv("MEDXAI_DATA_KIND", "imagined")
    with pytest.raises(ValueError, match="kind of data is 'imagined': expected one of auto, real, simulated"):
        real_or_simulated.dermxdb_root(SMALL)


def test_what_is_there_and_what_to_do(real, tmp_path):
    (tmp_path / "external" / "medmnist").mkdir()
    (tmp_path / "external" / "medmnist" / "breastmnist.npz").write_bytes(b"x")
    assert [name for name, dataset in DATASETS.items() if dataset.is_there] == ["dermxdb", "breastmnist"]
    assert DATASETS["dermxdb"].place == real
    assert DATASETS["dermxdb"].advice == "nothing to do"
    assert DATASETS["retinamnist"].advice == "medxai data fetch retinamnist"
    assert "DermNetNZ" in DATASETS["dermxdb-photographs"].advice


def test_a_folder_that_is_something_else_is_told(tmp_path):
    (tmp_path / "external" / "dermxdb").mkdir(parents=True)
    (tmp_path / "external" / "dermxdb" / "holiday.jpg").write_bytes(b"")
    dataset = DATASETS["dermxdb"]
    assert not dataset.is_there
    assert dataset.advice == "what is at this place is not dermxdb: move it away, then medxai data fetch dermxdb"
