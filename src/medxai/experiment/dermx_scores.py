"""What a DermX is worth on images that it has not seen: in a few numbers, and answer by answer.

`medxai.training.dermx_training.train_dermx` takes `scores` as its judge, since training may not evaluate. The other
functions give tidy tables of one line for each image, or image and characteristic, in which networks stand side by
side, and make the paper's tables of them (Jalaboi et al. 2023, Medical Image Analysis 83:102647, tables B.13 to B.21).
They are small enough to be kept, and intervals over images can be made of them at any time.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from medxai.data.ontology import DISEASES
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


MARKED = "marked: "
"""Begins the names of columns with what experts say."""


def said(
    output: DermXOutput, examples: Examples, images: Sequence[str], diseases: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    """Return what is said of each image, by a network and by experts.

    Returns
    -------
    pandas.DataFrame
        Columns image, label, explained (as of `Examples`), the probability of each disease and characteristic by its
        name, and whether experts marked the characteristic, ``marked: NAME``.
    """
    known = {"image": list(images), "label": examples.labels, "explained": examples.explained}
    told = torch.cat([output.diagnosis_logits.softmax(1), output.characteristic_logits.sigmoid()], dim=1).numpy()
    marked = {f"{MARKED}{name}": examples.present[:, c] for c, name in enumerate(names)}
    return pd.DataFrame(known | dict(zip([*diseases, *names], told.T, strict=True)) | marked)


def marked_names(said: pd.DataFrame) -> list[str]:
    """Return the characteristics that a table of `said` speaks of, in its order."""
    return [column.removeprefix(MARKED) for column in said if column.startswith(MARKED)]


def diagnoses(said: pd.DataFrame, diseases: Sequence[str]) -> pd.DataFrame:
    """Return the answers of several networks side by side: image, fold, label, and what each of them predicts.

    Parameters
    ----------
    said
        Tables of `said` of several folds and networks, put together, with the columns recipe, the network's name, and
        fold. Images that not all of the networks were asked about are left out.
    """
    guess = said[list(diseases)].to_numpy().argmax(axis=1)
    return _side_by_side(said.assign(guess=guess), ["image", "fold", "label"], "guess")


def diagnoses_by_fold(answers: pd.DataFrame, diseases: Sequence[str]) -> pd.DataFrame:
    """Return `per_class.by_fold` of `diagnoses`, by any number of models, the column model in front."""
    there, models = (
        one_hot(answers["label"].to_numpy(), len(diseases)),
        answers.columns.drop(["image", "fold", "label"]),
    )
    given = {name: one_hot(answers[name].to_numpy(), len(diseases)) for name in models}
    return _by_fold(there, given, diseases, answers["fold"].to_numpy())


def characteristics(said: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return what several networks find in the explained images: a line for each image and characteristic.

    Columns image, fold, name, there, and for each network whether it finds it; parameters as of `diagnoses`.
    """
    known = said[said["explained"]].dropna(subset=list(names))
    told = {"image": known["image"], "fold": known["fold"], "recipe": known["recipe"]}
    parts = [
        pd.DataFrame(told | {"name": name, "there": known[f"{MARKED}{name}"].astype(bool), "found": known[name] >= 0.5})
        for name in names
    ]
    table = _side_by_side(pd.concat(parts), ["image", "fold", "name", "there"], "found")
    order = table["name"].map({name: number for number, name in enumerate(names)})
    return table.iloc[np.lexsort([order, table["image"]])].reset_index(drop=True)


def _side_by_side(answers: pd.DataFrame, index: list[str], value: str) -> pd.DataFrame:
    """Put the answers of networks into columns of their names."""
    dtype, order = answers[value].dtype, list(answers["recipe"].unique())
    wide = answers.pivot(index=index, columns="recipe", values=value)[order].dropna()
    return wide.astype(dtype).rename_axis(columns=None).reset_index()


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


def diagnosis_table(said: pd.DataFrame) -> pd.DataFrame:
    """Return tables 4 and B.13 to B.15 of the networks in what they said: tidy by network, a row for each disease.

    Each network is scored on all folds that it has.
    """
    return pd.concat([_tidy(diagnoses_by_fold(diagnoses(one, DISEASES), DISEASES)) for one in _each(said)])


def identification_table(said: pd.DataFrame) -> pd.DataFrame:
    """Return tables 5, B.16 and B.17 likewise, a row for each characteristic."""
    names = marked_names(said)
    known = said.dropna(subset=names)
    return pd.concat([_tidy(characteristics_by_fold(characteristics(one, names))) for one in _each(known)])


def _each(said: pd.DataFrame) -> list[pd.DataFrame]:
    """Return what each network said."""
    return [part for _, part in said.groupby("recipe", sort=False)]


def localisation_table(cases: pd.DataFrame, *, agreed: bool) -> pd.DataFrame:
    """Return tables 6, 7, B.18 and B.20, or for all cases B.19 and B.21, likewise."""
    names = list(dict.fromkeys(cases["name"]))
    cases = attention_cases.agreed(cases) if agreed else cases
    parts = [attention_cases.by_fold(part, names).assign(model=of) for of, part in cases.groupby("recipe", sort=False)]
    return _tidy(pd.concat(parts))


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over folds as a tidy table with the column model."""
    means = over_folds(table).rename_axis(["model", "row"]).reset_index()
    return means.melt(["model", "row"], var_name="metric")
