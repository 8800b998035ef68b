"""A rule goes by what an operation computes: one function has one map however it is written, or is refused by name."""

import copy
from collections.abc import Callable

import pytest
import torch
from test_propagation_engine import NAMES, Network, close, images, methods
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d

from medxai.attribution.propagation.deeplift import deeplift
from medxai.attribution.propagation.lrp import deep_taylor, lrp_epsilon
from medxai.attribution.propagation.patterns import fit_patterns
from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation
from medxai.errors import UnsupportedModel


class Written(Network):
    """`Network`, with parts that may be replaced."""

    def conv(self, x: Tensor) -> Tensor:
        return self.second(x)

    def normal(self, x: Tensor) -> Tensor:
        return self.norm(x)

    def rectified(self, x: Tensor) -> Tensor:
        return x.relu()

    def head(self, x: Tensor) -> Tensor:
        return self.last(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectified(self.normal(self.first(x)))
        x = x + self.rectified(self.conv(functional.max_pool2d(x, 3, 1, 1)))
        return self.head(x.mean((2, 3)))


class Transposed(Written):
    """A convolution of stride 1 is a transposed one of the turned and mirrored kernel."""

    def conv(self, x: Tensor) -> Tensor:
        kernel = self.second.weight.transpose(0, 1).flip(2, 3)
        return functional.conv_transpose2d(x, kernel, self.second.bias, padding=1)


class Frozen(Written):
    def normal(self, x: Tensor) -> Tensor:
        frozen = FrozenBatchNorm2d(4, eps=self.norm.eps).double()
        frozen.load_state_dict({k: v for k, v in self.norm.state_dict().items() if k != "num_batches_tracked"})
        return frozen(x)


class TorchNorm(Written):
    def normal(self, x: Tensor) -> Tensor:
        n = self.norm
        given = n.weight, n.bias, n.running_mean, n.running_var
        return torch.batch_norm(x, *given, False, 0.1, n.eps, False)


class Matrix(Written):
    def head(self, x: Tensor) -> Tensor:
        return x @ self.last.weight.T + self.last.bias


class Turned(Written):
    def head(self, x: Tensor) -> Tensor:
        return (self.last.weight @ x.T + self.last.bias[:, None]).T


class Addmm(Written):
    def head(self, x: Tensor) -> Tensor:
        return torch.addmm(self.last.bias, x, self.last.weight.T)


class Strides(Written):
    """What ShuffleNet does: a transposition, made contiguous, and a view; and another order in memory."""

    def conv(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        shuffled = x.view(len(x), 2, 2, 5, 5).transpose(1, 2).contiguous().view(len(x), 4, 5, 5)
        back = shuffled.view(len(x), 2, 2, 5, 5).transpose(1, 2).reshape(x.shape)
        return self.second(back)


class InBatch(Written):
    """Pixels become images, for their ReLU."""

    def rectified(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).reshape(-1, 4).relu()
        return rows.view(-1, 5, 5, 4).permute(0, 3, 1, 2)


class Bound(Written):
    def rectified(self, x: Tensor) -> Tensor:
        return x.clamp(min=torch.zeros(4, 1, 1, dtype=x.dtype))


class PositionalInPlace(Written):
    def rectified(self, x: Tensor) -> Tensor:
        return functional.relu(x, True)


class WithoutGradient(Written):
    def normal(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.norm(x)


class Logged(Written):
    """What a user's hook may do with an activation."""

    def normal(self, x: Tensor) -> Tensor:
        self.log = [x.exp().mean().item(), float(x[0, 0, 0, 0]), x.numpy(force=True), x.topk(2).values.tolist(), str(x)]
        return self.norm(x)


class OffTheWay(Written):
    """An operation without a rule, whose result the logits do not use."""

    def normal(self, x: Tensor) -> Tensor:
        self.seen = functional.group_norm(x, 2).softmax(1)
        return self.norm(x)


class Masked(Written):
    """A mask that is written into, of the shape of an activation and of none of its values."""

    def normal(self, x: Tensor) -> Tensor:
        mask = x.new_zeros(x.shape[2:])
        mask[:, :2] = 0.5
        return self.norm(x + mask - mask)


SAME = [
    *(Transposed, Frozen, TorchNorm, Matrix, Turned, Addmm, Strides, InBatch, Bound, PositionalInPlace),
    *(WithoutGradient, Logged, OffTheWay, Masked),
]


@pytest.mark.parametrize("other", SAME)
@pytest.mark.parametrize("name", NAMES)
def test_one_function_has_one_map(name, other):
    x = images()
    with torch.no_grad():
        close(other()(x), Network()(x))
    if name in {"pattern_net", "pattern_attribution"} and other is InBatch:
        pytest.skip("a pattern is estimated for the operation that follows the layer, here not the ReLU")
    if name == "reveal_cancel" and other is InBatch:
        pytest.skip("contributions are known of the last linear operation only, here not the convolution")
    close(methods(other())[name](other(), x, 1), methods(Network())[name](Network(), x, 1))


class Factors(Network):
    """Constant factors of the images, of a layer's output, of another factor's, and of a ReLU's before a layer."""

    def __init__(self, written: Callable[[Tensor], Tensor] | None = None, factor: float = 1, shift: float = 0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, eps=0) for channels in (2, 4)).double().eval()
        for norm in self.norms:
            nn.init.constant_(norm.weight, factor)
            nn.init.constant_(norm.bias, shift)
        self.written = written or self.normalised

    def normalised(self, x: Tensor) -> Tensor:
        return self.norms[x.shape[1] // 4](x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.written(self.norm(self.first(self.written(x)))).relu()
        x = x + self.written(self.written(self.second(self.written(x)))).relu()
        return self.last(x.mean((2, 3)))


def frozen(x: Tensor) -> Tensor:
    norm = FrozenBatchNorm2d(x.shape[1], eps=0).double()
    norm.weight.fill_(-0.5)
    norm.bias.fill_(0.25)
    return norm(x)


WRITTEN = {
    "frozen": (frozen, -0.5, 0.25),
    "negative factor": (lambda x: x * -0.5, -0.5, 0),
    "factor before": (lambda x: 0.3 * x, 0.3, 0),
    "255": (lambda x: x / 255, 1 / 255, 0),
    "1 - x": (lambda x: 1 - x, -1, 1),
    "-x": (lambda x: -x, -1, 0),
    "shift in steps": (lambda x: torch.sub(x, 0.1, alpha=3), 1, -0.3),
    "by tensors": (lambda x: (x.new_tensor(0.5) - x).div_(x.new_full((x.shape[1], 1, 1), 4)), -0.25, 0.125),
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_factor_is_a_batch_normalisation(name, written):
    x, (function, *numbers) = images(), WRITTEN[written]
    one, other = Factors(function), Factors(None, *numbers)
    with torch.no_grad():
        close(one(x), other(x))
    found, expected = (methods(network)[name](network, x, 1) for network in (one, other))
    size = float(expected.abs().max())  # PatternNet divides by factors, four in a row
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize("name", NAMES)
def test_constant_factors_after_a_layer_are_its_own(name):
    """However many follow: as weights that were multiplied beforehand."""

    class Multiplied(Written):
        def normal(self, x: Tensor) -> Tensor:
            return (self.norm(x) * torch.arange(-1.5, 2).view(4, 1, 1).double() - 1) / -2

    whole = Network()
    with torch.no_grad():
        factor = torch.arange(-1.5, 2).double() / -2
        whole.norm.bias.copy_(whole.norm.bias * factor + 0.5)
        whole.norm.weight.mul_(factor)
    x = images()
    close(methods(Multiplied())[name](Multiplied(), x, 1), methods(whole)[name](whole, x, 1))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", ["gamma", "alpha_beta", "deep_taylor", "pattern_net", "deeplift"])
def test_a_transposed_convolution_is_the_linear_layer_that_it_computes(name, groups):
    """Against its matrix, found by its values on each unit input."""

    class First(nn.Module):
        def __init__(self, matrix: bool) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.first, self.norm = nn.ConvTranspose2d(2, 4, 3, 2, 1, 1, groups), nn.BatchNorm2d(4)
            self.hidden, self.last, self.matrix = nn.ConvTranspose2d(4, 4, 2, 2, 0, 0, groups), nn.Linear(4, 3), matrix
            nn.init.uniform_(self.norm.weight, -1, 1)
            self.double().eval()
            with torch.no_grad():
                zero = torch.zeros(1, 4, 10, 10, dtype=torch.double)
                units = torch.eye(400, dtype=torch.double).view(400, 4, 10, 10)
                bias = self.hidden(zero).flatten()
                self.dense = nn.Linear(400, 1600).double()
                self.dense.weight.copy_((self.hidden(units).flatten(1) - bias).T)
                self.dense.bias.copy_(bias)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.first(x)).relu()
            x = self.dense(x.flatten(1)).relu().view(-1, 4, 20, 20) if self.matrix else self.hidden(x).relu()
            return self.last(x.mean((2, 3)))

    x = images()
    if name == "pattern_net":  # other patterns: a convolution's is the mean over its places
        found = methods(First(False))[name](First(False), x, 1)
        assert found.isfinite().all()
        assert found.any()
        return
    close(methods(First(False))[name](First(False), x, 1), methods(First(True))[name](First(True), x, 1))


class Scripted(Network):
    """A residual branch in a scripted module, in which no operation is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.second = torch.jit.script(nn.Sequential(self.second, nn.ReLU()))


class WrittenInto(Network):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x[:, 0] = 0
        return self.last(x.mean((2, 3)))


class Gathered(Network):
    def forward(self, x: Tensor) -> Tensor:
        found = torch.zeros(len(x), 4, 5, 5, dtype=x.dtype)
        found[:, :] = self.first(x).relu()
        return self.last(found.mean((2, 3)))


class Rounded(Network):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu().div(0.1, rounding_mode="floor").mean((2, 3)))


class Reads(Network):
    """A clamp whose bound depends on the image."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(x.clamp(min=x.mean()).mean((2, 3)))


REFUSED = {
    Scripted: "cannot be seen, such as one of a scripted module",
    WrittenInto: "'setitem'.*writes into a tensor",
    Gathered: "'setitem'.*writes into a tensor",
    Rounded: "rounds",
    Reads: "a bound or slope that depends on the images",
}


@pytest.mark.parametrize("other", REFUSED)
@pytest.mark.parametrize("name", ["guided", "epsilon", "gamma", "deeplift", "reveal_cancel", "deep_shap"])
def test_what_is_not_followed_is_refused_by_name(name, other):
    known = methods(Network())[name]
    with pytest.raises(UnsupportedModel, match=REFUSED[other]):
        known(other(), images(), 1)
    with pytest.raises(UnsupportedModel, match="fitting patterns"):
        fit_patterns(other(), images())


def test_a_scripted_module_is_refused_with_a_graph_too():
    with pytest.raises(UnsupportedModel, match="has a scripted module"):
        lrp_epsilon(Scripted(), images(), 1, create_graph=True)


@pytest.mark.parametrize("activation", [nn.Hardtanh(-1, 1), lambda z: z.clamp(min=-1), lambda z: z.clamp(max=6)])
def test_only_what_is_zero_below_zero_is_a_rectifier(activation):
    network = Network(activation)
    for method in (deep_taylor, guided_backpropagation, deconvnet):
        with pytest.raises(UnsupportedModel, match=r"ReLU"):
            method(network, images(), 1)
    with pytest.raises(UnsupportedModel, match="is no ReLU"):
        fit_patterns(network, images())


BY_HAND = {
    "silu": lambda z: z * z.sigmoid(),
    "hardswish": lambda z: z * functional.relu6(z + 3) / 6,
    "mish": lambda z: functional.softplus(z).tanh() * z,
}


@pytest.mark.parametrize("activation", BY_HAND)
def test_an_activation_written_by_hand_is_no_relu(activation):
    class Mixed(Network):
        def forward(self, x: Tensor) -> Tensor:
            return self.last(BY_HAND[activation](self.first(x)).relu().mean((2, 3)))

    for method in (guided_backpropagation, deconvnet, deep_taylor):
        with pytest.raises(UnsupportedModel):
            method(Mixed(), images(), 1)


@pytest.mark.parametrize("name", ["epsilon", "deeplift"])
def test_silu_written_by_hand_is_silu(name):
    both = Network(functional.silu), Network(BY_HAND["silu"])
    one, other = (methods(network, gate=True)[name](network, images(), 1) for network in both)
    close(one, other)


def test_the_model_is_not_written_to_by_what_is_refused():
    network = WrittenInto()
    before, x = copy.deepcopy(network.state_dict()), images()
    with pytest.raises(UnsupportedModel):
        deeplift(network, x, 1)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(x, images())
