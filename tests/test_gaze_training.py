"""Training of the gaze-supervised models, and their maps, on blobs whose place is the class."""

import copy

import numpy as np
import pytest
import torch

from gaze_examples import blobs, tiny
from medxai.evaluation.classification import one_against_rest
from medxai.experiment import gaze_maps
from medxai.models.gaze_unet import GazeUNet
from medxai.training.gaze_losses import MODELS, Choices, derived_map
from medxai.training.gaze_training import Training, class_logits, draw, train

SEEN, CHOSEN_BY = blobs(48, seed=0), blobs(30, seed=1)
EPOCHS, RATE = 25, 1e-2


def trained(name: str, epochs: int, seed: int = 0, **options: object) -> tuple[GazeUNet, Training]:
    torch.manual_seed(seed)
    network = tiny(MODELS[name].decoder)
    return network, train(network, MODELS[name], SEEN, CHOSEN_BY, epochs=epochs, seed=seed, rate=RATE, **options)


@pytest.fixture(scope="module")
def set_3() -> tuple[GazeUNet, Training]:
    return trained("set_3_guided_backpropagation", EPOCHS)


def series(training: Training, split: str, metric: str) -> np.ndarray:
    history = training.history
    return history.query("split == @split and metric == @metric")["value"].to_numpy()


def test_it_learns_classes_and_maps(set_3):
    _, training = set_3
    assert series(training, "validation", "AUC").max() > 0.95
    for metric in ("classification", "decoder to gaze", "derived to gaze", "total"):
        values = series(training, "training", metric)
        assert len(values) == EPOCHS
        assert values[-1] < 0.9 * values[0], metric


def test_the_weights_are_those_of_the_best_epoch(set_3):
    network, training = set_3
    areas, losses = (series(training, "validation", metric) for metric in ("AUC", "classification"))
    best = max(range(EPOCHS), key=lambda epoch: (areas[epoch], -losses[epoch]))
    assert training.epoch == best + 1
    logits = class_logits(network, CHOSEN_BY.pictures).double().numpy()
    assert one_against_rest(CHOSEN_BY.labels, logits)[0, 0] == pytest.approx(areas[best])
    assert not network.training


def test_the_epoch_is_not_always_the_last():
    """Labels of the validation images that contradict the training images: the less is learnt, the better."""
    torch.manual_seed(0)
    wrong = CHOSEN_BY._replace(labels=(CHOSEN_BY.labels + 1) % 3)
    network = tiny(decoder=False)
    training = train(network, MODELS["classifier"], SEEN, wrong, epochs=4, seed=0)
    assert training.epoch < 4


def test_the_seed_decides():
    (one, first), (two, again), (_, other) = (trained("set_1_deconvnet", 1, seed) for seed in (0, 0, 1))
    assert first.history.equals(again.history)
    assert not first.history.equals(other.history)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_decoder_that_no_loss_needs_stays_as_it_was():
    torch.manual_seed(0)
    network = tiny()
    before = copy.deepcopy(network.state_dict())
    train(network, MODELS["set_1_deconvnet"], SEEN, CHOSEN_BY, epochs=1, seed=0)
    for name, value in network.state_dict().items():
        assert torch.equal(before[name], value) == name.startswith("decoder.") or "num_batches" in name, name


