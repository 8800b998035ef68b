"""Figures of the images chapter: painted swatches, whole paintings with their truth, and the real image sets."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medxai import paths
from medxai.data import photo_sets
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.errors import DataError
from medxai.painting.cache import read
from medxai.painting.canvas import TONES, Canvas
from medxai.painting.confounders import CONFOUNDERS
from medxai.painting.photograph import case, paint
from medxai.painting.swatch import swatch
from medxai.report import pictures, plots
from medxai.report.dataset_figures import REFERENCE, wide

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


def paint_term(term: str, tone: str = "light", disease: str = "Psoriasis", seed: int = 0) -> np.ndarray:
    """Paint one characteristic on plain skin: uint8 (240, 240, 3), 4 cm wide."""
    return swatch([term], size=SIZE, tone=tone, disease=disease, seed=seed).finish()


def term_sheet(term: str, *diseases: str) -> Figure:
    """Paint one characteristic on three skin tones (columns), one row for each disease."""
    images = [paint_term(term, tone, disease, seed) for seed, disease in enumerate(diseases) for tone in TONES]
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
    images = [paint_term(term, tone, disease, seed) for seed, (term, disease, tone) in enumerate(PLATE, start=10)]
    return pictures.grid(images, "ABCDEFGH", kind="rendered", columns=4, note=NOTE)


def wall(db: DermXDB, folder: Path, names: Sequence[str], columns: int = 4) -> Figure:
    """Show the first paintings of each disease, one row a disease."""
    images, titles = [], []
    for disease in DISEASES:
        mine = [name for name in names if db.images["reference"][name] == disease][:columns]
        images += [_square(read(folder, name)) for name in mine]
        titles += [disease, *[""] * (columns - 1)][: len(mine)]
    return pictures.grid(images, titles, kind="rendered", columns=columns, note=f"from {db.kind} annotations")


def _square(image: np.ndarray, side: int = 200) -> np.ndarray:
    """Cut the middle square out of a picture, uint8 (side, side, 3)."""
    short = min(image.shape[:2])
    top, left = (image.shape[0] - short) // 2, (image.shape[1] - short) // 2
    return cv2.resize(image[top : top + short, left : left + short], (side, side), interpolation=cv2.INTER_AREA)


def truth(db: DermXDB, image: str, size: int = 260) -> Figure:
    """Show a painting and the truth map of each of its characteristics."""
    painting = paint(case(db, image, size))
    panels = {"painting": painting.image, **painting.truth}
    note = f"from {db.kind} annotations"
    return pictures.grid(list(panels.values()), list(panels), kind="rendered", note=note)


def confounders(db: DermXDB, image: str, size: int = 260) -> Figure:
    """Show one case plain and with each confounder."""
    what = case(db, image, size)
    images = [paint(what, confounders=names).image for names in ((), *((name,) for name in CONFOUNDERS))]
    note = f"from {db.kind} annotations"
    return pictures.grid(images, ["none", *CONFOUNDERS], kind="rendered", columns=2, note=note)


def separability_finding(reference: pd.DataFrame) -> tuple[str, Figure, str]:
    """Say how well colour and a ConvNet tell the painted diseases apart: sentence, figure, figure in words."""
    macro, shown = wide(reference), _by_disease(reference)
    colour, net = (
        _with_interval(macro.loc[name], "macro_f1") for name in ("Mean colour, linear model", "Small ConvNet")
    )
    models = list(dict.fromkeys(reference["row"]))
    xlabel = "F1 of the disease (0 to 1)"
    figure = plots.intervals(shown, models, labels=models, xlabel=xlabel, kind="rendered", note=REFERENCE)
    sentence = (
        "The painted diseases cannot be read from their mean colour: a linear model on it reaches a macro F1 of "
        f"{colour}, a small ConvNet trained on the paintings {net}."
    )
    alt = (
        f"Dot plot of six diseases and {len(models)} models, with intervals. The ConvNet, with a mean of {net}, lies "
        f"to the right of the linear model on the mean colour, with {colour}."
    )
    return sentence, figure, alt


def _by_disease(reference: pd.DataFrame) -> pd.DataFrame:
    """Turn the tidy table round: one row per disease; columns each model, ``<model>_low`` and ``<model>_high``."""
    metrics = {f"f1_{disease.lower().replace(' ', '_')}": disease for disease in DISEASES}
    mine = reference[reference["metric"].isin(metrics)]
    return wide(mine.assign(row=mine["metric"].map(metrics), metric=mine["row"])).loc[list(DISEASES)]


def _with_interval(row: pd.Series, metric: str) -> str:
    """Write a number with its interval: ``0.20 [0.17, 0.23]``."""
    return f"{row[metric]:.2f} [{row[f'{metric}_low']:.2f}, {row[f'{metric}_high']:.2f}]"


def transfer(reference: pd.DataFrame) -> Figure:
    """Draw how well each model of the transfer trial tells the ultrasound images apart."""
    table = wide(reference)
    table.index = [textwrap.fill(name, 24) for name in table.index]
    labels = ["macro F1 (three classes)", "AUC (malignant or not)"]
    return plots.intervals(
        table, ["macro_f1", "auc_malignant"], labels=labels, xlabel="score (0 to 1)", kind="real", note=REFERENCE
    )


SHOWN = {"busi": photo_sets.busi, "isic_uda1": photo_sets.isic_uda1}
"""Real image sets that may be shown on a public page, by folder; the NC set of artefacts is not among them."""


def real_sets() -> dict[str, photo_sets.ImageSet]:
    """Load the image sets that are on this machine and may be shown."""
    found = {}
    for name, load in SHOWN.items():
        try:
            found[name] = load(paths.data_root() / name)
        except DataError:
            continue  # not on this machine, or not whole: the data page says what is missing
    return found


def real_images(image_set: photo_sets.ImageSet, number: int = 6) -> Figure:
    """Show some images of a real set, its outlined lesions in orange, with the credit that its licence asks for."""
    per_label = -(-number // image_set.images["label"].nunique())
    names = list(image_set.images.groupby("label").head(per_label).index[:number])
    pictures_ = [_outlined(image_set, name) for name in names]
    titles = list(image_set.images["label"][names])
    return pictures.grid(pictures_, titles, kind="real", note=image_set.credit)


def _outlined(image_set: photo_sets.ImageSet, name: str) -> np.ndarray:
    image, mask = image_set.image(name).copy(), image_set.mask(name)
    if mask is not None and mask.any():
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, edges, -1, (230, 159, 0), max(2, image.shape[1] // 150))
    return image
