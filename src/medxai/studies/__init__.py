"""The computations behind the chapters: one module each, made of trials that are stored and resumed."""

import importlib
from types import ModuleType

STUDIES = ("dataset", "images")


def study(name: str) -> ModuleType:
    """Return the module of a study; it has ``CHAPTER``, ``VERSION``, ``trials``, ``run_trial`` and ``collect``.

    Modules are imported by name, so that one chapter never depends on the study of another.

    Raises
    ------
    ValueError
        If there is no such study.
    """
    if name not in STUDIES:
        raise ValueError(f"unknown study {name!r}: use one of {', '.join(STUDIES)}")
    return importlib.import_module(f"medxai.studies.{name}")
