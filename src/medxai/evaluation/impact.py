"""Does a decision rest on what a map shows? Impact score and impact coverage, of regions that a map calls critical.

Lin, Shafiee, Bochkarev, St. Jules, Wang, Wong 2019, "Do Explanations Reflect Decisions? A Machine-centric Strategy to
Quantify the Performance of Explainability Algorithms", arXiv:1910.07387. The impact score is the share of images whose
critical region changes the decision, or takes much of its confidence, when it is covered. The impact coverage is the
overlap of the critical region with a patch that was made to change the decision: there, the cause is known. The
paper's method GSInquire gives regions; for maps we take the pixels of the highest values, as many for each map.

The decision is the most probable class, its confidence the softmax probability. Images are finite float tensors
(n, c, h, w), normalised for a model in evaluation mode that returns logits.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from medxai.errors import positive
from medxai.evaluation import localisation
from medxai.evaluation.faithfulness import covered

LEFT = 0.5
"""A confidence of at most this share of what it was has strongly fallen."""
HALF = 0.5  # between out, 0, and in, 1
STRIDE = 0.2
"""Of an attack's step, as a share of the way from black to white."""


class Impact(NamedTuple):
    """What covering each of m regions of an image does, bool (m,)."""

    changed: np.ndarray
    """Whether the decision is another."""
    strong: np.ndarray
    """Whether it is, or its confidence has strongly fallen. The mean over images is the impact score."""


def impact(
    model: nn.Module, image: Tensor, regions: np.ndarray, *, fill: float | Tensor = 0.0, left: float = LEFT
) -> Impact:
    """Cover each critical region of an image (c, h, w) and look at the decision.

    Parameters
    ----------
    regions
        bool (m, h, w).
    fill
        What covered pixels become, as of `medxai.evaluation.faithfulness.covered`.
    left
        Share of the confidence, in [0, 1), that is left at most where it has strongly fallen. The paper names no
        number that we could check; a half is ours.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """
    if not 0 <= left < 1:
        raise ValueError(f"left is {left!r}: expected a share from 0 to below 1")
    with torch.no_grad():
        before = model(image[None]).softmax(1)[0]
        after = model(covered(image, regions, fill)).softmax(1)
    decision = before.argmax()
    changed = after.argmax(1) != decision
    fallen = after[:, decision] <= left * before[decision]
    return Impact(changed.cpu().numpy(), (changed | fallen).cpu().numpy())


def coverage(regions: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Return the overlap of critical regions, bool (m, h, w), with a patch, bool (h, w): float64 (m,), in [0, 1].

    It is their intersection over union. A region of as many pixels that knows nothing of a patch on a share p of the
    image has p / (2 - p) on average over places, nearly. NaN for a patch without pixels.
    """
    regions = np.asarray(regions, dtype=np.float64)
    return localisation.iou(regions, np.broadcast_to(np.asarray(patch, dtype=np.float64), regions.shape), HALF)


def patch_places(images: int, side: int, patch: int, *, seed: int) -> np.ndarray:
    """Return a square of a side in pixels at a random place within each of some images, bool (images, side, side).

    Raises
    ------
    ValueError
        If the patch is not smaller than the images.
    """
    if not 0 < patch < side:
        raise ValueError(f"patch is {patch!r}: expected a side in pixels from 1 to {side - 1}")
    corners = np.random.default_rng(seed).integers(0, side - patch + 1, size=(images, 2))
    inside = (np.arange(side) >= corners[..., None]) & (np.arange(side) < corners[..., None] + patch)
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def attacked(
    model: nn.Module, images: Tensor, places: np.ndarray, bounds: tuple[Tensor, Tensor], *, steps: int
) -> Tensor:
    """Return the images with a patch that drives each away from its decision.

    Within its place, each patch begins as it is in the image and goes up the gradient of the cross entropy of the
    image's own decision, by signs, as in projected gradient descent (Madry et al. 2018), unlimited but for black and
    white: a patch of one image, where Lin et al. do not say how theirs are made in a form that we could check. Whether
    a decision has changed is to be asked afterwards.

    Parameters
    ----------
    places
        bool (n, h, w).
    bounds
        Black and white as the model sees them, each broadcast to an image.
    steps
        How many, at least 1.
    """
    positive("steps", steps)
    low, high = bounds
    inside = torch.as_tensor(places, device=images.device)[:, None]
    with torch.no_grad():
        decisions = model(images).argmax(1)
    changed = images.detach().clone()
    for _ in range(steps):
        changed.requires_grad_()
        loss = nn.functional.cross_entropy(model(changed), decisions, reduction="sum")
        slope = torch.autograd.grad(loss, changed)[0].sign()
        moved = (changed.detach() + STRIDE * (high - low) * slope).clamp(low, high)
        changed = torch.where(inside, moved, images)
    return changed
