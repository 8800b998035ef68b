"""A faster copy of a network for the many passes of an evaluation."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from medxai.errors import UnsupportedModel


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy with each batch normalisation that directly follows a convolution folded into its weights.

    In evaluation mode both are linear, so that one convolution does the work of the two. Names of layers stay; a folded
    normalisation becomes an identity, or the activation that timm makes a part of it. The copy's weights lie in memory
    as channels-last, which processors convolve faster; a network that reshapes maps by ``view`` where it should by
    ``reshape`` does not run on that. The model is not changed; the first of the images (n, c, h, w) is run to see what
    follows what, and to compare logits.

    Raises
    ------
    UnsupportedModel
        If the copy's logits differ, as they do where a convolution's output goes elsewhere too.
    """
    copied = copy.deepcopy(model).eval()
    one = images[:1].detach()
    with torch.no_grad():
        expected = copied(one.clone())
        names = {module: name for name, module in copied.named_modules()}
        for convolution, normalisation in _pairs(copied, one):
            _fold(convolution, normalisation)
            copied.set_submodule(names[normalisation], getattr(normalisation, "act", nn.Identity()))
        copied = copied.to(memory_format=torch.channels_last)
        found = copied(one.clone())
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
        raise UnsupportedModel(
            "the model uses the output of a convolution before its normalisation: it cannot be folded"
        )
    return copied


def _pairs(model: nn.Module, one: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the normalisations that read their output, of those that run once."""
    produced: list[tuple[nn.Conv2d, Tensor]] = []
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    runs: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        runs[module] = runs.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            produced.append((module, output))
        else:
            pairs.extend((convolution, module) for convolution, tensor in produced if tensor is inputs[0])

    parts = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    handles = [module.register_forward_hook(note) for module in parts]
    try:
        model(one.clone())
    finally:
        for handle in handles:
            handle.remove()
    return [pair for pair in pairs if runs[pair[0]] == runs[pair[1]] == 1]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    convolution.weight, convolution.bias = fuse_conv_bn_weights(convolution.weight, convolution.bias, *statistics)
