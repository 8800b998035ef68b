"""Names, printed areas and sheets of maps of the chapter on heat maps in training, beside what `plots` draws."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medxai.data.chest_films import CLASSES, ChestFilms
from medxai.evaluation import gaze_published
from medxai.experiment.gaze_trained import enlarged
from medxai.report import plots
from medxai.training.gaze_losses import MODELS

GENERATORS = {"guided_backpropagation": "GBP", "deconvnet": "DeconvNet"}
NAMES = {"u_net": gaze_published.BASELINE, "classifier": gaze_published.NO_SEGMENTATION} | {
    f"set_{number}_{generator}": f"Set {number}: {short}"
    for number in (1, 2, 3)
    for generator, short in GENERATORS.items()
}
"""The eight models as `medxai.evaluation.gaze_published` calls them."""
MAPS = {"decoder": "Decoder", **GENERATORS, "grad_cam": "Grad-CAM"}
CONTROLS = {
    "the gaze itself": "The gaze itself",
    "the finding": "The finding",
    "gaze of another image": "▸ Gaze on another film",
    "mean gaze": "▸ Mean gaze",
    "lungs": "▸ Outline of the lungs",
    "edges": "▸ Edges of the film",
}
"""Maps that no network has made; ``▸`` marks those that know nothing of the film's finding."""
VARIANTS = {
    "default": "default",
    "weight_10": "weight 10",
    "cells_8": "map of 8 x 8 cells",
    "cells_8_weight_10": "map of 8 x 8 cells, weight 10",
    "prediction": "predicted class",
    "positive": "positive gradients",
    "signed": "signed gradients",
    "quantile": "scaled to a quantile",
    "logit": "map taken for logits",
    "still": "map does not learn",
    "edges": "▸ guided by edges",
    "another_image": "▸ guided by the gaze on another film",
    "centre": "▸ guided by the centre",
}
AREAS = dict(zip(("Average", "Normal", "CHF", "Pneumonia"), ("Average", *CLASSES), strict=True))
"""Names of areas in print, and here."""


def printed_areas() -> pd.DataFrame:
    """Return tables 1 to 4 of Watanabe et al. as `medxai.results.published` returns a table."""
    medians = gaze_published.watanabe()["auc_median"].rename("value").reset_index()
    table = medians.rename(columns={"model": "row"}).assign(metric=_metric(medians["class"].map(AREAS)))
    return table.assign(printed=table["value"].map("{:.3f}".format))[["row", "metric", "value", "printed"]]


def own_areas(areas: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Return areas of `medxai.experiment.gaze_compared.areas` with one kind of intervals, tidy."""
    own = areas[areas["interval"] == interval]
    return own.assign(row=own["model"].map(NAMES), metric=_metric(own["class"]))


def printed_gains() -> pd.DataFrame:
    """Return the gain of each model over the baseline, average areas as printed: ``row``, ``value``, ``p``."""
    table = gaze_published.watanabe().xs("Average", level="class")
    gain = table["auc_median"] - table.loc[gaze_published.BASELINE, "auc_median"]
    found = pd.DataFrame({"row": table.index, "value": gain.to_numpy(), "p": table["p_value"].to_numpy()})
    return found[found["row"] != gaze_published.BASELINE]


def kept_map(shown: pd.DataFrame, model: str, name: str, image: int) -> np.ndarray:
    """Return a map that a trial has kept; NaN if there is none, as of the decoder of a model without one."""
    found = shown[(shown["model"] == model) & (shown["map"] == name) & (shown["image"] == image)]["pixels"]
    return enlarged(found.iloc[0]) if len(found) else np.full((2, 2), np.nan)


def sets(shown: pd.DataFrame, films: ChestFilms, image: int, note: str) -> Figure:
    """Draw one film, derived map, gaze and decoder of the six models with a generator, as figures 9 to 11 of print."""
    pictures, rows = [], []
    for model, how in MODELS.items():
        if how.generator is not None:
            rows.append(NAMES[model])
            derived, decoder = (kept_map(shown, model, name, image) for name in (how.generator, "decoder"))
            pictures += [films.images.pictures[image], derived, films.gaze[image], decoder]
    titles = ["film", "derived map", "gaze", "decoder"] + [""] * (len(pictures) - 4)
    return plots.picture_sheet(pictures, titles, columns=4, rows=rows, kind="simulated", note=note)


def _metric(names: pd.Series) -> pd.Series:
    return names.str.lower().str.replace(" ", "_")
