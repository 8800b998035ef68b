"""Figures of the images chapter: the characteristics as painted swatches, and how one is made."""

import numpy as np
from matplotlib.figure import Figure

from medxai.data.render.canvas import TONES, Canvas
from medxai.data.render.swatch import swatch
from medxai.report import pictures

SIZE = 240
"""Side of a swatch in pixels; it shows 4 cm."""

NOTE = "swatches of 4 cm"

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


def paint(term: str, tone: str = "light", disease: str = "Psoriasis", seed: int = 0) -> np.ndarray:
    """Paint one characteristic on plain skin: uint8 (240, 240, 3), 4 cm wide."""
    return swatch([term], size=SIZE, tone=tone, disease=disease, seed=seed).finish()


def term_sheet(term: str, *diseases: str) -> Figure:
    """Paint one characteristic on three skin tones (columns), one row for each disease."""
    images = [paint(term, tone, disease, seed) for seed, disease in enumerate(diseases) for tone in TONES]
    several = len(set(diseases)) > 1
    titles = [f"{disease}\n{tone} skin" if several else f"{tone} skin" for disease in diseases for tone in TONES]
    return pictures.grid(images, titles, kind="rendered", note=NOTE)


def layers(canvas: Canvas) -> Figure:
    """Show what a canvas holds, and the picture that light makes of it."""
    blood = 0.5 + canvas.blood / (2 * max(np.abs(canvas.blood).max(), 1e-6))
    relief = (canvas.height - canvas.height.min()) / max(np.ptp(canvas.height), 1e-6)
    panels = {
        "blood": blood,
        "relief": relief,
        "colour": canvas.albedo() ** (1 / 2.2),
        "with light": canvas.finish(),
        **{f"truth: {term}": truth for term, truth in canvas.truth.items()},
    }
    return pictures.grid(list(panels.values()), list(panels), kind="rendered", note=NOTE)


def quiz_plate() -> Figure:
    """Paint the unnamed panels of the quiz."""
    images = [paint(term, tone, disease, seed) for seed, (term, disease, tone) in enumerate(PLATE, start=10)]
    return pictures.grid(images, "ABCDEFGH", kind="rendered", columns=4, note=NOTE)
