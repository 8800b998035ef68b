"""DermXDB: what eight dermatologists said, and outlined, on each of some 600 photographs.

The public repository (ralucaj/dermx, CC0) holds one JSON file per evaluation; `load` reads them all into tidy tables
and gives masks and maps on demand. Jalaboi et al., DermX, Medical Image Analysis 83:102647, 2023.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from medxai.data import _dermxdb_files as files
from medxai.data import _dermxdb_tables as tables
from medxai.data import masks
from medxai.data.ontology import CHARACTERISTICS, DISEASES, LOCALISED, MODELLED  # noqa: F401 - also had from here
from medxai.errors import DataError
from medxai.files import digest_with

RATERS = range(1, 9)
GROUPS = ("paper", "benchmark", "second_round", "all")
MASK_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class MaskStack:
    """All raters' masks of one characteristic in one image, as bits of the box that holds them all."""

    image: str
    characteristic: str
    evaluations: np.ndarray
    """int (n,), ascending: for each mask the row of `DermXDB.evaluations` that it belongs to."""
    bits: np.ndarray
    """uint64 (n, words): the packed masks; bits beyond the box are 0."""
    pixels: int
    """Of the whole image."""


@dataclass(frozen=True, eq=False)
class DermXDB:
    """The data set as tables, with masks and maps on demand; `load` makes one.

    What is not there, an image, an evaluation, a characteristic or a choice, is a ValueError.

    Attributes
    ----------
    evaluations
        One row per annotation file: file, dataset (upstream batch), image, rater (1 to 8), round (1 or 2), diagnosis
        (first diagnosis tag in the order of the file, None if there is none), diagnoses (all of them), reference (gold
        standard of the image), correct (diagnosis equals reference), low_quality, other_disease, rejected (the first
        diagnosis is none of the six diseases), and one bool column per localised name and global tag.
    instances
        One row per outlined annotation: evaluation (row of `evaluations`), image, rater, round, characteristic,
        instance (rank in the file), paths, vertices, vertices_outside, x, y, width, height (bounding box of the
        vertices as drawn, in pixels), attributes (tuple, spelled as in the file).
    images
        One row per annotated image, indexed by name: width, height, reference, reference_source, source, skin_tone,
        age, patient, paper (one of the 554), benchmark (one of the 524), second_round, photograph (path or None).
    folds
        Cross-validation folds of the repository: image, fold, split.
    mask_index
        The repository's list of mask files: image_id, mask_id, class_name.
    problems
        file, reason of what was left out under ``on_error="skip"``.
    notices
        file, reason of what is odd but was kept.
    kind
        "real" or "simulated".
    digest
        SHA-256 over the content of all files, the same for a folder and its archive; and over which photographs there
        are.
    """

    evaluations: pd.DataFrame
    instances: pd.DataFrame
    images: pd.DataFrame
    folds: pd.DataFrame
    mask_index: pd.DataFrame
    problems: pd.DataFrame
    notices: pd.DataFrame
    kind: str
    digest: str
    vertices: np.ndarray = field(repr=False)
    """All vertices in a row, float64 (n, 2)."""
    path_ends: np.ndarray = field(repr=False)
    """End of each path in `vertices`."""
    instance_ends: np.ndarray = field(repr=False)
    """End of each instance in `path_ends`."""
    _cache: masks.Cache = field(default_factory=lambda: masks.Cache(MASK_CACHE_BYTES), repr=False)

    @cached_property
    def _rows(self) -> dict[tuple[str, int, int], int]:
        keys = zip(*(self.evaluations[name] for name in ("image", "rater", "round")), strict=True)
        return {key: row for row, key in enumerate(keys)}

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        sizes = zip(self.images["width"].tolist(), self.images["height"].tolist(), strict=True)
        return dict(zip(self.images.index, sizes, strict=True))

    @cached_property
    def _outlined(self) -> dict[tuple[int, str], np.ndarray]:
        """Rows of `instances` by evaluation and characteristic."""
        return self.instances.groupby(["evaluation", "characteristic"], sort=False).indices

    def select(
        self, images: str | Iterable[str] = "paper", round: int | None = 1, raters: Iterable[int] | None = None
    ) -> pd.DataFrame:
        """Return the rows of `evaluations` of some images, of `round` 1 or 2 (None: both) and some raters (None: all).

        Images are "paper" (the 554 of the DermX paper), "benchmark" (524), "second_round" (labelled twice), "all", or a
        list of names.
        """
        if isinstance(images, str):
            if images not in GROUPS:
                raise ValueError(f"images is {images!r}: expected one of {', '.join(GROUPS)}, or a list of names")
            images = self.images.index if images == "all" else self.images.index[self.images[images]]
        chosen = self.evaluations["image"].isin(list(images))
        if round is not None:
            chosen &= self.evaluations["round"] == round
        if raters is not None:
            chosen &= self.evaluations["rater"].isin(list(raters))
        return self.evaluations[chosen]

    def polygons(self, row: int) -> list[np.ndarray]:
        """Return the paths of row `row` of `instances`, each float64 (n, 2) of x and y in pixels, as drawn."""
        first = self.instance_ends[row - 1] if row else 0
        start = self.path_ends[first - 1] if first else 0
        ends = self.path_ends[first : self.instance_ends[row]]
        return np.split(self.vertices[start : ends[-1]], ends[:-1] - start)

    def packed_mask(self, evaluation: int, characteristic: str) -> masks.PackedMask:
        """Return what one row of `evaluations` outlined as `characteristic` (else KeyError); made once, then cached."""
        rows = self._outlined[evaluation, characteristic]
        width, height = self._sizes[self.evaluations.at[evaluation, "image"]]
        return self._cache.get(
            (evaluation, characteristic),
            lambda: masks.rasterise([self.polygons(row) for row in rows], width, height),
        )

    def mask(self, image: str, rater: int, characteristic: str, round: int = 1) -> np.ndarray:
        """Return one rater's mask, bool (height, width), all False where they did not mark the characteristic."""
        return self._counts(image, self._evaluation(image, rater, round), [_known(characteristic)]).astype(bool)

    def fuzzy_map(
        self, image: str, characteristic: str, size: int | tuple[int, int] | None = None, raters: str = "correct"
    ) -> np.ndarray:
        """Return the share of dermatologists who outlined `characteristic` at each pixel (first round).

        Of the "correct" `raters`, whose diagnosis equals the reference standard, as in the DermX paper, or of "all".
        float32 (height, width) in [0, 1], of a `size` as in `medxai.data.masks.area_average`; NaN where there is no
        such dermatologist.
        """
        if raters not in ("correct", "all"):
            raise ValueError(f'raters is {raters!r}: expected "correct" or "all"')
        rows = self._first_round(image)
        if raters == "correct":
            rows = [row for row in rows if self.evaluations["correct"].loc[row]]
        counts = self._counts(image, rows, [_known(characteristic)])
        share = counts / np.float32(len(rows)) if rows else np.full(counts.shape, np.nan)
        return masks.area_average(share, size)

    def rater_map(self, image: str, rater: int, size: int | tuple[int, int] | None = None) -> np.ndarray:
        """Return one rater's explanation map: the sum of their masks of all characteristics over its maximum.

        float32 (height, width) in [0, 1]; zeros where they marked nothing.
        """
        counts = self._counts(image, self._evaluation(image, rater, 1), LOCALISED)
        return masks.area_average(_over_maximum(counts), size)

    def explanation_map(
        self, image: str, size: int | tuple[int, int] | None = None, leave_out: int | None = None
    ) -> np.ndarray:
        """Return the raters' joint explanation map: the sum of all their masks over its maximum (first round).

        float32 (height, width) in [0, 1]; zeros where nobody marked anything. This is the reference of the
        explainability benchmark's table 4. The rater `leave_out` does not count, so that they can be compared with the
        others.
        """
        counts = self._counts(image, self._first_round(image, leave_out), LOCALISED)
        return masks.area_average(_over_maximum(counts), size)

    def rater_counts(self, image: str, round: int = 1) -> dict[int, np.ndarray]:
        """Return for each rater of a round how many of their masks cover each pixel, uint8 (height, width)."""
        there = [rater for rater in RATERS if (image, rater, round) in self._rows]
        return {rater: self._counts(image, [self._rows[image, rater, round]], LOCALISED) for rater in there}

    def masks(self, images: Iterable[str] | None = None, round: int | None = None) -> Iterator[MaskStack]:
        """Yield the masks of each image and characteristic that anybody outlined, at native resolution."""
        chosen = self.instances
        if images is not None:
            chosen = chosen[chosen["image"].isin(list(images))]
        if round is not None:
            chosen = chosen[chosen["round"] == round]
        for (image, characteristic), rows in chosen.groupby(["image", "characteristic"], sort=True)["evaluation"]:
            evaluations = rows.unique()
            width, height = self._size(image)
            packed = [self.packed_mask(row, characteristic) for row in evaluations]
            yield MaskStack(image, characteristic, evaluations, masks.stack(packed), width * height)

    def _size(self, image: str) -> tuple[int, int]:
        if image not in self._sizes:
            raise ValueError(f"there is no image {image!r} in this data set")
        return self._sizes[image]

    def _evaluation(self, image: str, rater: int, round: int) -> list[int]:
        """Row of the one evaluation, as a list."""
        if (image, rater, round) not in self._rows:
            raise ValueError(f"rater {rater} has no evaluation of image {image!r} in round {round}")
        return [self._rows[image, rater, round]]

    def _first_round(self, image: str, leave_out: int | None = None) -> list[int]:
        keys = [(image, rater, 1) for rater in RATERS if rater != leave_out]
        return [self._rows[key] for key in keys if key in self._rows]

    def _counts(self, image: str, rows: list[int], names: Iterable[str]) -> np.ndarray:
        """Count at each pixel the masks of `names` that the evaluations `rows` drew, uint8 (height, width)."""
        width, height = self._size(image)
        counts = np.zeros((height, width), dtype=np.uint8)
        for row in rows:
            for name in names:
                if (row, name) in self._outlined:
                    self.packed_mask(row, name).add_to(counts)
        return counts


