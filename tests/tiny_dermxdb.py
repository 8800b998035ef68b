"""Writes hand-made DermXDB folders: the smallest data on which a result can be told by heart."""

import json
from pathlib import Path

LIST_COLUMNS = "image,in_paper_554,in_benchmark_524,gold,gold_source,source_dataset,patient_id,second_round"


def square(left: float, top: float, right: float, bottom: float) -> list[dict[str, float]]:
    """Return one path around the pixels from (left, top) to (right, bottom), both included."""
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]


def outline(name: str, *paths: list[dict[str, float]], attributes: list[str] | None = None) -> dict:
    """Return an outlined annotation: one path as `polygon`, several as `complex_polygon`, as in the real files."""
    shape = {"polygon": {"path": paths[0]}} if len(paths) == 1 else {"complex_polygon": {"path": list(paths)}}
    box = {"x": 0, "y": 0, "w": 1, "h": 1}
    return {"name": name, "bounding_box": box, **shape, **({"attributes": attributes} if attributes else {})}


def tag(name: str) -> dict:
    """Return an annotation without an outline."""
    return {"name": name, "tag": {}}


def write(
    root: Path, evaluations: dict[str, list], *, references: dict[str, str], size: tuple[int, int] = (20, 10)
) -> Path:
    """Write a data set of `evaluations`, annotations by file stem, with the reference standard of each image."""
    (root / "annotations").mkdir(parents=True)
    for stem, annotations in evaluations.items():
        write_evaluation(root, stem, annotations, size)
    rows = [f"{image}.jpg;SD-260;{disease};{image}.jpeg;light;adult" for image, disease in references.items()]
    header = "original_filename;dataset;diagnosis;current_filename;skin_tone;age"
    (root / "metadata.csv").write_text("\r\n".join([header, *rows, ""]), newline="")
    parts = [stem.split("_", 1) for stem in evaluations]
    twice = {image for labeller, image in parts if len(labeller) == len("labeller12")}
    rows = [
        f"{image},1,0,{references.get(image, '')},metadata.csv,SD-260,{number},{int(image in twice)}"
        for number, image in enumerate(sorted({image for _, image in parts} | set(references)))
    ]
    (root / "images.csv").write_text("\n".join([LIST_COLUMNS, *rows, ""]))
    return root


def write_evaluation(root: Path, stem: str, annotations: list, size: tuple[int, int] = (20, 10)) -> Path:
    """Write one annotation file."""
    image = {"width": size[0], "height": size[1], "filename": f"{stem}.jpg"}
    path = root / "annotations" / f"{stem}.json"
    path.write_text(json.dumps({"dataset": "Tiny", "image": image, "annotations": annotations}))
    return path
