"""NASNet-A (4 @ 1056), called NASNetMobile: timm has its cells, but only the large network made of them."""

from functools import partial

import torch
from timm.layers import ConvNormAct
from timm.models.nasnet import CellStem0, CellStem1, FirstCell, NormalCell, ReductionCell0, ReductionCell1
from torch import nn

STEM_CHANNELS = 32
PENULTIMATE_CHANNELS = 1056
CELLS_PER_STAGE = 4
PADDING = "same"  # as in TensorFlow, where the published weights and sizes come from


def _stages(channels: int) -> list[nn.Module]:
    """Three stages of cells with a reduction between them; each cell reads the outputs of the two before it."""
    cells: list[nn.Module] = []
    before, last = channels, 2 * channels  # channels of the two outputs that the next cell reads: the stem's first
    for stage, reduction in enumerate((ReductionCell0, ReductionCell1, None)):
        width = channels * 2**stage
        first = FirstCell(before, width // 2, last, width, PADDING)
        cells.append(first)
        before, last = last, 6 * width
        for _ in range(CELLS_PER_STAGE - 1):
            cells.append(NormalCell(before, width, last, width, PADDING))
            before = last
        if reduction is not None:
            cells.append(reduction(last, 2 * width, last, 2 * width, PADDING))
            last = 8 * width
    return cells


class NASNetMobile(nn.Module):
    """NASNet-A with four cells a stage and 1,056 channels before the pooling.

    Zoph, Vasudevan, Shlens, Le, "Learning transferable architectures for scalable image recognition", CVPR 2018,
    figure 4 (cells) and table 2 (NASNet-A (4 @ 1056), 5.3 M parameters).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        channels = PENULTIMATE_CHANNELS // 24
        norm = partial(nn.BatchNorm2d, eps=1e-3)
        self.conv0 = ConvNormAct(3, STEM_CHANNELS, 3, stride=2, padding=0, norm_layer=norm, apply_act=False)
        self.cell_stem_0 = CellStem0(STEM_CHANNELS, channels // 4, PADDING)
        self.cell_stem_1 = CellStem1(STEM_CHANNELS, channels // 2, PADDING)
        self.cells = nn.ModuleList(_stages(channels))
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(PENULTIMATE_CHANNELS, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, num_classes) of images (n, 3, h, w)."""
        stem = self.conv0(images)
        before = self.cell_stem_0(stem)
        last = self.cell_stem_1(stem, before)
        for cell in self.cells:
            before, last = last, cell(last, before)
        return self.classifier(self.pool(self.act(last)).flatten(1))
