"""ImageQX: its blocks, losses and training, its ONNX file without torch, and what it says about photographs."""

import json
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from medxai import cli, profiles
from medxai.data.photo_quality import CLASSES, MAP_SIDE, POOR, REASONS, QualityPhotos
from medxai.errors import DataError
from medxai.experiment import quality_advice, quality_network
from medxai.experiment.quality_network import TrainedQuality
from medxai.experiment.quality_scores import Answers
from medxai.models import image_quality, onnx_export
from medxai.models.dermx import DermX, DermXOutput
from medxai.training.quality_training import clipped_weights, quality_loss, train_quality

SIDE = 64
PICTURES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> DermX:
    """An ImageQX whose batch normalisation has seen something, so that folding it matters."""
    torch.manual_seed(0)
    made = image_quality.make()
    for block in (made.explanation[1], made.reduction[1]):
        block.running_mean.uniform_(-0.3, 0.3)
        block.running_var.uniform_(0.2, 2)
        nn.init.uniform_(block.weight, 0.5, 2)
        nn.init.uniform_(block.bias, -0.5, 0.5)
    return made.eval()


@pytest.fixture(scope="module")
def exported(model: DermX, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_export.export(model, tmp_path_factory.mktemp("onnx") / "quality.onnx", side=SIDE)


@pytest.fixture(scope="module")
def said(model: DermX) -> image_quality.ExplainedQuality:
    with torch.no_grad():
        return image_quality.Explained(model)(torch.from_numpy(PICTURES))


def test_blocks_are_those_of_the_paper(model: DermX) -> None:
    for branch, outputs in ((model.explanation, len(REASONS)), (model.reduction, None)):
        kinds = [type(part) for part in branch[:4]]
        assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
        assert (branch[0].out_features, branch[3].p) == (64, 0.2)
        assert outputs is None or branch[4].out_features == outputs
    assert model.diagnosis.in_features == 64 + len(REASONS)
    assert model.diseases == CLASSES
    assert image_quality.make(reasons=False, pretrained=False).characteristics == ()


def test_plain_arithmetic_says_what_the_network_says(model: DermX, said: image_quality.ExplainedQuality) -> None:
    with torch.no_grad():
        output = model(model.normalisation.apply(PICTURES))
    torch.testing.assert_close(said.quality, output.diagnosis_logits.softmax(1))
    torch.testing.assert_close(said.reasons, output.characteristic_logits.sigmoid())
    torch.testing.assert_close(said.maps, output.attention, atol=1e-6, rtol=1e-4)


def test_maps_are_captums(model: DermX, said: image_quality.ExplainedQuality) -> None:
    """Captum's gradient is of all pixels of a map, each of which is 1/Z of what it pools; a sum, not a mean."""

    class Reasons(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps, self.head = nn.Identity(), model.explanation

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.maps(model.feature_maps(images)).mean((2, 3)))

    network = Reasons()
    images = model.normalisation.apply(PICTURES)
    cam = LayerGradCam(network, network.maps)
    for number in range(len(REASONS)):
        found = cam.attribute(images, target=number, relu_attributions=True)[:, 0].detach()
        torch.testing.assert_close(said.maps[:, number], found, atol=1e-6, rtol=1e-4)


def test_what_is_no_quality_network_is_refused(model: DermX) -> None:
    with pytest.raises(ValueError, match="no ImageQX with reasons"):
        image_quality.Explained(image_quality.make(reasons=False, pretrained=False))


def test_weights_of_classes_are_those_of_the_paper() -> None:
    counts = {"Lesion": 17534, "No skin": 461, "Healthy skin": 3903, "Poor quality": 4737}  # table 1
    labels = np.repeat(np.arange(4), [counts[name] for name in CLASSES])
    np.testing.assert_allclose(clipped_weights(labels), [1.0, 10.0, 4.49, 3.70], atol=0.005)
    np.testing.assert_allclose(clipped_weights(np.array([0, 0, 2, 3])), [1, 10, 2, 2])


@pytest.mark.parametrize("soft", [False, True])
def test_loss_is_the_corrected_sum(soft: bool) -> None:
    rng = np.random.default_rng(1)
    logits, reason_logits = rng.normal(size=(7, 4)), rng.normal(size=(7, 5))
    labels, reasons, weights = rng.integers(0, 4, 7), rng.integers(0, 2, (7, 5)), rng.uniform(1, 10, 4)
    votes = rng.dirichlet(np.ones(4), 7) if soft else np.eye(4)[labels]
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    counted = None if soft else torch.tensor(weights)
    quality = -(votes * log).sum(1).mean() if soft else -(weights[labels] * log[np.arange(7), labels]).sum()
    quality = quality if soft else quality / weights[labels].sum()
    p = 1 / (1 + np.exp(-reason_logits))
    expected = quality - 5 * (reasons * np.log(p) + (1 - reasons) * np.log(1 - p)).mean()
    output = DermXOutput(torch.tensor(logits), torch.tensor(reason_logits), None)
    found = quality_loss(output, torch.tensor(votes if soft else labels), torch.tensor(reasons), counted)
    assert float(found) == pytest.approx(expected)


def test_rates_restart_after_3_12_and_39_epochs() -> None:
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = CosineAnnealingWarmRestarts(optimiser, 3, 3)
    rates = []
    for _ in range(40):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert [epoch for epoch, rate in enumerate(rates) if rate == 1] == [0, 3, 12, 39]


def grey_photos(number: int = 96) -> QualityPhotos:
    """Dark pictures are poor, with bad light; the others show a lesion, and nothing is wrong."""
    rng = np.random.default_rng(2)
    labels = np.where(np.arange(number) % 2, POOR, 0)
    grey = np.where(labels == POOR, 30, 170)[:, None, None, None]
    pictures = np.clip(grey + rng.normal(0, 12, (number, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    reasons = (labels == POOR)[:, None] & (np.arange(5) == REASONS.index("Bad light"))
    votes = np.full((number, 4), 0.1, np.float32) + 0.6 * np.eye(4, dtype=np.float32)[labels]
    nothing, words = np.zeros((number, 5), np.float32), np.full((number, 5), "")
    maps = np.zeros((number, 5, MAP_SIDE, MAP_SIDE), np.float16)
    tone, groups = np.full(number, "light"), np.arange(number)
    return QualityPhotos(pictures, labels, reasons.astype(np.float32), votes, nothing, maps, tone, groups, words)


def test_training_learns_repeats_and_leaves_early_blocks_alone() -> None:
    photos, ends = grey_photos(), []
    for _ in range(2):
        torch.manual_seed(0)
        network = image_quality.make()
        before = network.backbone.conv_stem.weight.clone()
        history = train_quality(network, photos, epochs=6, seed=0)
        assert torch.equal(network.backbone.conv_stem.weight, before)
        assert history[-1] < 0.8 * history[0]
        ends.append(network.diagnosis.weight.clone())
    assert torch.equal(*ends)
    assert not network.training
    answers = TrainedQuality(network)(photos.pictures)
    assert (answers.said == photos.labels).mean() > 0.9
    light = answers.reasons[:, REASONS.index("Bad light")]
    assert light[photos.labels == POOR].min() > light[photos.labels == 0].max()


def test_soft_labels_pull_probabilities_to_the_votes() -> None:
    torch.manual_seed(0)
    network, photos = image_quality.make(reasons=False), grey_photos()
    train_quality(network, photos, epochs=12, seed=0, soft=True, rate=2e-3)
    answers = TrainedQuality(network)(photos.pictures)
    own = answers.classes[np.arange(len(photos)), photos.labels]
    assert own.mean() == pytest.approx(0.7, abs=0.1)
    assert answers.reasons.shape == (len(photos), 0)


def test_the_file_says_what_torch_says(exported: Path, said: image_quality.ExplainedQuality) -> None:
    found = quality_advice.OnnxQuality(exported)
    assert found.side == SIDE
    for some in (PICTURES, PICTURES[:1]):  # any number of pictures
        answers = found(some)
        np.testing.assert_allclose(answers.classes, said.quality[: len(some)], atol=1e-5)
        np.testing.assert_allclose(answers.reasons, said.reasons[: len(some)], atol=1e-5)
        np.testing.assert_allclose(answers.maps, said.maps[: len(some)], atol=1e-5 * float(said.maps.max()))
    assert 10e6 < exported.stat().st_size < 20e6  # the paper's network has 15 MB


def test_the_file_runs_where_torch_cannot_be_imported(
    exported: Path, said: image_quality.ExplainedQuality, tmp_path: Path
) -> None:
    np.save(tmp_path / "pictures.npy", PICTURES)
    program = """
        import sys

        class Refuse:
            def find_spec(self, name, *rest):
                if name.split(".")[0] in ("torch", "torchvision", "timm", "medxai"):
                    raise ImportError(f"{name} is not to be had")

        sys.meta_path.insert(0, Refuse())
        try:
            import torch
        except ImportError:
            pass
        else:
            raise SystemExit("torch could be imported")
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        found = session.run(["quality", "reasons", "maps"], {"pictures": np.load("pictures.npy", allow_pickle=False)})
        np.savez("found.npz", *found)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(exported)], check=True, cwd=tmp_path)
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        for name, values in zip(found.files, said, strict=True):
            np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_eight_bits_are_smaller_and_near(exported: Path, said: image_quality.ExplainedQuality, tmp_path: Path) -> None:
    import onnx

    graph = onnx_export._quantised(onnx.load(exported), PICTURES)
    path = tmp_path / "small.onnx"
    path.write_bytes(graph.SerializeToString())
    assert path.stat().st_size < exported.stat().st_size / 2
    answers = quality_advice.OnnxQuality(path)(PICTURES)
    assert np.abs(answers.classes - said.quality.numpy()).max() < 0.25  # noise is the worst that it can be shown
    assert not np.allclose(answers.classes, said.quality, atol=1e-5)


def test_bad_exports_are_one_sentence(model: DermX, tmp_path: Path, exported: Path) -> None:
    with pytest.raises(ValueError, match=r"ends with \.onnx"):
        onnx_export.export(model, tmp_path / "quality.bin", side=SIDE)
    with pytest.raises(ValueError, match=r"uint8 \(n, 64, 64, 3\)"):
        onnx_export.export(model, tmp_path / "quality.onnx", side=SIDE, calibration=PICTURES[:, :32])
    assert not list(tmp_path.iterdir())
    (tmp_path / "damaged.onnx").write_bytes(exported.read_bytes()[:5000])
    (tmp_path / "other.onnx").write_bytes(b"")
    for name, message in (("none", "not there"), ("damaged", "no network"), ("other", "no network|another network")):
        with pytest.raises(DataError, match=message):
            quality_advice.OnnxQuality(tmp_path / f"{name}.onnx")


def answers_of(classes: list[float], reasons: list[float], cells: tuple[int, int]) -> Answers:
    maps = np.zeros((1, 5, 6, 6), np.float32)
    maps[:, :, cells[0], cells[1]] = 1
    return Answers(np.array([classes]), np.array([reasons]), maps)


DARK, BRIGHT = (np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in (40, 240))


@pytest.mark.parametrize(
    ("classes", "picture", "cells", "words"),
    [
        ([0.6, 0.1, 0.2, 0.1], DARK, (0, 0), ["0.80 of 1, good", "can be judged"]),
        ([0.1, 0.7, 0.1, 0.1], DARK, (0, 0), ["0.20 of 1, take it again", "No skin"]),
        ([0.1, 0.1, 0.1, 0.7], DARK, (0, 0), ["take it again", "Bad light (most of all here: upper left)", "too dark"]),
        ([0.1, 0.1, 0.1, 0.7], BRIGHT, (5, 3), ["bottom", "too bright"]),
    ],
)
def test_advice_is_in_plain_words(classes: list[float], picture: np.ndarray, cells: tuple, words: list[str]) -> None:
    told = quality_advice.advice("arm.jpg", picture, answers_of(classes, [0.1, 0.9, 0.1, 0.1, 0.1], cells)).told()
    assert told.startswith("arm.jpg: ")
    assert all(word in told for word in words)


def test_a_poor_photograph_without_a_reason_says_that(exported: Path) -> None:
    found = quality_advice.advice("arm.jpg", DARK, answers_of([0.1, 0.1, 0.1, 0.7], [0.1] * 5, (0, 0)))
    assert found.advice == [quality_advice.UNSURE]


def test_places_are_ninths_of_the_picture() -> None:
    cells = np.zeros((9, 9))
    assert quality_advice.place(cells) == quality_advice.EVERYWHERE
    assert quality_advice.place(cells + 1) == quality_advice.EVERYWHERE
    for row, names in enumerate(quality_advice.THIRDS):
        for column, name in enumerate(names):
            cells[:] = 0
            cells[3 * row + 1, 3 * column + 1] = 1
            assert quality_advice.place(cells) == name


def test_every_reason_has_a_tip() -> None:
    assert {*quality_advice.TIPS, quality_advice.LIGHT} == set(REASONS)


def made(folder: Path) -> dict[str, Path]:
    """Write photographs of all kinds that patients send."""
    picture = Image.fromarray(PICTURES[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    good = {"plain.jpg": {}, "turned.jpg": {"exif": exif}}
    for name, options in good.items():
        picture.save(folder / name, **options)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    bad = folder / "bad"
    bad.mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(bad / "sixteen.png")
    picture.save(bad / "moving.png", save_all=True, append_images=[Image.fromarray(PICTURES[1])])
    (bad / "words.jpg").write_text("not an image")
    (bad / "cut.jpg").write_bytes((folder / "plain.jpg").read_bytes()[:500])
    (bad / "huge.png").write_bytes(_huge())
    (folder / "empty").mkdir()
    return {"good": folder, "bad": bad, "empty": folder / "empty"}


def _huge() -> bytes:
    """Return the beginning of a PNG of 60,000 by 60,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = (head, b"IDAT" + zlib.compress(bytes(100)))
    parts = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_command_reads_what_can_be_read_and_says_what_cannot(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = made(tmp_path)
    files = [str(tmp_path / name) for name in ("plain.jpg", "cmyk.jpg", "turned.jpg")]
    ended = cli.main(["quality", *files, "--model", str(exported), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [Path(one["photo"]).name for one in told] == ["plain.jpg", "cmyk.jpg", "turned.jpg"]
    assert ended == int(any(one["again"] for one in told))
    assert all(0 <= one["score"] <= 1 for one in told)
    missing = str(tmp_path / "none.jpg")
    page = tmp_path / "page.html"
    arguments = [files[0], str(places["bad"]), str(places["empty"]), missing, "--model", str(exported)]
    assert cli.main(["quality", *arguments, "--report", str(page)]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{files[0]}: 0.")
    lines = captured.err.splitlines()
    expected = {"sixteen": "16 bits", "moving": "2 pictures", "words": "no image", "cut": "damaged", "huge": "at most"}
    expected |= {"empty": "holds no photograph", "none": "is not there"}
    assert len(lines) == len(expected)
    for name, words in expected.items():
        (line,) = [line for line in lines if f"/{name}" in line]
        assert words in line
    text = page.read_text(encoding="utf-8")
    assert "plain.jpg" in text
    assert text.count("<section>") == 1


def test_exit_status_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path)
    for poor, status in ((0.1, 0), (0.9, 1)):
        answers = answers_of([1 - poor, 0, 0, poor], [0.1, 0.9, 0.1, 0.1, 0.1], (0, 0))
        monkeypatch.setattr(quality_advice, "opened", lambda *_, answers=answers: (lambda _: answers, SIDE))
        assert cli.main(["quality", str(tmp_path / "plain.jpg")]) == status
    assert cli.main(["quality"]) == 2
    assert "no photograph is given" in capsys.readouterr().err


def test_without_a_model_the_books_network_is_trained_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(quality_network, "trained", lambda profile: asked.append(profile))
    smoke = profiles.get("smoke")
    assert quality_advice.opened(None, smoke)[1] == smoke.quality_side
    assert asked == [smoke]
