"""Folds of the paper's images: those of the public files, and where the others go."""

import pandas as pd
import pytest

from medxai import profiles
from medxai.data import dermx_folds, dermxdb, real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.errors import DataError
from tiny_dermxdb import tag, write


@pytest.fixture
def tiny(tmp_path):
    """Return what loads six images, of which the fold files test those that are given: image to fold."""
    diseases = {"a": "Acne", "b": "Acne", "c": "Vitiligo", "d": "Vitiligo", "e": "Acne", "f": "Acne"}

    def load(tested: dict[str, int], patients: dict[str, int] | None = None) -> DermXDB:
        evaluations = {f"labeller1_{name}": [tag(disease)] for name, disease in diseases.items()}
        root = write(tmp_path / "d", evaluations, references=diseases)
        listed = pd.read_csv(root / "images.csv", index_col="image")
        for name, patient in (patients or {}).items():
            listed.loc[name, "patient_id"] = patient
        listed.to_csv(root / "images.csv")
        (root / "folds").mkdir()
        for number in sorted(set(tested.values())):
            rows = [f"{name}.jpeg" for name, fold in tested.items() if fold == number]
            pd.DataFrame({"current_filename": rows}).to_csv(root / "folds" / f"metadata_fold_{number}_test.csv")
        return dermxdb.load(root)

    return load


def test_other_images_go_where_their_disease_is_rarest(tiny) -> None:
    db = tiny({"a": 0, "c": 1, "d": 1})
    # b: no acne in fold 1 yet; e: one of acne in both, fold 0 has fewer images (1 against 3); f: fold 1 again.
    assert dermx_folds.tested_in(db, list("abcdef")).tolist() == [0, 1, 1, 1, 0, 1]
    assert dermx_folds.tested_in(db, ["f", "e"]).tolist() == [1, 0]  # a part has the folds of the whole


def test_images_of_a_patient_stay_together(tiny) -> None:
    db = tiny({"a": 0, "c": 1, "d": 1}, {"b": 77, "e": 77, "f": 0})  # f is of the patient of a
    assert dermx_folds.tested_in(db, list("abcdef")).tolist() == [0, 1, 1, 1, 1, 0]


def test_no_folds_and_no_such_image(tiny) -> None:
    with pytest.raises(DataError, match="the fold files test none of 6 images: expected those of the public"):
        dermx_folds.tested_in(tiny({}), ["a"])


def test_an_image_that_is_not_the_papers(tiny) -> None:
    with pytest.raises(ValueError, match="'z' is not an image of the paper: expected one of 6"):
        dermx_folds.tested_in(tiny({"a": 0}), ["a", "z"])


def _checked(db: DermXDB) -> pd.DataFrame:
    """Check what holds for any data set with fold files; return how many images of a disease each fold tests."""
    paper = db.images[db.images["paper"]]
    fold = pd.Series(dermx_folds.tested_in(db, list(paper.index)), paper.index)
    files = db.folds[db.folds["image"].isin(fold.index)]
    tested = files[files["split"] == "test"]
    assert (fold[tested["image"]].to_numpy() == tested["fold"].to_numpy()).all()
    trained = files[files["split"] == "train"]
    assert (fold[trained["image"]].to_numpy() != trained["fold"].to_numpy()).all()
    known = paper["patient"].notna()
    assert (fold[known] == fold[known].groupby(paper["patient"][known]).transform("first")).all()
    return pd.crosstab(paper["reference"], fold)


def test_simulated_folds() -> None:
    counts = _checked(real_or_simulated.open_dermxdb(profiles.get("smoke")))
    assert list(counts.columns) == list(range(10))


@pytest.mark.real_data
def test_real_folds(real_dermxdb: DermXDB) -> None:
    counts = _checked(real_dermxdb)
    assert counts.sum().tolist() == [55, 55, 55, 55, 55, 57, 58, 55, 55, 54]
    assert (counts.max(axis=1) - counts.min(axis=1)).max() == 3  # stratified
