"""Networks trained on ImageNet: weights beside the data sets where they are there, else torchvision's."""

import contextlib
import hashlib
import io
import pickle
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from medxai import paths
from medxai.errors import DataError

FILES = {
    "mobilenet_v2": "mobilenet_v2_int8deq_torchvision.pth",
    "squeezenet1_0": "squeezenet1_0_deepcompression_torchvision.pth",
}
"""Names of our own files, below ``weights`` of the folder of the data sets."""

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
"""Input: RGB in [0, 1], minus the first, divided by the second; for the files beside the data sets too."""


SILENCE = 30.0
"""Seconds without an answer or a byte after which a download is given up."""


class Pretrained(NamedTuple):
    """A network in evaluation mode, and where its weights come from (results differ between the two)."""

    network: nn.Module
    origin: str
    kind = "real"

    @property
    def digest(self) -> str:
        """SHA-256 of all weights, in hexadecimal digits."""
        total = hashlib.sha256()
        for value in self.network.state_dict().values():
            total.update(value.numpy().tobytes())
        return total.hexdigest()


def normalised(
    images: np.ndarray, mean: Sequence[float] = MEAN, deviation: Sequence[float] = STANDARD_DEVIATION
) -> torch.Tensor:
    """Turn uint8 (n, h, w, 3) RGB into what the networks take: float32 (n, 3, h, w), channels last in memory."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def pixel_range(
    mean: Sequence[float] = MEAN, deviation: Sequence[float] = STANDARD_DEVIATION
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return black and white as the networks see them, each float32 (3, 1, 1)."""
    middle, spread = (torch.tensor(values)[:, None, None] for values in (mean, deviation))
    return -middle / spread, (1 - middle) / spread


def untrained(name: str) -> nn.Module:
    """Return the network `name` of `FILES` with random weights, in training mode."""
    return get_model(name, weights=None)


def imagenet(name: str, *, progress: bool = False) -> Pretrained:
    """Return a network trained on ImageNet, with its 1,000 outputs.

    Parameters
    ----------
    name
        ``mobilenet_v2`` or ``squeezenet1_0``.
    progress
        Show a bar if torchvision downloads.

    Returns
    -------
    Pretrained
        Takes images that are `normalised`.

    Raises
    ------
    ValueError, DataError
        If there is no such network; if its weights are damaged, of another network or not to be had.
    """
    if name not in FILES:
        raise ValueError(f"unknown network {name!r}: use one of {', '.join(FILES)}")
    path = paths.data_root() / "weights" / FILES[name]
    public = get_model_weights(name)["IMAGENET1K_V1"]
    try:
        if path.is_file():
            origin, state = path.name, torch.load(path, map_location="cpu", weights_only=True)
        else:
            origin = f"torchvision {public}"
            quiet = contextlib.nullcontext() if progress else contextlib.redirect_stdout(io.StringIO())
            with bounded(SILENCE), quiet:
                state = public.get_state_dict(progress=progress, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the ImageNet weights of {name} cannot be had ({reason}): put a sound copy at {path}"
        ) from error
    network = untrained(name)
    try:
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"the weights in {origin} are not those of torchvision's {name}: replace {path}") from error
    return Pretrained(network.eval(), origin)


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Bound the wait of new connections, which torchvision does not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
