"""Class activation maps against the papers' equations, captum and torchcam; every network that CAM is defined on."""

import pytest
import torch
from captum.attr import GuidedBackprop, GuidedGradCam, LayerGradCam
from explained_networks import CLASSES, Small, architecture, images, slim_and_whole
from torch import nn

from grad_cam_by_hand import one_by_one
from medxai.attribution import cam, explain, feature_maps
from medxai.errors import UnsupportedModel
from medxai.models import backbones

X = images(12, 3, dtype=torch.double)
TARGET = torch.tensor([0, 4, 2])
BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]


@pytest.fixture(scope="module")
def small():
    return Small()


@pytest.fixture(scope="module")
def resnet18():
    return architecture("resnet18")


def equation_19(maps, score):
    """Grad-CAM++ of exp(score) for one image, its derivatives of order 1, 2 and 3 taken one by one by autograd.

    Chattopadhay et al. 2018: alpha by equation 19, weights by equation 7, the map by equation 8.
    """
    maps = maps.detach().requires_grad_()
    exponential = score(maps[None]).exp()
    (first,) = torch.autograd.grad(exponential, maps, create_graph=True)
    orders = torch.zeros(3, *maps.shape, dtype=maps.dtype)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in maps.shape)).tolist():
        index = tuple(index)
        (second,) = torch.autograd.grad(first[index], maps, create_graph=True)
        (third,) = torch.autograd.grad(second[index], maps, retain_graph=True)
        orders[(slice(None), *index)] = torch.stack([first[index], second[index], third[index]]).detach()
    denominator = 2 * orders[1] + maps.detach().sum((1, 2), keepdim=True) * orders[2]
    alpha = torch.where(denominator != 0, orders[1] / denominator, torch.zeros_like(denominator))
    weights = (alpha * orders[0].relu()).sum((1, 2))
    return (weights[:, None, None] * maps.detach()).sum(0).relu() / exponential.item()


@pytest.mark.parametrize("layer", ["first", "second"])
def test_grad_cam_plus_plus_is_equation_19(small, layer):
    found = cam.grad_cam_plus_plus(small, X[:, :, :6, :6], TARGET, layer)[layer]
    for index in range(len(X)):
        maps = small.first(X[index : index + 1, :, :6, :6])
        rest = small.second if layer == "first" else nn.Identity()
        maps = (maps if layer == "first" else small.second(maps))[0]

        def score(one, rest=rest, index=index):
            return small.head(rest(one).mean((2, 3)))[0, TARGET[index]]

        torch.testing.assert_close(found[index], equation_19(maps, score))
        assert found[index].max() > 0


def test_grad_cam_plus_plus_of_tiny_gradients(small):
    """The map of a score a millionth as large is a millionth: an epsilon in the denominator would show."""
    found = cam.grad_cam_plus_plus(small, X, TARGET)["second"]
    tiny = Small()
    with torch.no_grad():
        tiny.head.weight /= 1e6
    scaled = cam.grad_cam_plus_plus(tiny, X, TARGET)["second"]
    with torch.no_grad():
        maps = small.second(small.first(X))
        slope = small.head.weight[TARGET].relu() / maps[0, 0].numel()
        limit = torch.einsum("nk,nkhw->nhw", slope * maps[0, 0].numel() / 2, maps).relu()
    torch.testing.assert_close(scaled * 1e6, limit, rtol=1e-4, atol=0)
    assert not torch.allclose(found, limit, rtol=0.001, atol=0)


def test_grad_cam_is_captums(resnet18):
    x = images(64)
    found = cam.grad_cam(resnet18, x, 1, BLOCKS)
    for name in BLOCKS:
        layer = LayerGradCam(resnet18, resnet18.get_submodule(name))
        expected = layer.attribute(x, target=1, relu_attributions=True)[:, 0].detach()
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


def scaled(maps):
    """Minimum to 0 and maximum to 1, as torchcam gives them."""
    lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - lowest) / (highest - lowest + 1e-8)


