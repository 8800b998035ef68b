"""The study of heat maps in training: films, networks, comparisons, zones, and all of it on a tiny network."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gaze_examples import tiny
from medxai import profiles, results
from medxai.data import chest_phantom
from medxai.data.brixia import ZONES, ScoredFilms, zone_masks
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import auc_tests
from medxai.experiment import gaze_compared, gaze_cost, gaze_films, gaze_trained, gaze_zones
from medxai.models import gaze_unet
from medxai.studies import heatmap_training
from medxai.studies.heatmap_training import STUDY
from medxai.studies.store import Absent
from medxai.training.gaze_losses import MODELS

SMOKE, FULL = profiles.get("smoke"), profiles.get("full")


@pytest.fixture(scope="module")
def films() -> gaze_films.GazeFilms:
    return gaze_films.phantoms(SMOKE)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny network takes the place of the U-Net."""
    monkeypatch.setattr(gaze_unet, "make", lambda *_, classes, decoder=True, **__: tiny(decoder))


def test_parts_share_no_patient_and_shown_films_are_the_first_tested(films) -> None:
    patients = films.films.images.groups
    of = [set(patients[films.rows[name]]) for name in ("train", "val", "test")]
    assert [len(films.rows[name]) for name in ("train", "val", "test")] == [12, 6, 12]
    assert sum(map(len, of)) == len(set.union(*of))
    alone = gaze_films.shown(SMOKE.gaze_side)
    first = films.rows["test"][: gaze_films.SHOWN]
    np.testing.assert_array_equal(alone.images.pictures, films.films.images.pictures[first])
    assert alone.images.labels.tolist() == [0, 1, 2]


def test_films_that_nobody_looked_at_are_in_no_part() -> None:
    drawn = chest_phantom.draw(60, 32, 1)
    drawn.gaze[[3, 7]] = np.nan
    parts = gaze_films.parted(drawn).rows
    assert sorted(np.concatenate(list(parts.values()))) == [row for row in range(60) if row not in (3, 7)]


def test_looks_are_seconds_at_pixels(films) -> None:
    rows = films.rows["test"][:4]
    looks = films.looks(rows)
    fixations = films.films.fixations.set_index("image")
    for look, row in zip(looks, rows, strict=True):
        own = fixations.loc[films.films.images.names[row]]
        assert look.sum() == pytest.approx(own["duration"].sum())
        first = own.iloc[0]
        assert look[int(first["y"]), int(first["x"])] >= first["duration"]


def test_controls_know_what_they_should(films) -> None:
    rows = films.rows["test"]
    table = gaze_trained.scores(films, rows, films.controls(rows), 50).set_index(["map", "metric"])
    assert abs(table.loc[("mean gaze", "sNCC"), "value"]) < 1e-9
    assert table.loc[("mean gaze", "sAUC"), "value"] == pytest.approx(0.5)
    assert table.loc[("lungs", "NSS"), "value"] > 0, "radiologists look at lungs"
    assert table.loc[("edges", "finding AUC"), "images"] == 8, "normal films have no finding"


def test_gaze_scores_above_its_controls(films) -> None:
    rows = films.rows["test"]
    maps = {"itself": films.films.gaze[rows], "finding": films.findings(rows)}
    table = gaze_trained.scores(films, rows, maps, 50).set_index(["map", "metric"])["value"]
    assert table["itself", "CC"] == pytest.approx(1)
    assert table["itself", "KL"] == pytest.approx(0, abs=1e-6)
    assert table["itself", "sNCC"] > 0.1
    assert table["finding", "finding AUC"] > 0.95


def test_kept_maps_come_back(films) -> None:
    maps = {"gaze": films.films.gaze[films.rows["test"]]}
    table = gaze_trained.small(maps)
    assert len(table) == gaze_films.SHOWN
    back = gaze_trained.enlarged(table["pixels"][1])
    shrunk = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(maps["gaze"][1])[None], back.shape[0])[0]
    np.testing.assert_allclose(back, shrunk / shrunk.max(), atol=0.003)


def test_unlike_networks_have_unlike_maps() -> None:
    generator = np.random.default_rng(0)
    maps, other = ({"map": generator.random((5, 16, 16))} for _ in range(2))
    table = gaze_trained.alike(maps, {"itself": maps, "another": other}).set_index("changed")["value"]
    assert table["itself"] == pytest.approx(1)
    assert abs(table["another"]) < 0.2


