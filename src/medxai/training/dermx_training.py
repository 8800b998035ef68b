"""Training DermX, DermX+, Dx and DxW, so that a killed training goes on and ends as if it had not been.

By Jalaboi et al. 2023, Medical Image Analysis 83:102647, section 2.4: AdamW from a rate of 0.0005, cosine annealing
with warm restarts, steps of 32 images. Periods of 3, 6, 12, 24 and 48 epochs add up to the paper's 93 (erratum D22).
"""

import hashlib
import io
import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai import files
from medxai.errors import DataError
from medxai.models.dermx import DermX, DermXOutput
from medxai.training import dermx_examples as drawing
from medxai.training.dermx_examples import Examples
from medxai.training.fit import BATCH
from medxai.training.guidance import GUIDANCE, class_weights

RATE = 5e-4
COLUMNS = ["epoch", "split", "metric", "value"]
CHECKPOINT, LOG = "checkpoint.pt", "history.csv"


def train_dermx(
    model: DermX,
    data: Examples,
    held_out: Examples,
    *,
    frozen: bool,
    epochs: int,
    seed: int,
    folder: Path,
    guidance: str | None = None,
    weight: float = 10.0,
    weighted_classes: bool = False,
    rate: float = RATE,
    batch: int = BATCH,
    judge: Callable[[DermXOutput, Examples], dict[str, float]] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train a network, or go on where a training of the same kind was stopped; return its history.

    Parameters
    ----------
    model
        DermX, or without characteristics Dx; trained in place, and left in evaluation mode. What it holds at the start
        is a part of what a checkpoint is of: seed torch before `medxai.models.dermx.make`.
    data, held_out
        What to learn from, and what only to watch: nothing is chosen by it.
    frozen
        Whether blocks up to stride 16 stay as they are; they then run once, and pictures are only flipped
        (`medxai.training.dermx_examples`). Otherwise the whole network is trained on pictures, augmented.
    epochs
        Passes over the data in all. Rates restart after 3, 9, 21, 45, 93: weights in between are of a high rate.
    seed
        Of the order, the augmentation and dropout. The same seed gives the same numbers, on a CPU bit for bit.
    folder
        Of ``checkpoint.pt``, written after each epoch, and ``history.csv``. One process at a time trains there.
    guidance, weight
        A key of `medxai.training.guidance.GUIDANCE` for DermX+, and the weight of its loss; ``None`` for DermX.
    weighted_classes
        Whether each disease counts the same in the loss, as in DxW.
    rate, batch
        The highest rate, and at most so many images in a step.
    judge
        Scores of the held-out images, by name, from what the network says of them after an epoch.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        Columns epoch (from 1), split ("training", the mean over its steps, or "held out"), metric and value: "diagnosis
        loss", "characteristic loss", "attention loss" (Dice where nothing guides), their weighted "total", "silent
        maps", the share of maps of attention that are zero, and what the judge says.

    Raises
    ------
    ValueError, UnsupportedModel
        In one sentence, if examples do not fit each other or the network, or one of its diseases or characteristics is
        missing in ``data``.
    DataError
        If the checkpoint in the folder is damaged or of another training.
    FloatingPointError
        If a loss is not finite; it says which, and when.
    """
    if epochs < 1 or batch < 2 or (guidance is not None and guidance not in GUIDANCE):
        choices = f"epochs {epochs}, batch {batch}, guidance {guidance!r}"
        raise ValueError(f"got {choices}: expected at least 1, at least 2, None or one of {', '.join(GUIDANCE)}")
    if len(model.characteristics) == 0 and guidance is not None:
        raise ValueError(f"guidance is {guidance!r} for a network without characteristics: expected None")
    for examples, where in ((data, "to train on"), (held_out, "held out")):
        drawing.check(examples, model, where)
        if isinstance(examples.pictures, Tensor) and not frozen:
            raise ValueError(f"pictures {where} are early maps: expected pictures, to train the whole network")
    drawing.check_taught(data, model)
    options = {"frozen": frozen, "seed": seed, "guidance": guidance, "weight": weight if guidance else None}
    options |= {"weighted_classes": weighted_classes, "rate": rate, "batch": batch}
    digest = _digest(model, data, held_out, options)
    path = Path(folder) / CHECKPOINT
    with files.alone(path):
        for left in path.parent.glob(".*.part"):  # of a process that was killed as it wrote
            left.unlink()
        kept = _read(path, digest, epochs)
        if kept:
            model.load_state_dict(kept["weights"])
        if kept is None or kept["epoch"] < epochs:
            settings = {name: value for name, value in options.items() if name not in ("frozen", "weighted_classes")}
            settings["class_weights"] = class_weights(data.labels, len(model.diseases)) if weighted_classes else None
            kept = _go_on(model, data, held_out, path, digest, kept, epochs, frozen, progress, judge=judge, **settings)
    model.eval()
    return _history(kept["records"])


def _go_on(
    model: DermX,
    data: Examples,
    held_out: Examples,
    path: Path,
    digest: str,
    kept: dict | None,
    epochs: int,
    frozen: bool,
    progress: bool,
    **settings: object,
) -> dict:
    """Train from what was kept until the last epoch; return what is kept then."""
    import pytorch_lightning as pl  # seconds, and only for those who train

    from medxai.training.dermx_module import DermXModule

    last: dict = {}

    def keep(state: dict) -> None:
        content = io.BytesIO()
        torch.save(state | {"digest": digest}, content)
        files.write(path.with_name(LOG), _history(state["records"]).to_csv(index=False))
        files.write(path, content.getvalue())
        last.update(state)

    model.to(memory_format=torch.channels_last).train()
    late = drawing.parts(model)[1] if frozen else None
    if late is not None:
        data, held_out = drawing.with_early_maps(data, model), drawing.with_early_maps(held_out, model)
    drawing.check_sizes(data, model, late)
    drawing.check_sizes(held_out, model, late)
    module = DermXModule(model, data, held_out, late=late, kept=kept, keep=keep, **settings)
    with torch.random.fork_rng(), _quiet():
        trainer = pl.Trainer(
            max_epochs=epochs - module.done,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
            inference_mode=False,  # attention is a gradient, also of held-out images
            default_root_dir=path.parent,
        )
        trainer.fit(module, range(module.batches), range(module.chunks))
    return last


def predict(model: DermX, examples: Examples, *, frozen: bool) -> DermXOutput:
    """Return what a network says of pictures or of their early maps, in evaluation mode and without graph."""
    late, mode = drawing.parts(model)[1] if frozen else None, model.training
    examples = drawing.with_early_maps(examples, model) if frozen else examples
    model.eval()
    with torch.no_grad():
        found = [
            drawing.run(model, late, drawing.unflipped(examples.rows(rows), model))
            for rows in np.array_split(np.arange(len(examples)), -(-len(examples) // drawing.CHUNK))
        ]
    model.train(mode)
    return drawing.joined(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from Lightning what it says of devices and of its makers' other products."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _history(records: list[list]) -> pd.DataFrame:
    return pd.DataFrame(records, columns=COLUMNS)


def _read(path: Path, digest: str, epochs: int) -> dict | None:
    """Return what a checkpoint keeps; ``None`` if there is none."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as parts:
            if broken := parts.testzip():  # torch does not look at check sums
                raise zipfile.BadZipFile(f"{broken} is not as it was written")
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: expected a checkpoint; move it away to train from the start") from error
    if not isinstance(kept, dict) or kept.get("digest") != digest:
        raise DataError(
            f"{path} is of another training: expected the same network with the weights that it had at the start, "
            "examples and settings; choose another folder"
        )
    if kept["epoch"] > epochs:
        raise DataError(f"{path} is of {kept['epoch']} epochs: expected at most {epochs}; choose another folder")
    return kept


def _digest(model: DermX, data: Examples, held_out: Examples, options: dict[str, object]) -> str:
    """Return 64 hexadecimal digits for all that the numbers of an epoch depend on."""
    total = hashlib.sha256(repr(sorted(options.items())).encode())
    values: list[Tensor | np.ndarray] = list(model.state_dict().values())
    for examples in (data, held_out):
        total.update(examples.made_of.encode())
        parts = {name: value for name, value in vars(examples).items() if name != "made_of"}
        if examples.made_of:
            del parts["pictures"]
        values += parts.values()
    for value in values:
        array = np.ascontiguousarray(value.cpu().numpy() if isinstance(value, Tensor) else value)
        total.update(f"{array.shape} {array.dtype}".encode())
        total.update(array)
    return total.hexdigest()
