"""Reading of DermXDB's files: from a folder or an archive to one record per evaluation."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from medxai.data import archive
from medxai.data.ontology import DIAGNOSES, LOCALISED, TAGS
from medxai.data.pictures import LARGEST
from medxai.errors import DataError
from medxai.paths import same_name, shown

CORE_ARCHIVE = "dermxdb-core.tar.xz"
PATTERNS = ("annotations/*.json", "folds/*.csv", "*.csv", "SIMULATED.json", "masks/instance_mask_annotations.csv")
TABLES = ("metadata.csv", "images.csv", "SIMULATED.json", "instance_mask_annotations.csv")
LARGEST_FILE = 2**24
"""Most bytes of a file of annotations or of a table, twenty times those of the largest real one. No more than one byte
more is read of any, whatever size an archive gives: what it becomes in memory is some 25 times as large."""
FILE_NAME = re.compile(r"labeller([1-8])(2?)_(.+)")


@dataclass
class Contents:
    """What a DermXDB folder or archive holds: bytes of its tables by name, and its evaluations."""

    tables: dict[str, bytes] = field(default_factory=dict)
    evaluations: list["Evaluation"] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    digest: str = ""


@dataclass
class Instance:
    """One outlined annotation: `vertices` (n, 2) of all its paths in a row, `lengths` the vertices of each path."""

    name: str
    rank: int
    vertices: np.ndarray
    lengths: list[int]
    attributes: tuple[str, ...]


@dataclass
class Evaluation:
    """One annotation file: what one rater said about one image in one round."""

    file: str
    image: str
    rater: int
    round: int
    dataset: str
    width: int
    height: int
    diagnoses: tuple[str, ...]
    tags: frozenset[str]
    instances: list[Instance]


def read(root: Path, on_error: str) -> Contents:
    """Read every file of the data set at `root`; with `on_error` "skip" a broken one is reported and left out."""
    contents = Contents()
    digests, seen = [], set()
    for name, content in members(Path(root)):
        if same_name(name) in seen:
            raise DataError(f"{root} holds {name} twice: expected one file of each name")
        seen.add(same_name(name))
        digests.append(f"{name} {hashlib.sha256(content).hexdigest()}")
        if not name.startswith("annotations/"):
            _check_length(name, content)
            contents.tables[name] = content
            continue
        try:
            _check_length(PurePosixPath(name).name, content)
            contents.evaluations.append(parse(PurePosixPath(name).name, content))
        except DataError as error:
            if on_error == "raise":
                raise
            contents.problems.append((PurePosixPath(name).name, str(error)))
    if not digests or "metadata.csv" not in contents.tables or len(digests) == len(contents.tables):
        raise DataError(f"{root} is not DermXDB: expected annotations/*.json and metadata.csv in it")
    contents.evaluations.sort(key=lambda evaluation: (evaluation.image, evaluation.round, evaluation.rater))
    contents.digest = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    return contents


def members(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name relative to the data set, bytes) of every file that matters; an archive is not unpacked to disk."""
    if (root / "annotations").is_dir():
        for path in sorted(path for pattern in PATTERNS for path in root.glob(pattern)):
            if name := _wanted(path.relative_to(root)):
                yield name, _content(path)
        return
    with archive.opened(root if root.is_file() else _archive_in(root)) as found:
        for member, _, stream in found:
            if name := _wanted(PurePosixPath(member)):
                yield name, stream.read(LARGEST_FILE + 1)


