"""Writing data sets: all or nothing, and one clear sentence where the disk refuses."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medxai.errors import DataError

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Tell a refusal of the disk in one sentence.

    Raises
    ------
    DataError
        In place of the ``OSError`` of a full disk, a read-only folder and the like.
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
def staged(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target` that takes its place at the end; on any failure nothing is left of it.

    If another process has put a folder at `target` meanwhile, that one stays.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with writing(target):
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