def chosen(db: DermXDB, number: int | None) -> list[str]:
    """Return the images of the paper, or `number` of them spread evenly over the diseases, in a fixed order."""
    paper = db.images[db.images["paper"]].sort_index()
    if number is None:
        return list(paper.index)
    turn = paper.groupby("reference").cumcount()
    return list(paper.assign(turn=turn).sort_values(["turn", "reference"], kind="stable").index[:number])


def _known(characteristic: str) -> str:
    if characteristic not in LOCALISED:
        raise ValueError(f"characteristic is {characteristic!r}: expected one of {', '.join(LOCALISED)}")
    return characteristic


def _over_maximum(counts: np.ndarray) -> np.ndarray:
    return counts / np.float32(max(counts.max(), 1))


def load(root: Path | str, *, images: Path | str | None = None, on_error: str = "raise") -> DermXDB:
    """Read DermXDB, real or simulated, from a folder or an archive.

    Parameters
    ----------
    root
        The repository's folder (with annotations/ and metadata.csv), its archive (.tar.xz, .tar.gz, .zip), or a folder
        that holds the archive. An archive is read in memory and never unpacked.
    images
        Folder of the photographs, which the repository does not hold; by default ``root/images`` and
        ``root/photographs`` are searched. They are matched by file stem.
    on_error
        "raise" stops at the first broken file; "skip" leaves that evaluation out and says so in ``problems``.

    Returns
    -------
    DermXDB
        Both labelling rounds of all raters. Which images belong to the papers' 554 and 524, and the reference
        standard, are in ``images.csv`` of the folder if it has one, else in the one that this project carries.

    Raises
    ------
    DataError
        If a file is broken (under "raise"), or `root` does not hold DermXDB.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error is {on_error!r}: expected "raise" or "skip"')
    root = Path(root)
    contents = files.read(root, on_error)
    metadata = tables.metadata(contents)
    _check(contents, metadata, on_error)
    folders = [Path(images)] if images else [root / "images", root / "photographs"]
    image_table = tables.images(contents, metadata, tables.photographs(folders))
    instances, notices = tables.instances(contents.evaluations)
    outlines = [instance for evaluation in contents.evaluations for instance in evaluation.instances]
    return DermXDB(
        evaluations=tables.evaluations(contents.evaluations, image_table["reference"]),
        instances=instances,
        images=image_table,
        folds=tables.folds(contents),
        mask_index=tables.mask_index(contents),
        problems=pd.DataFrame(contents.problems, columns=["file", "reason"]),
        notices=pd.DataFrame(notices, columns=["file", "reason"]),
        kind="simulated" if "SIMULATED.json" in contents.tables else "real",
        digest=digest_with(contents.digest, image_table["photograph"].dropna()),
        vertices=np.concatenate([outline.vertices for outline in outlines] or [np.empty((0, 2))]),
        path_ends=np.cumsum([length for outline in outlines for length in outline.lengths], dtype=np.int64),
        instance_ends=np.cumsum([len(outline.lengths) for outline in outlines], dtype=np.int64),
    )


def _check(contents: files.Contents, metadata: pd.DataFrame, on_error: str) -> None:
    """Find what no single file shows: an image of two sizes, a row of metadata.csv without annotations."""
    wrong = tables.broken_sizes(contents)
    annotated = {evaluation.image for evaluation in contents.evaluations}
    found = [(evaluation.file, reason) for evaluation, reason in wrong]
    found += [
        ("metadata.csv", f"metadata.csv has a row for {image!r}, but no file in annotations/ is of that image")
        for image in metadata.index.difference(list(annotated))
    ]
    if found and on_error == "raise":
        raise DataError(found[0][1])
    contents.problems += found
    broken = {evaluation.file for evaluation, _ in wrong}
    contents.evaluations = [evaluation for evaluation in contents.evaluations if evaluation.file not in broken]
