"""Agreement tables against plain loops over scikit-learn, on small random evaluations and hand-made outlines."""

from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, recall_score

from medxai.data import dermxdb
from medxai.data.ontology import CHARACTERISTICS, DIAGNOSES, DISEASES, GLOBAL_TAGS, LOCALISED
from medxai.evaluation import agreement, bootstrap, localisation
from tiny_dermxdb import outline, square, tag, write

TERMS = ("Plaque", "Scale", "Papule")


def random_evaluations(seed: int, images: int = 30, raters: int = 4, rounds: int = 1) -> pd.DataFrame:
    """Evaluations as the loader gives them, with everything drawn at random, and some evaluations missing."""
    generator = np.random.default_rng(seed)
    keys = [(f"i{i:02}", k, r) for i in range(images) for r in range(1, rounds + 1) for k in range(1, raters + 1)]
    table = pd.DataFrame(keys, columns=["image", "rater", "round"])
    table["reference"] = generator.choice(DISEASES, images)[table["image"].str[1:].astype(int)]
    other = generator.choice([*DIAGNOSES, None], len(table))
    table["diagnosis"] = np.where(generator.random(len(table)) < 0.6, table["reference"], other)
    table["diagnoses"] = [() if name is None else (name,) for name in table["diagnosis"]]
    table["correct"] = table["diagnosis"] == table["reference"]
    for name in (*LOCALISED, *GLOBAL_TAGS):
        table[name] = generator.random(len(table)) < 0.3
    table["Cyst"] = False
    return table[generator.random(len(table)) < 0.9].sample(frac=1, random_state=seed)


def loop_presence(table: pd.DataFrame, term: str, undefined: float) -> pd.DataFrame:
    """One row of scores per ordered pair of raters, by scikit-learn."""
    by_rater = {rater: part.set_index("image")[term] for rater, part in table.groupby("rater")}
    rows = []
    for reference, other in permutations(by_rater, 2):
        both = pd.concat([by_rater[reference], by_rater[other]], axis=1, join="inner").to_numpy()
        truth, found = both[:, 0], both[:, 1]
        f1 = f1_score(truth, found) if (truth | found).any() else undefined
        sensitivity = recall_score(truth, found) if truth.any() else undefined
        kappa = cohen_kappa_score(truth, found) if (truth | found).any() else np.nan
        rows.append((f1, sensitivity, recall_score(~truth, ~found), kappa))
    return pd.DataFrame(rows, columns=["f1", "sensitivity", "specificity", "cohens_kappa"])


@pytest.mark.parametrize(("undefined", "value"), [("zero", 0.0), ("skip", np.nan)])
def test_presence_is_scikit_learns_in_a_loop(undefined: str, value: float) -> None:
    table = random_evaluations(0)
    diagnosed = table[table["diagnosis"].notna()]
    result = agreement.presence(table, use="diagnosed", terms=(*TERMS, "Cyst"), undefined=undefined)
    for term in (*TERMS, "Cyst"):
        expected = loop_presence(diagnosed, term, value)
        np.testing.assert_allclose(result.loc[term, expected.columns], expected.mean())
        np.testing.assert_allclose(result.loc[term, [f"{name}_std" for name in expected]], expected.std(ddof=0))
        selection = diagnosed.groupby("rater")[term].sum()
        assert result.loc[term, "average_selection"] == pytest.approx(selection.mean())
        assert result.loc[term, "average_selection_std"] == pytest.approx(selection.std(ddof=0))


def test_presence_pooled_and_unordered() -> None:
    table = random_evaluations(1)
    wide = table.pivot(index="image", columns="rater", values="Plaque")
    pairs = [wide[[a, b]].dropna().to_numpy(dtype=bool) for a, b in permutations(wide.columns, 2) if a < b]
    truth, found = np.concatenate(pairs).T
    result = agreement.presence(table, use="all", terms=TERMS, pool="all", ordered=False).loc["Plaque"]
    assert result["f1"] == pytest.approx(f1_score(truth, found))
    assert result["sensitivity"] == pytest.approx(recall_score(truth, found))
    assert result["cohens_kappa"] == pytest.approx(cohen_kappa_score(truth, found))
    assert np.isnan(result["f1_std"])


def test_leaving_a_rater_out_is_leaving_out_his_rows() -> None:
    table = random_evaluations(2)
    expected = loop_presence(table[table["rater"] != 3], "Scale", 0)
    result = agreement.presence(table[table["rater"] != 3], use="all", terms=["Scale"])
    assert result.loc["Scale", "f1"] == pytest.approx(expected["f1"].mean())


