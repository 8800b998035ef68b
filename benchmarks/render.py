"""Time the painting of the 554 cases: images per second on one core, and all of them on every core.

Usage: ``python benchmarks/render.py`` with the real annotations under MEDXAI_DATA. Writes ``render.json`` beside this
file.
"""

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import cv2

from medxai import paths, provenance
from medxai.data import dermxdb
from medxai.painting import cache, photograph

SIZES = (260, 512)
TIMED = 40


def one_core(db: dermxdb.DermXDB, names: list[str], size: int) -> dict[str, float]:
    """Return the mean milliseconds of the consensus and of the painting of one image."""
    start = time.perf_counter()
    cases = [photograph.case(db, name, size) for name in names]
    between = time.perf_counter()
    for case in cases:
        photograph.paint(case)
    end = time.perf_counter()
    milliseconds = {"consensus": between - start, "paint": end - between, "both": end - start}
    return {key: round(1000 * value / len(names), 1) for key, value in milliseconds.items()}


def main() -> None:
    """Time, and report."""
    load = round(os.getloadavg()[0], 1)
    cv2.setNumThreads(1)
    db = dermxdb.load(paths.data_root() / "dermxdb")
    names = db.images.index[db.images["paper"]]
    chosen = names[:: len(names) // TIMED]
    milliseconds = {f"{size} px": one_core(db, chosen, size) for size in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        painted = cache.paint_all(db, SIZES[0], folder=Path(folder), progress=True)
        seconds = time.perf_counter() - start
        size_mib = sum(path.stat().st_size for path in painted.iterdir()) / 2**20
    report = {
        "data": db.kind,
        "milliseconds_per_image_one_core": milliseconds,
        "images_per_second_per_core": {key: round(1000 / value["both"], 1) for key, value in milliseconds.items()},
        f"seconds_for_{len(names)}_at_{SIZES[0]}_px_all_cores": round(seconds, 1),
        "cache_mib": round(size_mib),
        "processor": provenance.processor(),
        "cores": os.cpu_count(),
        "load_average_1_minute": load,
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("numpy", "opencv-python-headless")},
    }
    text = json.dumps(report, indent=2)
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
