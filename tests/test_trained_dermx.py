"""DermX on the paintings: splits, recipes, and whether its argument decides; trained once on the smallest profile."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medxai import paths, profiles
from medxai.data import dermx_folds, real_or_simulated
from medxai.errors import UnsupportedModel
from medxai.evaluation import attention_occlusion
from medxai.experiment import dermx_checks, dermx_scores, image_sets, trained_dermx
from medxai.experiment.trained_dermx import Recipe, TrainedDermX
from medxai.experiment.trained_network import start
from medxai.models import dermx
from medxai.models.dermx import UNITS
from medxai.painting.photograph import case, repaint
from medxai.studies import dermx as study
from medxai.training import dermx_examples
from medxai.training.small_convnet import small_convnet

SIZE = replace(profiles.get("smoke"), dermx_epochs=3)
GUIDED = Recipe(guidance="dice", weight=3)
FOLD = 1


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict:
    """DermX with guidance and without, and the folder of their files, which is of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("networks")
        patch.setattr(paths, "trained", lambda name: folder / f"{name}.pth")
        db = real_or_simulated.open_dermxdb(SIZE)
        recipes = {"DermX": Recipe(), "guided": GUIDED, "again": GUIDED}
        found = {name: trained_dermx.train(db, start(), SIZE, recipe, FOLD) for name, recipe in recipes.items()}
        return found | {"folder": folder}


@pytest.fixture
def trained(networks) -> TrainedDermX:
    return networks["guided"]


def test_each_image_is_in_one_split_and_the_test_is_the_papers_fold() -> None:
    db = real_or_simulated.open_dermxdb(SIZE)
    names = list(db.images.index[db.images["paper"]])
    tested = []
    for fold in range(trained_dermx.FOLDS):
        rows = trained_dermx.splits(db, names, fold)
        assert sorted(np.concatenate(list(rows.values()))) == list(range(len(names)))
        np.testing.assert_array_equal(np.flatnonzero(dermx_folds.tested_in(db, names) == fold), rows["test"])
        tested.append(rows["test"])
        np.testing.assert_array_equal(
            rows["validation"], trained_dermx.splits(db, names, (fold + 1) % trained_dermx.FOLDS)["test"]
        )
    assert sorted(np.concatenate(tested)) == list(range(len(names)))


def test_guidance_lowers_the_loss_of_attention_of_held_out_images(networks) -> None:
    last = {}
    for name in ("DermX", "guided"):
        history = networks[name].history.query("split == 'held out' and metric == 'attention loss'")
        last[name] = history.set_index("epoch")["value"]
    assert last["guided"][3] < last["DermX"][3]
    assert last["guided"][3] < last["guided"][1]


def test_a_network_is_trained_once_and_read_the_second_time(networks) -> None:
    one, two = networks["guided"], networks["again"]
    assert one.model is not two.model
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, two.model.state_dict()[name]), name
    assert torch.equal(one.output["test"].attention, two.output["test"].attention)
    assert one.history.equals(two.history)


def test_early_maps_that_differ_in_the_last_digits_are_of_the_same_training(networks, monkeypatch) -> None:
    maps = trained_dermx._early_maps(networks["guided"].paintings, start())
    folder = networks["folder"]
    monkeypatch.setattr(paths, "trained", lambda name: folder / f"{name}.pth")
    monkeypatch.setattr(trained_dermx, "_early_maps", lambda *_: maps * (1 + 1e-6))  # as another number of threads
    again = trained_dermx.train(real_or_simulated.open_dermxdb(SIZE), start(), SIZE, GUIDED, FOLD)
    assert again.history.equals(networks["guided"].history)


def test_controls_change_the_maps_alone_and_only_of_what_is_there(trained) -> None:
    every = trained_dermx.examples_of(trained.paintings, trained.paintings.images.pictures)
    data = every.rows(trained.rows["training"])
    seen = [data.maps]
    for maps in ("another image", "mean of disease", "gaussian", "coarse"):
        other = trained_dermx._guided(data, maps)
        assert other.pictures is data.pictures
        assert other.maps.shape == data.maps.shape
        assert not other.maps[~data.present].any(), maps
        assert all(not np.array_equal(other.maps, known) for known in seen), maps
        seen.append(other.maps)


