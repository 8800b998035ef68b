"""Networks drawn anew from the output: on real architectures, weight by weight."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medxai.evaluation import sanity
from medxai.evaluation.similarity import rank_correlation, structural_similarity
from medxai.models import backbones
from medxai.training.small_convnet import small_convnet

IMAGES = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
HEADS = {"mobilenet_v2": "classifier.1", "resnet18": "fc", "mobilenet": "classifier"}
FIRST = {"mobilenet_v2": "features.0.0", "resnet18": "conv1", "mobilenet": "conv_stem"}


def lived_in(model: nn.Module) -> nn.Module:
    """The same model with weights and statistics that no initialisation gives."""
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return model


@pytest.fixture(scope="module", params=HEADS)
def network(request) -> Iterator[tuple[str, nn.Module]]:
    """A network of torchvision or of timm."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield request.param, lived_in(backbones.create(request.param, 5))


def changed(one: nn.Module, other: nn.Module) -> set[str]:
    """Names of the parameters and statistics that are not the same bit by bit."""
    values = other.state_dict()
    return {name for name in learnt(one) if not torch.equal(one.state_dict()[name], values[name])}


def learnt(model: nn.Module) -> set[str]:
    return {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}


def test_real_networks_become_random_from_the_head_on(network):
    name, model = network
    before, state = deepcopy(model), torch.get_rng_state()
    stages = list(sanity.cascade(model, IMAGES, stages=4))
    assert torch.equal(state, torch.get_rng_state())
    assert not changed(before, model)
    assert not any(module._forward_pre_hooks for module in model.modules())
    found = [changed(model, copy) for _, copy in stages]
    assert found[0] == {f"{HEADS[name]}.weight", f"{HEADS[name]}.bias"}
    assert all(one < other for one, other in pairwise(found))
    assert not any(one.startswith(FIRST[name]) for one in found[-2])
    assert found[-1] >= learnt(model)
    shares = [share for share, _ in stages]
    modules = len({one.rpartition(".")[0] for one in learnt(model)})
    assert shares[0] == pytest.approx(1 / modules)
    assert shares[-1] == 1
    np.testing.assert_allclose(np.diff(shares), (1 - 1 / modules) / 3, atol=1 / modules)  # thirds of what is left
    for (_, copy), (_, later) in pairwise(stages):
        kept = {one for one in changed(model, copy) if "running" not in one}
        assert not kept & changed(copy, later)  # what is random stays as it is, and is no copy's own
        assert {id(one) for one in copy.parameters()}.isdisjoint(id(one) for one in later.parameters())


def test_the_seed_gives_the_weights_whatever_the_stages(network):
    _, model = network
    ends = [list(sanity.cascade(model, IMAGES, stages=n, seed=seed))[-1][1] for n, seed in ((2, 1), (3, 1), (2, 2))]
    assert not changed(ends[0], ends[1])
    assert {name for name in changed(ends[0], ends[2]) if name.endswith("weight")} >= {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }


def test_weights_are_as_at_first_and_statistics_those_of_the_images():
    model = lived_in(small_convnet(4)).train()
    *_, (share, end) = sanity.cascade(model, IMAGES)
    assert share == 1
    assert end.training
    assert model.training
    norm, convolution = end[1], end[0]
    with torch.no_grad():
        seen = convolution(IMAGES).transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean, seen.mean(1))
    torch.testing.assert_close(norm.running_var, seen.var(1))
    assert norm.momentum == model[1].momentum
    assert torch.equal(norm.weight, torch.ones(16))
    bound = 1 / np.sqrt(27)  # torch draws a convolution's weights uniformly within 1 / sqrt(inputs)
    assert 0.9 * bound < convolution.weight.abs().max() <= bound


def test_scores_of_a_random_network_depend_on_the_image():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = backbones.create("mobilenet_v2", 5).eval()
    *_, (_, end) = sanity.cascade(model, IMAGES)
    with torch.no_grad():
        assert end(IMAGES).std(0).max() > 1e-3


class Odd(nn.Module):
    """Defined in the wrong order; one module is called twice, one never, and one knows no initialisation."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.unused, self.first, self.shared = (nn.Linear(6, 6) for _ in range(4))
        self.offset = nn.Parameter(torch.randn(5000) * 3 + 7)
        self.norm = nn.BatchNorm1d(6, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.shared(self.first(images.flatten(1)[:, :6]))
        return self.last(self.shared(self.norm(hidden))) + self.offset.sum()


def test_the_order_is_that_of_the_last_calls():
    torch.manual_seed(0)
    model = Odd()
    assert sanity._from_output(model, IMAGES) == ["last", "shared", "norm", "first", "unused", ""]
    stages = [copy for _, copy in sanity.cascade(lived_in(model), IMAGES, stages=6)]
    assert changed(stages[1], stages[2]) == {"norm.running_mean", "norm.running_var"}
    assert changed(stages[3], stages[4]) == {"unused.weight", "unused.bias"}


def test_a_module_without_its_own_way_keeps_mean_and_deviation():
    torch.manual_seed(0)
    model = Odd()
    *_, (_, end) = sanity.cascade(model, IMAGES, stages=2)
    assert "offset" in changed(model, end)
    assert end.offset.mean().item() == pytest.approx(7, abs=0.2)
    assert end.offset.std().item() == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("stages", [1, 7])
def test_stages_are_within_the_modules(stages):
    with pytest.raises(ValueError, match=f"stages is {stages}: expected from 2 to 6, the modules with parameters"):
        sanity.cascade(Odd(), IMAGES, stages=stages)


def test_labels_are_permuted_and_no_more():
    labels = np.repeat([3, 5, 9], 40)
    permuted = sanity.label_permutation(labels, 0)
    assert sorted(permuted) == sorted(labels)
    assert (permuted == labels).mean() < 0.5
    np.testing.assert_array_equal(permuted, sanity.label_permutation(labels, 0))
    assert (permuted != sanity.label_permutation(labels, 1)).any()
    np.testing.assert_array_equal(labels, np.repeat([3, 5, 9], 40))
    with pytest.raises(ValueError, match=r"labels have the shape \(2, 3\)"):
        sanity.label_permutation(np.zeros((2, 3)), 0)


def test_similarity_has_a_row_an_image():
    maps, others = np.random.default_rng(0).normal(size=(2, 4, 9, 8))
    others[1], others[2], others[3] = maps[1], -maps[2], 0
    table = sanity.similarity_after(maps, others)
    assert list(table) == ["rank_correlation", "absolute_rank_correlation", "structural_similarity"]
    assert table["rank_correlation"][0] == rank_correlation(maps[0], others[0])
    assert table["absolute_rank_correlation"][0] == rank_correlation(np.abs(maps[0]), np.abs(others[0]))
    assert table["structural_similarity"][0] == structural_similarity(maps[0], others[0])
    np.testing.assert_allclose(table.loc[1], 1)
    assert table.loc[2, ["rank_correlation", "absolute_rank_correlation"]].to_numpy() == pytest.approx([-1, 1])
    assert table.loc[3].isna().all()


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (np.ones((3, 9, 8)), r"maps are \(4, 9, 8\) and \(3, 9, 8\)"),
        (np.ones((9, 8)), r"maps have the shape \(9, 8\): expected \(n, h, w\)"),
        (np.full((4, 9, 8), np.nan), "NaN or infinity"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(others, message):
    with pytest.raises(ValueError, match=message):
        sanity.similarity_after(np.ones((4, 9, 8)), others)
