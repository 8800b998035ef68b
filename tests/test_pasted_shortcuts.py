"""Real artefacts on one class: what is pasted where, on pictures made here."""

import cv2
import numpy as np
import pandas as pd
import pytest

from medxai.data.photo_sets import ArtefactSet, ImageSet
from medxai.experiment import pasted_shortcuts


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Eight grey photographs, and a black bar on white as the only ruler."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(120, 136, (90, 120, 3), dtype=np.uint8))
    bar = np.full((60, 200, 3), 255, np.uint8)
    bar[20:40] = 0
    cv2.imwrite(str(folder / "bar.png"), bar)
    labels = ["benign", "malignant"] * 4
    table = pd.DataFrame({"label": labels, "masks": [()] * 8, "path": [folder / f"{n}.png" for n in range(8)]})
    templates = pd.DataFrame(
        {"artefact": ["ruler"], "subclass": [None], "image": ["x"], "path": [folder / "bar.png"], "without": [None]},
        ["bar"],
    )
    table.index = [f"{n}.png" for n in range(8)]
    known = ("CC0 1.0", "made here", table)
    return ImageSet("photographs", *known), ArtefactSet("artefacts", *known, templates)


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_artefacts_lie_where_they_are_said_to_lie(sets, strength):
    made = pasted_shortcuts.pasted(*sets, "ruler", strength, 90)
    away = made.plain.pictures.astype(int) - made.marked
    assert np.abs(away).max(axis=3)[made.places == 0].max() == 0
    darkened = away.mean(axis=3)[made.places == 1].mean() / made.plain.pictures.mean()
    assert darkened == pytest.approx(strength, abs=0.02)
    assert len({tuple(np.argwhere(place == 1)[0]) for place in made.places}) > 4


def test_only_one_class_is_marked_and_outlined(sets):
    made = pasted_shortcuts.pasted(*sets, "ruler", 1.0, 90)
    tied = made.tied
    changed = (tied.pictures != made.plain.pictures).any(axis=(1, 2, 3))
    assert np.array_equal(changed, made.plain.labels == pasted_shortcuts.TIED_TO)
    assert np.array_equal(tied.reference(1), made.places[1] >= 0.5)