def test_gaze_moves_with_its_picture():
    """Where the picture is the gaze, it is still the gaze after both have moved, in another light."""
    torch.manual_seed(0)
    same = SEEN._replace(pictures=np.repeat((255 * SEEN.gaze).astype(np.uint8)[..., None], 3, axis=-1))
    images, labels, gaze = draw(tiny(), same, np.arange(5, 25))
    assert labels.tolist() == SEEN.labels[5:25].tolist()
    inside = (slice(None), slice(8, -8), slice(8, -8))  # what comes in from outside is mean grey
    for image, moved, before in zip(images[:, 0][inside], gaze[inside], SEEN.gaze[5:25][inside], strict=True):
        alike = np.corrcoef([image.flatten().numpy(), moved.flatten().numpy(), before.ravel()])[0]
        assert alike[1] > 0.99
        assert alike[2] < alike[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gaze": SEEN.gaze[:, :32]}, "expected uint8"),
        ({"gaze": 2 * SEEN.gaze}, "expected 0 to 1"),
        ({"gaze": np.full_like(SEEN.gaze, np.nan)}, "expected 0 to 1"),
        ({"labels": SEEN.labels[:-1]}, "47 labels"),
        ({"labels": np.minimum(SEEN.labels, 1)}, "all of 0 to 2"),
        ({"pictures": SEEN.pictures.astype(np.float32)}, "pictures float32"),
    ],
)
def test_bad_examples(change: dict, told: str):
    network = tiny()
    for seen, chosen_by, name in ((SEEN._replace(**change), CHOSEN_BY, "training"), (CHOSEN_BY, SEEN._replace(**change), "validation")):  # fmt: skip  # noqa: E501
        with pytest.raises(ValueError, match=told) as error:
            train(network, MODELS["u_net"], seen, chosen_by, epochs=1, seed=0)
        assert name in str(error.value)


def test_a_model_without_its_decoder():
    network = tiny(decoder=False)
    with pytest.raises(ValueError, match=r"U-Net \(baseline\) needs"):
        train(network, MODELS["u_net"], SEEN, CHOSEN_BY, epochs=1, seed=0)


def test_what_is_not_finite_is_told():
    network = tiny()
    torch.nn.init.constant_(network.classifier.head[-1].bias, torch.inf)
    with pytest.raises((FloatingPointError, ValueError), match="finite"):
        train(network, MODELS["classifier"], SEEN, CHOSEN_BY, epochs=1, seed=0)


def test_maps(set_3):
    network, _ = set_3
    test = blobs(12, seed=2)
    maps = gaze_maps.maps_of(network, test.pictures, test.labels)
    assert list(maps) == ["decoder", "guided_backpropagation", "deconvnet", "grad_cam"]
    for values in maps.values():
        assert values.dtype == np.float32
        assert values.shape == test.gaze.shape
        assert values.min() >= 0
    images, target = network.normalisation.apply(test.pictures), torch.from_numpy(test.labels)
    derived = derived_map(network.classifier, images, target, "guided_backpropagation", Choices())
    np.testing.assert_allclose(maps["guided_backpropagation"], derived, atol=1e-5)
    correlations = [
        np.corrcoef(one.ravel(), gaze.ravel())[0, 1] for one, gaze in zip(maps["decoder"], test.gaze, strict=True)
    ]
    assert np.mean(correlations) > 0.5


def test_maps_without_decoder():
    network = tiny(decoder=False)
    assert "decoder" not in gaze_maps.maps_of(network, SEEN.pictures[:2], SEEN.labels[:2])


def test_targets_of_controls():
    targets = {name: make(SEEN.pictures, SEEN.gaze, 0) for name, make in gaze_maps.TARGETS.items()}
    for name, values in targets.items():
        assert values.shape == SEEN.gaze.shape, name
        assert values.dtype == np.float32, name
        assert 0 <= values.min() <= values.max() <= 1, name
    assert targets["gaze"] is SEEN.gaze
    own = (targets["gaze of another image"] == SEEN.gaze).all((1, 2))
    assert not own.any()
    assert sorted(values.tobytes() for values in targets["gaze of another image"]) == sorted(
        values.tobytes() for values in SEEN.gaze
    )
    assert (targets["centre"] == targets["centre"][0]).all()
    halves = np.zeros((1, 32, 32, 3), np.uint8)
    halves[:, :, 16:] = 200
    assert gaze_maps.edges(halves)[0, 16].argmax() in (15, 16)
    assert gaze_maps.edges(halves)[0, :, :14].max() == 0


def test_guidance_by_maps_can_be_left_out():
    """With the weight 0 a guided model is the classifier, number by number."""
    (_, plain), (_, unguided) = trained("classifier", 1), trained("set_1_deconvnet", 1, choices=Choices(weight=0.0))
    for split in ("training", "validation"):
        np.testing.assert_array_equal(series(plain, split, "classification"), series(unguided, split, "classification"))
