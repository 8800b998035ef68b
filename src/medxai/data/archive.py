"""Unpack an archive that a user was given, without trusting it."""

import hashlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from medxai.data.storage import staged, writing
from medxai.errors import DataError

SUFFIXES = (".tar.gz", ".tar.xz", ".zip")

# What the standard library raises on damage; RuntimeError is zipfile's word for "encrypted".
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive."""

    name: str
    kind: str
    """``file``, ``folder`` or ``other`` (links, devices)."""
    size: int
    """Unpacked, in bytes."""
    open: Callable[[], IO[bytes]]


def verify(path: Path, sha256: str) -> None:
    """Compare a file with the SHA-256 that it should have.

    Raises
    ------
    DataError
        If the file is not there or has another one.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.lower():
        raise DataError(f"{path} has the SHA-256 {found}, not {sha256.lower()}: it is damaged or another file")


def install_archive(
    archive: Path, target: Path, sha256: str | None = None, *, marker: str = "metadata.csv", progress: bool = False
) -> Path:
    """Unpack `archive` so that its folder that holds `marker` becomes `target`; all of it or nothing.

    Parameters
    ----------
    archive
        ``.tar.gz``, ``.tar.xz`` or ``.zip``.
    target
        The folder to make; must not be there yet, or be empty.
    sha256
        What the archive must hash to; not compared if ``None``.
    marker
        Name of a file at the top of the data set, at whatever depth of the archive.
    progress
        Show a bar.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DataError
        If the hash is wrong, the archive is damaged, holds no `marker`, or holds anything that could be written
        outside `target` (absolute or climbing names, links, devices), or if the disk refuses. Nothing is left then.
    """
    archive, target = Path(archive), Path(target)
    if sha256 is not None:
        verify(archive, sha256)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is there already: move it away first")
    with _opened(archive) as members:
        chosen = _below(members, marker, archive)
        _room(target, sum(member.size for member in chosen.values()))
        with staged(target) as part:
            for name, member in tqdm(chosen.items(), desc=target.name, unit="file", disable=not progress):
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, (part / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    return target


def _room(target: Path, needed: int) -> None:
    """Refuse what the disk cannot hold, before anything is written (also what an archive bomb declares)."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise DataError(f"{target} needs {needed / 1e6:,.0f} MB and the disk has {free / 1e6:,.0f} MB left")


def _below(members: list[Member], marker: str, archive: Path) -> dict[PurePosixPath, Member]:
    """Return the files beside and below the uppermost `marker`, by their names from there."""
    for member in members:
        path = PureWindowsPath(member.name)  # takes both / and \ for separators, so both are caught
        if path.drive or path.root or ".." in path.parts:
            raise DataError(f"{archive} holds {member.name!r}, which would be written outside its folder: refused")
        if member.kind == "other":
            raise DataError(f"{archive} holds {member.name!r}, a link or a device: only files and folders are accepted")
    files = {PurePosixPath(member.name): member for member in members if member.kind == "file"}
    markers = [name for name in files if name.name == marker]
    if not markers:
        raise DataError(f"{archive} holds no {marker}: it is not this data set")
    top = min(markers, key=lambda name: len(name.parts)).parent
    return {name.relative_to(top): member for name, member in files.items() if name.is_relative_to(top)}


@contextmanager
def _opened(archive: Path) -> Iterator[list[Member]]:
    """Open an archive and list it; damage found now or while reading is told in one sentence."""
    if not archive.is_file():
        raise DataError(f"{archive}: there is no such file")
    if not archive.name.endswith(SUFFIXES):
        raise DataError(f"{archive} is not an archive that can be read here: {', '.join(SUFFIXES)} are accepted")
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as opened:
                yield [_zip_member(opened, info) for info in opened.infolist()]
        else:
            with tarfile.open(archive, f"r:{archive.suffix[1:]}") as opened:
                members = [_tar_member(opened, info) for info in opened]
                while opened.fileobj.read(1 << 20):  # the checksum of the whole is at its very end
                    pass
                yield members
    except DAMAGE as error:
        raise DataError(f"{archive} cannot be unpacked, it is damaged or encrypted: {error}") from error


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not written on Unix
    kind = "folder" if info.is_dir() else "file" if mode in {0, stat.S_IFREG} else "other"
    return Member(info.filename, kind, info.file_size, lambda: opened.open(info))


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
    return Member(info.name, kind, info.size, lambda: opened.extractfile(info))
