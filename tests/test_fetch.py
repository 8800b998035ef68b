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
    """Every file below `folder`, as bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    assert [path.name for path in tmp_path.iterdir()] == ["dermxdb"]


@needs_git
def test_weights_are_never_downloaded(repository, public, tmp_path, fake_git):
    fake_git("checkout", "exit 1")
    refused(tmp_path)
    objects = tmp_path / ".dermxdb.part" / "git"
    listed = git(objects, "rev-list", "--objects", "--missing=print", repository.commit).splitlines()
    absent = {line[1:] for line in listed if line.startswith("?")}
    left_out = ("experiments/weights.h5", "annotations_old/a.json")
    assert absent == {git(public, "rev-parse", f"pinned:{name}") for name in left_out}
    assert sum(path.stat().st_size for path in objects.rglob("*")) < 1_000_000


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
    assert "git is needed and is not installed" in refused(tmp_path)


def running(group: int) -> list[psutil.Process]:
    """The processes of a group that still do something."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@needs_git
def test_a_silent_server_is_given_up_and_its_process_ended(repository, tmp_path, fake_git, monkeypatch):
    monkeypatch.setattr(checkout, "CONTACT", 3)
    fake_git("ls-remote", f"echo $$ > {tmp_path}/pid; sleep 600")
    assert "no answer in 3 s" in refused(tmp_path)
    assert not running(group=int((tmp_path / "pid").read_text()))


@needs_git
def test_the_wait_is_bounded_in_all(repository, tmp_path):
    assert "the 0 s that it may take are over" in refused(tmp_path, wait=0)


@needs_git
def test_a_full_disk_is_told_by_git(repository, tmp_path, fake_git):
    fake_git("--stdin", "echo 'fatal: write error: No space left on device' >&2; exit 128")
    assert "the disk is full" in refused(tmp_path)


@needs_git
def test_damage_on_disk_is_found_and_the_next_run_starts_anew(repository, public, tmp_path, monkeypatch):
    def damage(objects: Path) -> None:
        for pack in (objects / "objects/pack").glob("*.pack"):
            pack.chmod(0o644)
            content = bytearray(pack.read_bytes())
            content[-21] ^= 255  # the last byte before the pack's own checksum
            pack.write_bytes(content)

    run = checkout.Git.__call__

    def damaging(self: checkout.Git, *arguments: str, **options: object) -> str:
        output = run(self, *arguments, **options)
        if "checkout" in arguments:
            damage(self.objects)
        return output

    with monkeypatch.context() as patch:
        patch.setattr(checkout.Git, "__call__", damaging)
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


