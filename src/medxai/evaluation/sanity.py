"""Do maps depend on what the network has learnt? Its weights, or its labels, are made random.

A method whose maps stay the same cannot explain the network (Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018).
Maps that change pass this check and no other. How much they change is told by the rank correlation of their absolute
values, ``absolute_rank_correlation`` of `similarity_after`: with signs, a map and its negative would count as the most
unlike, though both mark the same pixels, and the mean over images would hide maps of which half flip.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from itertools import count

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.errors import positive
from medxai.evaluation._checks import finite_maps
from medxai.evaluation.similarity import rank_correlation, structural_similarity

STILL_ALIKE = 0.5
"""Absolute rank correlation with the map of a random network from which on a map hardly depends on what was learnt: a
limit of our choice."""


def cascade(model: nn.Module, images: Tensor, *, stages: int = 5, seed: int = 0) -> Iterator[tuple[float, nn.Module]]:
    """Give copies of a model with more and more of it drawn anew, from the output towards the input.

    The first stage draws the last module with parameters anew, the head; the others share the rest equally, in the
    order of a forward pass (a module that is called several times counts where it is last called; one that is never
    called, with the module that holds it). What is random stays as it is in all later stages.

    A module is drawn anew by its own ``reset_parameters``; one without that, by a normal distribution with the mean and
    the standard deviation of each of its parameters, which leaves a constant parameter as it is. A batch normalisation
    that was drawn anew takes its statistics from the images, at every stage. With those of an untrained layer, zero
    and one, activations would shrink from layer to layer until a score depends on the image by less than rounding; a
    method that looks at scores alone, such as occlusion, would then show rounding, and seem to pass.

    Parameters
    ----------
    model
        Left as it is: values, modes and hooks.
    images
        (n, c, h, w) that the model takes, to see the order of its modules and for statistics: some training images.
    stages
        From 2 to the number of modules with parameters.
    seed
        Of the new values; a module's do not depend on ``stages``. torch's global generator is left as it was, and the
        values are the same on every device.

    Returns
    -------
    Iterator
        ``stages`` times: the share of the modules with parameters or running statistics that are random, in (0, 1],
        and a copy of its own, on the device and in the mode of the model.

    Raises
    ------
    ValueError
        If ``stages`` is out of range, or a batch normalisation sees a single value a channel.

    Notes
    -----
    Adebayo et al. 2018, section 3.1, cascading randomisation.
    """
    order = _from_output(model, images)
    if not 2 <= positive("stages", stages) <= len(order):
        raise ValueError(f"stages is {stages}: expected from 2 to {len(order)}, the modules with parameters")
    groups = [order[:1], *np.array_split(order[1:], stages - 1)]
    return _cascaded(deepcopy(model).cpu(), images.cpu(), groups, seed, next(model.parameters()).device)


def label_permutation(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a copy of labels (n,) in a random order, to train a network that can only learn them by heart.

    By chance some images keep their label, the more the fewer classes there are. Permute the labels of the training
    images only (Adebayo et al. 2018, section 3.2). Labels that are not (n,) are a ValueError.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels have the shape {labels.shape}: expected (n,)")
    return np.random.default_rng(seed).permutation(labels)


def similarity_after(maps: np.ndarray, others: np.ndarray) -> pd.DataFrame:
    """Compare the maps of a trained network with those of a random one; lower is better in all columns.

    Parameters
    ----------
    maps, others
        Finite (n, h, w), of the same images in the same order, 7 x 7 or larger.

    Returns
    -------
    pandas.DataFrame
        One row for each image. ``rank_correlation``: Spearman's, in [-1, 1], lost where the sign flips;
        ``absolute_rank_correlation``: that of the absolute values, in [-1, 1], which a flipped sign leaves at 1, and
        which the metrics `parameter_randomisation` and `label_randomisation` are; ``structural_similarity``: of
        `medxai.evaluation.similarity`, in [-1, 1]. NaN where one of the two maps, or its absolute values, are constant.
        Unrelated maps have correlations of 0 on average, but another structural similarity: compare it with that of
        random maps.

    Raises
    ------
    ValueError
        If the shapes differ or are not (n, h, w), maps are too small, or a value is NaN or infinite.
    """
    maps, others = (finite_maps(values, "maps", "(n, h, w)", 3) for values in (maps, others))
    if maps.shape != others.shape:
        raise ValueError(f"maps are {maps.shape} and {others.shape}: expected the same shape")
    rows = [
        {
            "rank_correlation": rank_correlation(one, other),
            "absolute_rank_correlation": rank_correlation(np.abs(one), np.abs(other)),
            "structural_similarity": structural_similarity(one, other),
        }
        for one, other in zip(maps, others, strict=True)
    ]
    return pd.DataFrame(rows)


def _from_output(model: nn.Module, images: Tensor) -> list[str]:
    """Names of the modules with parameters or running statistics of their own, the last to be called first."""
    copy, clock, calls = deepcopy(model).eval(), count(), {}

    def note(name: str, *_: object) -> None:
        calls[name] = next(clock)

    for name, module in copy.named_modules():
        module.register_forward_pre_hook(partial(note, name))
    with torch.no_grad():
        copy(images.clone())

    def last_call(name: str) -> int:
        while name not in calls:
            name = name.rpartition(".")[0]
        return calls[name]

    return sorted((name for name, module in copy.named_modules() if _learns(module)), key=last_call)[::-1]


def _learns(module: nn.Module) -> bool:
    has_parameters = next(module.parameters(recurse=False), None) is not None
    return has_parameters or getattr(module, "running_mean", None) is not None


def _cascaded(
    model: nn.Module, images: Tensor, groups: list[list[str]], seed: int, device: torch.device
) -> Iterator[tuple[float, nn.Module]]:
    """Draw one group after the other anew, in the model itself, and give a copy after each."""
    modules, numbers, total = dict(model.named_modules()), count(), sum(map(len, groups))
    done, drawn_norms = 0, []
    for group in groups:
        with torch.random.fork_rng(devices=[]):
            for name in group:
                drawn = np.random.SeedSequence([seed, next(numbers)]).generate_state(1)
                torch.default_generator.manual_seed(int(drawn[0]))
                _draw_anew(modules[name])
        drawn_norms += [one for one in map(modules.get, group) if getattr(one, "running_mean", None) is not None]
        _estimate(model, images, drawn_norms)
        done += len(group)
        yield done / total, deepcopy(model).to(device)


def _draw_anew(module: nn.Module) -> None:
    if callable(getattr(module, "reset_parameters", None)):
        module.reset_parameters()
        return
    for parameter in module.parameters(recurse=False):
        with torch.no_grad():
            parameter.normal_(parameter.mean().item(), parameter.std(correction=0).item())


def _estimate(model: nn.Module, images: Tensor, norms: list[nn.Module]) -> None:
    """Take the running statistics of some batch normalisations from images; modes and momentum stay as they are."""
    if not norms:
        return
    modes, momenta = {one: one.training for one in model.modules()}, [one.momentum for one in norms]
    model.eval()
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # the plain mean over batches
        one.train()
    try:
        with torch.no_grad():
            model(images.clone())
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "the statistics of batch normalisation are not defined for one value a channel; more images give more"
        ) from error
    for one, momentum in zip(norms, momenta, strict=True):
        one.momentum = momentum
    for one, mode in modes.items():
        one.training = mode
