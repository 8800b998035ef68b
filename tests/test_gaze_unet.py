"""The U-Net with a classifier: that its weights are ImageNet's, and that its parts are where they belong."""

import pytest
import torch

from medxai.errors import UnsupportedModel
from medxai.models import gaze_unet, weights


@pytest.fixture(scope="module")
def ours():
    return gaze_unet.make(classes=3)


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_the_encoder_is_our_own_network(ours, images):
    found = weights.pretrained()
    with torch.no_grad():
        maps = ours.classifier.encoder(images)[-1]
        behind = found.network.bn2(found.network.conv_head(maps))
        torch.testing.assert_close(behind, found.network.forward_features(images))
    assert ours.normalisation == found.normalisation
    assert ours.origin == found.origin


def test_the_encoder_of_smp_is_another(ours, images):
    """The reason for `tu-`: once smp pads and adds as TensorFlow does, the prefix can go."""
    from segmentation_models_pytorch.encoders import encoders

    encoder = encoders["timm-tf_efficientnet_lite0"]
    theirs = encoder["encoder"](**encoder["params"]).eval()
    state = dict(zip(theirs.state_dict(), weights.pretrained().network.state_dict().values(), strict=False))
    theirs.load_state_dict(state)
    with torch.no_grad():
        mine, other = ours.classifier.encoder(images)[-1], theirs(images)[-1]
    assert mine.shape == other.shape
    assert (mine - other).norm() > 0.1 * mine.norm()


@pytest.mark.parametrize("name", [gaze_unet.DEFAULT, "resnet18", "timm:efficientnet_b0"])
def test_shapes(name, images):
    network = gaze_unet.make(name, classes=4, pretrained=False)
    with torch.no_grad():
        output = network(images)
    assert output.class_logits.shape == (2, 4)
    assert output.gaze_logits.shape == (2, 64, 96)
    assert "random weights" in network.origin
    torch.testing.assert_close(network.classifier(images), output.class_logits)


def test_the_decoder_changes_no_class(images):
    logits = []
    for decoder in (True, False):
        torch.manual_seed(0)
        network = gaze_unet.make("resnet18", classes=2, decoder=decoder, pretrained=False)
        with torch.no_grad():
            logits.append(network(images))
    assert torch.equal(logits[0].class_logits, logits[1].class_logits)
    assert logits[1].gaze_logits is None


def test_the_decoder_waits_to_be_asked(ours, images):
    with torch.no_grad():
        assert ours(images, gaze=False).gaze_logits is None


def test_refusals(ours):
    with pytest.raises(ValueError, match="100 x 128 pixels: expected multiples of 32"):
        ours(torch.zeros(1, 3, 100, 128))
    with pytest.raises(UnsupportedModel, match="inception_v3 is no encoder"):
        gaze_unet.make("inception_v3", classes=3, pretrained=False)
    with pytest.raises(ValueError, match="classes is 1"):
        gaze_unet.make(classes=1, pretrained=False)
