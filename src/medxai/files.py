"""Writing files and folders whole: under a temporary name in the same place, then renamed; and once."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from medxai.errors import DataError

FULL = {errno.ENOSPC, errno.EDQUOT}
REFUSED = FULL | {errno.EROFS, errno.EACCES, errno.EPERM}
"""What the disk says where nothing can be written, by the fault of no program."""


def write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse a place where `write` could not write, before the work whose result is to go there.

    Raises
    ------
    DataError
        With what the disk says: the folder is read-only, the name too long.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def write_if_changed(path: Path, content: str | bytes) -> bool:
    """Write `content` unless the file has it already, so that its modification time means a change; return whether."""
    content = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == content:
        return False
    write(path, content)
    return True


def dump(value: object) -> str:
    """Return `value` as indented JSON that ends with a line break."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`: another that wants it, too, waits here, and then finds it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def digest_with(digest: str, large: Iterable[Path]) -> str:
    """Return a digest that also tells of large files, by folder, name and number of bytes; itself if there are none.

    Where the folder lies does not matter.
    """
    told = [f"{path.parent.name}/{path.name} {path.stat().st_size}" for path in large]
    return hashlib.sha256("\n".join([digest, *told]).encode()).hexdigest() if told else digest


def once(path: Path, make: Callable[[], bytes]) -> None:
    """Write what `make` returns to `path`, unless that is there; of several processes that want it, one makes it."""
    if not path.is_file():
        with alone(path):
            if not path.is_file():
                write(path, make())


@contextmanager
def disk_refusals(target: Path) -> Iterator[None]:
    """Turn what the disk refuses while `target` is written (it is full, the folder is read-only) into one sentence.

    Raises
    ------
    DataError
        In place of the ``OSError``; one that does not come from the disk passes.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the disk: a damaged archive, a broken connection
            raise
        if error.errno in FULL:
            raise DataError(f"{target}: the disk is full; free some space and run the same command again") from error
        raise DataError(
            f"{target} cannot be written ({error.strerror or error}): choose another place with MEDXAI_DATA"
        ) from error


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` at the end; nothing is left of it if anything fails.

    If another process has made `target` meanwhile, that one stays.

    Raises
    ------
    DataError
        If there is something at `target` already, or the disk refuses.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is there already: move it away first")
    part = _temporary(target)
    with disk_refusals(target):
        shutil.rmtree(part, ignore_errors=True)  # of a killed process that had the same number
        part.mkdir(parents=True)
        try:
            yield part
            try:
                part.replace(target)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
