"""What was seen in photographs, as a page of its own that loads nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from medxai import files
from medxai.data import pictures
from medxai.data.photo_quality import REASONS
from medxai.experiment.quality_advice import Seen
from medxai.report import saliency
from medxai.report.your_data_page import STYLE

PAGE = "quality_page.html.j2"
OPACITY = 0.6
"""Of a map on its picture, where it is highest."""


def write(seen: Sequence[Seen], path: Path) -> Path:
    """Write a page; a file that is there is replaced, once the new one is whole.

    Parameters
    ----------
    path
        As `medxai.report.your_data_page.check_path` returns it.
    """
    folder = Path(__file__).parent
    pages = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    photos = [(one.advice, _uri(one.picture), list(_maps(one).items())) for one in seen]
    style = (folder / STYLE).read_text(encoding="utf-8")
    files.write(path, pages.get_template(PAGE).render(photos=photos, style=style))
    return path


def _maps(one: Seen) -> dict[str, str]:
    """Return a picture for each reason that is given."""
    return {reason: _uri(overlaid(one.picture, one.maps[REASONS.index(reason)])) for reason in one.advice.where}


def overlaid(picture: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Lay a map (h, w), at least 0, over a picture, uint8 (side, side, 3), in grey; return uint8 (side, side, 3)."""
    fine = pictures.square(found.astype(np.float32), len(picture))
    share = (fine / max(float(fine.max()), np.finfo(np.float32).tiny))[..., None]
    grey = np.broadcast_to(picture.mean(2, keepdims=True), picture.shape)
    colour = saliency.colours(False)[np.round(255 * share[..., 0]).astype(int)][..., :3]
    return np.round(grey + OPACITY * share * (colour - grey)).astype(np.uint8)


def _uri(picture: np.ndarray) -> str:
    return saliency.uri(picture, "JPEG", quality=88)
