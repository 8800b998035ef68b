"""What the engine promises, whatever the rule: closed forms, derivatives, operations however written, refusals."""

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.attribution.propagation.deeplift import deep_shap, deeplift
from medxai.attribution.propagation.lrp import deep_taylor, lrp_alpha_beta, lrp_epsilon, lrp_gamma
from medxai.attribution.propagation.patterns import fit_patterns, pattern_attribution, pattern_net
from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation
from medxai.errors import UnsupportedModel


def images(number: int = 2, channels: int = 2, size: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(number, channels, size, size, dtype=torch.float64, generator=generator)


class Network(nn.Module):
    """Convolutions with batch normalisation, max-pooling and a skip; the middle is written as the test asks."""

    def __init__(self, middle=None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.middle = middle or (lambda z: functional.relu(z))
        nn.init.uniform_(self.norm.weight, -1, 1)
        nn.init.uniform_(self.norm.running_mean, -0.3, 0.3)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.norm(self.first(x)))
        x = x + self.middle(self.second(functional.max_pool2d(x, 3, 1, 1)))
        return self.last(x.mean((2, 3)))


def methods(network: nn.Module, gate: bool = False) -> dict:
    rectify = "gate" if gate else "relu"
    baseline = images(1, seed=9)
    found = {
        "guided": functools.partial(guided_backpropagation, rectify=rectify),
        "deconvnet": functools.partial(deconvnet, rectify=rectify),
        "epsilon": functools.partial(lrp_epsilon, epsilon=0.01),
        "gamma": lrp_gamma,
        "alpha_beta": lrp_alpha_beta,
        "deeplift": functools.partial(deeplift, baseline=baseline),
        "reveal_cancel": functools.partial(deeplift, baseline=baseline, rule="reveal_cancel"),
        "deep_shap": functools.partial(deep_shap, baselines=images(3, seed=8)),
    }
    if not gate:
        patterns = fit_patterns(network, images(8, seed=7))
        found |= {
            "deep_taylor": deep_taylor,
            "pattern_net": functools.partial(pattern_net, patterns=patterns),
            "pattern_attribution": functools.partial(pattern_attribution, patterns=patterns),
        }
    return found


NAMES = list(methods(Network()))


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-13)


# Closed forms.


def test_linear_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(50, 3)).double().eval()
    x, baseline, weight = images(), images(1, seed=1), model[1].weight[2].detach().view(1, 2, 5, 5)
    close(deeplift(model, x, 2, baseline=baseline), weight * (x - baseline))
    close(deep_shap(model, x, 2, baselines=images(4, seed=1)), weight * (x - images(4, seed=1).mean(0)))
    close(lrp_epsilon(model, x, 2, epsilon=0), weight * x)
    z, bias = model(x)[:, 2].detach().view(2, 1, 1, 1), model[1].bias[2].item()
    up, down = (weight * x).clamp(min=0), (weight * x).clamp(max=0)
    total = [part.sum((1, 2, 3), keepdim=True) for part in (up, down)]
    close(lrp_alpha_beta(model, x, 2), z * (2 * up / (total[0] + max(bias, 0)) - down / (total[1] + min(bias, 0))))
    boxed = weight * x - 0 * weight.clamp(min=0) - 1 * weight.clamp(max=0)
    close(deep_taylor(model, x, 2), z * boxed / boxed.sum((1, 2, 3), keepdim=True))


