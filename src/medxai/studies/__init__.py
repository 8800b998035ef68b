"""The computations behind the chapters: one module each, which defines a `STUDY` (see `medxai.studies.store.Study`)."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medxai.studies.store import Study

STUDIES = (
    "dataset",
    "images",
    "attribution",
    "families",
    "libraries",
    "comparison",
    "dermx",
    "benchmark",
    "image_quality",
    "robustness",
    "heatmap_training",
    "gaze_audit",
    "failure_detection",
)


def study(name: str) -> "Study":
    """Return the study of this name.

    Modules are imported by name, so that one chapter never depends on the study of another.

    Raises
    ------
    ValueError
        If there is no such study.
    """
    if name not in STUDIES:
        raise ValueError(f"unknown study {name!r}: use one of {', '.join(STUDIES)}")
    return importlib.import_module(f"medxai.studies.{name}").STUDY