def test_recipes_are_all_different_and_each_has_its_folds() -> None:
    recipes = list(study.RECIPES.values())
    assert all(recipes.count(recipe) == 1 for recipe in recipes)
    trials = study.STUDY.trials(profiles.get("full"))
    assert len({trial.name for trial in trials}) == len(trials)
    folds = [dict(trial.arguments)["fold"] for trial in trials if trial.name.startswith("DermX_")]
    assert sorted(folds) == list(range(10))
    assert len([trial for trial in trials if "another-image" in trial.name]) == 3


def test_what_is_said_of_an_image(trained) -> None:
    table, names = trained.said(), trained.paintings.images.names
    assert table["image"].tolist() == [names[row] for row in trained.rows["test"]]
    marked = table[[f"marked: {name}" for name in trained.model.characteristics]].to_numpy()
    np.testing.assert_array_equal(marked, trained.paintings.present[trained.rows["test"]])
    np.testing.assert_allclose(table[list(trained.model.diseases)].sum(axis=1), 1, atol=1e-6)
    with torch.no_grad():
        logits = trained.model(trained.images([0])).characteristic_logits[0]
    found = table.loc[0, list(trained.model.characteristics)].to_numpy(dtype=float)
    np.testing.assert_allclose(found, logits.sigmoid(), atol=1e-5)


def test_cases_are_those_that_experts_mark(trained) -> None:
    examples, table = trained.examples["test"], trained.cases(FOLD)
    assert len(table) == (examples.present & examples.explained[:, None]).sum() > 0
    mean = trained.scores().query("split == 'test' and metric == 'localisation f1'")["value"].item()
    assert table["f1"].mean() == pytest.approx(mean)


def test_an_argument_has_a_picture_and_a_title_for_each_place(trained) -> None:
    pictures, titles = trained.argument(0, most=2)
    assert len(pictures) == len(titles) == 6
    assert pictures[1].shape == pictures[0].shape[:2]
    found = [float(title.rsplit(" ", 1)[1].rstrip("%")) for title in titles[1:3]]
    assert found == sorted(found, reverse=True)


def test_other_explainers_judge_the_same_cases_as_the_networks_own_attention(trained) -> None:
    table = dermx_checks.judged(trained, images=1)
    own = table[table["method"] == "attention"].set_index(["image", "name"])["fuzzy_f1"]
    cases = trained.cases(FOLD).set_index(["image", "name"])["f1"]
    np.testing.assert_allclose(own, cases.loc[own.index], atol=1e-6)
    assert set(table["method"]) == {"attention", *dermx_checks.EXPLAINERS}
    wrapped = dermx_checks.CharacteristicLogits(trained.model)
    with torch.no_grad():
        torch.testing.assert_close(
            wrapped(trained.images([0])), trained.model(trained.images([0])).characteristic_logits
        )


def test_a_changed_logit_moves_the_diagnosis_by_its_weights(trained) -> None:
    model, output = trained.model, trained.output["test"]
    table = dermx_checks.intervened(trained, by=2.0).pivot(index="name", columns="disease", values="change")
    before = output.diagnosis_logits
    for number, name in enumerate(model.characteristics):
        moved = before + 2.0 * model.diagnosis.weight[:, UNITS + number].detach()
        expected = (moved.softmax(1) - before.softmax(1)).mean(0)
        np.testing.assert_allclose(table.loc[name, list(model.diseases)], expected, atol=1e-5)


def test_a_diagnosis_that_ignores_characteristics_survives_those_of_another_image(trained) -> None:
    with torch.no_grad():
        kept = trained.model.diagnosis.weight.clone()
        trained.model.diagnosis.weight[:, UNITS:] = 0
    try:
        table = dermx_checks.permuted(trained).groupby("input")["right"].mean()
    finally:
        with torch.no_grad():
            trained.model.diagnosis.weight.copy_(kept)
    assert table["characteristics of another image"] == table["as it is"]
    assert table["characteristics of a random branch"] == table["as it is"]


def test_a_random_branch_is_another_one_on_the_same_backbone(trained) -> None:
    model = trained.model
    drawn, again = dermx_checks.random_branch(model, 0), dermx_checks.random_branch(model, 0)
    before, after = model.state_dict(), drawn.state_dict()
    for name, value in before.items():
        assert torch.equal(value, after[name]) != name.startswith("explanation."), name
        assert torch.equal(after[name], again.state_dict()[name])


