"""Any network of torchvision or timm by name, with weights of one's own or of ImageNet."""

import difflib
import importlib
import pickle
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import get_model, get_model_weights

from medxai.errors import DataError
from medxai.models import weights as imagenet

LIBRARIES = ("torchvision", "timm")
EVERY_CLASS = 1000


def load_model(name: str, *, classes: int | None = None, weights: Path | str | None = None) -> nn.Module:
    """Return a network in evaluation mode that takes images (n, 3, h, w) and gives logits (n, classes).

    Parameters
    ----------
    name
        ``torchvision:NAME`` or ``timm:NAME``.
    classes
        Number of logits; ImageNet's 1,000 without one. Other numbers need ``weights``: a head that was never trained
        has nothing to explain.
    weights
        File with the network's ``state_dict()``, as `torch.save` writes it. Only tensors are read, no code. Without
        it, the library's own weights, downloaded once.

    Raises
    ------
    ValueError, DataError
        In one sentence, if there is no such network; if the weights are not to be had, or are another network's.
    """
    library, known = _known(name)
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        raise ValueError(f"classes is {classes!r}: a number of at least 1 is accepted")
    if weights is not None:
        network = _untrained(library, known, classes)
        _load(network, Path(weights), name)
        return network.eval()
    there = _pretrained_classes(library, known)
    if classes not in (None, there):
        raise ValueError(
            f"classes is {classes}, and the public weights of {name} are for {there}: "
            "give a file of weights that you trained"
        )
    return _pretrained(library, known, name).eval()


def normalisation(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of RGB in [0, 1] that a network wants: timm's note on it, else ImageNet's."""
    noted = getattr(model, "pretrained_cfg", None) or {}
    return tuple(noted.get("mean", imagenet.MEAN)), tuple(noted.get("std", imagenet.STANDARD_DEVIATION))


def _known(name: str) -> tuple[str, str]:
    """Split a name into library and network."""
    library, _, network = name.partition(":")
    if library not in LIBRARIES or not network:
        raise ValueError(f"model {name!r} is unknown: torchvision:NAME or timm:NAME is accepted")
    every = models.list_models(models) if library == "torchvision" else _timm().list_models()
    if network.partition(".")[0] not in every or (library == "torchvision" and network not in every):
        near = difflib.get_close_matches(network, every, 3) or every[:3]
        raise ValueError(f"{library} has no classifier {network!r}: names such as {', '.join(near)} are accepted")
    return library, network


def _timm() -> ModuleType:
    """Return timm, which takes seconds to import, once it is needed."""
    return importlib.import_module("timm")


def _untrained(library: str, name: str, classes: int | None) -> nn.Module:
    options = {} if classes is None else {"num_classes": classes}
    if library == "timm":
        return _timm().create_model(name, pretrained=False, **options)
    if name in ("googlenet", "inception_v3"):  # they are slow to draw weights that a file replaces at once
        options["init_weights"] = False
    return get_model(name, weights=None, **options)


def _load(network: nn.Module, path: Path, name: str) -> None:
    """Fill a network with the weights of a file, all of them and no others."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: a file of weights is accepted") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} is no file of weights alone: what torch.save(model.state_dict(), path) writes is accepted"
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        held = (
            f"a dictionary of {', '.join(list(map(str, state))[:3])}"
            if isinstance(state, dict)
            else type(state).__name__
        )
        raise DataError(f"{path} holds {held}: model.state_dict() alone is accepted")
    if difference := _difference(state, network.state_dict()):
        raise DataError(f"the weights in {path} are not those of this {name}: {difference}")
    network.load_state_dict(state, strict=True)


def _difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """Say in what the weights of a file differ first from those of a network; nothing if they fit."""
    for key in wanted:
        if key not in found:
            return f"{key} is missing in the file, whose first is {next(iter(found))}"
        if found[key].shape != wanted[key].shape:
            return f"{key} is {tuple(found[key].shape)} in the file and {tuple(wanted[key].shape)} in the network"
    extra = [key for key in found if key not in wanted]
    return f"{extra[0]} is not in the network" if extra else ""


def _pretrained_classes(library: str, name: str) -> int:
    if library == "torchvision":
        return EVERY_CLASS
    config = _timm().get_pretrained_cfg(name)
    return EVERY_CLASS if config is None or not config.num_classes else config.num_classes


def _pretrained(library: str, name: str, title: str) -> nn.Module:
    if library == "torchvision" and name in imagenet.FILES:
        return imagenet.imagenet(name, progress=True).network
    try:
        with imagenet.bounded(imagenet.SILENCE):
            if library == "timm":
                return _timm().create_model(name, pretrained=True)
            return get_model(name, weights=get_model_weights(name).DEFAULT)
    except Exception as error:  # each library and each of its helpers has its own way to say that it is offline
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"the public weights of {title} cannot be had ({reason}): connect to the network, or give a file of weights"
        ) from error
