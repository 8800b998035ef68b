"""Fetching: a local git repository and a local web server stand for the public ones."""

import errno
import hashlib
import io
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
from unittest.mock import Mock

import pytest

from medxai.data import archive, checkout, fetch
from medxai.data.datasets import DATASETS, Download, Repository
from medxai.errors import DataError

PATHS = ("annotations", "masks", "folds", "metadata.csv", "LICENSE", "README.md")
GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data sets, not made yet."""
    monkeypatch.setenv("MEDXAI_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, as bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# A repository


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
    names = [f"{name}_{i}.json" for i in range(30) for name in ("annotations/labeller1", "masks/masks/a")]
    for name in (*names, "folds/fold.csv", "metadata.csv", "LICENSE", "README.md", "annotations_old/a.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
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
def repository(public: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The stand-in, registered as `dermxdb`."""
    repository = Repository(f"file://{public}", git(public, "rev-parse", "pinned"), PATHS)
    register(monkeypatch, repository)
    return repository


def register(monkeypatch: pytest.MonkeyPatch, repository: Repository) -> None:
    monkeypatch.setitem(DATASETS, "dermxdb", replace(DATASETS["dermxdb"], source=repository))


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a git before the real one that does `command` instead of what is called with `word`."""

    def install(word: str, command: str) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        script = tmp_path / "bin" / "git"
        script.write_text(f'#!/bin/sh\ncase " $* " in *" {word} "*) {command};; *) exec {GIT} "$@";; esac\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")

    return install


def expected(public: Path) -> dict[str, bytes]:
    """The wanted files of the pinned commit, by `git archive` (another way than a checkout)."""
    content = subprocess.run((GIT, "archive", "pinned", *PATHS), cwd=public, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened if info.isfile()}


def refused(root: Path, **options: object) -> str:
    """Fetch, expect one sentence, and nothing at the final place."""
    with pytest.raises(DataError) as caught:
        fetch.fetch("dermxdb", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root / "dermxdb") in message
    assert not (root / "dermxdb").exists()
    return message


def absent(folder: Path, commit: str) -> set[str]:
    """The objects of a commit that are not in the repository `folder`."""
    listed = git(folder, "rev-list", "--objects", "--missing=print", commit).splitlines()
    return {line[1:] for line in listed if line.startswith("?")}


@needs_git
def test_fetch_gives_the_pinned_files_and_nothing_else(repository, public, root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    git(tmp_path, "init", "--quiet")
    before = tree(tmp_path)
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / ".git" / "index"))  # as in a hook of the repository around it
    place = fetch.fetch("dermxdb")
    assert place == root / "dermxdb"
    assert tree(place) == expected(public)
    assert [path.name for path in place.parent.iterdir()] == ["dermxdb"]
    assert "6/6" in capsys.readouterr().err
    assert {name: content for name, content in tree(tmp_path).items() if not name.startswith("data")} == before
    monkeypatch.setenv("PATH", "")
    assert fetch.fetch("dermxdb") == place, "what is there is not fetched again"


@needs_git
def test_an_interrupted_fetch_goes_on_and_downloads_no_weights(repository, public, root, tmp_path, fake_git):
    def blobs(name: str) -> set[str]:
        return set(git(public, "ls-tree", "-r", "--format=%(objectname)", "pinned", "--", name).split())

    part = root / ".dermxdb.part"
    fake_git("/masks", "exit 1")
    assert "git sparse-checkout ended with 1" in refused(root)
    assert absent(part, repository.commit) == blobs(".") - blobs("annotations"), "the first folder is here"
    for name in ("index.lock", "shallow.lock", "config.lock"):  # of a process that was killed
        (part / ".git" / name).touch()
    fake_git("/README.md", "exit 1")
    refused(root)
    left_out = ("experiments", "annotations_old", "README.md")
    assert absent(part, repository.commit) == set().union(*map(blobs, left_out))
    (tmp_path / "bin" / "git").unlink()
    assert tree(fetch.fetch("dermxdb")) == expected(public)


@needs_git
def test_no_such_commit_no_network_and_no_git_are_told(repository, root, monkeypatch):
    register(monkeypatch, replace(repository, commit="1" * 40))
    assert "1" * 40 in refused(root)
    register(monkeypatch, replace(repository, url="http://127.0.0.1:1/dermx"))
    assert "put the unpacked repository or an archive of it at" in refused(root)
    monkeypatch.setenv("PATH", "")
    assert "git is needed and is not installed" in refused(root)


@needs_git
def test_the_wait_is_bounded(repository, root, fake_git, monkeypatch):
    assert "no answer in 0 s" in refused(root, wait=0)
    monkeypatch.setattr(checkout, "CONTACT", 1)
    fake_git("ls-remote", "exec sleep 600")
    assert "no answer in 1 s" in refused(root)


@needs_git
def test_what_the_disk_does_is_told(repository, root, tmp_path, fake_git, monkeypatch):
    fake_git("/README.md", "exit 1")
    refused(root)
    for pack in (root / ".dermxdb.part/.git/objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:40] + b"x" * 40)
    (tmp_path / "bin" / "git").unlink()
    assert f"delete {root / '.dermxdb.part'} to start anew" in refused(root)
    fake_git("init", "echo 'fatal: write error: No space left on device' >&2; exit 128")
    assert "the disk is full" in refused(root)
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=OSError(errno.EROFS, os.strerror(errno.EROFS))))
    assert "cannot be written (Read-only file system)" in refused(root)


def test_another_folder_at_the_place_is_left_alone(root):
    (root / "dermxdb").mkdir(parents=True)
    (root / "dermxdb" / "holiday.jpg").write_bytes(b"sea")
    with pytest.raises(DataError, match="is not dermxdb"):
        fetch.fetch("dermxdb")
    assert tree(root) == {"dermxdb/holiday.jpg": b"sea"}


def test_what_cannot_be_fetched_is_told(root):
    with pytest.raises(ValueError, match=r"unknown data set 'dermx': use one of dermxdb, .*retinamnist"):
        fetch.fetch("dermx")
    with pytest.raises(DataError, match="ask the owners of DermNetNZ and of SD-260"):
        fetch.fetch("dermxdb-photographs")


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


def nothing_comes_of(given: Path, told: str, **options: object) -> None:
    """Install an archive, expect one sentence with `told`, and no change on the disk."""
    before = tree(given.parent)
    with pytest.raises(DataError) as caught:
        fetch.fetch("dermxdb", given, **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(given.parent) == before
    assert not any((given.parent / "data").glob("*"))


@pytest.mark.parametrize("ending", FORMATS)
def test_an_archive_is_unpacked_from_its_top(root, tmp_path, ending):
    given = pack(tmp_path / f"given.{ending}", FILES)
    digest = hashlib.sha256(given.read_bytes()).hexdigest()
    nothing_comes_of(given, "has the SHA-256", sha256="0" * 64)
    place = fetch.fetch("dermxdb", given, digest.upper())
    assert tree(place) == DERMXDB
    assert [path.name for path in place.parent.iterdir()] == ["dermxdb"]


def special(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("dermx/annotations/link.json")
    info.type, info.linkname = kind, "metadata.csv"
    return info


def zip_link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("dermx/annotations/link.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)


@pytest.mark.parametrize(
    ("ending", "names", "extra"),
    [
        *((ending, [name], None) for ending in FORMATS for name in ("../evil", "dermx/../../evil")),
        *(("tar.gz", [], special(kind)) for kind in KINDS),
        ("zip", [], zip_link()),
    ],
)
def test_what_leads_out_is_refused(root, tmp_path, ending, names, extra):
    given = pack(tmp_path / f"given.{ending}", FILES | dict.fromkeys(names, b"x"), extra)
    nothing_comes_of(given, "could write outside its folder")


@pytest.mark.parametrize("ending", FORMATS)
def test_an_absolute_name_stays_below_the_folder(root, tmp_path, ending):
    given = pack(tmp_path / f"given.{ending}", {f"/{name}": content for name, content in FILES.items()})
    assert tree(fetch.fetch("dermxdb", given)) == DERMXDB


@pytest.mark.parametrize("ending", FORMATS)
def test_a_damaged_archive_is_told(root, tmp_path, ending):
    noise = {f"dermx/annotations/{number}.json": os.urandom(5000) for number in range(20)}
    given = pack(tmp_path / f"given.{ending}", FILES | noise)
    content = bytearray(given.read_bytes())
    given.write_bytes(content[: len(content) // 2])
    nothing_comes_of(given, "damaged")
    content[len(content) // 2] ^= 255
    given.write_bytes(content)
    nothing_comes_of(given, "damaged")


def test_what_is_no_archive_of_dermxdb_is_told(root, tmp_path):
    nothing_comes_of(tmp_path / "absent.zip", "there is no such file")
    for name, told in (("x.rar", "expected .tar.gz, .tar.xz, .zip"), ("x.zip", "damaged"), ("x.tar.gz", "damaged")):
        (tmp_path / name).write_bytes(b"")
        nothing_comes_of(tmp_path / name, told)
    nothing_comes_of(pack(tmp_path / "given.zip", {"photo.jpg": b"x"}), "holds no metadata.csv")


def test_what_the_disk_cannot_hold_leaves_nothing(root, tmp_path, monkeypatch):
    def fill(_: object, copy: io.BufferedWriter) -> None:
        copy.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    given = pack(tmp_path / "given.zip", FILES)
    monkeypatch.setattr(archive.shutil, "copyfileobj", fill)
    nothing_comes_of(given, "the disk is full")
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    nothing_comes_of(given, "MB left")
    root.rmdir()
    root.write_text("a file where the folder should be")
    nothing_comes_of(given, "cannot be written")


# Downloads

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT at /file, at /cut (breaks the first time), at /broken (breaks always); /wrong; nothing else."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        content = b"something else" if self.path == "/wrong" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = self.path == "/broken" or (self.path == "/cut" and len(self.asked) == 1)
        self.wfile.write(content[:100_000] if cut else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a running `Server`."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between two attempts
    Server.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running_server:
        threading.Thread(target=running_server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running_server.server_port}"
        running_server.shutdown()


def test_a_broken_connection_is_tried_again_and_what_is_there_is_not(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    path = tmp_path / "new" / "file.npz"
    assert fetch.download(Download(f"{server}/cut", SHA256), path) == path
    assert path.read_bytes() == CONTENT
    assert "1.02M" in capsys.readouterr().err, "a bar"
    assert fetch.download(Download(f"{server}/cut", SHA256), path) == path
    assert Server.asked == ["/cut", "/cut"]
    assert [found.name for found in path.parent.iterdir()] == ["file.npz"]


def test_a_download_that_fails_is_told_and_leaves_nothing(server, tmp_path):
    for source, told in (
        (Download(f"{server}/wrong", SHA256), "does not have the SHA-256"),
        (Download(f"{server}/wrong", md5=MD5), "does not have the MD5"),
        (Download(f"{server}/broken", SHA256), "could not be downloaded"),
        (Download(f"{server}/absent", SHA256), "could not be downloaded .*404"),
        (Download("http://127.0.0.1:1/file", SHA256), "could not be downloaded .*refused"),
    ):
        with pytest.raises(DataError, match=told) as caught:
            fetch.download(source, tmp_path / "file.npz")
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())


def test_a_download_whose_owners_publish_an_md5(server, tmp_path):
    path = fetch.download(Download(f"{server}/file", md5=MD5), tmp_path / "file.npz")
    assert path.read_bytes() == CONTENT


def test_a_file_that_the_user_has_is_copied_if_it_is_the_right_one(root, tmp_path, monkeypatch):
    dataset = replace(DATASETS["breastmnist"], source=Download("http://127.0.0.1:1/file", SHA256))
    monkeypatch.setitem(DATASETS, "breastmnist", dataset)
    given = tmp_path / "given.npz"
    given.write_bytes(b"another")
    with pytest.raises(DataError, match="has the SHA-256"):
        fetch.fetch("breastmnist", given)
    assert not root.exists()
    given.write_bytes(CONTENT)
    place = fetch.fetch("breastmnist", given)
    assert place == root / "medmnist" / "breastmnist.npz"
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["breastmnist", "retinamnist"])
def test_the_registered_hashes_are_those_of_the_official_files(name):
    dataset = DATASETS[name]
    if not dataset.is_there:
        pytest.skip(f"no {dataset.place} (set MEDXAI_DATA)")
    fetch.verify(dataset.place, dataset.source.sha256)