def test_two_layers_by_hand():
    """h = relu(x1 - x2, x1 + x2 - 1), y = 2 h1 - 3 h2 at x = (0.75, 0.5): h = (0.25, 0.25), y = -0.25."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)).double().eval()
    model[1].weight.data = torch.tensor([[1.0, -1], [1, 1]], dtype=torch.float64)
    model[1].bias.data = torch.tensor([0.0, -1], dtype=torch.float64)
    model[3].weight.data = torch.tensor([[2.0, -3]], dtype=torch.float64)
    x = torch.tensor([0.75, 0.5], dtype=torch.float64).view(1, 2, 1, 1)
    expected = {
        lrp_epsilon: (0.75 * (2 - 3), 0.5 * (-2 - 3)),  # epsilon is negligible: gradient x input
        guided_backpropagation: (2.0, -2.0),  # the negative gradient of h2 stops
        deconvnet: (2.0, -2.0),
        deep_taylor: (0.5 * 0.75 / 1.25 - 0.75 * 0.6, 0.5 * 0.5 / 1.25 - 0.75 * 0.4),
    }
    for method, values in expected.items():
        result = method(model, x, 0)
        torch.testing.assert_close(result.flatten(), torch.tensor(values, dtype=torch.float64), rtol=2e-5, atol=0)
    # Baseline 0: h0 = (0, 0). h1 rises by 0.25 for a rise of 0.25, h2 by 0.25 for a rise of 1.25.
    close(deeplift(model, x, 0).flatten(), x.flatten() * torch.tensor([2 - 0.6, -2 - 0.6], dtype=torch.float64))


def test_a_relu_is_closed_at_zero():
    """By convention, as in autograd: there its derivative is that of what lies below."""
    layers = nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2)
    model = nn.Sequential(nn.Flatten(), *layers).double().eval()
    assert not guided_backpropagation(model, torch.zeros(1, 1, 2, 2, dtype=torch.double), 1).any()


def test_reveal_cancel_by_hand():
    """min(x1, x2) = x1 - relu(x1 - x2), of section 3.5.3 and appendix: both inputs share what rescale gives to one."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    model = model.double().eval()
    model[1].weight.data = torch.tensor([[1.0, 0], [1, -1]], dtype=torch.float64)
    model[3].weight.data = torch.tensor([[1.0, -1]], dtype=torch.float64)
    x = torch.tensor([3.0, 1.0], dtype=torch.float64).view(1, 2, 1, 1)
    close(deeplift(model, x, 0).flatten(), torch.tensor([0.0, 1.0], dtype=torch.float64))
    # relu(3 - 1): + part 0.5 ((3 - 0) + (2 - 0)) = 2.5, - part 0.5 ((0 - 0) + (2 - 3)) = -0.5
    revealed = deeplift(model, x, 0, rule="reveal_cancel").flatten()
    close(revealed, torch.tensor([3 - 2.5, 0.5], dtype=torch.float64))


def test_silu_and_gates_in_lrp():
    """A gate is a constant: with SiLU and squeeze-and-excitation LRP-0 is input x the derivative with fixed gates."""

    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate, self.last = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)
            self.fixed = False

        def forward(self, x: Tensor) -> Tensor:
            keep = Tensor.detach if self.fixed else (lambda gate: gate)
            z = self.conv(x)
            x = z * keep(torch.sigmoid(z)) if self.fixed else functional.silu(z)
            gate = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
            return self.last((x * keep(gate)).mean((2, 3)))

    torch.manual_seed(0)
    model = Squeezed().double().eval()
    result = lrp_epsilon(model, images(), 1, epsilon=0)
    model.fixed = True
    x = images().requires_grad_()
    close(result, (x * torch.autograd.grad(model(x)[:, 1].sum(), x)[0]).detach())