def test_diagnosis_is_scikit_learns_in_a_loop() -> None:
    table = random_evaluations(3)
    diagnosed = table[table["diagnosis"].notna()]
    result = agreement.diagnosis(table)
    for disease in DISEASES:
        rows = []
        for _, part in diagnosed.groupby("rater"):
            truth, found = part["reference"] == disease, part["diagnosis"] == disease
            scores = f1_score(truth, found), recall_score(truth, found), recall_score(~truth, ~found)
            rows.append((*scores, found.sum()))
        np.testing.assert_allclose(result.loc[disease].iloc[::2], np.mean(rows, axis=0))
        np.testing.assert_allclose(result.loc[disease].iloc[1::2], np.std(rows, axis=0))


def test_prevalence_and_samples_by_groupby() -> None:
    table = random_evaluations(4)
    for by in ("diagnosis", "reference"):
        result = agreement.prevalence(table, use="diagnosed", terms=TERMS, by=by)
        expected = table[table["diagnosis"].notna()].groupby(by)[list(TERMS)].mean().T
        pd.testing.assert_frame_equal(result, expected[list(DISEASES)], check_names=False)
    marks = table[table["correct"]].groupby("image")[list(TERMS)].sum()
    for at_least in (1, 2):
        result = agreement.samples(table, use="correct", terms=TERMS, at_least=at_least)["samples"]
        assert result.tolist() == (marks >= at_least).sum().tolist()


def test_modelled_characteristics_have_samples_and_agreement() -> None:
    table = random_evaluations(2)
    table[list(CHARACTERISTICS)] = False
    early = table["image"] < "i20"
    table.loc[early, ["Plaque", "Thrombosed capillaries"]] = True  # all agree
    table.loc[early & (table["rater"] == 1), "Scale"] = True  # one rater alone
    table.loc[table["image"] < "i03", "Scar"] = True  # all agree, on three images
    table["correct"] = table["diagnosis"].notna()
    options = {"least_samples": 4, "least_f1": 0.5}
    assert agreement.modelled(table, **options) == ("Plaque",)
    assert agreement.modelled(table, **options, without=()) == ("Plaque", "Thrombosed capillaries")
    assert agreement.modelled(table, **options | {"least_samples": 3}) == ("Plaque", "Scar")
    assert agreement.modelled(table, **options | {"least_f1": 0}) == ("Plaque", "Scale")


def test_rules_by_hand() -> None:
    table = random_evaluations(0, images=3, raters=2).sort_values(["image", "rater"]).reset_index(drop=True)[:4]
    table[[*LOCALISED, *GLOBAL_TAGS]] = False
    table["image"] = ["a", "a", "b", "b"]
    table["reference"] = "Acne"
    table["diagnoses"] = [("Acne",), ("Psoriasis", "Acne"), ("Other-disease",), ()]
    table["diagnosis"] = ["Acne", "Psoriasis", "Other-disease", None]
    table["correct"] = [True, False, False, False]
    table.loc[0, "Papule"] = table.loc[2, "Young"] = True
    kept = {rule: agreement.used(table, rule).index.tolist() for rule in agreement.RULES}
    assert kept == {
        "all": [0, 1, 2, 3],
        "diagnosed": [0, 1, 2],
        "target": [0, 1],
        "correct": [0],
        "correct_listed": [0, 1],
        "marked": [0],
        "described": [0, 2],
        "correct_described": [0],
        "correct_or_all": [0, 2, 3],
    }
    assert agreement.used(table, table["Young"]).index.tolist() == [2]


@pytest.fixture
def tiny(tmp_path: Path) -> dermxdb.DermXDB:
    """Two images of 20 x 10 pixels; outlines of 10, 10 and 20 pixels, some of them in both rounds."""
    acne = tag("Acne")
    evaluations = {
        "labeller1_a": [acne, outline("Plaque", square(0, 0, 4, 1))],
        "labeller2_a": [acne, outline("Plaque", square(0, 1, 4, 2))],
        "labeller3_a": [acne, outline("Scale", square(0, 0, 19, 9))],
        "labeller1_b": [acne, outline("Plaque", square(0, 0, 9, 1)), outline("Scale", square(0, 0, 19, 9))],
        "labeller2_b": [acne, outline("Plaque", square(0, 0, 9, 1))],
        "labeller3_b": [tag("Vitiligo"), outline("Plaque", square(0, 0, 4, 1))],
        "labeller12_a": [acne, outline("Plaque", square(0, 0, 4, 1))],
        "labeller22_a": [tag("Vitiligo"), outline("Plaque", square(0, 2, 4, 3))],
        "labeller32_a": [acne],
    }
    return dermxdb.load(write(tmp_path / "tiny", evaluations, references={"a": "Acne", "b": "Acne"}))


