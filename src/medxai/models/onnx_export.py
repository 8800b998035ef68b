"""ImageQX as an ONNX file that explains itself: quality, reasons and their maps, for a runtime without torch.

What the file takes and gives is what `medxai.models.image_quality.Explained` does: ``pictures``, uint8 (n, side, side,
3) in RGB, any n; ``quality``, ``reasons`` and ``maps``. Its metadata hold the names of classes and reasons (separated
by ``; ``) and the side.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from medxai import files
from medxai.data.photo_quality import CLASSES
from medxai.models.dermx import DermX
from medxai.models.image_quality import Explained, ExplainedQuality

if TYPE_CHECKING:
    import onnx

INPUT = "pictures"
CALIBRATED_ON = 32
"""Pictures at a time, from which the ranges of a network of eight bits are taken."""


def export(model: DermX, path: Path, *, side: int, calibration: np.ndarray | None = None) -> Path:
    """Write an ImageQX to a file; one that is there is replaced once the new one is whole.

    Parameters
    ----------
    model
        As `Explained` takes it.
    path
        Ends with ``.onnx``.
    side
        Of the pictures, in pixels.
    calibration
        Pictures, uint8 (n, side, side, 3), as the network will see: the file then has weights and activations of eight
        bits, in ranges that these pictures take, and is about a quarter as large.

    Raises
    ------
    ValueError
        If the path ends otherwise, the network is no ImageQX with reasons, or pictures have another shape.
    """
    if path.suffix != ".onnx":
        raise ValueError(f"the network would be written to {path.name}: expected a name that ends with .onnx")
    if calibration is not None and (calibration.dtype != np.uint8 or calibration.shape[1:] != (side, side, 3)):
        found = f"{calibration.dtype} {calibration.shape}"
        raise ValueError(f"pictures to calibrate on are {found}: expected uint8 (n, {side}, {side}, 3)")
    graph = _graph(Explained(model), side)
    told = {"classes": "; ".join(CLASSES), "reasons": "; ".join(model.characteristics), "side": str(side)}
    if calibration is not None:
        graph = _quantised(graph, calibration)
    for name, value in told.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = name, value
    files.write(path, graph.SerializeToString())
    return path


def _graph(network: Explained, side: int) -> "onnx.ModelProto":
    """Return the network as an ONNX graph that takes any number of pictures."""
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(ExplainedQuality._fields),
            dynamic_shapes={INPUT: {0: torch.export.Dim("n", min=1)}},
            verbose=False,
        )
    return program.model_proto


def _quantised(graph: "onnx.ModelProto", pictures: np.ndarray) -> "onnx.ModelProto":
    """Return the graph with convolutions of eight bits; what follows pooling is small, and stays as it is."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.parts = iter(np.array_split(pictures, -(-len(pictures) // CALIBRATED_ON)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            part = next(self.parts, None)
            return None if part is None else {INPUT: part}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        whole, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "prepared", "small"))
        onnx.save(graph, whole)
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared), str(small), Reader(), per_channel=True, op_types_to_quantize=["Conv"]
        )
        return onnx.load(small)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to oneself what exporters print and log on their way."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
