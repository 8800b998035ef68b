"""Archives: the one place that opens them, and that trusts nothing in them."""

import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from medxai import files
from medxai.errors import DataError

ENDINGS = (".tar.gz", ".tar.xz", ".zip")
ARRAYS = ".npz"
"""NumPy's name for a zip of arrays, which is read like any other."""

# What the standard library raises on damage; RuntimeError is zipfile's word for "encrypted", and IndexError, ValueError
# and struct.error come from damaged names and numbers.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError, OSError)
DAMAGE += (RuntimeError, IndexError, ValueError)

Members = Iterator[tuple[str, int, IO[bytes]]]
"""The files of an archive in its order: name, size in bytes, and a stream that can be read until the next one comes."""


@contextmanager
def opened(archive: Path) -> Iterator[Members]:
    """Open an archive, whose files are then read from memory, one after the other.

    Raises
    ------
    DataError
        In one sentence, here or while its files are read: if it is not there, of another kind or damaged, or if it
        holds a link, a device or a name that leads out of it.
    """
    if not archive.is_file():
        raise DataError(f"{archive}: there is no such file")
    if not archive.name.endswith((*ENDINGS, ARRAYS)):
        raise DataError(f"{archive} is no archive that can be read here: expected {', '.join(ENDINGS)}")
    try:
        if archive.suffix in (".zip", ARRAYS):
            with zipfile.ZipFile(archive) as container:
                yield _zip_members(container)
        else:
            with tarfile.open(archive, f"r:{archive.suffix[1:]}") as container:
                yield _tar_members(container)
    except DataError:
        raise
    except tarfile.FilterError as error:
        raise DataError(f"{archive} is refused, it could write outside its folder: {error!s:.200}") from error
    except DAMAGE as error:
        raise DataError(f"{archive} cannot be read, it is damaged or encrypted: {error!s:.200}") from error


def _zip_members(container: zipfile.ZipFile) -> Members:
    for entry in container.infolist():
        info = tarfile.TarInfo(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            info.type = tarfile.SYMTYPE
        name = _safe(info)
        if not entry.is_dir():
            yield name, entry.file_size, container.open(entry)


def _tar_members(container: tarfile.TarFile) -> Members:
    for info in container:
        name = _safe(info)
        if info.isfile():
            yield name, info.size, container.extractfile(info)
    while container.fileobj.read(1 << 20):  # the checksum of the whole stands at its very end
        pass


def _safe(info: tarfile.TarInfo) -> str:
    """Return the name of a file or folder, without a leading slash; FilterError for links, devices and ways out."""
    if not (info.isfile() or info.isdir()):
        raise tarfile.SpecialFileError(info)
    return tarfile.data_filter(info, "/unpacked").name


def install(archive: Path, target: Path, marker: str = "metadata.csv") -> Path:
    """Unpack an archive so that its uppermost folder that holds `marker` becomes `target`; all of it or nothing.

    Raises
    ------
    DataError
        As `opened`; if it holds no `marker`; if `target` is there, or the disk cannot hold it. Nothing is left then.
    """
    with opened(archive) as members:
        sizes = {PurePosixPath(name): size for name, size, _ in members}
    markers = [name for name in sizes if name.name == marker]
    if not markers:
        raise DataError(f"{archive} holds no {marker}: it is not this data set")
    top = min(markers, key=lambda name: len(name.parts)).parent
    with opened(archive) as members, files.new_folder(target) as part:
        needed, free = sum(sizes.values()), shutil.disk_usage(part).free
        if needed > free:
            raise DataError(f"{target} needs {needed / 1e6:,.0f} MB and the disk has {free / 1e6:,.0f} MB left")
        for name, _, stream in tqdm(members, target.name, len(sizes), unit="file", disable=None):
            if PurePosixPath(name).is_relative_to(top):
                place = part / PurePosixPath(name).relative_to(top)
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as copy:
                    shutil.copyfileobj(stream, copy)
    return target
