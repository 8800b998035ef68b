"""Attention rollout of vision transformers: how much of each patch reaches the class token. Not an attribution.

It asks what the network mixes, not what a score makes of it, and so is the same for every class: it is not in
`medxai.attribution.METHODS`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.attribution import _inputs
from medxai.errors import UnsupportedModel


def attention_rollout(model: nn.Module, images: Tensor) -> Tensor:
    r"""Return the rollout of the attention of all layers at the patches (Abnar and Zuidema 2020, section 3).

    With :math:`A_l` the attention of layer :math:`l`, averaged over heads, the paths through residual connections
    count half: :math:`R = \prod_l (A_l + I) / 2`, the last layer on the left. The map is the row of the class token,
    or the mean of all rows where patches are averaged.

    Parameters
    ----------
    model
        A vision transformer of timm in evaluation mode, whose layers see all patches; it stays as it is.
    images
        (n, channels, height, width), as the model wants them.

    Returns
    -------
    Tensor
        (n, height, width), at least 0, interpolated between patches.

    Raises
    ------
    UnsupportedModel
        If it has no such layers, or they see windows or different numbers of patches, as Swin's do.
    """
    layers = [module for module in model.modules() if hasattr(module, "attn_drop") and hasattr(module, "fused_attn")]
    name, patches = type(model).__name__, getattr(model, "patch_embed", None)
    if not layers or patches is None or not hasattr(model, "num_prefix_tokens"):
        raise UnsupportedModel(f"{name} has no layers of attention over all patches: expected a vision transformer")
    seen = _attention(model, layers, images)
    if len({one.shape[1:] for one in seen}) != 1 or len(seen[0]) != len(images):
        raise UnsupportedModel(f"{name} has layers that see windows, or other patches than those before them")
    whole = torch.eye(seen[0].shape[-1], dtype=images.dtype, device=images.device)
    for one in seen:
        whole = (0.5 * one + 0.5 * torch.eye(one.shape[-1]).to(one)) @ whole
    before = model.num_prefix_tokens
    row = whole[:, 0, before:] if before and model.global_pool == "token" else whole[:, before:, before:].mean(1)
    grid = [side // step for side, step in zip(images.shape[2:], patches.patch_size, strict=True)]
    maps = row.unflatten(1, grid)[:, None]
    return functional.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def _attention(model: nn.Module, layers: list[nn.Module], images: Tensor) -> list[Tensor]:
    """Return the attention of each layer, mean over heads, (n, tokens, tokens), which a fused kernel would not show."""
    seen: list[Tensor] = []
    fused = [layer.fused_attn for layer in layers]
    hooks = [
        layer.attn_drop.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean(1))) for layer in layers
    ]
    try:
        for layer in layers:
            layer.fused_attn = False
        with torch.no_grad(), _inputs.prepared(model, images) as (checked, _):
            model(checked)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, before in zip(layers, fused, strict=True):
            layer.fused_attn = before
    return seen
