"""Fetching: a local git repository and a local web server stand for the public ones."""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import shutil
import stat
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from medxai import paths
from medxai.data import archive, checkout, fetch
from medxai.errors import DataError

PATHS = ("annotations", "masks", "folds", "metadata.csv", "LICENSE", "README.md")
GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, git's own left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(
        (GIT, *identity, *arguments), cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-in for the public repository: two commits, small files, and a big file of weights."""
    folder = tmp_path_factory.mktemp("public")
    git(folder, "init", "--quiet")
    for number in range(30):
        for name in (f"annotations/labeller1_{number}.json", f"masks/masks/{number}.png"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{name}\r\n")
    for name in ("folds/fold.csv", "metadata.csv", "LICENSE", "README.md", "annotations_old/a.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{name}\r\n")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "weights.h5").write_bytes(os.urandom(2_000_000))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "pinned")
    git(folder, "tag", "pinned")
    (folder / "annotations" / "labeller1_0.json").write_text("changed later")
    git(folder, "commit", "--quiet", "--all", "--message", "later")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


@pytest.fixture
def repository(public: Path, monkeypatch: pytest.MonkeyPatch) -> checkout.Repository:
    """The stand-in, registered as `dermxdb`, in batches of 20 (its 64 files make four)."""
    commit = git(public, "rev-parse", "pinned")
    repository = checkout.Repository(f"file://{public}", commit, PATHS, {"annotations": 30})
    monkeypatch.setitem(fetch.DATASETS, "dermxdb", replace(fetch.DATASETS["dermxdb"], source=repository))
    monkeypatch.setattr(checkout, "BATCH", 20)
    return repository


def register(monkeypatch: pytest.MonkeyPatch, repository: checkout.Repository, **changes: object) -> None:
    changed = replace(fetch.DATASETS["dermxdb"], source=replace(repository, **changes))
    monkeypatch.setitem(fetch.DATASETS, "dermxdb", changed)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The objects asked for in each batch, as they are asked for."""
    asked: list[list[str]] = []
    run = checkout.Git.__call__

    def recording(self: checkout.Git, *arguments: str, **options: object) -> str:
        if "--stdin" in arguments:
            asked.append(options["stdin"].split())
        return run(self, *arguments, **options)

    monkeypatch.setattr(checkout.Git, "__call__", recording)
    return asked


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a git before the real one that does `command` instead of the subcommand `instead_of`."""

    def install(instead_of: str, command: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "git"
        script.write_text(f'#!/bin/sh\ncase " $* " in *" {instead_of} "*) {command};; *) exec {GIT} "$@";; esac\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return install


def expected(public: Path) -> dict[str, bytes]:
    """The wanted files of the pinned commit, by `git archive` (another way than a checkout)."""
    content = subprocess.run((GIT, "archive", "pinned", *PATHS), cwd=public, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened if info.isfile()}


def refused(tmp_path: Path, **options: object) -> str:
    """Fetch, expect one sentence, and nothing at the final place."""
    with pytest.raises(DataError) as caught:
        fetch.fetch("dermxdb", target=tmp_path, progress=False, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path / "dermxdb") in message
    assert not (tmp_path / "dermxdb").exists()
    return message


@needs_git
def test_fetch_gives_the_pinned_files_and_nothing_else(repository, public, tmp_path):
    place = fetch.fetch("dermxdb", target=tmp_path, progress=False)
    assert place == tmp_path / "dermxdb"
    assert tree(place) == expected(public)
    assert git(place, "rev-parse", "HEAD") == repository.commit
    assert git(place, "status", "--porcelain") == ""
    assert [path.name for path in tmp_path.iterdir()] == ["dermxdb"]


@needs_git
def test_weights_are_never_downloaded(repository, public, tmp_path):
    place = fetch.fetch("dermxdb", target=tmp_path, progress=False)
    absent = {
        line[1:]
        for line in git(place, "rev-list", "--objects", "--missing=print", "HEAD").split("\n")
        if line[0] == "?"
    }
    assert absent == {
        git(public, "rev-parse", f"pinned:{name}") for name in ("experiments/weights.h5", "annotations_old/a.json")
    }
    assert sum(path.stat().st_size for path in place.rglob("*")) < 1_000_000


@needs_git
def test_an_interrupted_fetch_goes_on_and_asks_for_nothing_twice(repository, public, tmp_path, batches, monkeypatch):
    run = checkout.Git.__call__

    def interrupted(self: checkout.Git, *arguments: str, **options: object) -> str:
        if "--stdin" in arguments and len(batches) == 1:
            raise KeyboardInterrupt
        return run(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(checkout.Git, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("dermxdb", target=tmp_path, progress=False)
    assert not (tmp_path / "dermxdb").exists()
    first = list(batches)
    assert [len(batch) for batch in first] == [20]
    place = fetch.fetch("dermxdb", target=tmp_path, progress=False)
    second = batches[len(first) :]
    assert [len(batch) for batch in second] == [20, 20, 4]
    assert not set(first[0]) & set(itertools.chain(*second))
    assert tree(place) == expected(public)


@needs_git
def test_what_is_there_is_not_fetched_again(repository, tmp_path, monkeypatch):
    place = fetch.fetch("dermxdb", target=tmp_path, progress=False)
    monkeypatch.setenv("PATH", "")
    assert fetch.fetch("dermxdb", target=tmp_path, progress=False) == place


@needs_git
def test_a_stale_lock_of_a_killed_run_does_not_block(repository, public, tmp_path, fake_git):
    fake_git("checkout", "touch $GIT_DIR/index.lock $GIT_DIR/shallow.lock $GIT_DIR/config.lock; exit 1")
    refused(tmp_path)
    (tmp_path / "bin" / "git").unlink()
    assert tree(fetch.fetch("dermxdb", target=tmp_path, progress=False)) == expected(public)


@needs_git
def test_progress_is_shown(repository, tmp_path, capsys):
    fetch.fetch("dermxdb", target=tmp_path)
    assert "64/64" in capsys.readouterr().err


@needs_git
def test_an_unknown_commit_is_told(repository, tmp_path, monkeypatch):
    register(monkeypatch, repository, commit="1" * 40)
    assert "1" * 40 in refused(tmp_path)


@needs_git
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"counts": {"annotations": 31}}, "annotations holds 30 files instead of 31"),
        ({"paths": ("polygons",)}, "no polygons"),
    ],
)
def test_another_content_is_told(repository, tmp_path, monkeypatch, changes, told):
    register(monkeypatch, repository, **changes)
    assert told in refused(tmp_path)


@needs_git
def test_no_network_is_told(repository, tmp_path, monkeypatch):
    register(monkeypatch, repository, url="http://127.0.0.1:1/dermx")
    message = refused(tmp_path)
    assert "http://127.0.0.1:1/dermx" in message
    assert "put the unpacked repository or an archive of it at" in message


def test_no_git_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "git is not installed" in refused(tmp_path)


def running(group: int) -> list[psutil.Process]:
    """The processes of a group that still do something."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@needs_git
