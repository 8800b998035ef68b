"""The maps of a gaze-supervised network, and the targets that stand in for the gaze in controls."""

from collections.abc import Callable

import numpy as np
import torch

from medxai.attribution import explain
from medxai.models.gaze_unet import GazeUNet
from medxai.training.control_maps import centred_gaussian, of_another_image
from medxai.training.gaze_losses import GENERATORS, Choices, derived_map
from medxai.training.gaze_training import CHUNK


def maps_of(
    network: GazeUNet, pictures: np.ndarray, target: np.ndarray, choices: Choices | None = None
) -> dict[str, np.ndarray]:
    """Return what a trained network says about where, by name, each float32 (n, side, side).

    Parameters
    ----------
    network
        Run in evaluation mode.
    pictures, target
        uint8 (n, side, side, 3), and int (n,), the classes to explain.
    choices
        How derived maps become maps in [0, 1], as in training.

    Returns
    -------
    dict
        "decoder", its probabilities, unless there is none; "guided_backpropagation" and "deconvnet", derived as in
        training; "grad_cam" of the last maps of the encoder, at least 0 and not scaled.
    """
    network.eval()
    found: dict[str, list[np.ndarray]] = {}
    images, targets = network.normalisation.apply(pictures), torch.from_numpy(target).long()
    for some, wanted in zip(images.split(CHUNK), targets.split(CHUNK), strict=True):
        maps = {name: derived_map(network.classifier, some, wanted, name, choices or Choices()) for name in GENERATORS}
        maps["grad_cam"] = explain(network.classifier, some, wanted, "grad_cam")
        if network.decoder is not None:
            with torch.no_grad():
                maps = {"decoder": network(some).gaze_logits.sigmoid()} | maps
        for name, values in maps.items():
            found.setdefault(name, []).append(values.detach().float().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def edges(pictures: np.ndarray) -> np.ndarray:
    """Return Sobel's edges of pictures, divided by the strongest of each, float32 (n, side, side)."""
    grey = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    found = explain(torch.nn.Identity(), grey, 0, "sobel_edges")
    return (found / found.amax((1, 2), keepdim=True).clamp_min(1e-6)).numpy()


def _of_another_image(pictures: np.ndarray, gaze: np.ndarray, seed: int) -> np.ndarray:
    return of_another_image(gaze[:, None], np.ones((len(gaze), 1), bool), seed=seed)[:, 0]


def _centre(pictures: np.ndarray, gaze: np.ndarray, seed: int) -> np.ndarray:
    return centred_gaussian(gaze[:, None], np.ones((len(gaze), 1), bool))[:, 0]


TARGETS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "gaze": lambda pictures, gaze, seed: gaze,
    "edges": lambda pictures, gaze, seed: edges(pictures),
    "gaze of another image": _of_another_image,
    "centre": _centre,
}
"""What a network is guided by: the gaze, or what knows nothing of it. Each takes pictures uint8 (n, side, side, 3),
gaze float32 (n, side, side) and a seed, and returns float32 (n, side, side) in [0, 1]. Training images only."""
