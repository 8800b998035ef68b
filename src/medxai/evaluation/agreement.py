"""How far raters agree: on the diagnosis, on the presence of a characteristic, and on its place.

Every table follows from sums over images, so each function takes `weights`, one row per bootstrap resample, and then
gives the table of every resample; `medxai.evaluation.bootstrap.interval` turns that into intervals. The conventions
that the DermX paper (Jalaboi et al., Medical Image Analysis 83:102647, 2023) does not spell out are options, with the
ones that give its printed numbers as defaults.

Common parameters: `evaluations` are rows of `DermXDB.evaluations`, usually ``db.select("paper")`` (leave a rater out by
leaving out their rows); `overlaps` is what the function `overlaps` gives for these images; `use` says which evaluations
count, by a name of `RULES` or a bool Series; `terms` are columns of `evaluations`, the rows of the table; `ordered`
takes each pair of raters twice, with either as the reference, or once, with the lower number as the reference; `ddof`
are the delta degrees of freedom of standard deviations; `weights` are float (resamples, images), the images in sorted
order. An unknown choice is a ValueError.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.data.ontology import CHARACTERISTICS, DISEASES, MODELLED
from medxai.evaluation.agreement_sums import (  # noqa: F401 - the rules belong to the public names
    RULES,
    Cube,
    averaged_scores,
    columns_with_std,
    interleave,
    pair_sums,
    presence_scores,
    used,
)
from medxai.evaluation.sums import make_table, mean_std, ratio

SCORES = ("f1", "sensitivity", "specificity")
UNEXPLAINED = ("Thrombosed capillaries",)
"""Passes the DermX paper's rule for what is modelled by every way to count, and is not among its ten: erratum D18."""


