"""Maps are (n, channels, h, w) however the network holds them, or are refused by name."""

import pytest
import torch
from explained_networks import Small, images
from torch import nn

from medxai.attribution import examples, explain, feature_maps
from medxai.errors import UnsupportedModel

X = images(16, 2, dtype=torch.double)
METHODS = {
    "cam": {}, "grad_cam": {}, "grad_cam_plus_plus": {}, "layer_integrated_gradients": {"steps": 3},
    "expressive_gradients": {"steps": 3},
}  # fmt: skip


class Turned(Small):
    """The same function, with the channels of the last maps at the end."""

    class Last(nn.Module):
        def forward(self, maps):
            return maps.permute(0, 2, 3, 1)

    def __init__(self):
        super().__init__()
        self.turn = self.Last()

    def forward(self, batch):
        return self.head(self.turn(self.second(self.first(batch))).mean((1, 2)))


class Tokens(Small):
    """The same function, with the last maps as tokens, after two that are no pixels."""

    class Sequence(nn.Module):
        def forward(self, maps):
            tokens = maps.flatten(2).transpose(1, 2)
            return torch.cat([tokens.new_ones(len(tokens), 2, tokens.shape[2]), tokens], 1)

    def __init__(self):
        super().__init__()
        self.turn = self.Sequence()

    def forward(self, batch):
        return self.head(self.turn(self.second(self.first(batch)))[:, 2:].mean(1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("other", [Turned, Tokens])
def test_the_map_does_not_depend_on_how_maps_are_held(method, other):
    x = X[..., :12]  # not square, so that rows and columns cannot be confused
    assert feature_maps.last_maps(other(), x) == "turn"
    found = explain(other(), x, 1, method, **METHODS[method])
    torch.testing.assert_close(found, explain(Small(), x, 1, method, **METHODS[method]))
    torch.testing.assert_close(examples.mean_maps(other(), x), examples.mean_maps(Small(), x))


class Transformer(nn.Module):
    """A plain vision transformer of one head, whose class token is read."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.qkv, self.second = nn.LayerNorm(6), nn.Linear(6, 18), nn.LayerNorm(6)
            self.mlp = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))

        def forward(self, tokens):
            q, k, v = self.qkv(self.norm(tokens)).chunk(3, -1)
            tokens = tokens + (q @ k.transpose(1, 2)).softmax(-1) @ v
            return tokens + self.mlp(self.second(tokens))

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.patches, self.token = nn.Conv2d(3, 6, 4, stride=4), nn.Parameter(torch.randn(1, 1, 6))
        self.blocks = nn.Sequential(self.Block(), self.Block())
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 4)
        self.double()

    def forward(self, batch):
        tokens = self.patches(batch).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def test_grad_cam_of_a_transformer_is_that_of_pytorch_grad_cam():
    """At the norm before the last attention, which that library's documentation names, by its reshape_transform."""
    model, x = Transformer(), X[..., :12]
    assert feature_maps.last_maps(model, x) == "blocks.1.norm"
    kept = []
    handle = model.blocks[1].norm.register_forward_hook(lambda _, __, output: kept.append(output))
    score = model(x)[:, 2].sum()
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    maps, slope = (part[:, 1:].reshape(2, 4, 3, 6).transpose(2, 3).transpose(1, 2) for part in (kept[0], slope))
    expected = (maps * slope.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu().detach()
    assert expected.any()
    found = explain(model, x, 2, "grad_cam")
    torch.testing.assert_close(found, feature_maps.resized(expected, x)[:, 0])


def test_windows_and_merged_patches_keep_their_places():
    """What a Swin transformer does: windows, a shift and back, and four patches made one."""

    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.mix, self.merge = nn.Conv2d(3, 6, 2, stride=2), nn.Linear(6, 6), nn.Linear(24, 5)
            self.head = nn.Linear(5, 4)
            self.double()

        def forward(self, batch):
            maps = self.patches(batch).permute(0, 2, 3, 1)  # (n, 8, 8, 6)
            parts = maps.roll((1, 1), (1, 2)).view(-1, 2, 4, 2, 4, 6).transpose(2, 3).reshape(-1, 16, 6)
            parts = self.mix(parts).view(-1, 2, 2, 4, 4, 6).transpose(2, 3).reshape(-1, 8, 8, 6)
            maps = maps + parts.roll((-1, -1), (1, 2))
            parts = maps.view(-1, 4, 2, 4, 2, 6).permute(0, 1, 3, 2, 4, 5).flatten(3)
            return self.head(self.merge(parts).mean((1, 2)))

    assert feature_maps.last_maps(Windows(), X) == "merge"
    assert feature_maps.named_layers(Windows(), X, "merge")["merge"].layout == feature_maps.Layout(3)


def test_patches_are_merged_with_padding_where_their_number_is_odd():
    class Merged(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.merge, self.head = nn.Conv2d(3, 6, 3, stride=3), nn.Linear(24, 5), nn.Linear(5, 4)
            self.double()

        def forward(self, batch):
            maps = nn.functional.pad(self.patches(batch).permute(0, 2, 3, 1), (0, 0, 0, 1, 0, 1))  # 5 x 5, and 6 x 6
            parts = maps.view(-1, 3, 2, 3, 2, 6).permute(0, 1, 3, 2, 4, 5).flatten(3)
            return self.head(self.merge(parts).mean((1, 2)))

    assert feature_maps.last_maps(Merged(), X) == "merge"
    assert feature_maps.named_layers(Merged(), X, "merge")["merge"].layout == feature_maps.Layout(3)


class Sort(nn.Module):
    """Pixels change places by their values, so that nothing can follow them."""

    def forward(self, maps):
        return maps.sort(2).values


def test_what_cannot_be_followed_is_refused_by_name():
    class Sorted(Small):
        def __init__(self):
            super().__init__()
            self.sort = Sort()

        def forward(self, batch):
            return self.head(self.sort(self.second(self.first(batch))).mean((2, 3)))

    with pytest.raises(UnsupportedModel, match="the pixels of what 'sort' gives could not be followed"):
        explain(Sorted(), X, 1, "grad_cam")
    with pytest.raises(ValueError, match=r"layer 'sort' gives \(1, 5, 8, 8\): expected a layer that gives maps"):
        explain(Sorted(), X, 1, "grad_cam", layer="sort")


def test_a_transformer_that_ignores_its_tokens_is_refused_and_not_explained_at_its_patches():
    model = Transformer()
    nn.init.zeros_(model.head.weight)
    with pytest.raises(UnsupportedModel, match="the logits depend on no pixel of the maps of 'norm'"):
        explain(model, X, 1, "grad_cam")


def test_what_cannot_be_followed_does_not_hide_the_maps_after_it():
    class Shuffled(Transformer):
        def __init__(self):
            super().__init__()
            self.sort = Sort()

        def forward(self, batch):
            return super().forward(batch + self.sort(batch))

    assert feature_maps.last_maps(Shuffled(), X) == "blocks.1.norm"
    with torch.no_grad():
        assert feature_maps.last_maps(Shuffled(), X) == "blocks.1.norm"
    with torch.no_grad(), pytest.raises(UnsupportedModel, match="the pixels of what '0' gives"):
        feature_maps.last_maps(nn.Sequential(Sort(), nn.Flatten(), nn.Linear(768, 4)).double(), X)
