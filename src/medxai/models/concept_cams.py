r"""Grad-CAM of every output of a head on pooled maps, in closed form.

It stands here, below `medxai.attribution`, since a network that explains itself (`medxai.models.dermx`) gives these
maps in its own forward pass; `medxai.attribution.cam.concept_cams` is the same function.

For :math:`y_c = f_c(p)` with :math:`p_k = \frac1Z\sum_{ij} A_{kij}` every pixel of a map has the same gradient, so
Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2) is :math:`\mathrm{ReLU}(\frac1Z \sum_k \frac{\partial f_c}{\partial p_k}
A_k)`: the head's small Jacobian and one product, without a pass of the backbone.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def concept_cams(feature_maps: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the Grad-CAM of every output of a head on pooled maps, differentiable.

    Parameters
    ----------
    feature_maps
        (n, k, h, w), the maps that global average pooling reads; graph kept, in whatever mode the network is.
    head
        Takes the pooled maps (n, k) and returns (n, c); called once, each image must be treated on its own. Dropout in
        it draws its own mask here.

    Returns
    -------
    Tensor
        (n, c, h, w), at least 0; can be differentiated by the maps and by the weights of the head.

    Raises
    ------
    ValueError
        If the maps or what the head returns have another shape.
    """
    return outputs_and_cams(feature_maps, head)[1]


def outputs_and_cams(feature_maps: Tensor, head: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return what the head gives, (n, c), and the `concept_cams` of just these outputs: of the same draw of dropout."""
    if feature_maps.ndim != 4 or feature_maps.numel() == 0:
        raise ValueError(f"feature_maps are {tuple(feature_maps.shape)}: expected (n, k, h, w), not empty")
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        pooled = feature_maps.mean((2, 3))
        if not pooled.requires_grad:
            pooled.requires_grad_()
        outputs = head(pooled)
        if outputs.ndim != 2 or len(outputs) != len(pooled):
            raise ValueError(f"head returns {tuple(outputs.shape)}: expected ({len(pooled)}, concepts)")
        one_each = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        one_each = one_each[:, None].expand(-1, len(pooled), -1)
        # With `differentiable` the graph stays, for the gradient of this gradient; without it the outputs let go of it.
        (jacobian,) = torch.autograd.grad(outputs, pooled, one_each, is_grads_batched=True, create_graph=differentiable)
    pixels = feature_maps.shape[2] * feature_maps.shape[3]
    cams = torch.einsum("cnk,nkhw->nchw", jacobian / pixels, feature_maps).relu()
    return outputs if differentiable else outputs.detach(), cams