@pytest.mark.parametrize(("wait", "told"), [(3, "the 3 s that it may take are over"), (None, "no answer in 1 s")])
def test_a_silent_server_is_given_up_and_its_process_ended(repository, tmp_path, fake_git, monkeypatch, wait, told):
    monkeypatch.setattr(checkout, "CONTACT", 1 if wait is None else 60)
    fake_git("ls-remote", f"echo $$ > {tmp_path}/pid; sleep 600")
    assert told in refused(tmp_path, wait=wait)
    assert not running(group=int((tmp_path / "pid").read_text()))


@needs_git
def test_a_full_disk_is_told_by_git(repository, tmp_path, fake_git):
    fake_git("--stdin", "echo 'fatal: write error: No space left on device' >&2; exit 128")
    assert "the disk is full" in refused(tmp_path)


@needs_git
def test_damage_on_disk_is_found_and_the_next_run_starts_anew(repository, public, tmp_path, fake_git):
    fake_git("checkout", "exit 1")
    refused(tmp_path)
    (tmp_path / "bin" / "git").unlink()
    for pack in (tmp_path / ".dermxdb.part/.git/objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        content = bytearray(pack.read_bytes())
        content[-21] ^= 255  # the last byte before the pack's own checksum
        pack.write_bytes(content)
    refused(tmp_path)
    assert tree(fetch.fetch("dermxdb", target=tmp_path, progress=False)) == expected(public)


@needs_git
def test_a_repository_around_it_is_left_alone(repository, public, tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "mine.txt").write_text("mine")
    before = (tmp_path / ".git" / "config").read_text()
    place = fetch.fetch("dermxdb", target=tmp_path / "data", progress=False)
    assert tree(place) == expected(public)
    assert (tmp_path / ".git" / "config").read_text() == before
    assert (tmp_path / "mine.txt").read_text() == "mine"
