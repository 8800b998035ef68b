"""Grad-CAM of every output of a head, each by a backward pass of its own."""

import torch
from torch import Tensor, nn


def one_by_one(maps: Tensor, head: nn.Module) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2) of each output, (n, outputs, h, w), with a graph."""
    outputs = head(maps.mean((2, 3)))
    found = []
    for number in range(outputs.shape[1]):
        (slope,) = torch.autograd.grad(outputs[:, number].sum(), maps, create_graph=True)
        found.append((slope.mean((2, 3), keepdim=True) * maps).sum(1).relu())
    return torch.stack(found, 1)