def answers_of(signal: dict[str, list[float]], images: int = 60) -> pd.DataFrame:
    """Return answers of made-up models, of a seed for each strength of their signal."""
    generator = np.random.default_rng(0)
    labels = np.arange(images) % 3
    parts = []
    for model, strengths in signal.items():
        for seed, strength in enumerate(strengths):
            values = generator.normal(size=(images, 3)) + strength * np.eye(3)[labels]
            table = pd.DataFrame(values, columns=["normal", "heart failure", "pneumonia"])
            told = {"model": model, "seed": seed, "variant": "default", "image": np.arange(images), "label": labels}
            parts.append(table.assign(**told))
    return pd.concat(parts, ignore_index=True)


def test_areas_and_gains_are_means_over_seeds() -> None:
    answers = answers_of({"u_net": [1.0, 2.0], "classifier": [4.0, 4.0]})
    areas = gaze_compared.areas(answers).query("interval == 'DeLong'").set_index(["model", "class"])
    labels, runs = gaze_compared.logits(answers)
    each = [auc_tests.delong(labels, one, ["a", "b", "c"])["value"].to_numpy() for one in runs["u_net"]]
    np.testing.assert_allclose(areas.loc["u_net", "value"], np.mean(each, axis=0))
    np.testing.assert_allclose(areas.loc["u_net", "seeds"], np.std(each, axis=0, ddof=1))
    gains = gaze_compared.gains(answers).set_index("class")
    assert gains.loc["Average", "value"] == pytest.approx(
        areas.loc[("classifier", "Average"), "value"] - areas.loc[("u_net", "Average"), "value"]
    )
    assert gains.loc["Average", "adjusted"] < 0.05
    assert (gains["adjusted"] >= gains["p"]).all()


def test_one_seed_has_no_spread_and_the_baseline_no_gain() -> None:
    answers = answers_of({"u_net": [1.0], "classifier": [1.0]})
    assert gaze_compared.areas(answers)["seeds"].isna().all()
    assert gaze_compared.gains(answers)["model"].unique().tolist() == ["classifier"]


def test_a_variant_is_set_beside_the_default_of_its_model() -> None:
    default = answers_of({"u_net": [1.0, 1.0], "classifier": [1.0]})
    better = answers_of({"u_net": [4.0]}).assign(variant="edges")
    keys = [("u_net", "default"), ("u_net", "edges"), ("classifier", "default")]
    maps = pd.DataFrame([(*key, 0, "grad_cam", "sNCC", value) for value, key in enumerate(keys)])
    maps.columns = ["model", "variant", "seed", "map", "metric", "value"]
    table = gaze_compared.variants(pd.concat([default, better]), maps, of="grad_cam").set_index("variant")
    assert table["model"].unique().tolist() == ["u_net"], "the classifier has no variant"
    assert np.isnan(table.loc["default", "gain"])
    assert table.loc["edges", "gain"] == pytest.approx(table.loc["edges", "area"] - table.loc["default", "area"])
    assert table.loc["edges", "p"] < 0.05
    assert table["sNCC"].to_dict() == {"default": 0, "edges": 1}
    assert table["finding AUC"].isna().all()
    assert gaze_compared.variants(default, maps).empty


def test_doubt_finds_wrong_answers_of_a_model_that_knows_something() -> None:
    table = gaze_compared.rejections(answers_of({"u_net": [2.0], "classifier": [60.0]}, 600)).set_index("model")
    assert 0.5 < table.loc["u_net", "area"] <= 1
    assert table.loc["classifier", "wrong"] == 0
    assert np.isnan(table.loc["classifier", "area"]), "nothing is wrong, so nothing can be found"


def test_every_model_is_trained_with_every_seed_and_ablations_name_what_there_is() -> None:
    trials = {trial.name: trial for trial in STUDY.trials(FULL)}
    assert {f"{model}-{seed}" for model in MODELS for seed in range(3)} <= set(trials)
    assert {f"brixia-{model}" for model in MODELS} <= set(trials)
    assert [name for name, trial in trials.items() if trial.data] == [f"brixia-{model}" for model in MODELS]
    for model, variants in heatmap_training.ABLATED.items():
        assert model in MODELS
        assert set(variants) <= set(gaze_trained.VARIANTS) - {gaze_trained.DEFAULT}
    assert [trial.name for trial in STUDY.trials(SMOKE)] == ["all"]
    assert FULL.gaze_training >= 600
    assert FULL.gaze_test >= 300


