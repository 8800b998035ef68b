"""A folded copy gives the same logits and maps, and the network itself stays."""

import copy

import pytest
import torch
from torch import nn

from medxai.attribution import cam
from medxai.errors import UnsupportedModel
from medxai.models import backbones, folding


def network(name):
    """With statistics and weights of normalisation that are not those of the start."""
    torch.manual_seed(1)
    model = backbones.create(name, 5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model


@pytest.mark.parametrize(
    ("name", "left"), [("resnet18", 0), ("mobilenet_v2", 0), ("densenet121", 62), ("efficientnet_b0", 0), ("vgg16", 0)]
)
def test_same_logits(name, left):
    """DenseNet normalises what it has put together, which no convolution precedes."""
    model, images = network(name), torch.randn(2, 3, 64, 64)
    state = copy.deepcopy(model.state_dict())
    folded = folding.folded(model, images)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-3, atol=1e-4)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == left
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_same_maps_at_the_same_names():
    model, images = network("resnet18"), torch.randn(2, 3, 64, 64)
    layers = ["layer1.0", "layer3.1", "layer4.1"]
    found = cam.grad_cam_plus_plus(folding.folded(model, images), images, 1, layers)
    for name, expected in cam.grad_cam_plus_plus(model, images, 1, layers).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


class Twice(nn.Module):
    """The output of the convolution is used before its normalisation too."""

    def __init__(self):
        super().__init__()
        self.convolution, self.normalisation = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        nn.init.uniform_(self.normalisation.running_var, 4, 9)

    def forward(self, images):
        maps = self.convolution(images)
        return (self.normalisation(maps) + maps).mean((2, 3))


class Reused(nn.Module):
    """One convolution for two normalisations."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        nn.init.uniform_(self.first.running_var, 4, 9)

    def forward(self, images):
        return self.second(self.convolution(self.first(self.convolution(images)))).mean((2, 3))


def test_what_cannot_be_folded():
    images = torch.randn(2, 3, 16, 16)
    with pytest.raises(UnsupportedModel, match="uses the output of a convolution before its normalisation"):
        folding.folded(Twice().eval(), images)
    model = Reused().eval()
    with torch.no_grad():
        torch.testing.assert_close(folding.folded(model, images)(images), model(images))
