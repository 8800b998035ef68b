"""A network of a few weights with all that methods ask for."""

import torch
from torch import nn

SIDE = 24
"""Of its images, in pixels."""


def tiny(seed: int = 0) -> nn.Sequential:
    """Three classes, biases everywhere: neither a sigmoid nor a missing baseline would go unnoticed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        )
        nn.init.normal_(network[-1].weight, std=3)
        nn.init.normal_(network[-1].bias)
    return network.eval().requires_grad_(False)