@needs_git
def test_a_read_only_place_is_told(repository, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "cannot be written (Read-only file system)" in refused(tmp_path)


def test_another_folder_at_the_place_is_left_alone(tmp_path):
    (tmp_path / "dermxdb").mkdir()
    (tmp_path / "dermxdb" / "holiday.jpg").write_bytes(b"sea")
    with pytest.raises(DataError, match="is not dermxdb"):
        fetch.fetch("dermxdb", target=tmp_path, progress=False)
    assert tree(tmp_path) == {"dermxdb/holiday.jpg": b"sea"}


def test_an_unknown_name_is_told():
    with pytest.raises(ValueError, match=r"unknown data set 'dermx': use one of dermxdb, .*retinamnist"):
        fetch.fetch("dermx")


def test_what_is_given_on_request_only_is_told(tmp_path):
    with pytest.raises(DataError, match="ask the owners of DermNetNZ and of SD-260"):
        fetch.fetch("dermxdb-photographs", target=tmp_path)


# Archives

FILES = {
    "dermx/metadata.csv": b"a;b\r\n",
    "dermx/annotations/labeller1_x.json": b"{}",
    "dermx/folds/metadata.csv": b"deeper, and not the top",
    "beside/notes.txt": b"not part of the data set",
}
DERMXDB = {name.removeprefix("dermx/"): content for name, content in FILES.items() if name.startswith("dermx/")}
FORMATS = ("tar.gz", "tar.xz", "zip")


def pack(path: Path, files: dict[str, bytes], extra: tarfile.TarInfo | zipfile.ZipInfo | None = None) -> Path:
    """Write an archive by the ending of its name, `extra` being one more member without content."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
            if extra is not None:
                opened.writestr(extra, b"/etc/passwd")
        return path
    with tarfile.open(path, f"w:{path.suffix[1:]}") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
        if extra is not None:
            opened.addfile(extra)
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_an_archive_is_unpacked_from_its_top(tmp_path, ending):
    given = pack(tmp_path / f"given.{ending}", FILES)
    target = tmp_path / "data" / "dermxdb"
    assert fetch.fetch("dermxdb", target=tmp_path / "data", source=given, progress=False) == target
    assert tree(target) == DERMXDB
    assert [path.name for path in target.parent.iterdir()] == ["dermxdb"]


def nothing_comes_of(given: Path, told: str, **options: object) -> None:
    """Install an archive, expect one sentence with `told`, and no change on the disk."""
    folder = given.parent
    before = tree(folder)
    with pytest.raises(DataError) as caught:
        archive.install_archive(given, folder / "data" / "dermxdb", **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(folder) == before
    assert not any((folder / "data").glob("*"))


def test_a_wrong_hash_is_refused(tmp_path):
    given = pack(tmp_path / "given.zip", FILES)
    nothing_comes_of(given, "has the SHA-256", sha256="0" * 64)
    right = hashlib.sha256(given.read_bytes()).hexdigest().upper()
    assert archive.install_archive(given, tmp_path / "dermxdb", right).is_dir()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    "name", ["../evil", "dermx/../../evil", "/tmp/evil", "dermx/..\\..\\evil", "C:\\evil", "C:evil"]
)
def test_names_that_climb_out_are_refused(tmp_path, ending, name):
    nothing_comes_of(pack(tmp_path / f"given.{ending}", FILES | {name: b"x"}), "outside its folder")


@pytest.mark.parametrize("ending", ["tar.gz", "tar.xz"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("leads_to", ["../../../etc/passwd", "/etc/passwd", "metadata.csv"])
def test_links_and_devices_of_tar_are_refused(tmp_path, ending, kind, leads_to):
    extra = tarfile.TarInfo("dermx/annotations/link.json")
    extra.type, extra.linkname = kind, leads_to
    nothing_comes_of(pack(tmp_path / f"given.{ending}", FILES, extra), "a link or a device")


def test_links_of_zip_are_refused(tmp_path):
    extra = zipfile.ZipInfo("dermx/annotations/link.json")
    extra.external_attr = (stat.S_IFLNK | 0o777) << 16
    nothing_comes_of(pack(tmp_path / "given.zip", FILES, extra), "a link or a device")


@pytest.mark.parametrize("ending", FORMATS)
def test_a_damaged_archive_is_told(tmp_path, ending):
    noise = {f"dermx/annotations/{number}.json": os.urandom(5000) for number in range(20)}
    given = pack(tmp_path / f"given.{ending}", FILES | noise)
    content = bytearray(given.read_bytes())
    given.write_bytes(content[: len(content) // 2])
    nothing_comes_of(given, "damaged")
    content[len(content) // 2] ^= 255
    given.write_bytes(content)
    nothing_comes_of(given, "damaged")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("given.rar", b"Rar!", ".tar.gz, .tar.xz, .zip are accepted"),
        ("given.zip", b"not a zip", "damaged"),
        ("given.tar.gz", b"", "damaged"),
        ("absent.zip", None, "there is no such file"),
    ],
)
def test_what_is_no_archive_is_told(tmp_path, name, content, told):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    nothing_comes_of(tmp_path / name, told)


def test_an_archive_of_something_else_is_told(tmp_path):
    nothing_comes_of(pack(tmp_path / "given.zip", {"photo.jpg": b"x"}), "holds no metadata.csv")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch, number):
    def fill(_: object, copy: io.BufferedWriter) -> None:
        copy.write(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(archive.shutil, "copyfileobj", fill)
    nothing_comes_of(pack(tmp_path / "given.zip", FILES), "the disk is full")


def test_what_the_disk_cannot_hold_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    nothing_comes_of(pack(tmp_path / "given.zip", FILES), "MB left")


def test_a_read_only_place_is_told_for_archives(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        archive.install_archive(pack(tmp_path / "given.zip", FILES), tmp_path / "data" / "dermxdb")


def test_a_folder_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "dermxdb").mkdir()
    (tmp_path / "dermxdb" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        archive.install_archive(pack(tmp_path / "given.zip", FILES), tmp_path / "dermxdb")
    assert tree(tmp_path / "dermxdb") == {"mine.txt": b"mine"}


@pytest.mark.real_data
def test_the_real_archive_is_unpacked_whole(real_dermxdb_root, tmp_path):
    archives = [path for path in real_dermxdb_root.iterdir() if path.name.endswith(archive.SUFFIXES)]
    if not archives:
        pytest.skip(f"{real_dermxdb_root} holds no archive")
    place = fetch.fetch("dermxdb", target=tmp_path, source=archives[0], progress=False)
    assert len(list((place / "annotations").glob("*.json"))) == fetch.DATASETS["dermxdb"].source.counts["annotations"]
    assert fetch.fetch("dermxdb", target=tmp_path, progress=False) == place


# Downloads

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT at /file (with Range), /cut (breaks once), /whole (no Range), /broken (always), /wrong."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        asked_for = self.headers.get("Range")
        self.asked.append((self.path, asked_for))
        if self.path == "/absent":
            self.send_error(404)
            return
        content = b"something else" if self.path == "/wrong" else CONTENT
        start = int(asked_for.removeprefix("bytes=").rstrip("-")) if asked_for and self.path != "/whole" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.path == "/broken" or (self.path in {"/cut", "/whole"} and len(self.asked) == 1)
        self.wfile.write(content[start : start + 100_000] if cut else content[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a running `Server`."""
    Server.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running_server:
        threading.Thread(target=running_server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running_server.server_port}"
        running_server.shutdown()


@pytest.mark.parametrize(
    ("page", "asked"), [("/file", [None]), ("/cut", [None, "bytes=100000-"]), ("/whole", [None, "bytes=100000-"])]
)
def test_a_broken_connection_is_gone_on_from(server, tmp_path, page, asked):
    path = fetch.download(server + page, SHA256, tmp_path / "new" / "file.npz", progress=False)
    assert path.read_bytes() == CONTENT
    assert Server.asked == [(page, value) for value in asked]
    assert [found.name for found in path.parent.iterdir()] == ["file.npz"]


def test_an_interrupted_download_is_gone_on_from_in_the_next_run(server, tmp_path):
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch.download(server + "/broken", SHA256, tmp_path / "file.npz", progress=False)
    assert len(Server.asked) == fetch.ATTEMPTS
    assert not (tmp_path / "file.npz").exists()
    fetch.download(server + "/file", SHA256, tmp_path / "file.npz", progress=False)
    assert Server.asked[-1] == ("/file", f"bytes={fetch.ATTEMPTS * 100_000}-")
    assert (tmp_path / "file.npz").read_bytes() == CONTENT
    fetch.download(server + "/file", SHA256, tmp_path / "file.npz", progress=False)
    assert len(Server.asked) == fetch.ATTEMPTS + 1


def test_a_part_that_is_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / "file.npz.part").write_bytes(b"x" * (len(CONTENT) + 5))
    assert fetch.download(server + "/file", SHA256, tmp_path / "file.npz", progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "told"), [("/wrong", "does not have the SHA-256"), ("/absent", "HTTP 404"), (":1/file", "refused")]
)
def test_a_download_that_fails_leaves_nothing(server, tmp_path, page, told):
    url = "http://127.0.0.1:1/file" if page.startswith(":") else server + page
    with pytest.raises(DataError, match=told) as caught:
        fetch.download(url, SHA256, tmp_path / "file.npz", progress=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_in_a_download_is_told(server, tmp_path, monkeypatch):
    def fill(*_: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetch, "_append", fill)
    with pytest.raises(DataError, match="the disk is full"):
        fetch.download(server + "/file", SHA256, tmp_path / "file.npz", progress=False)
    assert not (tmp_path / "file.npz").exists()


def test_a_file_that_the_user_has_is_copied_if_it_is_the_right_one(tmp_path, monkeypatch):
    dataset = replace(fetch.DATASETS["breastmnist"], source=fetch.Download("http://127.0.0.1:1/file", SHA256))
    monkeypatch.setitem(fetch.DATASETS, "breastmnist", dataset)
    given = tmp_path / "given.npz"
    given.write_bytes(CONTENT)
    place = fetch.fetch("breastmnist", target=tmp_path / "data", source=given)
    assert place == tmp_path / "data" / "medmnist" / "breastmnist.npz"
    assert place.read_bytes() == CONTENT
    given.write_bytes(b"another")
    with pytest.raises(DataError, match="has the SHA-256"):
        fetch.fetch("breastmnist", target=tmp_path / "other", source=given)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["breastmnist", "retinamnist"])
def test_the_registered_hashes_are_those_of_the_official_files(name):
    dataset = fetch.DATASETS[name]
    path = paths.data_root() / dataset.place
    if not path.is_file():
        pytest.skip(f"no {path} (set MEDXAI_DATA)")
    archive.verify(path, dataset.source.sha256)
