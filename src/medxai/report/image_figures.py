"""Figures of the images chapter: painted swatches, paintings by disease, and the real image sets."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.data.photo_sets import ImageSet
from medxai.painting.cache import read
from medxai.painting.canvas import TONES, Canvas
from medxai.painting.swatch import swatch
from medxai.report.plots import picture_sheet

SIZE, NOTE = 240, "swatches of 4 cm"
"""Of a swatch: side in pixels, and what it shows."""
PLATE = (
    ("Plaque", "Psoriasis", "light"),
    ("Pustule", "Acne", "medium"),
    ("Open comedo", "Acne", "light"),
    ("Patch", "Vitiligo", "medium"),
    ("Scale", "Seborrheic dermatitis", "light"),
    ("Papule", "Viral warts", "medium"),
    ("Telangiectasia", "Actinic keratosis", "light"),
    ("Thrombosed capillaries", "Viral warts", "medium"),
)
"""The panels of the quiz, A to H: characteristic, disease, skin tone."""


def term_sheet(term: str, *diseases: str) -> Figure:
    """Show one characteristic on three skin tones (columns), one row for each disease."""
    cases = [(seed, disease, tone) for seed, disease in enumerate(diseases) for tone in TONES]
    several = len(set(diseases)) > 1
    titles = [f"{disease}\n{tone} skin" if several else f"{tone} skin" for _, disease, tone in cases]
    return picture_sheet([_painted(term, *one) for one in cases], titles, kind="rendered", note=NOTE)


def quiz_plate() -> Figure:
    """Show the unnamed panels of the quiz."""
    images = [_painted(term, seed, disease, tone) for seed, (term, disease, tone) in enumerate(PLATE, start=10)]
    return picture_sheet(images, "ABCDEFGH", kind="rendered", columns=4, note=NOTE)


def _painted(term: str, seed: int, disease: str, tone: str) -> np.ndarray:
    return swatch([term], size=SIZE, tone=tone, disease=disease, seed=seed).finish()


def layers(canvas: Canvas) -> Figure:
    """Show what a canvas holds, and the picture that light makes of it."""
    panels = {
        "blood": 0.5 + canvas.blood / (2 * max(np.abs(canvas.blood).max(), 1e-6)),
        "relief": (canvas.height - canvas.height.min()) / max(np.ptp(canvas.height), 1e-6),
        "colour": np.uint8(255 * np.clip(canvas.albedo(), 0, 1) ** (1 / 2.2)),
        "with light": canvas.finish(),
        **{f"truth: {term}": truth for term, truth in canvas.truth.items()},
    }
    return picture_sheet(list(panels.values()), list(panels), kind="rendered", note=NOTE)


def wall(db: DermXDB, folder: Path, names: Sequence[str], columns: int = 4) -> Figure:
    """Show the first paintings of each disease, one row a disease."""
    diseases = db.images.loc[list(names), "reference"]
    shown = [diseases.index[diseases == disease][:columns] for disease in DISEASES]
    images = [_square(read(folder, name)) for row in shown for name in row]
    rows, note = [disease.replace(" ", "\n") for disease in DISEASES], f"from {db.kind} annotations"
    return picture_sheet(images, [""] * len(images), kind="rendered", columns=columns, rows=rows, note=note)


def _square(image: np.ndarray) -> np.ndarray:
    """Cut the middle square out of a picture."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def real_images(image_set: ImageSet, number: int = 6) -> Figure:
    """Show some images of a real set, its outlined lesions in orange, with the credit that its licence asks for."""
    per_label = -(-number // image_set.images["label"].nunique())
    labels = image_set.images.groupby("label").head(per_label)["label"].iloc[:number]
    return picture_sheet([_outlined(image_set, n) for n in labels.index], [*labels], kind="real", note=image_set.credit)


def _outlined(image_set: ImageSet, name: str) -> np.ndarray:
    image, mask = image_set.image(name).copy(), image_set.mask(name)
    if mask is not None and mask.any():
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, edges, -1, (230, 159, 0), max(2, image.shape[1] // 150))
    return image