def _content(path: Path) -> bytes:
    if not path.is_file():  # a pipe would never end
        raise DataError(f"{path} is no file that can be read")
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _archive_in(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(f"{root} does not exist: expected the folder or the archive of DermXDB")
    if (root / CORE_ARCHIVE).is_file():
        return root / CORE_ARCHIVE
    found = sorted(path for path in root.iterdir() if path.name.endswith(archive.ENDINGS))
    if len(found) != 1:
        raise DataError(
            f"{root} is not DermXDB: expected annotations/ and metadata.csv in it, or one archive "
            f"({', '.join(archive.ENDINGS)}), not {len(found)}"
        )
    return found[0]


def _wanted(path: PurePath) -> str | None:
    """Name relative to the data set of a file that the loader reads, None for any other."""
    if path.name.startswith("."):
        return None
    if (path.parent.name, path.suffix) in (("annotations", ".json"), ("folds", ".csv")):
        return shown(f"{path.parent.name}/{path.name}")
    return path.name if path.name in TABLES else None


def parse(file: str, content: bytes) -> Evaluation:
    """Read one annotation file.

    Raises
    ------
    DataError
        If it is empty, not complete JSON, of another structure, holds a name that the ontology does not have, an image
        of more than `medxai.data.pictures.LARGEST` pixels, or a coordinate that is no number below that.
    """
    match = FILE_NAME.fullmatch(PurePosixPath(file).stem)
    if match is None:
        raise DataError(f"{file} is no name of annotations: expected labellerK_IMAGE.json or labellerK2_IMAGE.json")
    record = _record(file, content)
    try:
        size, annotations, dataset = record["image"], record["annotations"], record.get("dataset", "")
        width, height = size["width"], size["height"]
        tags = [annotation["name"] for annotation in annotations if _paths(annotation) is None]
        outlined = [annotation for annotation in annotations if _paths(annotation) is not None]
        instances = [_instance(file, rank, annotation) for rank, annotation in enumerate(outlined)]
        diagnoses = tuple(dict.fromkeys(name for name in tags if name in DIAGNOSES))
        if not all(isinstance(text, str) for text in (dataset, *tags)):
            raise TypeError("a name is no text")
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} has not the structure of a DermXDB annotation ({error!r})") from error
    for name in tags:
        if name not in TAGS:
            reason = "has no outline" if name in LOCALISED else "is not in the ontology"
            raise DataError(f"{file}: the annotation {name!r:.60} {reason}")
    _check_size(file, width, height)
    rater, second, image = match.groups()
    return Evaluation(
        file=file,
        image=same_name(image),
        rater=int(rater),
        round=2 if second else 1,
        dataset=dataset,
        width=width,
        height=height,
        diagnoses=diagnoses,
        tags=frozenset(tags),
        instances=instances,
    )


def _check_length(name: str, content: bytes) -> None:
    if len(content) > LARGEST_FILE:
        raise DataError(f"{name} is too large: expected at most {LARGEST_FILE / 2**20:.0f} MiB")


def _record(file: str, content: bytes) -> dict:
    if not content:
        raise DataError(f'{file} is empty (0 bytes): expected "annotations": [] where nothing was marked')
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{file} is not complete JSON ({error})") from error
    except RecursionError as error:
        raise DataError(f"{file} is nested too deeply: expected the structure of a DermXDB annotation") from error


def _check_size(file: str, width: object, height: object) -> None:
    """Masks of an image are allocated by the size that its annotation claims."""
    if type(width) is not int or type(height) is not int:
        raise DataError(f"{file}: the image has {width!r:.40} x {height!r:.40} pixels: expected whole numbers")
    if min(width, height) < 1:
        raise DataError(f"{file}: the image has {width} x {height} pixels")
    if width * height > LARGEST:
        raise DataError(f"{file}: the image has {width} x {height} pixels: expected at most {LARGEST:,} in all")


def _paths(annotation: dict) -> list | None:
    """Paths of an outlined annotation, None of a tag. Both shapes occur: one path, or a list of paths."""
    if "complex_polygon" in annotation:
        return annotation["complex_polygon"]["path"]
    if "polygon" in annotation:
        return [annotation["polygon"]["path"]]
    return None


def _instance(file: str, rank: int, annotation: dict) -> Instance:
    name, paths = annotation["name"], _paths(annotation)
    where = f"{file}: the outline of {name!r:.60} (number {rank})"
    if name not in LOCALISED:
        raise DataError(f"{where} has a name that is not in the ontology")
    lengths = [len(path) for path in paths]
    if not lengths or min(lengths) < 3:
        raise DataError(f"{where} has a path with fewer than 3 vertices")
    flat = [c for path in paths for vertex in path for c in (vertex["x"], vertex["y"])]
    if not {type(c) for c in flat} <= {int, float}:
        raise DataError(f"{where} has coordinates that are no numbers")
    if wrong := [c for c in flat if not abs(c) <= LARGEST]:
        finite = isinstance(wrong[0], int) or math.isfinite(wrong[0])
        raise DataError(f"{where} has coordinates that are {f'beyond {LARGEST:,}' if finite else 'not finite'}")
    attributes = annotation.get("attributes") or []
    if not isinstance(attributes, list) or not all(isinstance(one, str) for one in attributes):
        raise TypeError("attributes are no list of texts")
    return Instance(name, rank, np.array(flat, dtype=np.float64).reshape(-1, 2), lengths, tuple(attributes))
