"""DermXDB's records to tidy tables."""

import io
import re
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from medxai import paths
from medxai.data._dermxdb_files import Contents, Evaluation
from medxai.data.ontology import DISEASES, GLOBAL_TAGS, LOCALISED, LOW_QUALITY, OTHER_DISEASE
from medxai.errors import DataError

IMAGE_COLUMNS = {
    "gold": "reference",
    "gold_source": "reference_source",
    "source_dataset": "source",
    "patient_id": "patient",
    "in_paper_554": "paper",
    "in_benchmark_524": "benchmark",
}
FLAGS = ("in_paper_554", "in_benchmark_524", "second_round")
"""Columns of 0 and 1."""
TEXTS = (
    "image",
    "gold",
    "gold_source",
    "source_dataset",
    "current_filename",
    "original_filename",
    "diagnosis",
    "dataset",
)
"""Columns of text, be it of digits alone."""
FOLD = re.compile(r"_(\d{1,3})_([^_]+)$")


def metadata(contents: Contents) -> pd.DataFrame:
    """Read metadata.csv, indexed by image name (the stem of the current file name)."""
    columns = ["current_filename", "original_filename", "diagnosis", "dataset", "skin_tone", "age"]
    table = _read(contents.tables["metadata.csv"], "metadata.csv", columns, sep=";")
    return _by_image(table.assign(image=_stems(table["current_filename"])), "metadata.csv")


def images(contents: Contents, metadata: pd.DataFrame, photographs: dict[str, Path]) -> pd.DataFrame:
    """Join the image list, the metadata and the sizes: one row per annotated image."""
    listed = contents.tables["images.csv"] if "images.csv" in contents.tables else paths.IMAGE_LIST.read_bytes()
    listed = _read(listed, "images.csv", ["image", *IMAGE_COLUMNS, "second_round"])
    for name in FLAGS:
        if wrong := [cell for cell in listed[name] if cell not in ("0", "1")]:
            raise DataError(f"images.csv has {wrong[0]!r:.60} in its column {name}: expected 0 or 1")
    listed = _by_image(listed.assign(image=listed["image"].map(paths.same_name, na_action="ignore")), "images.csv")
    listed = listed[[*IMAGE_COLUMNS, "second_round"]].rename(columns=IMAGE_COLUMNS)
    sizes = {evaluation.image: (evaluation.width, evaluation.height) for evaluation in contents.evaluations}
    table = pd.DataFrame.from_dict(sizes, orient="index", columns=["width", "height"]).sort_index()
    table.index.name = "image"
    table = table.join(listed).join(metadata[["skin_tone", "age", "diagnosis", "dataset", "original_filename"]])
    # An image that the list does not know still has what metadata.csv says.
    unlisted = table["paper"].isna() & table["diagnosis"].notna()
    table.loc[unlisted, "reference"] = table["diagnosis"]
    table.loc[unlisted, "reference_source"] = "metadata.csv"
    table.loc[unlisted, "source"] = table["dataset"]
    for name in ("paper", "benchmark", "second_round"):
        table[name] = table[name].eq("1")
    table["reference"] = table["reference"].astype(object).where(table["reference"].notna(), None)
    originals = _stems(table.pop("original_filename").fillna(""))
    found = [photographs.get(now) or photographs.get(before) for now, before in originals.items()]
    table["photograph"] = pd.Series(found, index=table.index, dtype=object)
    return table.drop(columns=["diagnosis", "dataset"])


def photographs(folders: list[Path]) -> dict[str, Path]:
    """Return the photographs in `folders` by file stem."""
    kinds = (".jpg", ".jpeg", ".png")
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
    return {paths.same_name(path.stem): path for path in found if path.suffix.lower() in kinds}


def evaluations(records: list[Evaluation], reference: pd.Series) -> pd.DataFrame:
    """One row per annotation file."""
    columns = ("file", "dataset", "image", "rater", "round", "diagnoses")
    table = pd.DataFrame({name: [getattr(record, name) for record in records] for name in columns})
    first = [record.diagnoses[0] if record.diagnoses else None for record in records]
    table.insert(5, "diagnosis", pd.Series(first, dtype=object))
    table["reference"] = table["image"].map(reference.to_dict()).astype(object)
    table["correct"] = table["diagnosis"].notna() & (table["diagnosis"] == table["reference"])
    table["low_quality"] = [LOW_QUALITY in record.tags for record in records]
    table["other_disease"] = [OTHER_DISEASE in record.diagnoses for record in records]
    table["rejected"] = ~table["diagnosis"].isin(DISEASES)
    outlined = [{instance.name for instance in record.instances} for record in records]
    for name in LOCALISED:
        table[name] = np.array([name in names for names in outlined], dtype=bool)
    for name in GLOBAL_TAGS:
        table[name] = np.array([name in record.tags for record in records], dtype=bool)
    return table


