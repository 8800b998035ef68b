r"""ImageQX: how good a photograph of skin is, for what reasons, and where in it these are seen.

Appendix C of the thesis of Jalaboi 2023. It is a `medxai.models.dermx.DermX` of other names: what are characteristics
there are reasons here, and diseases are classes of quality. Its dense blocks have batch normalisation; whether the
logits or the probabilities of the reasons go into the quality branch is not printed, so they are logits, as in DermX.

`Explained` is the same network as plain arithmetic, from bytes of a picture to probabilities and maps, for runtimes
that know no automatic differentiation (`medxai.models.onnx_export`).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from medxai.data.photo_quality import CLASSES, REASONS
from medxai.models import dermx
from medxai.models.architectures import DEFAULT
from medxai.models.dermx import DermX


def make(name: str = DEFAULT, *, reasons: bool = True, pretrained: bool = True) -> DermX:
    """Return an untrained ImageQX in evaluation mode; new weights are drawn from torch's global generator.

    Parameters
    ----------
    name, pretrained
        As of `medxai.models.dermx.make`; the paper's backbone is ``timm:efficientnet_b0``.
    reasons
        Whether it explains itself.

    Raises
    ------
    UnsupportedModel, ValueError, DataError
        As `medxai.models.dermx.make`.
    """
    given = {"characteristics": REASONS if reasons else (), "diseases": CLASSES}
    return dermx.make(name, **given, pretrained=pretrained, batch_normalisation=True)


class ExplainedQuality(NamedTuple):
    """What `Explained` gives for n pictures."""

    quality: Tensor
    """(n, 4), probabilities of `medxai.data.photo_quality.CLASSES`."""
    reasons: Tensor
    """(n, 5), the probability of each of `medxai.data.photo_quality.REASONS`."""
    maps: Tensor
    """(n, 5, h, w), Grad-CAM of each reason, at least 0, not scaled: as the attention of DermX."""


class Explained(nn.Module):
    r"""An ImageQX in evaluation mode, from bytes to probabilities and maps.

    The explanation branch is :math:`V\,\mathrm{ReLU}(Wp + b) + c` once batch normalisation is folded into :math:`W, b`,
    so the gradient of reason :math:`c` by the pooled map :math:`k` is :math:`\sum_u V_{cu} [W p + b > 0]_u W_{uk}`, and
    Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2) needs no automatic differentiation (`medxai.models.concept_cams`).

    Raises
    ------
    ValueError
        If the network has no reasons, or no batch normalisation.
    """

    def __init__(self, model: DermX) -> None:
        super().__init__()
        if model.explanation is None or not isinstance(model.explanation[1], nn.BatchNorm1d):
            raise ValueError("the network is no ImageQX with reasons: expected one of image_quality.make")
        self.model = model.eval()
        linear, norm, last = model.explanation[0], model.explanation[1], model.explanation[-1]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.register_buffer("first", (linear.weight * scale[:, None]).detach())
        self.register_buffer("bias", ((linear.bias - norm.running_mean) * scale + norm.bias).detach())
        self.register_buffer("last", last.weight.detach().clone())
        black, white = model.normalisation.bounds()
        self.register_buffer("black", black)
        self.register_buffer("span", white - black)

    def forward(self, pictures: Tensor) -> ExplainedQuality:
        """Return what the network says of pictures, uint8 (n, height, width, 3) in RGB."""
        images = self.black + self.span * (pictures.permute(0, 3, 1, 2).float() / 255)
        maps = self.model.feature_maps(images)
        pooled = maps.mean((2, 3))
        logits = self.model.explanation(pooled)
        quality = self.model.diagnose(pooled, logits).softmax(1)
        gate = (pooled @ self.first.T + self.bias > 0).to(maps.dtype)
        jacobian = torch.einsum("cu,nu,uk->nck", self.last, gate, self.first)
        pixels = maps.shape[2] * maps.shape[3]
        cams = torch.relu(torch.einsum("nck,nkhw->nchw", jacobian, maps) / pixels)
        return ExplainedQuality(quality, logits.sigmoid(), cams)
