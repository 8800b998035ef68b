"""Time ImageQX in onnxruntime, of 32 and of 8 bits, against torch on one thread; size, and how far answers differ.

Usage: ``python benchmarks/onnx_quality.py [rounds]``. Writes ``onnx_quality.json`` beside this file. All take turns in
one process, with one thread each; a ratio is of medians over the rounds. Nothing is gated on these numbers. The network
is that of the profile ``quick``, the pictures are its test photographs: eight bits were calibrated on others.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from timing import asked_rounds, medians, ratios, report

from medxai import profiles
from medxai.experiment import quality_network, quality_photos
from medxai.experiment.quality_scores import Answers
from medxai.models import image_quality, onnx_export

QUICK = profiles.get("quick")
CALIBRATED_ON = 64
"""Photographs."""


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a network to be run on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def apart(found: Answers, truth: Answers) -> dict[str, float]:
    """Say how far answers are from those of torch."""
    agree = float((found.said == truth.said).mean())
    furthest = {
        "quality": np.abs(found.classes - truth.classes).max(),
        "reasons": np.abs(found.reasons - truth.reasons).max(),
        "maps, of their maximum": np.abs(found.maps - truth.maps).max() / truth.maps.max(),
    }
    return {"same class": round(agree, 3)} | {name: float(f"{value:.2g}") for name, value in furthest.items()}


def measured(rounds: int) -> dict[str, object]:
    """Return megabytes, milliseconds a photograph, ratios and differences."""
    photos = quality_photos.photos(QUICK)
    parts = {name: photos.pictures[rows] for name, rows in quality_photos.split(photos.groups).items()}
    tested, model = parts["test"], quality_network.trained(QUICK).model
    network, one = image_quality.Explained(model).eval(), tested[:1]
    with tempfile.TemporaryDirectory() as folder:
        made = {"onnxruntime": None, "onnxruntime, 8 bits": parts["training"][:CALIBRATED_ON]}
        paths = {
            name: onnx_export.export(model, Path(folder) / f"{number}.onnx", side=photos.side, calibration=pictures)
            for number, (name, pictures) in enumerate(made.items())
        }
        megabytes = {name: round(path.stat().st_size / 1e6, 2) for name, path in paths.items()}
        sessions = {name: session(path) for name, path in paths.items()}

    def by_torch(pictures: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [values.numpy() for values in network(torch.from_numpy(pictures))]

    def run(name: str, pictures: np.ndarray) -> list[np.ndarray]:
        return sessions[name].run(["quality", "reasons", "maps"], {onnx_export.INPUT: pictures})

    runs = {"torch": lambda: by_torch(one)} | {name: lambda name=name: run(name, one) for name in sessions}
    seconds, truth = medians(runs, rounds), Answers(*by_torch(tested))
    return {
        "side": photos.side,
        "photographs": len(tested),
        "megabytes": megabytes,
        "milliseconds_per_photograph": {name: round(1000 * value, 2) for name, value in seconds.items()},
        "ratio_to_torch": ratios(seconds, "torch"),
        "furthest_from_torch": {name: apart(Answers(*run(name, tested)), truth) for name in sessions},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    rounds = asked_rounds(30)
    report(__file__, lambda: measured(rounds), ("torch", "onnx", "onnxruntime"))