def instances(records: list[Evaluation]) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """One row per outlined annotation; beside it (file, reason) of each that lies wholly outside its image."""
    rows, notices = [], []
    for number, record in enumerate(records):
        limit = np.array([record.width - 1, record.height - 1])
        for instance in record.instances:
            vertices = instance.vertices
            low, high = vertices.min(axis=0), vertices.max(axis=0)
            outside = int(((vertices < 0) | (vertices > limit)).any(axis=1).sum())
            start = (number, record.image, record.rater, record.round, instance.name, instance.rank)
            counts = (len(instance.lengths), len(vertices), outside)
            rows.append((*start, *counts, *low, *(high - low), instance.attributes))
            if (high < 0).any() or (low > limit).any():
                where = f"the outline of {instance.name!r} (number {instance.rank}) lies wholly outside the image"
                size = f"({record.width} x {record.height} pixels)"
                notices.append((record.file, f"{record.file}: {where} {size}; it was clipped to the nearest edge"))
    columns = ["evaluation", "image", "rater", "round", "characteristic", "instance", "paths", "vertices"]
    columns += ["vertices_outside", "x", "y", "width", "height", "attributes"]
    return pd.DataFrame(rows, columns=columns), notices


def folds(contents: Contents) -> pd.DataFrame:
    """Cross-validation folds: image, fold, split."""
    parts = [pd.DataFrame(columns=["image", "fold", "split"])]
    for name, content in sorted(contents.tables.items()):
        if name.startswith("folds/"):
            match = FOLD.search(PurePosixPath(name).stem)
            if match is None:
                raise DataError(f"{name} is no name of a fold: expected metadata_fold_0_train.csv and the like")
            table = _read(content, name, ["current_filename"])
            table = _by_image(table.assign(image=_stems(table["current_filename"])), name)
            parts.append(pd.DataFrame({"image": table.index, "fold": int(match[1]), "split": match[2]}))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def mask_index(contents: Contents) -> pd.DataFrame:
    """The repository's own list of its mask files."""
    name, columns = "instance_mask_annotations.csv", ["image_id", "mask_id", "class_name"]
    return _read(contents.tables.get(name, ",".join(columns).encode()), name, columns)


def broken_sizes(contents: Contents) -> list[tuple[Evaluation, str]]:
    """Evaluations whose image size differs from that of the image's first evaluation."""
    first: dict[str, Evaluation] = {}
    found = []
    for record in contents.evaluations:
        other = first.setdefault(record.image, record)
        if (record.width, record.height) != (other.width, other.height):
            sizes = f"{record.width} x {record.height} pixels, in {other.file} {other.width} x {other.height}"
            found.append((record, f"{record.file}: the image has {sizes}"))
    return found


def _read(content: bytes, name: str, columns: list[str], **options: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys((*TEXTS, *FLAGS), str), **options)
    except (ValueError, OverflowError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{name} cannot be read as a table ({said})") from error
    if missing := sorted(set(columns) - set(table.columns)):
        raise DataError(f"{name} has no column {', '.join(missing)}")
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for names of rows
        raise DataError(f"{name} has rows with more cells than columns: expected {len(table.columns)}")
    return table


def _stems(names: pd.Series) -> pd.Series:
    """Return the names of images in a column of file names; what is missing stays missing."""
    return names.map(lambda name: paths.same_name(PurePosixPath(name).stem), na_action="ignore")


def _by_image(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Use the column ``image`` as the index: every row has one, and no two the same."""
    if table["image"].isna().any() or table["image"].eq("").any():
        raise DataError(f"{name} has a row without the name of an image")
    if table["image"].duplicated().any():
        raise DataError(f"{name} has two rows for {table['image'][table['image'].duplicated()].iloc[0]!r:.60}")
    return table.set_index("image")
