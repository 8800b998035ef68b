"""Controls: the contract of `explain`, closed forms, SciPy's Sobel, and that noise finds nothing."""

import numpy as np
import pytest
import torch
from explained_networks import Small, images
from scipy import ndimage

from medxai.attribution import CONTROLS, METHODS, explain
from medxai.evaluation.localisation import hit_rate, pixel_auc

X = images(12, 3, dtype=torch.double)
RANDOM = ["uniform_random", "smoothed_random"]


class NeverRun(Small):
    def forward(self, batch):
        raise AssertionError("a control has run the model")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_table_is_whole():
    assert not set(CONTROLS) & set(METHODS)
    for name, one in CONTROLS.items():
        assert (one.kind, one.family, one.path) == ("map", "control", f"medxai.attribution.controls.{name}")
        assert one.function.__doc__
        assert one.reference
        assert one.limits.endswith(".")
    assert CONTROLS["smoothed_random"].options == {"sigma": False, "generator": False}
    assert CONTROLS["sobel_edges"].options == {}


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_gives_what_single_images_give_and_the_model_is_not_run(name, dtype):
    model, batch = NeverRun().to(dtype), X[:, :, :10].to(dtype)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = explain(model, batch, 0, name)
    assert found.shape == (3, 10, 12)
    assert found.dtype == dtype
    assert not found.requires_grad
    for one, image in zip(found, batch, strict=True):
        assert torch.equal(explain(model, image[None], 3, name)[0], one)
    assert torch.equal(explain(model, batch.flip(0), torch.tensor([1, 2, 3]), name), found.flip(0))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    assert torch.equal(batch, X[:, :, :10].to(dtype))
    assert CONTROLS[name].function(model, batch, 0).shape == (3, 1, 10, 12)
    assert CONTROLS[name].signed == bool(found.min() < 0)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(name):
    model = NeverRun()
    used = seeded(5)
    torch.rand(3, generator=used)
    found = explain(model, X, 0, name, generator=seeded(5))
    assert torch.equal(explain(model, X, 0, name, generator=used), found)
    assert not torch.equal(explain(model, X, 0, name, generator=seeded(6)), found)
    assert torch.equal(explain(model, X, 0, name), explain(model, X, 0, name, generator=seeded(0)))
    assert torch.equal(
        explain(model, X, 0, name, generator=seeded(-1)), explain(model, X, 0, name, generator=seeded(-1))
    )


@pytest.mark.parametrize("name", RANDOM)
def test_noise_is_independent_between_images(name):
    """Images that differ in one value get maps without correlation; equal images get equal maps."""
    batch = X[:1].expand(41, -1, -1, -1).clone()
    batch[1:, 0, 0, 0] += torch.arange(40) * 1e-9
    maps = explain(NeverRun(), batch, 0, name).flatten(1).numpy()
    assert np.array_equal(maps[0], maps[1])
    correlations = np.corrcoef(maps[1:])[np.triu_indices(40, 1)]
    assert abs(correlations.mean()) < 0.02
    assert abs(correlations).max() < 0.9


def test_the_two_kinds_of_noise_are_independent():
    batch = images(64, 4, dtype=torch.double)
    uniform = explain(NeverRun(), batch, 0, "uniform_random").flatten().numpy()
    normal = explain(NeverRun(), batch, 0, "smoothed_random", sigma=1e-6).flatten().numpy()  # not smoothed
    assert abs(np.corrcoef([uniform, normal, abs(normal)])[0, 1:]).max() < 0.03


def test_uniform_noise_is_uniform():
    found = explain(NeverRun(), images(100, 1, dtype=torch.double), 0, "uniform_random").flatten().sort().values
    assert (found - (torch.arange(10000) + 0.5) / 10000).abs().max() < 0.02  # Kolmogorov and Smirnov: 1 of 1000 tries
    assert found.min() >= 0
    assert found.max() <= 1


