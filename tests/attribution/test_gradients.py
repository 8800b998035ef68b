"""Gradient methods against closed forms of a linear network, finite differences and captum."""

import pytest
import torch
from captum.attr import GradientShap, LayerActivation, NoiseTunnel, Saliency
from explained_networks import Linear, Small, images
from torch import nn

from medxai.attribution import explain, gradients

X = images(8, 3, dtype=torch.double)
TARGET = torch.tensor([0, 4, 2])
BASELINE = torch.tensor([0.3, -0.2, 0.1], dtype=torch.double)[:, None, None]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def linear():
    return Linear()


@pytest.fixture(scope="module")
def slopes(linear):
    return torch.stack([linear.slope(int(target)) for target in TARGET])


@pytest.fixture(scope="module")
def small():
    return Small()


def test_gradient_of_a_linear_network(linear, slopes):
    torch.testing.assert_close(gradients.gradient(linear, X, TARGET), slopes)
    torch.testing.assert_close(gradients.saliency(linear, X, TARGET), slopes.abs())
    torch.testing.assert_close(gradients.gradient_x_input(linear, X, TARGET), slopes * X)


def test_gradient_by_finite_differences(small):
    found = gradients.gradient(small, X, TARGET)
    with torch.no_grad():
        for channel, row, column in ((0, 0, 0), (1, 3, 5), (2, 7, 7)):
            step = torch.zeros_like(X)
            step[:, channel, row, column] = 1e-6
            change = (small(X + step) - small(X - step)).gather(1, TARGET[:, None])[:, 0] / 2e-6
            torch.testing.assert_close(found[:, channel, row, column], change, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_shap"])
def test_path_methods_of_a_linear_network(linear, slopes, method):
    found = getattr(gradients, method)(linear, X, TARGET, baseline=BASELINE)
    torch.testing.assert_close(found, slopes * (X - BASELINE))


def test_smoothgrad_of_a_linear_network_is_its_gradient(linear, slopes):
    torch.testing.assert_close(gradients.smoothgrad(linear, X, TARGET, samples=3), slopes)


def test_smoothgrad_without_noise_is_the_gradient(small):
    found = gradients.smoothgrad(small, X, TARGET, samples=2, noise=0)
    torch.testing.assert_close(found, gradients.gradient(small, X, TARGET))


def test_smoothgrad_draws_noise_of_the_stated_size():
    """Of a quadratic score the mean gradient over copies is 2 (x + mean of the noise): its spread is known."""

    class Quadratic(torch.nn.Module):
        def forward(self, batch):
            return batch.square().sum((1, 2, 3))[:, None]

    x = images(64, 2, dtype=torch.double)
    found = gradients.smoothgrad(Quadratic(), x, 0, samples=16, noise=0.1)
    reach = x.amax((1, 2, 3)) - x.amin((1, 2, 3))
    torch.testing.assert_close((found / 2 - x).std((1, 2, 3)), 0.1 * reach / 4, rtol=0.02, atol=0)


def test_integrated_gradients_by_another_quadrature(small):
    """A midpoint sum of many steps; and completeness against both scores."""
    found = gradients.integrated_gradients(small, X, TARGET, baseline=BASELINE, steps=256)
    start = BASELINE.expand_as(X)
    expected = torch.zeros_like(X)
    for step in range(1024):
        expected += gradients.gradient(small, start + (step + 0.5) / 1024 * (X - start), TARGET) / 1024
    torch.testing.assert_close(found, (X - start) * expected, rtol=0.02, atol=1e-4)
    with torch.no_grad():
        difference = (small(X) - small(start)).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), difference, rtol=0.01, atol=1e-4)


def test_captum_agrees(small):
    torch.testing.assert_close(gradients.saliency(small, X, TARGET), Saliency(small).attribute(X, TARGET))
    noisy = NoiseTunnel(Saliency(small))
    torch.manual_seed(0)
    expected = noisy.attribute(X, nt_samples=2000, stdevs=0.05, nt_samples_batch_size=500, target=TARGET, abs=False)
    reach = float(X.amax((1, 2, 3))[0] - X.amin((1, 2, 3))[0])
    found = gradients.smoothgrad(small, X, TARGET, samples=2000, noise=0.05 / reach)[0]
    torch.testing.assert_close(found, expected[0], rtol=0, atol=0.1 * float(expected[0].abs().max()))


def test_gradient_shap_is_the_mean_over_baselines(small):
    background = torch.stack([torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.5), -torch.ones(3, 8, 8)]).double()
    found = gradients.gradient_shap(small, X, TARGET, baseline=background, samples=6000)
    expected = [gradients.integrated_gradients(small, X, TARGET, baseline=one, steps=128) for one in background]
    scale = float(torch.stack(expected).abs().max())
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=0, atol=0.03 * scale)
    torch.manual_seed(0)
    captums = GradientShap(small).attribute(X, background, n_samples=2000, target=TARGET)
    torch.testing.assert_close(found, captums, rtol=0, atol=0.06 * scale)


