"""Every rule against a slow implementation in matrices, on small networks that hold each kind of layer.

The slow side shares nothing with the engine: it takes the jacobian of each linear layer, walks the graph of the network
backwards by hand, and writes each rule as in its paper, neuron by neuron.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from medxai.attribution.propagation.deeplift import deeplift
from medxai.attribution.propagation.lrp import deep_taylor, lrp_alpha_beta, lrp_epsilon, lrp_gamma
from medxai.attribution.propagation.patterns import fit_patterns, pattern_attribution, pattern_net
from medxai.attribution.propagation.rectifiers import deconvnet, guided_backpropagation

CHANNELS, SIZE, TARGET = 2, 6, 1


class Graph(nn.Module):
    """A network as a list of nodes: what is done, and to the outputs of which nodes; -1 is the image."""

    def __init__(self, *nodes: tuple[object, tuple[int, ...]]) -> None:
        super().__init__()
        self.sources = [sources for _, sources in nodes]
        self.kinds = [node if isinstance(node, str) else "layer" for node, _ in nodes]
        self.layers = nn.ModuleList([nn.Identity() if isinstance(node, str) else node for node, _ in nodes])

    def run(self, images: Tensor) -> list[Tensor]:
        values = [images]
        for kind, layer, sources in zip(self.kinds, self.layers, self.sources, strict=True):
            inputs = [values[source + 1].clone() for source in sources]  # a ReLU in place leaves `values` alone
            values.append(sum(inputs) if kind == "add" else torch.cat(inputs, 1) if kind == "cat" else layer(*inputs))
        return values

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images)[-1]


def convolution(inputs: int, outputs: int, size: int = 3, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, padding=size // 2, **options), nn.BatchNorm2d(outputs))


def head(channels: int, pixels: int) -> list[nn.Module]:
    return [nn.Sequential(nn.Flatten(), nn.Linear(channels * pixels, 3))]


def chain() -> Graph:
    """As VGG: a ReLU right before an overlapping max-pooling, mean pooling, one layer without batch normalisation."""
    layers = [
        convolution(CHANNELS, 5), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(5, 6, 3, padding=1),
        nn.ReLU(inplace=True), nn.AvgPool2d(3, 2, 1), *head(6, 4),
    ]  # fmt: skip
    return Graph(*[(layer, (index - 1,)) for index, layer in enumerate(layers)])


def residual() -> Graph:
    """Skip addition, concatenation, a batch normalisation of its own, a ReLU whose input has a second use."""
    return Graph(
        (convolution(CHANNELS, 4), (-1,)),
        (nn.ReLU(), (0,)),
        (convolution(4, 4), (1,)),
        ("add", (1, 2)),
        (nn.ReLU(), (3,)),
        (nn.Conv2d(4, 3, 1), (4,)),
        ("cat", (3, 5)),
        (nn.BatchNorm2d(7), (6,)),
        (nn.ReLU(), (7,)),
        (convolution(7, 7, groups=7), (8,)),
        (nn.ReLU6(), (9,)),
        (nn.AdaptiveAvgPool2d(2), (10,)),
        (head(7, 4)[0], (11,)),
    )


NETWORKS = {"chain": chain, "residual": residual}


def prepared(name: str, bias: bool = True) -> Graph:
    torch.manual_seed(3)
    network = NETWORKS[name]().double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.5, 1.5)  # scales of both signs
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        elif getattr(module, "bias", None) is not None:
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def image(seed: int = 0) -> Tensor:
    return torch.rand(1, CHANNELS, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrix(layer: nn.Module, value: Tensor) -> tuple[Tensor, Tensor]:
    """Jacobian (outputs, inputs) and constant (outputs,) of an affine layer."""
    with torch.no_grad():
        constant = layer(torch.zeros_like(value)).flatten()
    return jacobian(layer, value).reshape(len(constant), value.numel()), constant


def slow(
    network: Graph, value: Tensor, affine: Callable, relu: Callable, winner: Callable, add: Callable, start: Callable
) -> Tensor:
    """Walk the graph backwards; each rule gets a node's number, its input and output and what arrives there."""
    with torch.no_grad():
        values = network.run(value)
    arrived = [torch.zeros(part.numel(), dtype=torch.float64) for part in values]
    arrived[-1][TARGET] = start(values[-1][0, TARGET])
    for node in reversed(range(len(network.layers))):
        kind, layer, sources = network.kinds[node], network.layers[node], network.sources[node]
        output, message = values[node + 1].flatten(), arrived[node + 1]
        inputs = [values[source + 1] for source in sources]
        if kind == "add":
            passed = [add(part.flatten(), output, message) for part in inputs]
        elif kind == "cat":
            passed = message.split([part.numel() for part in inputs])
        elif isinstance(layer, (nn.ReLU, nn.ReLU6)):
            passed = [relu(node, layer, inputs[0].flatten(), message)]
        elif isinstance(layer, nn.MaxPool2d):
            passed = [winner(node, layer, inputs[0], message)]
        else:
            passed = [affine(node, *matrix(layer, inputs[0]), inputs[0].flatten(), message)]
        for source, part in zip(sources, passed, strict=True):
            arrived[source + 1] += part
    return arrived[0].view_as(value)


