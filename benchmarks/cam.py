"""Time Grad-CAM++ at the eight blocks of ResNet18, and the black-box methods, against passes of the bare network.

Usage: ``python benchmarks/cam.py [rounds]``. Writes ``cam.json`` beside this file. All versions take turns in one
process; a ratio is of medians over the rounds. Nothing is gated on these numbers.
"""

from collections.abc import Callable

import torch
from timing import asked_rounds, medians, ratios, report
from torch import Tensor, nn
from torchcam.methods import GradCAMpp

from medxai.attribution import _inputs, cam, explain, perturbation
from medxai.models import backbones, folding

BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
CLASSES = 7
SETTINGS = {224: 26, 64: 104}
"""Pixels, and images in a batch: those of the robustness study, and four times as many where they are small."""


def bare_pass(model: nn.Module, images: Tensor, layer: str | None) -> None:
    """One forward and one backward pass with frozen weights: down to the image, or to a layer's output."""
    outputs: list[Tensor] = []
    with _inputs.preserved(model):
        if layer is None:
            outputs.append(images.clone().requires_grad_())
            logits = model(outputs[0])
        else:
            module = model.get_submodule(layer)
            handle = module.register_forward_hook(lambda _, __, output: outputs.append(output.requires_grad_()))
            logits = model(images)
            handle.remove()
        torch.autograd.grad(logits[:, 1].sum(), outputs)


def torchcam_naive(model: nn.Module, images: Tensor) -> None:
    """As torchcam's documentation shows it: one image, one layer, one extractor at a time."""
    for image in images:
        for block in BLOCKS:
            with GradCAMpp(model, block) as extractor:
                extractor(1, model(image[None]))


def torchcam_batched(model: nn.Module, images: Tensor) -> None:
    """As fast as torchcam's interface allows: one extractor for all layers, the whole batch."""
    with GradCAMpp(model, BLOCKS) as extractor:
        extractor([1] * len(images), model(images))


def class_activation_maps(size: int, rounds: int) -> dict[str, object]:
    """Return milliseconds for each image and all eight layers, and ratios to the bare passes."""
    model = backbones.create("resnet18", CLASSES)
    images = torch.randn(SETTINGS[size], 3, size, size)
    fast = folding.folded(model, images)
    seconds = medians(
        {
            "bare_pass_from_block_1": lambda: bare_pass(model, images, BLOCKS[0]),
            "bare_pass_from_image": lambda: bare_pass(model, images, None),
            "grad_cam_plus_plus": lambda: cam.grad_cam_plus_plus(model, images, 1, BLOCKS),
            "folded": lambda: cam.grad_cam_plus_plus(fast, images, 1, BLOCKS),
            "folded_bfloat16": lambda: cam.grad_cam_plus_plus(fast, images, 1, BLOCKS, bfloat16=True),
            "torchcam_8_layers_batched": lambda: torchcam_batched(model, images),
        },
        rounds,
    )
    few = images[: max(2, len(images) // 26)]  # torchcam's own use takes too long for the whole batch
    naive = medians({"torchcam_naive": lambda: torchcam_naive(model, few)}, 1)["torchcam_naive"]
    milliseconds = {name: 1000 * value / len(images) for name, value in seconds.items()}
    milliseconds["torchcam_naive"] = 1000 * naive / len(few)
    return {
        "images": len(images),
        "milliseconds_per_image": {name: round(value, 2) for name, value in milliseconds.items()},
        "ratio_to_bare_pass_from_block_1": ratios(milliseconds, "bare_pass_from_block_1"),
        "ratio_to_bare_pass_from_image": ratios(milliseconds, "bare_pass_from_image"),
        "times_faster_than_torchcam_naive": {
            name: round(milliseconds["torchcam_naive"] / milliseconds[name], 1)
            for name in ("grad_cam_plus_plus", "folded", "folded_bfloat16")
        },
        "rmse_of_255_against_float32": {
            "folded": differences(model, fast, images, bfloat16=False),
            "folded_bfloat16": differences(model, fast, images, bfloat16=True),
        },
    }


def differences(model: nn.Module, fast: nn.Module, images: Tensor, bfloat16: bool) -> dict[str, float]:
    """Return for each block the mean over images of the root mean square difference of maps scaled to 255."""
    exact = cam.grad_cam_plus_plus(model, images, 1, BLOCKS)
    other = cam.grad_cam_plus_plus(fast, images, 1, BLOCKS, bfloat16=bfloat16)
    return {
        name: round(float((_grey(exact[name]) - _grey(other[name])).square().mean((1, 2)).sqrt().mean()), 3)
        for name in BLOCKS
    }


def _grey(maps: Tensor) -> Tensor:
    lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return 255 * (maps - lowest) / (highest - lowest).clamp(min=1e-12)


def black_box(rounds: int) -> dict[str, object]:
    """Return the time of each method over that of as many images in plain batches of the same size."""
    model, size = backbones.create("resnet18", CLASSES), 64
    image = torch.randn(1, 3, size, size)
    calls = {"occlusion": 49 + 1, "shapley_value_sampling": 10 * 64, "kernel_shap": 256, "lime": 256}
    options = {"occlusion": {}, "shapley_value_sampling": {"samples": 10}}

    def plain(number: int) -> None:
        with torch.inference_mode():
            for part in image.expand(number, -1, -1, -1).contiguous().split(perturbation.BATCH):
                model(part)

    versions: dict[str, Callable[[], object]] = {}
    for name, number in calls.items():
        versions[name] = lambda name=name: explain(model, image, 1, name, **options.get(name, {"samples": 256}))
        versions[f"{name} plain"] = lambda number=number: plain(number)
    seconds = medians(versions, rounds)
    return {
        "image": f"{size} px",
        "batch": perturbation.BATCH,
        "passes": calls,
        "milliseconds": {name: round(1000 * seconds[name], 1) for name in calls},
        "ratio_to_plain_batches": {name: round(seconds[name] / seconds[f"{name} plain"], 2) for name in calls},
    }


def main() -> None:
    """Time, and report."""
    rounds = asked_rounds()
    torch.manual_seed(0)
    report(
        __file__,
        lambda: {
            "network": "ResNet18 as initialised",
            "rounds": rounds,
            "grad_cam_plus_plus_at_8_blocks": {f"{size} px": class_activation_maps(size, rounds) for size in SETTINGS},
            "black_box": black_box(rounds),
        },
        ("torch", "torchvision", "captum", "torchcam"),
    )


if __name__ == "__main__":
    main()
