"""Attention rollout against the formula, with attention computed by hand."""

import pytest
import timm
import torch

from medxai.attribution.rollout import attention_rollout
from medxai.errors import UnsupportedModel


def transformer(**options):
    torch.manual_seed(0)
    sizes = {"embed_dim": 12, "depth": 2, "num_heads": 3, "img_size": 32, "patch_size": 8, "num_classes": 4}
    return timm.models.VisionTransformer(**{**sizes, **options}).double().eval()


def by_hand(model, images):
    """Each layer's attention from its own weights, and the product of the layers."""
    tokens = model._pos_embed(model.patch_embed(images))
    whole = torch.eye(tokens.shape[1], dtype=torch.double)
    for block in model.blocks:
        qkv = block.attn.qkv(block.norm1(tokens)).unflatten(2, (3, 3, 4))
        attention = torch.einsum("nihd,njhd->nhij", qkv[:, :, 0], qkv[:, :, 1]).div(4**0.5).softmax(-1).mean(1)
        whole = (attention + torch.eye(len(attention[0]))) / 2 @ whole
        tokens = block(tokens)
    return whole


def test_rollout_is_the_product_of_the_layers():
    model, images = transformer(), torch.rand(2, 3, 32, 32, dtype=torch.double)
    fused = [block.attn.fused_attn for block in model.blocks]
    maps = attention_rollout(model, images)
    expected = by_hand(model, images)[:, 0, 1:].unflatten(1, (4, 4))
    found = torch.nn.functional.interpolate(maps[:, None], (4, 4), mode="area")[:, 0]
    corners = maps[:, ::31, ::31]
    torch.testing.assert_close(corners, expected[:, ::3, ::3])
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.9
    assert [block.attn.fused_attn for block in model.blocks] == fused
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_where_patches_are_averaged_all_rows_count():
    model, images = transformer(class_token=False, global_pool="avg"), torch.rand(1, 3, 32, 32, dtype=torch.double)
    expected = by_hand(model, images).mean(1).unflatten(1, (4, 4))
    torch.testing.assert_close(attention_rollout(model, images)[:, ::31, ::31], expected[:, ::3, ::3])


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224"])
def test_other_networks_are_refused(name):
    with pytest.raises(UnsupportedModel, match="has no layers of attention over all patches"):
        attention_rollout(timm.create_model(name).eval(), torch.rand(1, 3, 224, 224))
