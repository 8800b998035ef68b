"""What a DermX is worth on images that it has not seen: in a few numbers, and answer by answer.

`medxai.training.dermx_training.train_dermx` takes `scores` as its judge, since training may not evaluate. The other
functions give tidy tables of one line for each image, or image and characteristic, in which networks stand side by
side, and make the paper's tables of them (Jalaboi et al. 2023, Medical Image Analysis 83:102647, tables B.13 to B.21).
They are small enough to be kept, and intervals over images can be made of them at any time.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.evaluation import attention_cases, per_class
from medxai.evaluation.per_class import MEAN, SCORES, one_hot
from medxai.models.dermx import DermXOutput
from medxai.training.dermx_examples import Examples


def scores(output: DermXOutput, examples: Examples) -> dict[str, float]:
    """Return scores in [0, 1] by name, NaN where undefined.

    Parameters
    ----------
    output
        Of n images, on the CPU, as `medxai.training.dermx_training.predict` gives it.
    examples
        The same n images.

    Returns
    -------
    dict of str to float
        ``accuracy`` and ``macro f1`` of the diagnosis, the mean over those diseases that are there or predicted.
        ``characteristic f1``: the mean over those characteristics that are there or found, of the explained images.
        ``localisation f1``, ``sensitivity`` and ``specificity``: means over all present characteristics of all images,
        found or not (tables B.19 and B.21, but for their mean over characteristics).
    """
    guess, diseases = output.diagnosis_logits.argmax(1).numpy(), output.diagnosis_logits.shape[1]
    diagnosed = per_class.scores(one_hot(examples.labels, diseases), one_hot(guess, diseases), range(diseases))
    told = {"accuracy": (guess == examples.labels).mean(), "macro f1": diagnosed.loc[MEAN, "f1"]}
    if output.attention is not None:
        names, known, seen = range(examples.present.shape[1]), examples.explained, found(output)
        told["characteristic f1"] = per_class.scores(examples.present[known], seen[known], names).loc[MEAN, "f1"]
        table = _cases(output, examples, names)
        told |= {f"localisation {name}": table[name].mean() for name in SCORES}
    return {name: float(value) for name, value in told.items()}


def found(output: DermXOutput) -> np.ndarray:
    """Return which characteristics a network finds, bool (n, c): with a probability of at least 1/2."""
    return (output.characteristic_logits >= 0).numpy()


def diagnoses(output: DermXOutput, examples: Examples, images: Sequence[str], fold: int, model: str) -> pd.DataFrame:
    """Return the answers of a network in one fold: image, fold, label, and the predicted disease, named as the model.

    Tables of several folds are to be put together, columns of several models side by side.
    """
    guess = output.diagnosis_logits.argmax(1).numpy()
    return pd.DataFrame({"image": list(images), "fold": fold, "label": examples.labels, model: guess})


def diagnoses_by_fold(answers: pd.DataFrame, diseases: Sequence[str]) -> pd.DataFrame:
    """Return `per_class.by_fold` of `diagnoses`, by any number of models, the column model in front."""
    there, models = (
        one_hot(answers["label"].to_numpy(), len(diseases)),
        answers.columns.drop(["image", "fold", "label"]),
    )
    given = {name: one_hot(answers[name].to_numpy(), len(diseases)) for name in models}
    return _by_fold(there, given, diseases, answers["fold"].to_numpy())


def characteristics(
    output: DermXOutput, examples: Examples, images: Sequence[str], names: Sequence[str], fold: int, model: str
) -> pd.DataFrame:
    """Return what a network finds in the explained images of one fold: a line for each image and characteristic.

    Columns image, fold, name, there, and whether it was found, named as the model; to be put together as `diagnoses`.
    """
    known = examples.explained
    row, column = (axis.ravel() for axis in np.indices(examples.present[known].shape))
    told = {"image": np.array(images)[known][row], "fold": fold, "name": np.array(names)[column]}
    return pd.DataFrame(told | {"there": examples.present[known].ravel(), model: found(output)[known].ravel()})


def characteristics_by_fold(answers: pd.DataFrame) -> pd.DataFrame:
    """Return `per_class.by_fold` of `characteristics`, by any number of models, the column model in front."""
    images, names = answers["image"].nunique(), answers["name"].unique()
    if answers["name"].tolist() != list(names) * images:
        raise ValueError(f"{len(answers)} answers are of {images} images: expected {len(names)} of each, in one order")
    models = answers.columns.drop(["image", "fold", "name", "there"])
    there, *given = (answers[name].to_numpy().reshape(images, -1) for name in ("there", *models))
    folds = answers["fold"].to_numpy()[:: len(names)]
    return _by_fold(there, dict(zip(models, given, strict=True)), list(names), folds)


def _by_fold(there: np.ndarray, given: dict, names: Sequence[str], folds: np.ndarray) -> pd.DataFrame:
    tables = {model: per_class.by_fold(there, one, names, folds) for model, one in given.items()}
    return pd.concat(tables, names=["model"]).reset_index("model").reset_index(drop=True)


def over_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return `per_class.over_folds` for each model of a table by fold, index model and name."""
    models = table.groupby("model", sort=False)
    tables = {name: per_class.over_folds(rows.drop(columns="model")) for name, rows in models}
    return pd.concat(tables, names=["model", "name"])


def cases(
    output: DermXOutput, examples: Examples, images: Sequence[str], names: Sequence[str], fold: int
) -> pd.DataFrame:
    """Return the `medxai.evaluation.attention_cases.cases` of one fold, with the names of the images, and the fold."""
    table = _cases(output, examples, names)
    return table.assign(image=np.array(images)[table["image"]], fold=fold)


def _cases(output: DermXOutput, examples: Examples, names: Sequence[str]) -> pd.DataFrame:
    present = examples.present & examples.explained[:, None]
    return attention_cases.cases(output.attention, examples.maps, present, found(output), names)