def test_overlaps_are_those_of_the_masks(tiny: dermxdb.DermXDB) -> None:
    table = agreement.overlaps(tiny)
    for row in table.itertuples():
        first, second = (
            tiny.mask(row.image, of["rater"], row.characteristic, of["round"])
            for of in (tiny.evaluations.loc[row.first], tiny.evaluations.loc[row.second])
        )
        assert (row.intersection, row.first_area, row.second_area) == (
            (first & second).sum(),
            first.sum(),
            second.sum(),
        )
        assert row.pixels == 200
    # Plaque in a: four masks; in b: three; Scale: one each. A mask counts with itself, too.
    assert len(table) == 10 + 6 + 2
    assert set(agreement.overlaps(tiny, ["b"])["image"]) == {"b"}


def test_localisation_by_hand(tiny: dermxdb.DermXDB) -> None:
    evaluations, overlaps = tiny.select("all"), agreement.overlaps(tiny)
    # Correct pairs: in a raters 1 and 2 (5 of 15 pixels shared), in b raters 1 and 2 (the same mask).
    plaque = agreement.localisation(overlaps, evaluations, use="correct").loc["Plaque"]
    assert plaque["pairs"] == 4
    assert plaque["iou"] == pytest.approx((1 / 3 + 1) / 2)
    assert plaque["iou_std"] == pytest.approx(np.std([1 / 3, 1 / 3, 1, 1], ddof=1))
    assert plaque["dice"] == pytest.approx((0.5 + 1) / 2)
    assert plaque["sensitivity"] == pytest.approx((0.5 + 1) / 2)
    assert plaque["specificity"] == pytest.approx((185 / 190 + 1) / 2)
    # All: rater 3 joins in b with half of the others' mask.
    everyone = agreement.localisation(overlaps, evaluations, use="all", ddof=0).loc["Plaque"]
    assert everyone["iou"] == pytest.approx(np.mean([1 / 3, 1, 0.5, 0.5]))
    by_image = agreement.localisation(overlaps, evaluations, use="all", pool="image").loc["Plaque"]
    assert by_image["iou"] == pytest.approx(np.mean([1 / 3, 2 / 3]))
    by_raters = agreement.localisation(overlaps, evaluations, use="all", pool="rater pair").loc["Plaque"]
    assert by_raters["iou"] == pytest.approx(np.mean([2 / 3, 0.5, 0.5]))
    once = agreement.localisation(overlaps, evaluations, use="all", ordered=False).loc["Plaque"]
    assert once["sensitivity"] == pytest.approx(np.mean([0.5, 1, 0.5, 0.5]))


def test_one_sided_pairs_count_as_zero_if_asked(tiny: dermxdb.DermXDB) -> None:
    evaluations, overlaps = tiny.select("all"), agreement.overlaps(tiny)
    plaque = agreement.localisation(overlaps, evaluations, use="all", empty="zero").loc["Plaque"]
    # In a rater 3 marked none: two more pairs without overlap; no sensitivity to an empty reference.
    assert plaque["pairs"] == 12
    assert plaque["iou"] == pytest.approx(np.mean([1 / 3, 1, 0.5, 0.5, 0, 0]))
    assert plaque["sensitivity"] == pytest.approx(np.mean([0.5, 0.5, 1, 1, 0.5, 1, 0.5, 1, 0, 0]))
    scale = agreement.localisation(overlaps, evaluations, use="all", empty="zero").loc["Scale"]
    # The one mask fills the image: no specificity against it; the empty reference has only false positives.
    assert (scale["iou"], scale["specificity"], scale["pairs"]) == (0, 0, 8)
    nobody = agreement.localisation(overlaps, evaluations, use="all").loc["Cyst"]
    assert nobody["pairs"] == 0
    assert nobody.drop("pairs").isna().all()