def test_grad_cam_is_torchcams(resnet18):
    from torchcam.methods import GradCAM

    x = images(64)
    found = cam.grad_cam(resnet18, x, 1, ["layer3.1", "layer4.1"])
    with GradCAM(resnet18, ["layer3.1", "layer4.1"]) as extractor:
        expected = extractor(1, resnet18(x))
    for ours, theirs in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(scaled(ours), theirs.detach(), rtol=0, atol=1e-4)


def test_torchcams_grad_cam_plus_plus_never_divides(resnet18):
    """A known difference (torchcam since 0.2.0): its weights are those of alpha = g^2, the numerator of equation 19."""
    from torchcam.methods import GradCAMpp

    x = images(64)
    ours = cam.grad_cam_plus_plus(resnet18, x, 1, BLOCKS)
    undivided = cam.grad_cam_plus_plus(resnet18, x, 1, BLOCKS, divided=False)
    with GradCAMpp(resnet18, BLOCKS) as extractor:
        theirs = extractor(1, resnet18(x))
    differences = []
    for name, expected in zip(BLOCKS, theirs, strict=True):
        # torchcam adds 1e-8 to a range that is as small as the cube of the gradient
        torch.testing.assert_close(scaled(undivided[name]), expected.detach(), rtol=0, atol=1e-4)
        differences.append((scaled(ours[name]) - scaled(undivided[name])).square().mean().sqrt().item())
    assert max(differences) > 0.05


@pytest.mark.parametrize("method", [cam.cam, cam.grad_cam, cam.grad_cam_plus_plus])
def test_the_target_can_be_chosen_from_the_logits(small, method):
    with torch.no_grad():
        logits = small(X)
    seen = []

    def runner_up(found):
        seen.append(found)
        return found.topk(2).indices[:, 1]

    second = logits.topk(2).indices[:, 1]
    assert not torch.equal(method(small, X, second)["second"], method(small, X, logits.argmax(1))["second"])
    torch.testing.assert_close(method(small, X, runner_up)["second"], method(small, X, second)["second"])
    torch.testing.assert_close(method(small, X, None)["second"], method(small, X, logits.argmax(1))["second"])
    (found,) = seen
    torch.testing.assert_close(found, logits)
    assert not found.requires_grad


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (lambda logits: None, "target is None: expected a class as an integer, or a tensor"),
        (lambda logits: logits[:, 0], "expected a class as an integer, or a tensor of one integer an image"),
        (lambda logits: logits.argmax(1)[:1], r"target has the shape \(1,\): expected \(3,\)"),
        (lambda logits: logits.argmax(1) + 6, "is out of range: expected a class of the model, 0 to 5"),
    ],
)
def test_bad_choices(small, choice, message):
    with pytest.raises(ValueError, match=message):
        cam.grad_cam_plus_plus(small, X, choice)


def test_other_ways_to_explain_choose_no_class(small):
    """They take several passes, which would choose anew."""
    for target in (None, cam.predicted):
        with pytest.raises(ValueError, match="expected a class as an integer, or a tensor of one integer an image"):
            explain(small, X, target, "integrated_gradients")


@pytest.mark.parametrize("method", [cam.grad_cam, cam.grad_cam_plus_plus])
@pytest.mark.parametrize("chosen", [False, True])
def test_all_layers_take_one_forward_and_one_backward_pass(resnet18, method, chosen, monkeypatch):
    passes = {"forward": 0, "backward": 0}
    real = torch.autograd._engine_run_backward  # `torch.autograd.grad` calls itself under a mode

    def counted(*arguments, **options):
        passes["backward"] += 1
        return real(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "_engine_run_backward", counted)
    handle = resnet18.register_forward_pre_hook(lambda *_: passes.update(forward=passes["forward"] + 1))
    x = images(64)
    target = None if chosen else TARGET[:2]
    together = method(resnet18, x, target, BLOCKS)
    handle.remove()
    assert passes == {"forward": 2, "backward": 1}  # the first of one image, to find the pixels
    assert list(together) == BLOCKS
    for name in BLOCKS:
        alone = method(resnet18, x, target, resnet18.get_submodule(name))
        torch.testing.assert_close(together[name], alone[name], rtol=1e-4, atol=1e-6 * float(alone[name].max()))


