"""Integrated gradients of a score whose integral is known in closed form; ours run captum, so that is no check."""

import pytest
import torch
from torch import Tensor, nn

from medxai.attribution import explain


class Products(nn.Module):
    """Red times green plus blue cubed, of all pixels; the second class is twice that."""

    def forward(self, images: Tensor) -> Tensor:
        red, green, blue = images.unbind(1)
        score = (red * green + blue**3).sum((1, 2))
        return torch.stack([score, 2 * score], dim=1)


@pytest.mark.parametrize("steps", [2, 16])
def test_integrated_gradients_of_products_are_their_integral(steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image, start = torch.randn(2, 1, 3, 4, 5, dtype=torch.double, generator=generator)
    change, between = image - start, (image + start) / 2  # the mean of a colour on the straight way
    wanted = change[:, 0] * between[:, 1] + change[:, 1] * between[:, 0] + image[:, 2] ** 3 - start[:, 2] ** 3
    found = explain(Products(), image, torch.tensor([1]), "integrated_gradients", baseline=start, steps=steps)
    torch.testing.assert_close(found, 2 * wanted)