def diagnosis(
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "diagnosed",
    undefined: str = "zero",
    ddof: int = 0,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Each dermatologist's first diagnosis against the reference standard (DermX paper, table A.8).

    Scores are taken per rater on the images that they diagnosed, then averaged over raters. F1 and sensitivity without
    any positive are `undefined`: "zero", as published, or "skip".

    Returns
    -------
    pandas.DataFrame
        Index: diseases. Columns f1, sensitivity, specificity, average_selection (how many images a rater gave that
        diagnosis, right or wrong), each with its _std.
    """
    cube = Cube(evaluations, use)
    first = cube.chosen["diagnosis"].to_numpy()[:, None] == np.array(DISEASES, dtype=object)
    truth = cube.chosen["reference"].to_numpy()[:, None] == np.array(DISEASES, dtype=object)

    def finish(images, positive, predicted, both):
        scores = presence_scores(images[..., None], positive, predicted, both, undefined)[..., :3]
        return interleave(mean_std(scores, 1, ddof), mean_std(predicted, 1, ddof))

    sums = [cube.used, cube.spread(truth), cube.spread(first), cube.spread(first & truth)]
    return make_table(sums, finish, DISEASES, columns_with_std((*SCORES, "average_selection")), weights)


def presence(
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "described",
    terms: Sequence[str] = CHARACTERISTICS,
    pool: str = "rater pair",
    ordered: bool = True,
    undefined: str = "zero",
    ddof: int = 0,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Agreement on whether a characteristic is there (DermX paper, tables 2 and A.9).

    A pair is compared on the images that both used.

    Parameters
    ----------
    pool
        "rater pair": scores per pair of raters, averaged over pairs; "all": counts added up over pairs, then scored
        (no standard deviation).
    undefined
        F1 of a pair of whom neither ever selected the term, and sensitivity to a reference who never did: "zero", as
        published, or "skip". An undefined kappa or specificity is always left out.

    Returns
    -------
    pandas.DataFrame
        Index: terms. Columns f1, sensitivity, specificity, cohens_kappa, average_selection (images per rater with the
        term), each with its _std.
    """
    cube = Cube(evaluations, use)
    sums = [*pair_sums(cube, terms, *cube.pairs(ordered)), cube.selected(terms)]

    def finish(images, positive, predicted, both, selected):
        scores = averaged_scores((images, positive, predicted, both), pool, undefined, ddof)
        return interleave(scores, mean_std(selected, 1, ddof))

    return make_table(sums, finish, terms, columns_with_std((*SCORES, "cohens_kappa", "average_selection")), weights)


def samples(
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "correct_or_all",
    terms: Sequence[str] = MODELLED,
    at_least: int = 1,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Count the images on which `at_least` so many raters marked a term (DermX paper, table 5): column ``samples``.

    With the default rule an image where no correct evaluation marked anything counts with everybody's marks, which the
    paper does not say.
    """
    cube = Cube(evaluations, use)
    enough = cube.selected(terms).sum(axis=1) >= at_least
    return make_table([enough], lambda images: images[..., None], terms, ["samples"], weights)


def modelled(
    evaluations: pd.DataFrame,
    *,
    least_samples: int = 30,
    least_f1: float = 0.30,
    without: Sequence[str] = UNEXPLAINED,
) -> tuple[str, ...]:
    """Return the characteristics that are on enough images and that raters agree on (DermX paper, section 2.3).

    Parameters
    ----------
    evaluations
        All of the data set: counted in a part of it, a rule would change from fold to fold.
    least_samples, least_f1
        Images as `samples` counts them, table 5, and F1 of presence, table 2.
    without
        What is left out although it passes. With none, the rule as it is printed gives eleven on the real annotations.

    Returns
    -------
    tuple
        In the order of `CHARACTERISTICS`; on the real annotations the ten of the paper.
    """
    images = samples(evaluations, terms=CHARACTERISTICS)["samples"]
    agreed = presence(evaluations)["f1"]
    passes = (images >= least_samples) & (agreed >= least_f1)
    return tuple(term for term in CHARACTERISTICS if passes[term] and term not in without)


def prevalence(
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "diagnosed",
    terms: Sequence[str] = MODELLED,
    by: str = "diagnosis",
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Share of the evaluations of a disease that mark a term: its expected explanation (DermX paper, table A.11).

    With `by` "diagnosis" the disease is the rater's own first one, right or wrong; with "reference" the true one. The
    columns are the diseases, NaN for one without evaluations.
    """
    cube = Cube(evaluations, use)
    disease = cube.chosen[by].to_numpy()[:, None] == np.array(DISEASES, dtype=object)
    selected = cube.chosen[list(terms)].to_numpy(dtype=bool)
    evaluated = cube.spread(disease).sum(axis=1)
    marked = cube.spread(selected[:, :, None] & disease[:, None, :]).sum(axis=1)
    return make_table(
        [marked, evaluated], lambda marked, evaluated: ratio(marked, evaluated[:, None]), terms, DISEASES, weights
    )


def overlaps(db: DermXDB, images: Sequence[str] | None = None, round: int | None = None) -> pd.DataFrame:
    """Areas and intersections of all pairs of masks of the same characteristic in the same image.

    Counted at the image's own resolution on packed bits. Everything about place follows from this table, so it is
    made once: for the images of these names (None: all), of labelling `round` 1 or 2 (None: both, and pairs across).

    Returns
    -------
    pandas.DataFrame
        One row per unordered pair, and per mask with itself: image, characteristic, first, second (rows of
        ``db.evaluations``, first <= second), intersection, first_area, second_area, pixels (of the image).
    """
    parts: dict[str, list] = {name: [] for name in ("first", "second", "intersection", "first_area", "second_area")}
    origins = []
    for stack in db.masks(images, round):
        number = len(stack.bits)
        counts = np.zeros((number, number), dtype=np.int64)
        for row, bits in enumerate(stack.bits):
            counts[row, row:] = np.bitwise_count(bits & stack.bits[row:]).sum(axis=1, dtype=np.int64)
        first, second = np.triu_indices(number)
        areas = counts.diagonal()
        found = (stack.evaluations[first], stack.evaluations[second], counts[first, second])
        for name, values in zip(parts, (*found, areas[first], areas[second]), strict=True):
            parts[name].append(values)
        origins += [(stack.image, stack.characteristic, stack.pixels)] * len(first)
    table = pd.DataFrame(origins, columns=["image", "characteristic", "pixels"])
    for name, values in parts.items():
        table[name] = np.concatenate(values) if values else np.empty(0, dtype=np.int64)
    return table


def localisation(
    overlaps: pd.DataFrame,
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "correct_or_all",
    terms: Sequence[str] = CHARACTERISTICS,
    pool: str = "pairs",
    ordered: bool = True,
    empty: str = "skip",
    ddof: int = 1,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Agreement on where a characteristic is (DermX paper, tables 3 and A.10).

    The paper's column "F1 (Dice-Sorensen)" holds the intersection over union, here `iou`; `dice` is what its name says.

    Parameters
    ----------
    pool
        "pairs": all pairs of masks of all images count alike, as published; "image": mean over the pairs of an image,
        then over images; "rater pair": mean over the images of a pair of raters, then over pairs.
    empty
        A pair of whom one marked the term and the other did not: "skip", as published, or "zero" (no overlap).

    Returns
    -------
    pandas.DataFrame
        Index: terms. Columns iou, dice, sensitivity, specificity, each with its _std, and pairs (of masks).
    """
    cube = Cube(evaluations, use)
    values = _place_scores(cube, overlaps, terms, *cube.pairs(ordered), empty)
    if pool == "image":
        values = mean_std(values, 1, 0)[0][:, None]
    elif pool not in ("pairs", "rater pair"):
        raise ValueError(f'pool is {pool!r}: expected "pairs", "image" or "rater pair"')
    known = np.isfinite(values)
    values = np.where(known, values, 0)

    columns = [*columns_with_std(("iou", "dice", "sensitivity", "specificity")), "pairs"]
    if pool == "rater pair":
        return make_table([known, values], partial(_finish_rater_pairs, ddof), terms, columns, weights)
    sums = [part.sum(axis=1) for part in (known, values, values**2)]
    return make_table(sums, partial(_finish_pooled, ddof), terms, columns, weights)


def _finish_pooled(ddof: int, number: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of pooled values from their number, sum and sum of squares."""
    mean = ratio(total, number)
    variance = ratio(squares - total * np.nan_to_num(mean), np.maximum(number - ddof, 0))
    deviation = np.sqrt(np.maximum(variance, 0))  # rounding may leave a tiny negative number
    return interleave((mean, deviation), (number[..., 1],))


def _finish_rater_pairs(ddof: int, number: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over pairs of raters of their means."""
    return interleave(mean_std(ratio(total, number), 1, ddof), (number[..., 1].sum(axis=1),))


def _shared_areas(
    cube: Cube, overlaps: pd.DataFrame, terms: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels shared by two (images, labellers, labellers, terms), of one (images, labellers, terms), of the image."""
    place = pd.DataFrame({"i": cube.i, "k": cube.k}, index=cube.chosen.index)
    here = overlaps["first"].isin(place.index) & overlaps["second"].isin(place.index)
    here &= overlaps["characteristic"].isin(list(terms))
    found = overlaps[here]
    i = place["i"].reindex(found["first"]).to_numpy()
    k, m = (place["k"].reindex(found[name]).to_numpy() for name in ("first", "second"))
    c = found["characteristic"].map({term: number for number, term in enumerate(terms)}).to_numpy()
    labellers = len(cube.labellers)
    shared = np.zeros((len(cube.images), labellers, labellers, len(terms)))
    shared[i, k, m, c] = shared[i, m, k, c] = found["intersection"]
    pixels = np.zeros((len(cube.images), 1, 1))
    pixels[i, 0, 0] = found["pixels"]
    area = np.diagonal(shared, axis1=1, axis2=2).swapaxes(1, 2)
    return shared, area, pixels


def _place_scores(
    cube: Cube, overlaps: pd.DataFrame, terms: Sequence[str], reference: np.ndarray, other: np.ndarray, empty: str
) -> np.ndarray:
    """IoU, Dice, sensitivity and specificity as (images, pairs, terms, 4), NaN where a pair does not count."""
    if empty not in ("skip", "zero"):
        raise ValueError(f'empty is {empty!r}: expected "skip" or "zero"')
    shared, area, pixels = _shared_areas(cube, overlaps, terms)
    first, second, both = area[:, reference], area[:, other], shared[:, reference, other]
    marked = (first > 0) & (second > 0) if empty == "skip" else (first > 0) | (second > 0)
    counts = marked & (cube.used[:, reference] & cube.used[:, other])[..., None]
    scores = [
        ratio(both, first + second - both),
        ratio(2 * both, first + second),
        ratio(both, first),
        ratio(pixels - first - second + both, pixels - first),
    ]
    return np.where(counts[..., None], np.stack(scores, axis=-1), np.nan)


def against_others(
    overlaps: pd.DataFrame,
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "correct",
    terms: Sequence[str] = MODELLED,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score each rater's region as the DermX paper scores a network's map: against the fuzzy map of the other raters.

    The fuzzy map at a pixel is the share of the other raters whose region covers it; scores are fuzzy F1, sensitivity
    and specificity (DermX paper, equations 6 to 8; `medxai.evaluation.localisation.fuzzy_scores`). They follow from the
    overlaps: a binary region meets the fuzzy map in the mean of its intersections with the others' regions. As in
    tables 6 and 7, only cases count where both sides have the term: the rater and at least one other. Columns f1,
    sensitivity, specificity (mean over raters and images) and cases.
    """
    cube = Cube(evaluations, use)
    shared, own, pixels = _shared_areas(cube, overlaps, terms)
    others = (cube.used.sum(axis=1)[:, None] - cube.used)[..., None]
    reference = ratio(own.sum(axis=1)[:, None] - own, others)
    both = ratio(shared.sum(axis=2) - own, others)
    scores = [
        ratio(2 * both, own + reference),
        ratio(both, reference),
        ratio(pixels - own - reference + both, pixels - reference),
    ]
    case = (own > 0) & (reference > 0) & cube.used[..., None]
    values = np.where(case[..., None], np.stack(scores, axis=-1), 0)

    def finish(cases, total):
        return np.concatenate([ratio(total, cases[..., None]), cases[..., None]], axis=-1)

    return make_table([case.sum(axis=1), values.sum(axis=1)], finish, terms, [*SCORES, "cases"], weights)


def intra_rater(
    overlaps: pd.DataFrame,
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "all",
    terms: Sequence[str] = MODELLED,
    pool: str = "all",
    inter: tuple[int, int] = (1, 2),
    undefined: str = "skip",
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Agreement of raters with themselves, a round later, beside that with each other, on the images labelled twice.

    Parameters
    ----------
    evaluations
        Rows of both rounds, ``db.select("second_round", round=None)``.
    pool, undefined
        As in `presence`; "all" is the default here since a single rater met the rare terms on few of the images.
    inter
        Rounds of the two different raters of a pair. (1, 2) differs from a rater's own pair in nothing but the person.

    Returns
    -------
    pandas.DataFrame
        Index: terms. For f1, cohens_kappa (of presence), iou and dice (of place, mean over all pairs of masks): _intra,
        _inter, and _share, (1 - intra) / (1 - inter): how much of the disagreement between raters is disagreement with
        oneself. Then mask_pairs_intra and mask_pairs_inter.
    """
    cube = Cube(_labelled_twice(evaluations), use)
    sums = []
    for reference, other in _rater_pairs(cube, inter):
        place = _place_scores(cube, overlaps, terms, reference, other, "skip")[..., :2]
        known = np.isfinite(place)
        sums += [*pair_sums(cube, terms, reference, other), known.sum(axis=1), np.where(known, place, 0).sum(axis=1)]

    def half(images, positive, predicted, both, number, total):
        present, _ = averaged_scores((images, positive, predicted, both), pool, undefined, 0)
        return np.concatenate([present[..., [0, 3]], ratio(total, number)], axis=-1), number[..., 1]

    def finish(*totals):
        (intra, number_intra), (inter, number_inter) = half(*totals[:6]), half(*totals[6:])
        rows = np.stack([intra, inter, ratio(1 - intra, 1 - inter)], axis=-1)
        return np.dstack([rows.reshape(*rows.shape[:2], -1), number_intra, number_inter])

    measures = ("f1", "cohens_kappa", "iou", "dice")
    columns = [f"{measure}_{kind}" for measure in measures for kind in ("intra", "inter", "share")]
    return make_table(sums, finish, terms, [*columns, "mask_pairs_intra", "mask_pairs_inter"], weights)


def repeated_diagnosis(
    evaluations: pd.DataFrame,
    *,
    use: str | pd.Series = "diagnosed",
    inter: tuple[int, int] = (1, 2),
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """How often the same first diagnosis is given again: by the same rater, and by another, on the same images.

    `evaluations` and `inter` are as in `intra_rater`. Index "intra", "inter"; columns same_diagnosis (share) and pairs
    (of evaluations).
    """
    cube = Cube(_labelled_twice(evaluations), use)
    codes = cube.spread(pd.factorize(cube.chosen["diagnosis"])[0])
    sums = []
    for reference, other in _rater_pairs(cube, inter):
        joint = cube.used[:, reference] & cube.used[:, other]
        same = joint & (codes[:, reference] == codes[:, other])
        sums += [same.sum(axis=1), joint.sum(axis=1)]

    def finish(same_intra, pairs_intra, same_inter, pairs_inter):
        same, pairs = np.stack([same_intra, same_inter], axis=-1), np.stack([pairs_intra, pairs_inter], axis=-1)
        return np.stack([ratio(same, pairs), pairs], axis=-1)

    return make_table(sums, finish, ["intra", "inter"], ["same_diagnosis", "pairs"], weights)


def _labelled_twice(evaluations: pd.DataFrame) -> pd.DataFrame:
    rounds = evaluations.groupby("image")["round"].transform("nunique")
    if not (rounds == 2).any():
        raise ValueError('no image is labelled in both rounds: expected db.select("second_round", round=None)')
    return evaluations[rounds == 2]


def _rater_pairs(cube: Cube, inter: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers of the labellers (reference, other) of all pairs of the same rater, and of different raters."""
    number = {labeller: position for position, labeller in enumerate(cube.labellers)}
    raters = sorted({rater for rater, round in cube.labellers if {(rater, 1), (rater, 2)} <= number.keys()})
    same = [(number[rater, 1], number[rater, 2]) for rater in raters]
    different = [(number[a, inter[0]], number[b, inter[1]]) for a in raters for b in raters if a != b]
    return [tuple(np.array(pairs).T) for pairs in (same, different)]


def pairwise_f1(said: np.ndarray) -> tuple[float, float]:
    """Return the F1 of two raters about what each says or not, bool (n, raters): mean and deviation over ordered pairs.

    F1 is the same whichever of the two is the reference. A pair that never says it is left out; NaN if all are.
    """
    with np.errstate(invalid="ignore"):
        pairs = [
            2 * (said[:, a] & said[:, b]).sum() / np.float64(said[:, a].sum() + said[:, b].sum())
            for a, b in combinations(range(said.shape[1]), 2)
        ]
    known = np.array(pairs)[np.isfinite(pairs)]
    return (float(known.mean()), float(known.std())) if len(known) else (np.nan, np.nan)


def with_mean(table: pd.DataFrame, terms: Sequence[str] | None = None, *, decimals: int | None = None) -> pd.DataFrame:
    """Append the row Mean: the mean of the rows, and in each _std column the standard deviation (ddof 0) over the rows.

    `table` is any of this module, plain or resampled; `terms` are the rows to average, None for all (several of the
    paper's Mean rows leave Patch out); with `decimals` rows are rounded first, as the paper did in table A.8.
    """
    resampled = table.index.nlevels == 2
    rows = table.index.get_level_values(-1).unique() if resampled else table.index
    values = table.to_numpy(dtype=float).reshape(-1, len(rows), len(table.columns))
    chosen = values[:, rows.isin(rows if terms is None else terms)]
    mean, deviation = mean_std(chosen if decimals is None else chosen.round(decimals), 1, 0)
    for number, column in enumerate(table.columns):
        if column.endswith("_std"):
            mean[:, number] = deviation[:, table.columns.get_loc(column.removesuffix("_std"))]
    values = np.concatenate([values, mean[:, None]], axis=1).reshape(-1, len(table.columns))
    index = [*rows, "Mean"]
    if resampled:
        resamples = table.index.get_level_values(0).unique()
        index = pd.MultiIndex.from_product([resamples, index], names=table.index.names)
    return pd.DataFrame(values, index, table.columns)
