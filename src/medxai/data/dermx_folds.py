"""The ten folds of the DermX paper: in which one each image is tested."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.errors import DataError


def tested_in(db: DermXDB, names: Sequence[str]) -> np.ndarray:
    """Return for each image the number of the fold whose network does not see it in training, int (n,).

    The public fold files, stratified by disease and with all images of a patient in one fold, are of an earlier state:
    of the 554 images of Jalaboi et al. 2023 (Medical Image Analysis 83:102647, section 2.4) they hold 524, and how the
    authors placed the other 30 is not printed. Here each goes, in alphabetical order, to the fold of its patient, else
    to the fold that tests the fewest images of its disease, then the fewest images, then with the lowest number. All
    images of the paper are placed, so that a part of them has the same folds.

    Raises
    ------
    DataError
        If the data set has no fold files that hold an image of the paper.
    ValueError
        If a name is not one of the paper's images.
    """
    paper = db.images[db.images["paper"]].sort_index()
    if strangers := sorted(set(names) - set(paper.index)):
        raise ValueError(f"{strangers[0]!r} is not an image of the paper: expected one of {len(paper)}")
    tests = db.folds[db.folds["split"] == "test"]
    fold = tests.drop_duplicates("image").set_index("image")["fold"].reindex(paper.index)
    if fold.isna().all():
        raise DataError(f"the fold files test none of {len(paper)} images: expected those of the public repository")
    patients = paper["patient"].where(paper["patient"].notna(), paper.index)
    fold = fold.fillna(fold.groupby(patients).transform("first"))
    for name in fold.index[fold.isna()]:
        if np.isnan(fold[name]):  # still, and not placed with another image of its patient
            fold[patients == patients[name]] = _emptiest(fold, paper["reference"] == paper["reference"][name])
    return fold.loc[list(names)].to_numpy(dtype=int)


def _emptiest(fold: pd.Series, alike: pd.Series) -> float:
    """Return the fold with the fewest images of a disease, then the fewest, then the lowest number."""
    counts = pd.DataFrame({"alike": fold[alike].value_counts(), "all": fold.value_counts()}).fillna(0)
    return counts.rename_axis("fold").reset_index().sort_values(["alike", "all", "fold"])["fold"].iloc[0]