def test_layouts_spare_the_pass_of_the_first_image(resnet18):
    sizes = []
    handle = resnet18.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    x = images(64)
    found = cam.grad_cam_plus_plus(resnet18, x, None, dict.fromkeys(BLOCKS, feature_maps.Layout(channels=1)))
    assert sizes == [2]
    expected = cam.grad_cam_plus_plus(resnet18, x, None, BLOCKS)
    handle.remove()
    assert list(found) == list(expected)
    for name in BLOCKS:
        torch.testing.assert_close(found[name], expected[name])
    with pytest.raises(ValueError, match="layer 'layer5' is no layer of the model"):
        cam.grad_cam_plus_plus(resnet18, x, None, {"layer5": feature_maps.Layout(channels=1)})


def test_the_graph_starts_at_the_first_layer_and_holds_no_weight(resnet18):
    needs = {}
    watched = ("conv1", "layer1.0.conv1", "layer2.0.conv1")
    handles = [
        resnet18.get_submodule(name).register_forward_hook(
            lambda module, _, output, name=name: needs.update(
                {name: (output.requires_grad, module.weight.requires_grad)}
            )
        )
        for name in watched
    ]
    cam.grad_cam(resnet18, images(64), 1, ["layer1.1", "layer4.1"])
    for handle in handles:
        handle.remove()
    assert needs == {"conv1": (False, False), "layer1.0.conv1": (False, False), "layer2.0.conv1": (True, False)}
    assert all(weight.requires_grad and weight.grad is None for weight in resnet18.parameters())


@pytest.fixture(scope="module", params=slim_and_whole(backbones.NETWORKS))
def network(request):
    """Name, network, two images."""
    name, size, create = request.param
    return name, architecture(name, size, create), images(size)


def test_cam_sums_to_the_logit_and_is_grad_cam(network):
    """Where CAM is defined its mean is the logit without bias, and rectified it is Grad-CAM times the pixels."""
    name, model, x = network
    if name == "vgg16":
        with pytest.raises(UnsupportedModel, match=r"not a linear layer of the mean of the maps of 'features.29'"):
            cam.cam(model, x, 1)
        return
    (found,) = cam.cam(model, x, 1).values()
    head = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    with torch.no_grad():
        logits = model(x)[:, 1] - (0 if head.bias is None else head.bias[1])
    torch.testing.assert_close(found.mean((1, 2)), logits, rtol=1e-3, atol=1e-4)
    (gradient,) = cam.grad_cam(model, x, 1).values()
    torch.testing.assert_close(found.relu() / found[0].numel(), gradient, rtol=1e-3, atol=1e-5 * float(gradient.max()))


def test_the_last_layer_is_found(network):
    """The default for a network that says nothing of itself is the layer that the table of networks names."""
    name, model, x = network
    assert feature_maps.last_maps(model, x) == backbones.NETWORKS[name].last_convolution