def test_maps_of_random_branches_are_scored_on_the_same_cases(trained, monkeypatch) -> None:
    table, cases = dermx_checks.randomised(trained), trained.cases(FOLD)
    np.testing.assert_array_equal(table["trained"], cases["f1"])
    assert (table["random"] != table["trained"]).any()
    monkeypatch.setattr(dermx_checks, "random_branch", lambda model, seed: model)
    same = dermx_checks.randomised(trained)
    np.testing.assert_allclose(same["random"], same["trained"], atol=1e-6)


def test_a_fold_without_an_explained_test_image_has_no_cases_to_judge(trained) -> None:
    nothing = replace(trained.examples["test"], explained=np.zeros(len(trained.examples["test"]), dtype=bool))
    table = dermx_checks.judged(replace(trained, examples={"test": nothing}), images=1)
    assert len(table) == 0
    assert list(table) == ["image", "name", "method", *dermx_checks.SCORES]


def test_an_image_without_a_characteristic_is_asked_for_it_again(trained) -> None:
    db = real_or_simulated.open_dermxdb(SIZE)
    table = dermx_checks.repainted(trained, db, images=2)
    model, names = trained.model, trained.test_names()
    assert set(table["image"]) <= set(names[:2])
    before = trained.said().set_index("image")
    for _, row in table.iterrows():
        assert row["before"] == pytest.approx(before.loc[row["image"], row["name"]], abs=1e-4)
    one = table.iloc[0]
    picture = repaint(case(db, one["image"], SIZE.painted_size), one["without"], seed=image_sets.SEED).image
    with torch.no_grad():
        logits = model(model.normalisation.apply(picture[None])).characteristic_logits[0]
    assert one["after"] == pytest.approx(float(logits.sigmoid()[model.characteristics.index(one["name"])]), abs=1e-4)


def test_covering_starts_from_what_the_network_says(trained) -> None:
    table = dermx_checks.covered(trained, images=1)
    said = trained.said().loc[0, list(trained.model.diseases)].astype(float)
    np.testing.assert_allclose(table["probability"], said.max(), atol=1e-4)
    assert set(table["image"]) == {trained.test_names()[0]}


def test_stride_16_is_the_same_network_with_maps_twice_as_fine() -> None:
    coarse, fine = (trained_dermx._untrained(start(), ["a"], fine=fine) for fine in (False, True))
    images = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert coarse(images).attention.shape[2:] == (5, 5)
        assert fine(images).attention.shape[2:] == (10, 10)
        early = [dermx_examples.parts(model)[0](images) for model in (coarse, fine)]
    assert torch.equal(*early)
    weights = zip(coarse.backbone.state_dict().values(), fine.backbone.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    with pytest.raises(UnsupportedModel, match="timm has no Sequential with maps of stride 16"):
        dermx.at_stride_16(small_convnet(2))


def test_what_a_network_looks_at_is_covered_and_nothing_else(trained) -> None:
    case = int(dermx_scores.found(trained.output["test"]).any(1).argmax())
    picture, odds = dermx_checks.contrasted(trained, case)
    before = trained.paintings.images.pictures[trained.rows["test"][case]]
    seen = attention_occlusion.area(
        trained.output["test"].attention[case], dermx_scores.found(trained.output["test"])[case], before.shape[:2]
    )
    np.testing.assert_array_equal(picture[seen < 0.5], before[seen < 0.5])
    if (seen >= 0.5).any():
        np.testing.assert_array_equal(np.unique(picture[seen >= 0.5], axis=0), [before.mean((0, 1)).round()])
    said = trained.said().loc[case, list(trained.model.diseases)].astype(float)
    np.testing.assert_allclose(odds["before"], said, atol=1e-4)
    with torch.no_grad():
        logits = trained.model(trained.model.normalisation.apply(picture[None]), attention=False).diagnosis_logits
    np.testing.assert_allclose(odds["after"], logits.softmax(1)[0], atol=1e-4)


def test_early_maps_are_made_once(trained, monkeypatch) -> None:
    trained_dermx._early_maps.cache_clear()
    monkeypatch.setattr(dermx_examples, "early_maps", lambda *given: pytest.fail("made again"))
    kept = trained_dermx._early_maps(trained.paintings, start())
    assert kept.shape[:2] == (len(dermx_examples.FLIPS), len(trained.paintings.images.names))