def windows(value: Tensor, layer: nn.MaxPool2d) -> list[list[int]]:
    """Places of the flattened input that each output of a max-pooling sees, without the padding."""
    _, channels, height, width = value.shape
    size, stride, padding = layer.kernel_size, layer.stride, layer.padding
    found = []
    for channel in range(channels):
        for top in range(-padding, height + padding - size + 1, stride):
            for left in range(-padding, width + padding - size + 1, stride):
                rows = [row for row in range(top, top + size) if 0 <= row < height]
                columns = [column for column in range(left, left + size) if 0 <= column < width]
                found.append([(channel * height + row) * width + column for row in rows for column in columns])
    return found


def winner_takes_all(node: int, layer: nn.MaxPool2d, value: Tensor, message: Tensor) -> Tensor:
    passed, flat = torch.zeros(value.numel(), dtype=torch.float64), value.flatten()
    for window, part in zip(windows(value, layer), message, strict=True):
        passed[max(window, key=lambda place: float(flat[place]))] += part
    return passed


def relevance(network: Graph, value: Tensor, rule: Callable) -> Tensor:
    def affine(node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor) -> Tensor:
        pooled = isinstance(network.layers[node], (nn.AvgPool2d, nn.AdaptiveAvgPool2d))
        return _proportional(weight, a, message) if pooled else rule(node, weight, bias, a, message)

    return slow(
        network, value, affine, winner=winner_takes_all, start=float,
        relu=lambda node, layer, z, message: message * (z > 0),
        add=lambda part, total, message: torch.where(total == 0, 0, part / total * message),
    )  # fmt: skip


def _proportional(weight: Tensor, a: Tensor, message: Tensor) -> Tensor:
    contributions = weight * a
    total = contributions.sum(1, keepdim=True)
    return (torch.where(total == 0, 0, contributions / total) * message[:, None]).sum(0)


def epsilon_rule(node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor, epsilon: float = 0.01) -> Tensor:
    z = weight @ a + bias
    return sum(a * weight[j] / (z[j] + (epsilon if z[j] >= 0 else -epsilon)) * message[j] for j in range(len(z)))


def gamma_rule(node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor, gamma: float = 0.3) -> Tensor:
    passed = torch.zeros_like(a)
    for j in range(len(message)):
        contributions = torch.cat([a * weight[j], bias[j : j + 1]])
        agree = (contributions > 0) == (contributions.sum() >= 0)
        favoured = contributions + gamma * contributions * agree
        passed += favoured[:-1] / favoured.sum() * message[j]
    return passed


def alpha_beta_rule(alpha: float, beta: float) -> Callable:
    def rule(node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor) -> Tensor:
        passed = torch.zeros_like(a)
        for j in range(len(message)):
            contributions = torch.cat([a * weight[j], bias[j : j + 1]])
            up, down = contributions.clamp(min=0), contributions.clamp(max=0)
            if up.sum() > 0 and down.sum() < 0:
                passed += (alpha * up / up.sum() - beta * down / down.sum())[:-1] * message[j]
            elif contributions.any():
                passed += (contributions / contributions.sum())[:-1] * message[j]
        return passed

    return rule


