"""A small ConvNet: just enough to see whether pictures hold more than their colour."""

from torch import nn

WIDTHS = (16, 32, 64, 128)


def small_convnet(classes: int) -> nn.Sequential:
    """Return four blocks of convolution, batch norm, ReLU and pooling, and a linear layer on the averaged features."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(WIDTHS[-1], classes)
    )