def test_intra_rater_by_hand(tiny: dermxdb.DermXDB) -> None:
    twice, overlaps = tiny.select("second_round", round=None), agreement.overlaps(tiny)
    table = agreement.intra_rater(overlaps, twice, terms=["Plaque", "Scale"])
    # Rater 1 draws the same again (IoU 1), rater 2 shares nothing with a half-shifted mask: rows 1-2 against 2-3.
    plaque = table.loc["Plaque"]
    assert plaque["mask_pairs_intra"] == 2
    assert plaque["iou_intra"] == pytest.approx((1 + 1 / 3) / 2)
    # Different raters, first against second round: 1 with 2' (no overlap), 2 with 1' (5 of 15).
    assert plaque["mask_pairs_inter"] == 2
    assert plaque["iou_inter"] == pytest.approx((0 + 1 / 3) / 2)
    assert plaque["iou_share"] == pytest.approx((1 - 2 / 3) / (1 - 1 / 6))
    assert plaque["f1_intra"] == 1
    assert plaque["f1_inter"] == pytest.approx(2 * 2 / (4 + 4))
    assert table.loc["Scale", "f1_intra"] == 0
    same_round = agreement.intra_rater(overlaps, twice, terms=["Plaque"], inter=(1, 1))
    assert same_round.loc["Plaque", "iou_inter"] == pytest.approx(1 / 3)
    diagnosis = agreement.repeated_diagnosis(twice)
    assert diagnosis["same_diagnosis"].tolist() == pytest.approx([2 / 3, 4 / 6])
    assert diagnosis["pairs"].tolist() == [3, 6]
    with pytest.raises(ValueError, match="no image is labelled in both rounds"):
        agreement.intra_rater(overlaps, tiny.select("all"))


def _statistics() -> dict[str, partial]:
    table, twice = random_evaluations(5), random_evaluations(6, rounds=2)
    return {
        "diagnosis": partial(agreement.diagnosis, table),
        "presence": partial(agreement.presence, table, use="all"),
        "presence pooled": partial(agreement.presence, table, use="all", pool="all"),
        "prevalence": partial(agreement.prevalence, table),
        "samples": partial(agreement.samples, table),
        "repeated diagnosis": partial(agreement.repeated_diagnosis, twice),
    }


@pytest.mark.parametrize("name", _statistics())
def test_weights_are_the_table_of_repeated_images(name: str) -> None:
    """A weight of 2 must do what a copy of the image does, a weight of 0 what leaving it out does."""
    statistic = _statistics()[name]
    evaluations = statistic.args[0]
    images = sorted(evaluations["image"].unique())
    weights = np.random.default_rng(0).integers(0, 3, (2, len(images)))
    resampled = statistic(weights=weights)
    assert resampled.index.names == ["resample", None]
    for number, row in enumerate(weights):
        copies = [
            evaluations[evaluations["image"] == image].assign(image=f"{image} {copy}")
            for image, weight in zip(images, row, strict=True)
            for copy in range(weight)
        ]
        expected = statistic.func(pd.concat(copies), **statistic.keywords)
        np.testing.assert_allclose(resampled.loc[number], expected, atol=1e-12)


@pytest.mark.parametrize("pool", ["pairs", "image", "rater pair"])
def test_weights_of_localisation(tiny: dermxdb.DermXDB, pool: str) -> None:
    overlaps, evaluations = agreement.overlaps(tiny), tiny.select("all")
    options = {"use": "all", "pool": pool}
    weighted = agreement.localisation(overlaps, evaluations, weights=[[0, 1], [1, 1], [0, 0]], **options)
    only_b = agreement.localisation(overlaps, evaluations[evaluations["image"] == "b"], **options)
    np.testing.assert_allclose(weighted.loc[0], only_b, atol=1e-12)
    np.testing.assert_allclose(weighted.loc[1], agreement.localisation(overlaps, evaluations, **options))
    assert weighted.loc[2].drop(columns="pairs").isna().all(axis=None)


def test_bootstrap_interval_is_the_percentile_of_a_loop() -> None:
    table = random_evaluations(7)
    images = sorted(table["image"].unique())
    low, high = bootstrap.interval(partial(agreement.samples, table, terms=TERMS), len(images), resamples=700, seed=3)
    chunks = list(bootstrap.weights(len(images), 700, seed=3))
    assert [len(chunk) for chunk in chunks] == [500, 200]
    weights = np.concatenate(chunks)
    assert (weights.sum(axis=1) == len(images)).all()
    marked = (
        agreement.used(table, "correct_or_all").groupby("image")[list(TERMS)].any().reindex(images, fill_value=False)
    )
    counts = weights @ marked.to_numpy(dtype=float)
    np.testing.assert_allclose(low["samples"], np.quantile(counts, 0.025, axis=0))
    np.testing.assert_allclose(high["samples"], np.quantile(counts, 0.975, axis=0))
    again, _ = bootstrap.interval(partial(agreement.samples, table, terms=TERMS), len(images), resamples=700, seed=3)
    pd.testing.assert_frame_equal(low, again)