def test_cam_needs_the_last_layer(small):
    with pytest.raises(UnsupportedModel, match="mean of the maps of 'first'"):
        cam.cam(small, X, 0, "first")

    class Tail(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Small()

        def forward(self, batch):
            return self.body(batch)[:, :4]

    with pytest.raises(UnsupportedModel, match="the last layer has 6 outputs and the model 4"):
        cam.cam(Tail(), X, 0)


def test_maps_that_change_in_place_are_the_changed_ones():
    inplace = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    inplace.double()
    found = cam.grad_cam(inplace, X, 1, ["0", "1"])
    torch.testing.assert_close(found["0"], found["1"])


def test_guided_grad_cam_is_captums(small):
    """Where captum's guided backpropagation is right: each ReLU a module of its own. Captum enlarges by repeating."""
    x = X[:, :, :12, :12]
    found = cam.guided_grad_cam(small, x, TARGET, layer="first")  # the layer has the size of the image
    torch.testing.assert_close(found, GuidedGradCam(small, small.first).attribute(x, TARGET).detach())
    resized = cam.guided_grad_cam(small, x, TARGET)
    coarse = explain(small, x, TARGET, "grad_cam")[:, None]
    guided = GuidedBackprop(small).attribute(x, TARGET)
    torch.testing.assert_close(resized, guided * coarse)


def test_explain_resizes(small):
    found = explain(small, X, TARGET, "grad_cam")
    maps = cam.grad_cam(small, X, TARGET)["second"]
    expected = nn.functional.interpolate(maps[:, None], (12, 12), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", ["cam", "grad_cam", "grad_cam_plus_plus"])
def test_a_batch_gives_what_single_images_give(small, method):
    batch = explain(small, X, TARGET, method)
    singles = [explain(small, X[i : i + 1], int(TARGET[i]), method) for i in range(len(X))]
    torch.testing.assert_close(batch, torch.cat(singles))


def test_bfloat16_stays_within_its_stated_error(resnet18):
    x = images(64, 4)
    exact = cam.grad_cam_plus_plus(resnet18, x, 1, BLOCKS)
    rough = cam.grad_cam_plus_plus(resnet18, x, 1, BLOCKS, bfloat16=True)
    for name in BLOCKS:
        assert rough[name].dtype == torch.float32
        error = 255 * (scaled(rough[name]) - scaled(exact[name])).square().mean().sqrt()
        assert 0 < error < 15


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("layer5", "layer 'layer5' is no layer of the model: expected a name such as layer"),
        ("", "layer '' is no layer"),
        (nn.ReLU(), "layer a ReLU is no layer of the model"),
        ([], "layers are empty"),
        ("fc", r"layer 'fc' gives \(1, 6\): expected a layer that gives maps"),
    ],
)
def test_bad_layers(resnet18, layers, message):
    with pytest.raises(ValueError, match=message):
        cam.grad_cam(resnet18, images(64), 1, layers)


def test_a_layer_off_the_way(small):
    small = Small()
    small.unused = nn.Conv2d(3, 2, 1)
    small.double()
    with pytest.raises(ValueError, match="the score does not depend on layer 'unused'"):
        cam.grad_cam(small, X, 0, "unused")
    with pytest.raises(ValueError, match="the score does not depend on layer 'unused'"):
        cam.grad_cam(small, X, 0, ["unused", "second"])


class TestConceptCams:
    """The closed form against one gradient for each concept."""

    @pytest.fixture
    def head(self):
        torch.manual_seed(2)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4)).double()

    def test_maps_and_gradients(self, small, head):
        gradients = []
        for method in (one_by_one, cam.concept_cams):
            maps = small.second(small.first(X))
            found = method(maps, head)
            loss = (found * torch.linspace(-1, 1, found.numel(), dtype=torch.double).view_as(found)).square().sum()
            gradients.append(
                (
                    found.detach(),
                    *torch.autograd.grad(loss, [*head.parameters(), *small.first.parameters()], allow_unused=True),
                )
            )
        for expected, ours in zip(*gradients, strict=True):
            if expected is None:  # the last bias moves no gradient
                assert ours is None
            else:
                torch.testing.assert_close(ours, expected)

    def test_without_gradients(self, small, head):
        with torch.no_grad():
            maps = small.second(small.first(X))
            found = cam.concept_cams(maps, head)
        assert not found.requires_grad
        assert not maps.requires_grad
        assert all(weight.grad is None for weight in head.parameters())
        torch.testing.assert_close(found, one_by_one(maps.requires_grad_(), head).detach())

    def test_a_linear_head_is_grad_cam(self, small):
        with torch.no_grad():
            found = cam.concept_cams(small.second(small.first(X)), small.head)
        for concept in range(CLASSES):
            torch.testing.assert_close(found[:, concept], cam.grad_cam(small, X, concept)["second"])

    def test_bad_input(self, head):
        with pytest.raises(ValueError, match=r"feature_maps are \(2, 5\)"):
            cam.concept_cams(torch.zeros(2, 5), head)
        with pytest.raises(ValueError, match=r"head returns \(2,\)"):
            cam.concept_cams(torch.zeros(2, 5, 3, 3), lambda pooled: pooled.sum(1))
