"""Derived maps and the losses of the eight models: against captum, closed forms and finite differences."""

import copy
from dataclasses import replace

import captum.attr
import pytest
import torch
from torch import nn

from medxai.models import gaze_unet
from medxai.models.gaze_unet import GazeOutput
from medxai.training.gaze_losses import GENERATORS, MODELS, Choices, derived_map, losses, step_losses

CAPTUM = {"guided_backpropagation": captum.attr.GuidedBackprop, "deconvnet": captum.attr.Deconvolution}


class Plain(nn.Sequential):
    """A ReLU network on which captum is right: every ReLU a module of its own, none in place, one path."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3),
        )  # fmt: skip


@pytest.fixture
def images():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def plain(images):
    torch.manual_seed(0)
    network = Plain().train()
    network(images)  # so that the running statistics are some
    return network


TARGET = torch.tensor([0, 2, 1])


@pytest.mark.parametrize("generator", GENERATORS)
def test_captum_gives_the_same_map(plain, images, generator):
    wanted = CAPTUM[generator](plain.eval()).attribute(images.clone().requires_grad_(), TARGET).sum(1)
    plain.train()
    ranged = (wanted - wanted.amin((1, 2), keepdim=True)) / (wanted.amax((1, 2)) - wanted.amin((1, 2)))[:, None, None]
    found = derived_map(plain, images, TARGET, generator, Choices(channels="signed"), create_graph=True)
    torch.testing.assert_close(found, ranged)
    absolute = wanted.abs() - wanted.abs().amin((1, 2), keepdim=True)
    found = derived_map(plain, images, TARGET, generator, Choices())
    torch.testing.assert_close(found, absolute / absolute.amax((1, 2), keepdim=True))


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_map_is_that_of_the_network_in_use(plain, images, generator):
    """No dropout, running statistics that stay as they are, no word of the other images, and the mode as before."""
    before = copy.deepcopy(plain.state_dict())
    together = derived_map(plain, images, TARGET, generator, Choices(), create_graph=True)
    alone = derived_map(plain, images[1:2], TARGET[1:2], generator, Choices(), create_graph=True)
    torch.testing.assert_close(together[1:2], alone)
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())
    assert all(module.training for module in plain.modules())
    torch.testing.assert_close(derived_map(plain.eval(), images, TARGET, generator, Choices()), together.detach())


@pytest.mark.parametrize("name", ["resnet18", "timm:efficientnet_b0", gaze_unet.DEFAULT])
@pytest.mark.parametrize("generator", GENERATORS)
def test_gradient_of_the_whole_loss(name, generator):
    """Against central differences in float64: classes, decoder and derived map, dropout and batch statistics.

    The loss jumps where an activation passes its kink, which few of millions do within a step of 1e-9.
    """
    torch.manual_seed(0)
    network = gaze_unet.make(name, classes=3, pretrained=False).double().train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # running statistics are constants of a step, which differences would move
    images, gaze = torch.randn(3, 3, 64, 64).double(), torch.rand(3, 64, 64).double()
    every = replace(MODELS[f"set_3_{generator}"], decoder_to_derived=0.7)

    def loss(changed: nn.Module) -> torch.Tensor:
        torch.manual_seed(1)  # of dropout
        return step_losses(changed, every, images, TARGET, gaze, Choices(weight=5.0))["total"]

    loss(network).backward()
    for seed in range(2):
        torch.manual_seed(seed)
        sizes = [weight.detach().abs().mean() + 0.01 for weight in network.parameters()]
        direction = [torch.randn_like(w) * size for w, size in zip(network.parameters(), sizes, strict=True)]
        analytic = sum((weight.grad * way).sum() for weight, way in zip(network.parameters(), direction, strict=True))
        values = []
        for step in (1e-9, -1e-9):
            changed = copy.deepcopy(network)
            with torch.no_grad():
                for weight, way in zip(changed.parameters(), direction, strict=True):
                    weight += step * way
            values.append(loss(changed).item())
        assert (values[0] - values[1]) / 2e-9 == pytest.approx(analytic.item(), rel=1e-4)


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_loss_of_the_map_reaches_the_weights(plain, images, generator):
    map_only = derived_map(plain, images, TARGET, generator, Choices(), create_graph=True)
    map_only.square().mean().backward()
    for place in (0, 4, 10):
        assert plain[place].weight.grad.abs().max() > 0


def test_choices_of_channels_and_scaling(plain, images):
    def of(**options: object) -> torch.Tensor:
        return derived_map(plain, images, TARGET, "guided_backpropagation", Choices(**options))

    signed, positive, absolute = (of(channels=name) for name in ("signed", "positive", "absolute"))
    zero = (signed[0, positive[0] == 0]).max()  # where grey speaks against the class, at most
    assert (signed[0, positive[0] > 0] >= zero).all()
    assert (absolute >= positive - 1e-6).sum() < absolute.numel()  # both have a maximum of 1, of another pixel perhaps
    cut = of(scaling="quantile")
    assert ((cut == 1).flatten(1).float().mean(1) >= 0.01).all()
    assert ((absolute == 1).flatten(1).sum(1) == 1).all()
    torch.testing.assert_close(cut, (absolute / absolute.flatten(1).quantile(0.99, 1)[:, None, None]).clamp(max=1))
    coarse = of(cells=4)
    assert coarse.shape == absolute.shape
    assert coarse.diff(dim=2).abs().max() < 0.1 < absolute.diff(dim=2).abs().max()


def test_a_map_of_nothing_stays_nothing(plain, images):
    nn.init.zeros_(plain[10].weight)
    found = derived_map(plain, images, TARGET, "deconvnet", Choices(), create_graph=True)
    assert not found.any()
    found.sum().backward()
    assert plain[0].weight.grad.isfinite().all()


def test_losses_by_hand():
    gaze, logits = torch.full((2, 4, 4), 0.25), torch.zeros(2, 3)
    output = GazeOutput(logits, torch.full((2, 4, 4), -(3.0**0.5)))
    labels, derived, half = torch.tensor([0, 2]), gaze.clone(), torch.log(torch.tensor(2.0))
    of = lambda name, **options: losses(MODELS[name], output, derived, labels, gaze, Choices(**options))  # noqa: E731
    assert of("classifier") == {"classification": half, "total": half}
    bce = torch.nn.functional.softplus(torch.tensor(3.0**0.5)) * 0.25 + 0.75 * torch.nn.functional.softplus(
        torch.tensor(-(3.0**0.5))
    )
    torch.testing.assert_close(of("u_net", weight=2.0)["total"], half + 2 * bce)
    torch.testing.assert_close(of("set_2_deconvnet")["decoder to derived"], bce)
    torch.testing.assert_close(of("set_3_deconvnet")["total"], half + bce / 2)  # the derived map is the gaze
    assert abs(of("set_1_deconvnet")["derived to gaze"]) < 1e-7
    derived.zero_()
    torch.testing.assert_close(of("set_1_deconvnet", reading="logit")["derived to gaze"], half)


def test_the_gaze_is_the_best_map_as_probability_and_not_as_logit():
    gaze = torch.linspace(0, 1, 16).view(1, 4, 4)
    output, labels = GazeOutput(torch.zeros(1, 3), None), torch.tensor([0])
    for reading, best in (("probability", gaze), ("logit", torch.special.logit(gaze, eps=1e-6).clamp(0, 1))):
        lost = {}
        for name, derived in (("best", best), ("gaze", gaze), ("zeros", 0 * gaze), ("ones", 0 * gaze + 1)):
            found = losses(MODELS["set_1_deconvnet"], output, derived, labels, gaze, Choices(reading=reading))
            lost[name] = found["derived to gaze"].item()
        assert lost["best"] == min(lost.values())
        assert (lost["best"] < lost["gaze"]) == (reading == "logit")


@pytest.mark.parametrize("moving", [True, False])
def test_in_set_2_the_derived_map_learns_or_not(images, moving):
    torch.manual_seed(0)
    network = gaze_unet.make("resnet18", classes=3, pretrained=False).train()
    gaze = torch.rand(3, 64, 64)
    found = step_losses(network, MODELS["set_2_deconvnet"], images, TARGET, gaze, Choices(moving=moving))
    found["decoder to derived"].backward()
    assert (network.classifier.head[-2].weight.grad is not None) == moving  # the decoder does not see the head
    assert network.classifier.encoder.conv1.weight.grad.abs().max() > 0


def test_the_target_may_be_the_prediction(images):
    torch.manual_seed(0)
    network = gaze_unet.make("resnet18", classes=3, pretrained=False).eval()
    gaze = torch.rand(3, 64, 64)
    with torch.no_grad():
        predicted = network(images).class_logits.argmax(1)
    of = lambda labels, target: step_losses(  # noqa: E731
        network, MODELS["set_1_deconvnet"], images, labels, gaze, Choices(target=target)
    )["derived to gaze"]
    other = (predicted + 1) % 3
    torch.testing.assert_close(of(other, "prediction"), of(predicted, "label"))
    assert (of(other, "label") - of(predicted, "label")).abs() > 1e-4


def test_eight_models():
    assert len(MODELS) == 8
    for name, model in MODELS.items():
        share = model.decoder_to_gaze + model.decoder_to_derived + model.derived_to_gaze
        assert share == (0 if name == "classifier" else 1)
        assert (model.generator is None) == (name in ("u_net", "classifier"))
