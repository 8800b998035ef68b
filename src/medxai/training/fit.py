"""Training a classifier on some images of an array and predicting others."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from medxai.models.normalisation import Normalisation

BATCH = 32


def fit(
    build: Callable[[], nn.Module],
    pictures: np.ndarray,
    labels: np.ndarray,
    normalisation: Normalisation,
    *,
    epochs: int,
    rate: float,
    seed: int,
    upside_down: bool = True,
    batch: int = BATCH,
    bfloat16: bool = False,
) -> nn.Module:
    """Train a whole network on some pictures, flipped and shifted in colour at random; return it in evaluation mode.

    Parameters
    ----------
    build
        Returns the network to start from; it is called once the seed (of new weights, order, augmentation) is set.
    pictures, labels
        uint8 (n, height, width, 3) and int (n,), from 0.
    epochs, rate, batch, bfloat16
        As of `optimise`.
    upside_down
        Whether a picture may be flipped upside down, too, and not only left to right.
    """
    torch.manual_seed(seed)
    network = build().to(memory_format=torch.channels_last).train()

    def draw(rows: Tensor) -> Tensor:
        images = normalisation.apply(pictures[rows.numpy()])
        return _augmented(images, upside_down).contiguous(memory_format=torch.channels_last)

    optimise(network, draw, labels, epochs=epochs, rate=rate, batch=batch, bfloat16=bfloat16)
    return network.eval()


def optimise(
    network: nn.Module,
    draw: Callable[[Tensor], Tensor],
    labels: np.ndarray,
    *,
    epochs: int,
    rate: float,
    batch: int = BATCH,
    smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    bfloat16: bool = False,
) -> None:
    """Train the weights of a network by AdamW, in the mode that it is in.

    Parameters
    ----------
    draw
        Gives the network's input for some rows, int (b,).
    labels
        int (n,), of all rows.
    epochs, rate
        Length of training, and the highest learning rate (one cycle: Smith and Topin 2019, arXiv 1708.07120).
    batch
        At most so many rows a step.
    smoothing
        Share of each label that is spread over all classes.
    class_weights
        float32 (classes,), how much an image of each counts; all the same without them.
    bfloat16
        Whether convolutions and matrix products are computed in bfloat16; weights and loss stay float32.
    """
    truth, batches = torch.from_numpy(labels).long(), -(-len(labels) // batch)
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=rate, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(truth)).tensor_split(batches):
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = network(draw(rows))
            loss = nn.functional.cross_entropy(logits.float(), truth[rows], class_weights, label_smoothing=smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def multiplies_bfloat16() -> bool:
    """Return whether the processor multiplies matrices in bfloat16; others only imitate it, slowly.

    A step of ResNet18 on 16 images of 64 pixels is then 1.4 times as fast.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)  # of torch 2.12
    return bool(capabilities().get("amx_bf16", False))


def predict(network: nn.Module, pictures: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Return the probabilities, float64 (n, classes), that a network gives pictures, uint8 (n, height, width, 3)."""
    with torch.no_grad():
        logits = torch.cat([network(images) for images in normalisation.apply(pictures).split(BATCH)])
    return logits.double().softmax(dim=1).numpy()


def fit_predict(
    build: Callable[[], nn.Module],
    pictures: np.ndarray,
    labels: np.ndarray,
    normalisation: Normalisation,
    train: np.ndarray,
    test: np.ndarray,
    **options: object,
) -> np.ndarray:
    """Train a network on some rows of the pictures (as `fit`) and return the probabilities of others (as `predict`)."""
    network = fit(build, pictures[train], labels[train], normalisation, **options)
    return predict(network, pictures[test], normalisation)


def _augmented(images: Tensor, upside_down: bool) -> Tensor:
    """Flip each image at random and shift its colour, so that texture has to be learned."""
    for axis in (2, 3) if upside_down else (3,):
        flip = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(flip, images.flip(axis), images)
    return images + 0.2 * torch.randn(len(images), 3, 1, 1)