def deep_taylor_rule(node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor) -> Tensor:
    passed = torch.zeros_like(a)
    for j in range(len(message)):
        if node == 0:  # the zB rule, between 0 - 0.2 and 1 + 0.3
            part = a * weight[j] + 0.2 * weight[j].clamp(min=0) - 1.3 * weight[j].clamp(max=0)
        else:
            part = (a * weight[j]).clamp(min=0)
            part = part if part.sum() > 0 else a * weight[j]
        if part.sum() != 0:
            passed += part / part.sum() * message[j]
    return passed


RELEVANCE = {
    "epsilon": (epsilon_rule, lambda *given: lrp_epsilon(*given, epsilon=0.01)),
    "gamma": (gamma_rule, lambda *given: lrp_gamma(*given, gamma=0.3)),
    "alpha 2 beta 1": (alpha_beta_rule(2, 1), lrp_alpha_beta),
    "alpha 1 beta 0": (alpha_beta_rule(1, 0), lambda *given: lrp_alpha_beta(*given, alpha=1, beta=0)),
    "deep Taylor": (deep_taylor_rule, lambda *given: deep_taylor(*given, low=-0.2, high=1.3)),
}


@pytest.mark.parametrize("rule", RELEVANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_relevance(name, rule):
    network, (slowly, method) = prepared(name), RELEVANCE[rule]
    expected = relevance(network, image(), slowly)
    assert expected.abs().max() > 1e-6
    torch.testing.assert_close(method(network, image(), TARGET), expected, rtol=1e-9, atol=1e-12)


def derivative(
    network: Graph, value: Tensor, relu: Callable, weights: Callable = lambda node, weight: weight
) -> Tensor:
    return slow(
        network, value,
        affine=lambda node, weight, bias, a, message: weights(node, weight).T @ message,
        relu=relu, winner=winner_takes_all, add=lambda part, total, message: message, start=lambda logit: 1.0,
    )  # fmt: skip


def is_open(layer: nn.Module, z: Tensor) -> Tensor:
    return (z > 0) & (z < 6) if isinstance(layer, nn.ReLU6) else z > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_rectifiers(name):
    network = prepared(name)
    guided = derivative(network, image(), lambda node, layer, z, g: torch.where(is_open(layer, z) & (g > 0), g, 0))
    blind = derivative(network, image(), lambda node, layer, z, g: torch.where(g > 0, g, 0))
    plain = derivative(network, image(), lambda node, layer, z, g: torch.where(is_open(layer, z), g, 0))
    torch.testing.assert_close(guided_backpropagation(network, image(), TARGET), guided, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(deconvnet(network, image(), TARGET), blind, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(guided, plain)
    assert not torch.allclose(guided, blind)


class _DeepLiftByHand:
    """The paper's rules on a network that is a list of nodes, with one matrix for each linear layer."""

    def __init__(self, network, own: list[Tensor], other: list[Tensor], rule: str) -> None:
        self.network, self.own, self.other, self.rule = network, own, other, rule
        self.halves: dict[int, tuple[Tensor, Tensor]] = {}
        """Multipliers of the positive and the negative part of a node's difference: they differ after RevealCancel
        alone, and the linear operation before uses one for its positive terms and the other for its negative ones."""

    def difference(self, node: int) -> Tensor:
        return (self.own[node + 1] - self.other[node + 1]).flatten()

    def terms(self, node: int) -> Tensor:
        """Contributions (outputs, terms) to the difference of a node's output."""
        sources, layer = self.network.sources[node], self.network.layers[node]
        differences = [self.difference(source) for source in sources]
        if self.network.kinds[node] == "add":
            return torch.stack(differences, 1)
        if self.network.kinds[node] == "layer" and isinstance(layer, (nn.Sequential, nn.Conv2d)):
            return matrix(layer, self.own[sources[0] + 1])[0] * differences[0]
        return self.difference(node)[:, None]

    def parts(self, source: int, layer: nn.Module) -> tuple[Tensor, ...]:
        contributions, z0 = self.terms(source), self.other[source + 1].flatten()
        up, down = contributions.clamp(min=0).sum(1), contributions.clamp(max=0).sum(1)
        start, with_up, with_down, with_both = (_rectified(layer, z0 + by) for by in (0, up, down, up + down))
        gain_up = (with_up - start + with_both - with_down) / 2
        gain_down = (with_down - start + with_both - with_up) / 2
        derivative = is_open(layer, self.own[source + 1].flatten()).double()  # where a part is zero
        return tuple(
            torch.where(part == 0, derivative, gained / part.where(part != 0, 1))
            for gained, part in ((gain_up, up), (gain_down, down))
        )

    def relu(self, node: int, layer: nn.Module, z: Tensor, message: Tensor) -> Tensor:
        source = self.network.sources[node][0]
        if self.rule == "reveal_cancel":
            up, down = self.parts(source, layer)
            self.halves[source] = (up * message, down * message)
            return torch.zeros_like(message)
        z0 = self.other[source + 1].flatten()
        same = z == z0
        gained = torch.where(same, is_open(layer, z), _rectified(layer, z) - _rectified(layer, z0))
        return gained / torch.where(same, 1, z - z0) * message

    def affine(self, node: int, weight: Tensor, bias: Tensor, a: Tensor, message: Tensor) -> Tensor:
        passed = weight.T @ message
        if node in self.halves:
            contributions = self.terms(node)
            if contributions.shape != weight.shape:  # a batch normalisation alone: one term to each output
                contributions = weight * self.difference(self.network.sources[node][0])
            up, down = self.halves[node]
            passed = passed + (weight * (contributions > 0)).T @ up + (weight * (contributions < 0)).T @ down
            passed = passed + (weight * (contributions == 0)).T @ (up + down) / 2
        return passed


def _rectified(layer: nn.Module, z: Tensor) -> Tensor:
    return z.clamp(0, 6) if isinstance(layer, nn.ReLU6) else z.clamp(min=0)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", NETWORKS)
def test_deeplift(name, rule):
    network, value, baseline = prepared(name), image(), image(seed=1)
    with torch.no_grad():
        own, other = network.run(value), network.run(baseline)
    hand = _DeepLiftByHand(network, own, other, rule)
    expected = _walk_deeplift(network, own, other, hand.affine, hand.relu, hand.halves)
    result = deeplift(network, value, TARGET, baseline=baseline, rule=rule)
    torch.testing.assert_close(result, expected.view_as(value), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result.sum(), (own[-1] - other[-1])[0, TARGET])


def _walk_deeplift(network, own, other, affine, relu, halves) -> Tensor:
    """Walk back with multipliers; additions hand `halves` on by the sign of each summand's difference."""
    arrived = [torch.zeros(part.numel(), dtype=torch.float64) for part in own]
    arrived[-1][TARGET] = 1
    for node in reversed(range(len(network.layers))):
        kind, layer, sources = network.kinds[node], network.layers[node], network.sources[node]
        message, value = arrived[node + 1], own[sources[0] + 1]
        if kind == "cat":
            passed = message.split([own[source + 1].numel() for source in sources])
        elif kind == "add":
            passed = [message + _half_of_sum(own, other, source, halves.get(node)) for source in sources]
        elif isinstance(layer, (nn.ReLU, nn.ReLU6)):
            passed = [relu(node, layer, value.flatten(), message)]
        elif isinstance(layer, nn.MaxPool2d):
            passed = [_cross_maximum(layer, value, other[sources[0] + 1], message)]
        else:
            passed = [affine(node, *matrix(layer, value), value.flatten(), message)]
        for source, part in zip(sources, passed, strict=True):
            arrived[source + 1] += part
    return arrived[0] * (own[0] - other[0]).flatten()


def _half_of_sum(own: list, other: list, source: int, halves: tuple[Tensor, Tensor] | None) -> Tensor | float:
    if halves is None:
        return 0.0
    difference = (own[source + 1] - other[source + 1]).flatten()
    up, down = halves
    return torch.where(difference > 0, up, torch.where(difference < 0, down, (up + down) / 2))


def _cross_maximum(layer: nn.MaxPool2d, value: Tensor, baseline: Tensor, message: Tensor) -> Tensor:
    a, b = value.flatten(), baseline.flatten()
    passed = torch.zeros(value.numel(), dtype=torch.float64)
    for window, part in zip(windows(value, layer), message, strict=True):
        own = max(window, key=lambda place: float(a[place]))
        other = max(window, key=lambda place: float(b[place]))
        cross = max(a[own], b[other])
        if a[own] != b[own]:
            passed[own] += (cross - b[other]) / (a[own] - b[own]) * part
        elif a[own] == b[other]:
            passed[own] += part
        if a[other] != b[other]:
            passed[other] += (a[own] - cross) / (a[other] - b[other]) * part
    return passed


def slow_pattern(network: Graph, node: int, images: Tensor, rectified: bool) -> Tensor:
    """Pattern as a matrix like the layer's jacobian, averaged over images and, for a convolution, over positions."""
    layer = network.layers[node]
    convolution = next(module for module in layer.modules() if isinstance(module, (nn.Conv2d, nn.Linear)))
    with torch.no_grad():
        inputs = network.run(images)[network.sources[node][0] + 1]
        outputs = layer(inputs)
    weight, constant = matrix(layer, inputs[:1])
    if isinstance(convolution, nn.Linear):
        x, y = inputs.flatten(1)[:, None].expand(-1, len(constant), -1)[..., None, :], outputs[..., None]
        rows = weight
    else:
        group = convolution.in_channels // convolution.groups
        patches = nn.functional.unfold(inputs, convolution.kernel_size, padding=convolution.padding)
        patches = patches.view(len(images), convolution.in_channels, -1, patches.shape[-1])
        x = torch.stack([
            patches[:, output // (convolution.out_channels // convolution.groups) * group :][:, :group].flatten(1, 2)
            for output in range(convolution.out_channels)
        ], 1).transpose(2, 3)  # fmt: skip
        y = outputs.flatten(2)
        norm = layer[1] if isinstance(layer, nn.Sequential) else None
        scale = 1 if norm is None else (norm.weight / (norm.running_var + norm.eps).sqrt()).view(-1, 1, 1, 1)
        rows = (convolution.weight * scale).detach().flatten(1)
    patterns = []
    for output in range(x.shape[1]):
        xs, ys = x[:, output].reshape(-1, x.shape[-1]), y[:, output].reshape(-1)
        chosen = ys > 0 if rectified else torch.ones_like(ys, dtype=torch.bool)
        covariance = (xs[chosen] * ys[chosen, None]).mean(0) - xs[chosen].mean(0) * ys.mean()
        undefined = not chosen.any() or not covariance.any()
        patterns.append(torch.zeros_like(rows[output]) if undefined else covariance / (rows[output] @ covariance))
    pattern = torch.stack(patterns)
    if isinstance(convolution, nn.Linear):
        return pattern
    plain = nn.Conv2d(
        convolution.in_channels, convolution.out_channels, convolution.kernel_size, padding=convolution.padding,
        groups=convolution.groups, bias=False, dtype=torch.float64,
    )  # fmt: skip
    plain.weight.data = pattern.view_as(convolution.weight)
    return matrix(plain, inputs[:1])[0]


@pytest.mark.parametrize("attribution", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_patterns(name, attribution):
    network = prepared(name)
    images = torch.cat([image(seed) for seed in range(10, 30)])
    consumers = {
        source: type(layer)
        for layer, sources in zip(network.layers, network.sources, strict=True)
        for source in sources[:1]
    }

    def weights(node: int, weight: Tensor) -> Tensor:
        layer = network.layers[node]
        if isinstance(layer, nn.BatchNorm2d):
            pattern = torch.where(weight == 0, 0, 1 / torch.where(weight == 0, 1, weight))
        elif isinstance(layer, (nn.AvgPool2d, nn.AdaptiveAvgPool2d)):
            return weight
        else:
            pattern = slow_pattern(network, node, images, consumers.get(node) in (nn.ReLU, nn.ReLU6))
        return weight * pattern if attribution else pattern

    expected = derivative(network, image(), lambda node, layer, z, g: torch.where(is_open(layer, z), g, 0), weights)
    method = pattern_attribution if attribution else pattern_net
    expected *= network(image())[:, TARGET].detach().view(-1, 1, 1, 1)
    result = method(network, image(), TARGET, patterns=fit_patterns(network, images, batch_size=7))
    torch.testing.assert_close(result, expected, rtol=1e-7, atol=1e-9 * float(expected.abs().max()))