def test_layer_integrated_gradients_as_the_thesis_writes_it(small):
    """Term by term: maps of image and baseline, the mean of the gradients on the way, resized."""
    steps, start = 7, BASELINE.expand_as(X)
    slopes = []
    for step in range(1, steps + 1):
        maps = small.first(start + step / steps * (X - start)).detach().requires_grad_()
        score = small.head(small.second(maps).mean((2, 3))).gather(1, TARGET[:, None]).sum()
        slopes.append(torch.autograd.grad(score, maps)[0])
    layer = LayerActivation(small, small.first)
    expected = ((layer.attribute(X) - layer.attribute(start)) * torch.stack(slopes).mean(0)).sum(1, keepdim=True)
    options = {"layer": "first", "baseline": BASELINE, "steps": steps}
    torch.testing.assert_close(gradients.layer_integrated_gradients(small, X, TARGET, **options), expected)


def test_layer_integrated_gradients_are_complete_where_the_maps_are_linear(linear):
    found = gradients.layer_integrated_gradients(linear, X, TARGET, layer="convolution", baseline=BASELINE, steps=3)
    with torch.no_grad():
        difference = (linear(X) - linear(BASELINE.expand_as(X))).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), difference)


def test_expressive_gradients_put_scaled_maps_together(small):
    options = {"baseline": BASELINE, "steps": 5}
    found = gradients.expressive_gradients(small, X, TARGET, layer=["first", "second"], **options)
    parts = [gradients.integrated_gradients(small, X, TARGET, **options).sum(1)]
    parts += [
        gradients.layer_integrated_gradients(small, X, TARGET, layer=name, **options)[:, 0]
        for name in ("first", "second")
    ]
    for index in range(len(X)):
        expected = sum(part[index] / part[index].abs().max() for part in parts) / 3
        torch.testing.assert_close(found[index, 0], expected)


def test_expressive_gradients_of_an_image_that_is_its_baseline(small):
    zero = torch.zeros(1, 3, 8, 8, dtype=torch.double)
    assert gradients.expressive_gradients(small, zero, 0, steps=2).abs().max() == 0


@pytest.mark.parametrize("method", ["smoothgrad", "gradient_shap"])
def test_seeds(small, method):
    function = getattr(gradients, method)
    one = function(small, X, TARGET, samples=3, generator=seeded(5))
    used = seeded(5)
    torch.rand(7, generator=used)  # the seed counts, not what was drawn since
    assert torch.equal(one, function(small, X, TARGET, samples=3, generator=used))
    assert not torch.equal(one, function(small, X, TARGET, samples=3, generator=seeded(6)))
    assert torch.equal(
        function(small, X, TARGET, samples=3), function(small, X, TARGET, samples=3, generator=seeded(0))
    )


@pytest.mark.parametrize(
    "method", ["gradient", "smoothgrad", "gradient_shap", "integrated_gradients", "layer_integrated_gradients"]
)
def test_a_batch_gives_what_single_images_give(small, method):
    batch = explain(small, X, TARGET, method)
    for index in range(len(X)):
        single = explain(small, X[index : index + 1], int(TARGET[index]), method)
        torch.testing.assert_close(batch[index : index + 1], single)


def test_explain_reduces_channels(small):
    torch.testing.assert_close(explain(small, X, TARGET, "gradient"), gradients.gradient(small, X, TARGET).sum(1))
    torch.testing.assert_close(
        explain(small, X, TARGET, "saliency"), gradients.gradient(small, X, TARGET).abs().amax(1)
    )


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("integrated_gradients", {"steps": 0}, "steps is 0: expected an integer of at least 1"),
        ("smoothgrad", {"samples": 1.5}, "samples is 1.5"),
        ("smoothgrad", {"noise": -1.0}, "noise is -1.0"),
        ("integrated_gradients", {"baseline": torch.zeros(5)}, r"baseline has the shape \(5,\)"),
        ("gradient_shap", {"baseline": torch.zeros(2, 3, 4, 4)}, r"baseline has the shape \(3, 4, 4\)"),
        ("layer_integrated_gradients", {"layer": ["first", "second"]}, "layer names 2 layers"),
    ],
)
def test_bad_options(small, method, options, message):
    with pytest.raises(ValueError, match=message):
        explain(small, X, TARGET, method, **options)


@pytest.mark.parametrize("method", ["gradient", "saliency", "smoothgrad", "gradient_shap", "grad_cam"])
def test_one_image_has_the_map_that_it_has_among_others(method):
    """Normalised maps as tokens: PyTorch's own derivative of one image alone is wrong there."""

    class Tokens(Small):
        def __init__(self):
            super().__init__()
            self.norm, self.tokens = nn.BatchNorm2d(5).double(), nn.LayerNorm(5).double()
            nn.init.uniform_(self.norm.running_var)

        def forward(self, batch):
            tokens = self.norm(self.second(self.first(batch))).flatten(2).transpose(1, 2)
            return self.head(self.tokens(tokens).mean(1))

    options = {"layer": "first"} if method == "grad_cam" else {}
    one, among = (explain(Tokens(), some, 1, method, **options)[:1] for some in (X[:1], X))
    assert among.any()
    torch.testing.assert_close(one, among, rtol=1e-9, atol=1e-12)