def test_smoothed_noise_has_the_correlation_of_its_gaussian():
    """Noise smoothed by s has the correlation exp(-d^2 / 4 s^2) at distance d, at the borders too."""
    batch = images(40, 60, dtype=torch.double)
    maps = explain(NeverRun(), batch, 0, "smoothed_random", sigma=0.05)  # 2 pixels
    for distance in (1, 2, 4):
        for axis in (1, 2):
            product = (maps * maps.roll(distance, axis)).mean() / maps.square().mean()
            assert float(product) == pytest.approx(np.exp(-(distance**2) / 16), abs=0.05)
    border = maps[:, [0, -1]].square().mean() / maps.square().mean()
    assert float(border) == pytest.approx(1, abs=0.15)
    wide = explain(NeverRun(), batch[:, :, :20], 0, "smoothed_random", sigma=0.1)
    assert (wide.diff(dim=1).square().mean() / wide.diff(dim=2).square().mean()) == pytest.approx(4, rel=0.25)


def test_centre_gaussian():
    for height, width in ((12, 12), (9, 14)):
        batch = images(14, 2, dtype=torch.double)[:, :, :height, :width]
        found = explain(NeverRun(), batch, 0, "centre_gaussian")
        assert torch.equal(found[0], found[1])
        torch.testing.assert_close(found, found.flip(1))
        torch.testing.assert_close(found, found.flip(2))
        top = (found[0] == found[0].max()).nonzero()
        assert top.double().mean(0).tolist() == [(height - 1) / 2, (width - 1) / 2]
        assert len(top) == (2 - height % 2) * (2 - width % 2)
    odd = explain(NeverRun(), X[:, :, :9, :9], 0, "centre_gaussian", sigma=2 / 9)[0]
    assert odd[4, 4] == 1
    assert float(odd[4, 6]) == pytest.approx(np.exp(-0.5))
    assert float(odd[2, 6]) == pytest.approx(np.exp(-1))


def test_sobel_against_scipy():
    for channels in (1, 3):
        batch = X[:, :channels]
        found = explain(NeverRun(channels), batch, 0, "sobel_edges")
        for one, image in zip(found, batch.mean(1).numpy(), strict=True):
            expected = np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1))
            np.testing.assert_allclose(one, expected, atol=1e-12)


def test_sobel_of_a_ramp_and_of_one_colour():
    y, x = np.mgrid[:8, :8]
    ramp = torch.tensor(3.0 * x + 4.0 * y).expand(1, 3, 8, 8)
    torch.testing.assert_close(
        explain(NeverRun(), ramp, 0, "sobel_edges")[:, 1:-1, 1:-1], torch.full((1, 6, 6), 40.0, dtype=torch.double)
    )
    assert not explain(NeverRun(), torch.ones_like(ramp), 0, "sobel_edges").any()


def test_all_zero():
    assert not explain(NeverRun(), X, 0, "all_zero").any()


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("kind", ["corner", "stripes", "fuzzy centre"])
def test_noise_finds_nothing(name, kind):
    """The mean area under the ROC curve is 1/2, the mean hit rate the share of the area, within 4 standard errors."""
    y, x = np.mgrid[:24, :24] / 23 - 0.5
    reference = {
        "corner": (y < -0.2) & (x < -0.2),
        "stripes": (24 * x).astype(int) % 4 == 0,
        "fuzzy centre": np.exp(-8 * (y**2 + x**2)),
    }[kind].astype(float)
    maps = explain(NeverRun(), images(24, 300, seed=2, dtype=torch.double), 0, name).numpy()
    references = np.broadcast_to(reference, maps.shape)
    for found, expected in (
        (pixel_auc(maps, references), 0.5),
        (hit_rate(maps, references), (reference >= 0.5).mean()),
    ):
        assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(300)


def test_bad_input():
    with pytest.raises(
        ValueError, match=r"'sobel' is unknown: expected one of gradient, .*, or a control, uniform_ran"
    ):
        explain(Small(), X, 0, "sobel")
    with pytest.raises(ValueError, match="option 'sigma' is unknown to sobel_edges: expected none"):
        explain(Small(), X, 0, "sobel_edges", sigma=1)
    for name in ("smoothed_random", "centre_gaussian"):
        with pytest.raises(ValueError, match="sigma is 0: expected a share of each side, above 0"):
            explain(Small(), X, 0, name, sigma=0)
    for name in CONTROLS:
        with pytest.raises(ValueError, match="images hold NaN or infinity"):
            explain(Small(), X / 0, 0, name)
        with pytest.raises(ValueError, match=r"target is 1\.5"):
            explain(Small(), X, 1.5, name)
