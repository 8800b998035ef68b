"""Time the localisation table on packed bits against a plain loop over mask files, in one run.

Usage: ``python benchmarks/agreement.py`` with the real annotations under MEDXAI_DATA. The loop, which reads two PNG
files for every ordered pair of masks, is timed on some pairs and extrapolated to all. Writes ``agreement.json``
beside this file.
"""

import json
import os
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from medxai import paths, provenance
from medxai.data import dermxdb
from medxai.evaluation import agreement

TIMED_PAIRS = 60


def published_pairs(overlaps: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Return the unordered pairs of masks behind table A.10."""
    rows = agreement.used(evaluations, "correct_or_all").index
    chosen = overlaps["first"].isin(rows) & overlaps["second"].isin(rows) & (overlaps["first"] != overlaps["second"])
    return overlaps[chosen & overlaps["characteristic"].isin(dermxdb.CHARACTERISTICS)]


def write_masks(db: dermxdb.DermXDB, pairs: pd.DataFrame, folder: Path) -> None:
    """Write the masks of `pairs` as the public repository has them: 8-bit PNG of 0 and 255, whole image."""
    for pair in pairs.itertuples():
        for row in (pair.first, pair.second):
            of = db.evaluations.loc[row]
            mask = db.mask(of["image"], of["rater"], pair.characteristic)
            cv2.imwrite(str(folder / f"{row}_{pair.characteristic}.png"), mask.astype(np.uint8) * 255)


def plain_loop(pairs: pd.DataFrame, folder: Path) -> list[tuple[float, float, float]]:
    """IoU, sensitivity and specificity of each pair, as one would write it first."""
    scores = []
    for pair in pairs.itertuples():
        first, second = (
            cv2.imread(str(folder / f"{row}_{pair.characteristic}.png"), cv2.IMREAD_GRAYSCALE) > 0
            for row in (pair.first, pair.second)
        )
        both = (first & second).sum()
        specificity = (~first & ~second).sum() / max((~first).sum(), 1)
        scores.append((both / (first | second).sum(), both / first.sum(), specificity))
    return scores


def main() -> None:
    """Run both, compare what they give, and report."""
    start = time.perf_counter()
    db = dermxdb.load(paths.data_root() / "dermxdb")
    seconds_load = time.perf_counter() - start
    evaluations = db.select("paper")

    start = time.perf_counter()
    overlaps = agreement.overlaps(db, evaluations["image"].unique(), round=1)
    table = agreement.localisation(overlaps, evaluations)
    seconds_packed = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux

    pairs = published_pairs(overlaps, evaluations)
    timed = pairs.sample(TIMED_PAIRS, random_state=0)
    with tempfile.TemporaryDirectory() as name:
        write_masks(db, timed, Path(name))
        start = time.perf_counter()
        scores = plain_loop(timed, Path(name))
        seconds_per_pair = (time.perf_counter() - start) / TIMED_PAIRS
    union = timed["first_area"] + timed["second_area"] - timed["intersection"]
    np.testing.assert_allclose([score[0] for score in scores], timed["intersection"] / union)

    ordered = int(table["pairs"].sum())
    report = {
        "data": db.kind,
        "ordered_pairs": ordered,
        "unordered_pairs": len(pairs),
        "load_seconds": round(seconds_load, 2),
        "packed_bits_seconds": round(seconds_packed, 2),
        "plain_loop_pairs_timed": TIMED_PAIRS,
        "plain_loop_ms_per_pair": round(1000 * seconds_per_pair, 2),
        "plain_loop_seconds_extrapolated": round(seconds_per_pair * ordered, 1),
        "ratio": round(seconds_per_pair * ordered / seconds_packed),
        "peak_memory_mib_load_and_packed_bits": round(peak),
        "processor": provenance.processor(),
        "cores": os.cpu_count(),
        "load_average_1_minute": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("numpy", "opencv-python-headless", "pandas")},
    }
    text = json.dumps(report, indent=2)
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
