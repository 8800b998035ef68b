"""What to do better in a photograph, in plain words, and where in it: ImageQX as a patient meets it.

The score is on a scale from 0 to 1, on which 1 is good: the probability that the photograph can be judged, with or
without a lesion.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medxai import paths
from medxai.data import image_folder, pictures
from medxai.data.photo_quality import CLASSES, POOR, REASONS
from medxai.errors import DataError
from medxai.experiment import quality_network
from medxai.experiment.quality_scores import BY_CHANCE, Answers, Network
from medxai.profiles import Profile

GOOD = "This photograph can be judged."
NOTHING = "No skin is to be seen: photograph the place itself."
UNSURE = "Something is wrong that has no name here: take it again from closer, in daylight, holding still."
LIGHT = "Bad light"
TIPS = {
    "Bad framing": "the spot is not in the middle: move the camera until it is",
    "Blurry": "it is blurred: hold still, tap on the spot on the screen, and wait until it is sharp",
    "Low resolution": "it has too little detail: clean the lens, do not zoom, and send the original file",
    "Too far away": "it is taken from too far away: go closer, until the spot fills a third of the picture",
}
LIGHTS = {
    "too dark": "it is too dark: go to a window, or turn on a lamp",
    "too bright": "it is too bright: go out of the sun, or turn the flash off",
    "uneven": "the light is uneven: turn until no shadow falls on the skin",
}
"""Of bad light; which of them is told by how bright the picture is where the reason is seen."""
DARK, BRIGHT = 0.35, 0.75
"""Mean grey in [0, 1] below and above which it is the one or the other."""
SPREAD = 0.5
"""Share of the cells of a map above half its maximum from which on a reason is everywhere."""
THIRDS = (("upper left", "top", "upper right"), ("left", "middle", "right"), ("lower left", "bottom", "lower right"))
EVERYWHERE = "everywhere"
ENDINGS = f"files that end in {', '.join(image_folder.ENDINGS)}"


@dataclass(frozen=True)
class Advice:
    """About one photograph."""

    photo: str
    score: float
    """In [0, 1]; 1 is good."""
    again: bool
    """Whether to take it again."""
    shows: str
    """The most probable of `CLASSES`."""
    reasons: dict[str, float]
    """Probability of each reason, in [0, 1]; here 1 is bad."""
    where: dict[str, str] = field(default_factory=dict)
    """Of the reasons that are given, in which part of the picture each is seen most."""
    advice: list[str] = field(default_factory=list)
    """Sentences."""

    def told(self) -> str:
        """Return it as a few lines of text."""
        verdict = "take it again" if self.again else "good"
        return "\n    ".join([f"{self.photo}: {self.score:.2f} of 1, {verdict}", *self.advice])


class OnnxQuality:
    """A network that `medxai.models.onnx_export.export` wrote, run by onnxruntime; call it as `TrainedQuality`.

    Raises
    ------
    DataError
        In one sentence, if the file is not there, is no network, or is another one.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        if not path.is_file():
            raise DataError(f"{path} is not there: expected a network that `medxai quality --export` wrote")
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each way to fail
            raise DataError(f"{paths.shown(path)} is no network that can be read: expected one in ONNX") from error
        told = self.session.get_modelmeta().custom_metadata_map
        if told.get("classes") != "; ".join(CLASSES) or told.get("reasons") != "; ".join(REASONS):
            raise DataError(
                f"{paths.shown(path)} is another network: expected one that `medxai quality --export` wrote"
            )
        self.side = int(told["side"])

    def __call__(self, some: np.ndarray) -> Answers:
        """Return what it says of pictures, uint8 (n, side, side, 3)."""
        return Answers(*self.session.run(["quality", "reasons", "maps"], {"pictures": some}))


def opened(path: Path | None, profile: Profile) -> tuple[Network, int]:
    """Return a network and the side of the pictures that it takes: of a file, or else that of a profile, trained once.

    Raises
    ------
    DataError
        As `OnnxQuality`.
    """
    if path is None:
        return quality_network.trained(profile), profile.quality_side
    network = OnnxQuality(path)
    return network, network.side


class Seen(NamedTuple):
    """A photograph, what is said of it, and why."""

    advice: Advice
    picture: np.ndarray
    """uint8 (side, side, 3), as the network sees it."""
    maps: np.ndarray
    """float (5, h, w), where each of `REASONS` is seen."""


def look(network: Network, side: int, given: Sequence[Path]) -> tuple[list[Seen], list[str]]:
    """Look at photographs, and at all those in folders; return what was seen, and of others what is wrong with them."""
    seen, wrong, found = [], [], []
    for path in given:
        own = image_folder.files(path) if path.is_dir() else [path] if path.exists() else None
        if own is None:
            wrong.append(f"{paths.shown(path)} is not there: expected a photograph, or a folder of some")
        elif not own:
            wrong.append(f"{paths.shown(path)} holds no photograph: expected {ENDINGS}")
        found += own or []
    for path in found:
        try:
            picture = pictures.square(pictures.read(path), side)
        except DataError as error:
            wrong.append(str(error))
            continue
        answers = network(picture[None])
        seen.append(Seen(advice(paths.shown(path), picture, answers), picture, answers.maps[0]))
    return seen, wrong


def advice(name: str, picture: np.ndarray, answers: Answers) -> Advice:
    """Put in words what a network says of one picture, uint8 (side, side, 3)."""
    number, again = int(answers.said[0]), bool(answers.again[0])
    reasons = {reason: float(value) for reason, value in zip(REASONS, answers.reasons[0], strict=True)}
    named = [reason for reason in REASONS if number == POOR and reasons[reason] >= BY_CHANCE]
    places = {reason: place(answers.maps[0, REASONS.index(reason)]) for reason in named}
    sentences = [_sentence(reason, places[reason], picture, answers.maps[0]) for reason in named]
    if not again:
        sentences = [GOOD]
    elif number != POOR:
        sentences = [NOTHING]
    return Advice(name, 1 - float(answers.retake[0]), again, CLASSES[number], reasons, places, sentences or [UNSURE])


def place(found: np.ndarray) -> str:
    """Say in which of nine parts a map (h, w) has its centre of mass, or that it is everywhere; nowhere is middle."""
    if found.max() <= 0 or (found >= found.max() / 2).mean() >= SPREAD:
        return EVERYWHERE
    sides = [np.average(np.arange(n) + 0.5, weights=found.sum(1 - axis)) / n for axis, n in enumerate(found.shape)]
    row, column = (min(int(3 * side), 2) for side in sides)
    return THIRDS[row][column]


def light(picture: np.ndarray, found: np.ndarray) -> str:
    """Say which of `LIGHTS` bad light is, by the mean grey of a picture under a map (h, w)."""
    weights = pictures.square(found.astype(np.float32), len(picture)) if found.max() > 0 else np.ones(picture.shape[:2])
    grey = np.average(picture.mean(2) / 255, weights=weights)
    return "too dark" if grey < DARK else "too bright" if grey > BRIGHT else "uneven"


def _sentence(reason: str, where: str, picture: np.ndarray, maps: np.ndarray) -> str:
    tip = LIGHTS[light(picture, maps[REASONS.index(LIGHT)])] if reason == LIGHT else TIPS[reason]
    seen = "all over it" if where == EVERYWHERE else f"most of all here: {where}"
    return f"{reason} ({seen}): {tip}."


def as_json(found: Sequence[Advice]) -> str:
    """Return all advice as JSON."""
    return json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False)