def test_bootstrap_interval_has_the_size_of_the_textbook() -> None:
    """The share of one term among single evaluations is a binomial proportion."""
    table = random_evaluations(8, images=400, raters=1).assign(diagnosis="Acne")
    statistic = partial(agreement.prevalence, table, terms=["Plaque"])
    low, high = bootstrap.interval(statistic, table["image"].nunique(), resamples=4000, seed=0)
    share = statistic().loc["Plaque", "Acne"]
    half = 1.96 * np.sqrt(share * (1 - share) / len(table))
    assert low.loc["Plaque", "Acne"] == pytest.approx(share - half, abs=0.005)
    assert high.loc["Plaque", "Acne"] == pytest.approx(share + half, abs=0.005)
    assert low["Psoriasis"].isna().all()


def test_with_mean() -> None:
    table = pd.DataFrame({"f1": [0.104, 0.3, np.nan], "f1_std": [1.0, 1, 1]}, index=["a", "b", "c"])
    mean = agreement.with_mean(table)
    assert mean.index.tolist() == ["a", "b", "c", "Mean"]
    assert mean.loc["Mean"].tolist() == pytest.approx([0.202, 0.098])
    assert agreement.with_mean(table, decimals=2).loc["Mean"].tolist() == pytest.approx([0.2, 0.1])
    assert agreement.with_mean(table, ["b"]).loc["Mean", "f1"] == 0.3
    resampled = agreement.with_mean(pd.concat({0: table, 1: 2 * table}, names=["resample", None]))
    assert resampled.loc[1, "f1"]["Mean"] == pytest.approx(0.404)


def test_wrong_words_are_refused(tiny: dermxdb.DermXDB) -> None:
    evaluations, overlaps = tiny.select("all"), agreement.overlaps(tiny)
    for call, message in (
        (
            lambda: agreement.presence(evaluations, use="right"),
            "rule 'right' is unknown: expected one of all, diagnosed",
        ),
        (lambda: agreement.presence(evaluations, pool="image"), 'pool is .image.: expected "rater pair" or "all"'),
        (lambda: agreement.presence(evaluations, undefined="one"), 'undefined is .one.: expected "zero" or "skip"'),
        (lambda: agreement.localisation(overlaps, evaluations, pool="all"), 'pool is .all.: expected "pairs", "image"'),
        (
            lambda: agreement.localisation(overlaps, evaluations, empty="one"),
            'empty is .one.: expected "skip" or "zero"',
        ),
        (
            lambda: agreement.presence(evaluations, weights=np.ones((4, 3))),
            r"weights are \(4, 3\): expected \(resamples, 2\)",
        ),
        (
            lambda: bootstrap.interval(partial(agreement.diagnosis, evaluations), 2, level=95),
            "level is 95: expected a share",
        ),
        (lambda: bootstrap.interval(partial(agreement.diagnosis, evaluations), 0), "images are 0 and resamples 1000"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_every_characteristic_has_a_row(tiny: dermxdb.DermXDB) -> None:
    assert tuple(agreement.presence(tiny.select("all")).index) == CHARACTERISTICS


def test_a_rater_against_the_others_is_scored_like_a_map_against_a_fuzzy_map(simulated_root: Path) -> None:
    db = dermxdb.load(simulated_root)
    evaluations = db.select("paper")
    outlined = db.instances.loc[db.instances["characteristic"] == "Plaque", "image"].unique()
    evaluations = evaluations[evaluations["image"].isin(outlined[:12])]  # each mask at full size takes a while
    table = agreement.against_others(agreement.overlaps(db), evaluations, terms=["Plaque"])
    found = []
    for image, part in evaluations[evaluations["correct"]].groupby("image"):
        masks = {rater: db.mask(image, rater, "Plaque").astype(float) for rater in part["rater"]}
        for rater, mask in masks.items():
            others = [other for name, other in masks.items() if name != rater]
            if mask.any() and np.any(others):
                found.append(localisation.fuzzy_scores(mask, np.mean(others, axis=0)))
    assert table.loc["Plaque", "cases"] == len(found) > 20
    np.testing.assert_allclose(table.loc["Plaque", ["f1", "sensitivity", "specificity"]], np.mean(found, axis=0))