def test_rectify_gate():
    """Guided: g_in = sigmoid(z) max(g_out, 0) at SiLU; deconvnet: g_in = max(g_out, 0)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(36, 3)).double().eval()
    z, arriving = model[0](images()), model[3].weight[1].view(1, 4, 3, 3).clamp(min=0)
    back = functools.partial(functional.conv_transpose2d, weight=model[0].weight)
    close(guided_backpropagation(model, images(), 1, rectify="gate"), back(z.sigmoid() * arriving).detach())
    close(deconvnet(model, images(), 1, rectify="gate"), back(arriving.expand_as(z)).detach())


def test_pattern_finds_the_signal_of_a_linear_model():
    """Kindermans et al. 2018, section 3: x = signal * y + distractor; the pattern is the signal, not the weight."""
    generator = torch.Generator().manual_seed(0)
    signal, distractor = torch.tensor([1.0, 0, 2, 0]), torch.tensor([1.0, 1, 0, 0])
    y, noise = (torch.randn(4000, 1, generator=generator) for _ in range(2))
    x = (y * signal + noise * distractor).double().view(-1, 1, 2, 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False)).double().eval()
    model[1].weight.data = torch.tensor([[1.0, -1, 0, 0]], dtype=torch.float64)  # blind to the distractor
    patterns = fit_patterns(model, x)
    found = pattern_net(model, x[:1], 0, patterns=patterns).flatten()
    logit = model(x[:1]).item()
    torch.testing.assert_close(found, signal.double() * logit, atol=0.05 * abs(logit), rtol=0)
    attribution = pattern_attribution(model, x[:1], 0, patterns=patterns).flatten()
    close(attribution, found * model[1].weight[0].detach())
    assert attribution.sum().item() == pytest.approx(logit)


def test_box_before_normalisation():
    """The zB rule on normalised images is the zB rule on images, with the normalisation merged in the first layer."""

    class Normalised(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x.clone().sub_(0.4).div_(0.25))

    network = Network()
    merged = Network()
    merged.first.padding = network.first.padding = 0  # else zeros would stand for other colours
    merged.first.weight.data = network.first.weight.data / 0.25
    merged.first.bias.data = network.first.bias.data - network.first.weight.data.sum((1, 2, 3)) * 0.4 / 0.25
    close(deep_taylor(Normalised(network), images(), 1), deep_taylor(merged, images(), 1))


# Derivatives of the maps themselves.


@pytest.mark.parametrize("name", NAMES)
def test_differentiable(name):
    network = Network()
    method = methods(network)[name]
    x = images(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: method(network, value, 1, create_graph=True), x, fast_mode=True)
    weight = network.second.weight

    def by_weight(value: Tensor) -> Tensor:
        return torch.func.functional_call(
            _Mapped(network, method), {"network.second.weight": value}, (x.detach(),)
        ).sum((1, 2, 3))

    assert torch.autograd.gradcheck(by_weight, weight.detach().clone().requires_grad_(), fast_mode=True)


class _Mapped(nn.Module):
    def __init__(self, network: nn.Module, method) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, x: Tensor) -> Tensor:
        return self.method(self.network, x, 1, create_graph=True)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("pattern", "deep_taylor"))])
def test_differentiable_with_silu(name):
    network = Network(functional.silu)
    method = methods(network, gate=True)[name]
    x = images(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: method(network, value, 1, create_graph=True), x, fast_mode=True)


# Operations however they are written.

SPELLINGS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "in place, result unused": lambda z: (functional.relu_(z), z)[1],
    "method": lambda z: z.relu(),
    "method in place": lambda z: z.relu_(),
    "torch": torch.relu,
    "clamp": lambda z: z.clamp(min=0),
    "view": lambda z: torch.flatten(z, 1).relu().view_as(z),
    "identity": lambda z: functional.dropout(z, 0.5, False).clone().contiguous().relu(),
    "in place sums": lambda z: (z.clone().add_(z).mul_(0.5)).relu_(),
    "rsub": lambda z: (1 - (1 - z)).relu(),
    "chunks": lambda z: torch.cat([part.relu() for part in z.chunk(2, 1)], 1),
    "channels last": lambda z: z.contiguous(memory_format=torch.channels_last).relu(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_spelling(name, spelling):
    """A ReLU is a ReLU; where a view or sum stands between layer and ReLU, rules that merge both may differ."""
    network = Network(SPELLINGS[spelling])
    if name in {"reveal_cancel", "pattern_net", "pattern_attribution"} and spelling in {
        "view", "in place sums", "chunks",
    }:  # fmt: skip
        pytest.skip("another operation comes between the layer and its ReLU, and the rule sees it")
    result = methods(network)[name](network, images(), 1)
    close(result, methods(Network())[name](Network(), images(), 1))


@pytest.mark.parametrize("name", NAMES)
def test_batch_gives_what_single_images_give(name):
    network = Network()
    method, x = methods(network)[name], images(3)
    target = torch.tensor([2, 0, 1])
    single = [method(network, x[i : i + 1], int(target[i])) for i in range(3)]
    close(method(network, x, target), torch.cat(single))


# The model and what is refused.


def state(network: nn.Module) -> tuple:
    tensors = [*network.parameters(), *network.buffers()]
    modules = list(network.modules())
    flags = [(tensor._version, tensor.requires_grad, tensor.grad) for tensor in tensors]
    hooks = [(module.training, len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules]
    return [tensor.clone() for tensor in tensors], flags, hooks


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_model_and_images_stay(name, create_graph):
    network = Network(nn.ReLU(inplace=True))
    method = methods(network)[name]
    network.train()
    network.second.weight.requires_grad_(False)
    x = images()
    before, pixels = state(network), x.clone()
    method(network, x, 1, create_graph=create_graph)
    network.middle = nn.Softmax(1)
    with pytest.raises(UnsupportedModel):
        method(network, x, 1, create_graph=create_graph)
    after = state(network)
    assert before[1:] == after[1:]
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert torch.equal(x, pixels)
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        (lambda z: z.softmax(1), "'softmax'"),
        (lambda z: z.exp(), "'exp'"),
        (lambda z: functional.layer_norm(z, z.shape[1:]), "'layer_norm'"),
        (lambda z: functional.group_norm(z, 2), "'group_norm'"),
        (lambda z: z / (1 + z.relu()), "divides"),
        (lambda z: z.detach().relu(), "'detach'"),
        (lambda z: functional.batch_norm(z, None, None, training=True), "statistics of the batch"),
        (lambda z: functional.dropout(z.relu(), 0.5, True), "random"),
        (lambda z: functional.conv2d(z, z.mean((0, 2, 3)).view(1, 4, 1, 1).expand(4, 4, 1, 1)), "weights that depend"),
        (lambda z: (z[:, :2].relu_(), z)[1], "another view"),
        (lambda z: z.relu().data, "'data'|'__get__'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["guided", "epsilon", "gamma", "deeplift"])
def test_what_has_no_rule_is_refused(name, middle, words):
    network = Network(middle)
    known = methods(Network())[name]
    with pytest.raises(UnsupportedModel, match=words) as raised:
        known(network, images(1), 1)
    assert "norm" in str(raised.value)  # the last layer before the operation is named


def test_refusals_of_methods():
    silu = Network(functional.silu)
    for method in (guided_backpropagation, deconvnet):
        with pytest.raises(UnsupportedModel, match=r"silu.*norm.*gate"):
            method(silu, images(), 1)
        with pytest.raises(UnsupportedModel, match="without any ReLU"):
            method(nn.Sequential(nn.Flatten(), nn.Linear(50, 3)).double().eval(), images(), 1)
        with pytest.raises(UnsupportedModel, match="leaky_relu"):
            method(Network(functional.leaky_relu), images(), 1, rectify="gate")
    with pytest.raises(UnsupportedModel, match=r"silu.*ReLU"):
        deep_taylor(silu, images(), 1)
    with pytest.raises(UnsupportedModel, match=r"silu.*ReLU"):
        fit_patterns(silu, images())
    with pytest.raises(UnsupportedModel, match="not zero at zero"):
        lrp_epsilon(Network(functional.softplus), images(), 1)
    with pytest.raises(UnsupportedModel, match="as if it were a signal"):
        lrp_epsilon(Network(torch.sigmoid), images(), 1)
    with pytest.raises(UnsupportedModel, match="not exactly one is a gate"):
        lrp_epsilon(Network(lambda z: z.relu() * z), images(), 1)
    with pytest.raises(UnsupportedModel, match="before the first layer"):
        deep_taylor(nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)).double().eval(), images(), 1)
    with pytest.raises(UnsupportedModel, match="out of the range"):
        deep_taylor(_Extrapolating(Network()), images(), 1)


class _Extrapolating(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(2 * x - x.flip(3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, x: guided_backpropagation(model, x, 1, rectify="all"), "rectify"),
        (lambda model, x: deeplift(model, x, 1, rule="linear"), "rule"),
        (lambda model, x: deep_shap(model, x, 1, baselines=x[:, :1]), "baselines"),
        (lambda model, x: lrp_epsilon(model, x, 1, epsilon=-1), "epsilon"),
        (lambda model, x: lrp_alpha_beta(model, x, 1, alpha=1, beta=1), "alpha - beta"),
        (lambda model, x: deep_taylor(model, 2 * x, 1), "from low to high"),
        (lambda model, x: fit_patterns(model, x[:1]), "at least 2"),
        (lambda model, x: pattern_net(model, x, 1, patterns={}), "fit_patterns"),
        (lambda model, x: lrp_gamma(model, x, 3), "out of range"),
        (lambda model, x: lrp_gamma(model, x.float(), 1), "float"),
    ],
)  # fmt: skip
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call(Network(), images())