@pytest.mark.usefixtures("small_network")
def test_the_small_trial_has_all_tables_for_all_models() -> None:
    tables = heatmap_training._all(SMOKE)
    expected = {"answers", "history", "chosen", "maps", "random_maps", "sanity", "shown", "controls", "cost"}
    assert set(tables) == expected
    for name in expected - {"controls"}:
        assert set(tables[name]["model"]) == set(MODELS), name
    assert len(tables["answers"]) == len(MODELS) * SMOKE.gaze_test
    assert set(tables["sanity"]["changed"]) == {"before training", "random head", "random weights"}
    assert tables["cost"].set_index("model").loc["u_net", "ratio"] == 1
    assert set(tables["maps"].query("model == 'classifier'")["map"]) == {
        "guided_backpropagation",
        "deconvnet",
        "grad_cam",
    }
    sizes = {name: len(results.rounded(table, 5).to_csv(index=False)) / len(MODELS) for name, table in tables.items()}
    sizes["answers"] *= FULL.gaze_test / SMOKE.gaze_test  # a trial at full size has one model, and more films
    assert max(sizes.values()) < 300_000


@pytest.mark.usefixtures("small_network")
def test_a_variant_is_trained_by_its_target_and_a_seed_gives_the_same(films) -> None:
    default, again, edges = (
        gaze_trained.answers(gaze_trained.trained(films, "u_net", 0, variant, 1)[0], films)
        for variant in ("default", "default", "edges")
    )
    assert default.equals(again)
    assert not default.equals(edges)


@pytest.mark.usefixtures("small_network")
def test_costs_are_ratios_to_the_baseline() -> None:
    table = gaze_cost.costs(64, 1).set_index("model")
    assert table.loc["u_net", "ratio"] == 1
    assert (table["seconds"] > 0).all()


def scored_films(number: int = 30, side: int = 64) -> ScoredFilms:
    """Return noise in which zones are brighter the more severe they are."""
    generator = np.random.default_rng(0)
    zones = np.stack([zone_masks(((0.1, 0.1, 0.45, 0.9), (0.55, 0.1, 0.9, 0.9)), side)] * number)
    scores = generator.integers(0, 4, (number, 2, len(ZONES)))
    scores[:, 1] = scores[:, 0]
    grey = 60 + (40 * zones * scores[:, 0, :, None, None]).sum(1) + generator.normal(0, 5, (number, side, side))
    pictures = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    names = [str(row) for row in range(number)]
    return ScoredFilms(LabelledImages("made", "real", names, pictures, groups=np.arange(number)), scores, zones, "")


def test_a_map_of_severity_ranks_zones_as_its_reader_does() -> None:
    films = scored_films()
    every = gaze_zones.examples(films)
    maps = {"severity": every.gaze, "its reverse": 1 - every.gaze}
    table = gaze_zones.by_zone(films, maps, 50).set_index(["map", "reader"])["value"]
    assert table["severity", "senior"] == pytest.approx(1)
    assert table["its reverse", "junior"] == pytest.approx(-1)
    assert table["the other reader", "senior"] == pytest.approx(1)
    assert set(np.unique(every.gaze)) <= set(np.float32([0, 1 / 3, 2 / 3, 1]))


@pytest.mark.usefixtures("small_network")
def test_each_film_is_answered_by_a_network_that_has_not_seen_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, films = [], scored_films()
    monkeypatch.setattr(gaze_zones, "train", lambda network, model, *parts, **_: seen.append(parts))
    monkeypatch.setattr(gaze_unet, "make", lambda *_, classes, decoder=True: two_classes())
    asked = []

    def ask(network: gaze_unet.GazeUNet, pictures: np.ndarray) -> torch.Tensor:
        asked.append(pictures)
        return torch.ones(len(pictures), 2)

    monkeypatch.setattr(gaze_zones, "class_logits", ask)
    logits, maps = gaze_zones.cross_fitted(films, "u_net", 1)
    assert (logits == 1).all()
    assert set(maps) == {"decoder", "guided_backpropagation", "deconvnet", "grad_cam"}
    assert sum(len(one) for one in asked) == 30
    for (learnt, chosen), tested in zip(seen, asked, strict=True):
        parts = [{one.tobytes() for one in part} for part in (learnt.pictures, chosen.pictures, tested)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 30


def two_classes() -> gaze_unet.GazeUNet:
    """Return the tiny network with a logit less."""
    network = tiny()
    network.classifier.head[-1] = torch.nn.Linear(16, 2)
    network.classifier.classes = 2
    return network


def test_without_brixia_there_are_no_zones() -> None:
    assert heatmap_training._zones(Absent("put it there"), replace(SMOKE), model="u_net") == {}
