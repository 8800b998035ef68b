"""Simulated DermXDB: eight raters diagnose and outline invented lesions, in the files of the real data set.

Nothing here is a photograph or a patient. A generative model with the published figures of the DermX paper as its
parameters (tables 1, A.8 and A.11; `simulate_parameters.yml` for the rest) writes annotations that the loader reads
as it reads the real ones, so that the book can be built, and its code tested, where the real annotations are not.

The model, image by image: a disease; a difficulty that all raters share and a noise of each rater's own decide who
diagnoses it, so that the sensitivity of each rater is as in table A.8; given the diagnosis a rater gives, each name of
their vocabulary is used if threshold + propensity of the rater + latent of the image + noise of the rater is positive
(a probit model with random effects, thresholds solved so that the prevalences are those of table A.11); lesions are
laid out as the disease prefers, and each rater outlines those that they see with a brush of their own.

How near it comes, as mean absolute difference from the printed means over four seeds of 554 images: diagnosis 0.01
(F1, sensitivity; A.8), presence 0.02 (F1, kappa; A.9), prevalence 0.006 (A.11), place 0.03 (IoU; A.10). Standard
deviations are within 0.04. Agreement of a rater with their own second round is near that of the real one (same
diagnosis 0.86 against 0.87, mean IoU 0.58 against 0.55).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.special import ndtr, ndtri
from tqdm import tqdm

import medxai
from medxai import files, paths
from medxai.data.ontology import CHARACTERISTICS, DISEASES, GLOBAL_TAGS, LOW_QUALITY, OTHER_DISEASE
from medxai.data.simulate_lesions import Layout, drawn, merged

RATERS = 8
SENTENCE = "These annotations are simulated: no photograph, patient or dermatologist stands behind them."
NONE = "No diagnosis"
FOLDS = 10
BLOCK = 16


@cache
def _parameters() -> dict:
    return yaml.safe_load(Path(__file__).with_name("simulate_parameters.yml").read_text(encoding="utf-8"))


def _published(table: str) -> pd.DataFrame:
    return pd.read_csv(paths.published(f"dermx_table_{table}"), index_col=0)


def _quantiles(number: int) -> np.ndarray:
    """`number` normal scores with mean 0 and standard deviation 1."""
    scores = ndtri((np.arange(number) + 0.5) / number)
    return scores / scores.std()


def _thresholds(prevalence: np.ndarray, propensity: np.ndarray) -> np.ndarray:
    """Solve mean over raters of Phi(threshold + propensity) = prevalence by bisection; (d, n), (r, n) -> (d, n)."""
    users = np.isfinite(propensity).mean(0)
    prevalence = np.minimum(prevalence, 0.995 * users)
    low, high = np.full(prevalence.shape, -12.0), np.full(prevalence.shape, 12.0)
    for _ in range(50):
        middle = (low + high) / 2
        above = ndtr(middle[:, None] + propensity).mean(1) > prevalence
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(prevalence > 0, high, -np.inf)


@dataclass(frozen=True)
class Raters:
    """Eight simulated dermatologists."""

    sensitivity: np.ndarray
    """Probability of the right diagnosis where one is given, shape (8, 6)."""
    thresholds: np.ndarray
    """Of each name per disease, (6, n)."""
    propensity: np.ndarray
    """To use each name, per rater, (8, n), -inf where they never do."""
    shared: np.ndarray
    """Share of the latent variance of each name that belongs to the image, shape (n,)."""
    mixing: np.ndarray
    """Matrix whose product with independent latents gives correlated ones, shape (n, n)."""
    several: np.ndarray
    """Whether the rater gives several diagnoses, shape (8,)."""
    habit: np.ndarray
    """How each rater outlines, always: width of the brush, size, regions instead of lesions; normals, shape (8, 3)."""


def _mixing(names: list[str], correlated: list) -> np.ndarray:
    correlation = np.eye(len(names))
    for one, other, value in correlated:
        i, j = names.index(one), names.index(other)
        correlation[i, j] = correlation[j, i] = value
    return np.linalg.cholesky(correlation)


def _raters(seed: int) -> Raters:
    parameters = _parameters()
    vocabulary = parameters["vocabulary"]
    names = list(vocabulary)
    rng = np.random.default_rng([seed, 0])
    mixing = _mixing(names, parameters["correlated"])
    order = (rng.standard_normal((RATERS, len(names))) @ mixing.T).argsort(0).argsort(0)
    propensity = np.empty((RATERS, len(names)))
    for n, entry in enumerate(vocabulary.values()):
        users = RATERS - entry["unused"]
        scores = np.concatenate([np.full(entry["unused"], -np.inf), entry["spread"] * _quantiles(users)])
        propensity[:, n] = scores[order[:, n]]
    printed = _published("a11_characteristic_prevalence")
    prevalence = np.array([entry.get("prevalence") or printed.loc[name] for name, entry in vocabulary.items()]).T
    diagnosis = _published("a08_dermatologist_diagnosis").loc[list(DISEASES)]
    mean, spread = diagnosis["sensitivity_mean"].to_numpy(), diagnosis["sensitivity_std"].to_numpy()
    chance = mean * (1 - mean) * (1 - parameters["diagnosis"]["shared"]) / np.array(parameters["images"]["disease"])
    spread = np.sqrt(np.maximum(spread**2 - chance, 0))  # the printed spread has the chance of few images in it
    scores = rng.permuted(np.tile(_quantiles(RATERS)[:, None], 6), axis=0)
    return Raters(
        sensitivity=np.clip(mean + spread * scores, 0.02, 0.99),
        thresholds=_thresholds(prevalence, propensity),
        propensity=propensity,
        shared=np.array([entry["shared"] for entry in vocabulary.values()]),
        mixing=mixing,
        several=rng.permutation(RATERS) < parameters["diagnosis"]["several"]["raters"],
        habit=rng.permuted(np.tile(_quantiles(RATERS)[:, None], 3), axis=0),
    )


def _even(seed: int, disease: int, rank: int, n: int) -> np.ndarray:
    """`n` standard normals for the `rank`-th image of a disease, spread evenly over each block of 16 such images.

    Spreading (Latin hypercube) keeps the tables of a small set near their expectation; with blocks, an image does not
    depend on how many there are.
    """
    rng = np.random.default_rng([seed, 2, disease, rank // BLOCK])
    strata = rng.permuted(np.tile(np.arange(BLOCK)[:, None], n), axis=0)
    return ndtri((strata + rng.random((BLOCK, n)))[rank % BLOCK] / BLOCK)


def _latents(
    rng: np.random.Generator, image: np.ndarray, shared: np.ndarray, persistent: float, mixing: np.ndarray
) -> np.ndarray:
    """Standard normals of 2 rounds and 8 raters, (2, 8, n), given those of the image, (n,).

    A share `shared` of the variance is the image's; of the rest, a share `persistent` stays with the rater in both
    rounds. Each part is correlated by `mixing`.
    """
    rater, occasion = (rng.standard_normal((*rounds, RATERS, len(image))) @ mixing.T for rounds in ((), (2,)))
    own = np.sqrt(persistent) * rater + np.sqrt(1 - persistent) * occasion
    return np.sqrt(shared) * image + np.sqrt(1 - shared) * own


def _diagnoses(rng: np.random.Generator, raters: Raters, disease: int, image: np.ndarray) -> np.ndarray:
    """First diagnosis of both rounds and all raters: index into the six diseases, 6 for Other-disease; (2, 8)."""
    parameters = _parameters()["diagnosis"]
    latents = _latents(rng, image, np.full(2, parameters["shared"]), parameters["persistent"], np.eye(2))
    right, which = np.moveaxis(ndtr(latents), -1, 0)
    cumulated = np.cumsum(parameters["confusion"][disease])
    wrong = np.minimum(np.searchsorted(cumulated / cumulated[-1], which), 6)
    return np.where(right < raters.sensitivity[:, disease], disease, wrong)


@dataclass(frozen=True)
class Evaluation:
    """What one rater says about one image in one round: `names` of the vocabulary and the diagnoses in order."""

    rater: int
    round: int
    diagnoses: list[str]
    names: list[str]


def _evaluations(rng: np.random.Generator, raters: Raters, disease: int, image: np.ndarray) -> list[Evaluation]:
    """Evaluate an image with the latents `image` (two of its difficulty, one per name), by all raters, twice."""
    parameters = _parameters()
    names = np.array(list(parameters["vocabulary"]))
    quality = np.isin(names, [LOW_QUALITY, NONE])
    several, confusion = parameters["diagnosis"]["several"], np.array(parameters["diagnosis"]["confusion"])
    first = _diagnoses(rng, raters, disease, image[:2])
    latents = _latents(rng, image[2:], raters.shared, parameters["persistent"], raters.mixing)
    chance = rng.random((2, RATERS))
    evaluations = []
    for number, rater in np.ndindex(2, RATERS):
        given = [int(first[number, rater])]
        second = several["after_other" if given[0] == 6 else "after_target"] * raters.several[rater]
        if chance[number, rater] < second:
            given.append(disease if given[0] != disease else int(confusion[disease].argmax()))
        score = latents[number, rater] + raters.propensity[rater]
        used = quality & (score + raters.thresholds[disease] > 0)
        if used[names == NONE].any():
            given = []
        described = next((d for d in given if d < 6), None)  # only target diseases are explained
        if described is not None:
            used |= ~quality & (score + raters.thresholds[described] > 0)
        diagnoses = [(*DISEASES, OTHER_DISEASE)[d] for d in given]
        evaluations.append(Evaluation(rater + 1, number + 1, diagnoses, list(names[used])))
    return evaluations


def _localised(rng: np.random.Generator, name: str, polygons: list[np.ndarray]) -> dict:
    """One outlined annotation, keys as in the real files."""
    everything = np.concatenate(polygons)
    low, high = everything.min(0), everything.max(0)
    paths_ = [[{"x": x, "y": y} for x, y in polygon.round(2).tolist()] for polygon in polygons]
    terms = _parameters()["attributes"].get(name, {})
    attributes = [term for term, share in terms.items() if rng.random() < share]
    annotation: dict = {"attributes": attributes} if attributes else {}
    x, y, w, h = (round(float(v), 2) for v in (*low, *(high - low)))
    annotation["bounding_box"] = {"h": h, "w": w, "x": x, "y": y}
    if len(polygons) > 1:
        return annotation | {"complex_polygon": {"path": paths_}, "name": name}
    return annotation | {"name": name, "polygon": {"path": paths_[0]}}


def _outlined(
    rng: np.random.Generator, raters: Raters, disease: str, size: tuple[int, int], evaluations: list[Evaluation]
) -> dict:
    """Outline every localised name of every evaluation: (rater, round) -> list of annotations."""
    parameters = _parameters()
    layout = Layout(rng, disease, size[0] / min(size), size[1] / min(size), parameters)
    keep, habit = parameters["outline_persistent"], parameters["outline_habit"]
    annotations: dict = {(e.rater, e.round): [] for e in evaluations}
    for name in CHARACTERISTICS:
        users = [e for e in evaluations if name in e.names]
        if not users:
            continue
        lesions, outline = layout.lesions(name), parameters["outlines"][name]
        own = rng.standard_normal((RATERS, len(lesions) + 1, 9))
        for e in users:
            now = np.sqrt(keep) * own[e.rater - 1] + np.sqrt(1 - keep) * rng.standard_normal(own[0].shape)
            hand = np.sqrt(habit) * raters.habit[e.rater - 1] + np.sqrt(1 - habit) * now[-1, :3]
            polygons = merged(drawn(lesions, outline, parameters, hand, now[:-1]), *size)
            cut = len(polygons) // 2 if rng.random() < parameters["several_instances"] else 0
            for part in (polygons[:cut], polygons[cut:]):
                if part:
                    annotations[e.rater, e.round].append(_localised(rng, name, part))
    return annotations


def _cases(images: int) -> pd.DataFrame:
    """The image list without what chance decides: any first n images share out the diseases in proportion."""
    share = np.array(_parameters()["images"]["disease"]) / sum(_parameters()["images"]["disease"])
    given, diseases = np.zeros(6), []
    for n in range(1, images + 1):
        given[d := int((share * n - given).argmax())] += 1
        diseases.append(d)
    number = np.arange(images)
    cases = pd.DataFrame({"image": [f"simulated-{n:04d}" for n in number], "disease": diseases})
    cases["rank"] = cases.groupby("disease").cumcount()
    cases["in_metadata"] = number % 18 != 17  # 30 of the paper's 554 images have no row in metadata.csv
    cases["second_round"] = number % 9 == 8  # 61 were labelled twice
    patient = number.copy()
    for n in range(25, images, 26):  # 21 images show a patient who is there already
        earlier = cases.index[(cases.disease == diseases[n]) & cases.in_metadata & (cases.index < n)]
        patient[n] = patient[earlier[-1]]
    return cases.assign(patient_id=patient)


def _cut(shares: dict[str, float], latent: float) -> str:
    """Cut a standard normal into the named shares, from low to high."""
    chance, total = ndtr(latent), 0.0
    for name, share in shares.items():
        total += share
        if chance < total:
            return name
    return name


def _described(rng: np.random.Generator, disease: int, latents: dict[str, float]) -> dict:
    """Source, skin tone, age and size of an image with these latents by name."""
    images = _parameters()["images"]
    dark, light = images["dark_skin"][disease], images["light_skin"][disease]
    young, elderly = images["young"][disease], images["elderly"][disease]
    size = rng.choice(list(images["sizes"]), p=list(images["sizes"].values()))
    return {
        "source": "DermNetNZ" if rng.random() < images["dermnetnz"][disease] else "SD-260",
        "skin_tone": _cut({"dark": dark, "medium": 1 - dark - light, "light": light}, latents["Light skin"]),
        "age": _cut({"elderly": elderly, "adult": 1 - elderly - young, "young": young}, latents["Young"]),
        "size": tuple(int(side) for side in size.split("x")),
    }


def _write_image(seed: int, raters: Raters, case: pd.Series, folder: Path) -> tuple[dict, list]:
    """Write the files of one image; return its description and the rows of the mask index."""
    rng = np.random.default_rng([seed, 3, case.name])
    names = list(_parameters()["vocabulary"])
    image = _even(seed, case.disease, case["rank"], 2 + len(names))
    image[2:] = raters.mixing @ image[2:]
    evaluations = [e for e in _evaluations(rng, raters, case.disease, image) if e.round == 1 or case.second_round]
    described = _described(rng, case.disease, dict(zip(names, image[2:], strict=True)))
    outlines = _outlined(rng, raters, DISEASES[case.disease], described["size"], evaluations)
    masks, marked = [], False
    for e in evaluations:
        stem = f"labeller{e.rater}{'2' if e.round == 2 else ''}_{case.image}"
        tags = [n for n in e.names if n in GLOBAL_TAGS] + e.diagnoses + [n for n in e.names if n == LOW_QUALITY]
        width, height = described["size"]
        image = {"width": width, "height": height, "original_filename": f"{stem}.jpg", "filename": f"{stem}.jpg"}
        image |= {"url": "simulated", "thumbnail_url": "simulated", "path": "/", "workview_url": "simulated"}
        local = outlines[e.rater, e.round]
        content = {
            "dataset": "Explainability dataset" if case.in_metadata and e.round == 1 else "DermX v2",
            "image": image,
            "annotations": local + [{"name": name, "tag": {}} for name in tags],
        }
        (folder / f"{stem}.json").write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
        masks += [(stem, f"{stem}_{k:05d}", annotation["name"]) for k, annotation in enumerate(local)]
        marked |= bool(local) and e.round == 1 and e.diagnoses[:1] == [DISEASES[case.disease]]
    return described | {"marked": marked}, masks


def _folds(cases: pd.DataFrame, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Ten test sets stratified by disease, all images of a patient in one."""
    patients = cases.drop_duplicates("patient_id").sample(frac=1, random_state=np.random.default_rng([seed, 1]))
    patients = patients.sort_values("disease", kind="stable")
    fold = pd.Series(np.arange(len(patients)) % FOLDS, index=patients["patient_id"])
    for number in range(FOLDS):
        yield number, (cases["patient_id"].map(fold) == number).to_numpy()


def _write_tables(root: Path, cases: pd.DataFrame, masks: list, seed: int) -> None:
    """Write metadata, folds, mask index and image list with the columns of the real ones."""
    metadata = pd.DataFrame(
        {
            "original_filename": cases["image"] + ".jpg",
            "dataset": cases["source"],
            "diagnosis": np.array(DISEASES)[cases["disease"]],
            "current_filename": cases["image"] + ".jpeg",
            "skin_tone": cases["skin_tone"],
            "age": cases["age"],
        }
    )
    known = cases["in_metadata"].to_numpy()
    metadata[known].to_csv(root / "metadata.csv", sep=";", index=False, lineterminator="\r\n")
    columns = metadata.drop(columns=["skin_tone", "age"]).assign(patient_id=cases["patient_id"])[known]
    (root / "folds").mkdir()
    for number, test in _folds(cases[known], seed):
        columns[test].to_csv(root / "folds" / f"metadata_fold_{number}_test.csv")
        columns[~test].to_csv(root / "folds" / f"metadata_fold_{number}_train.csv")
    (root / "masks").mkdir()
    index = pd.DataFrame(masks, columns=["image_id", "mask_id", "class_name"])
    index.to_csv(root / "masks" / "instance_mask_annotations.csv", index=False, lineterminator="\r\n")
    images = pd.DataFrame(
        {
            "image": cases["image"],
            "in_metadata_566": known.astype(int),
            "in_paper_554": 1,
            "in_benchmark_524": known.astype(int),
            "gold": metadata["diagnosis"],
            "gold_source": "simulated",
            "source_dataset": cases["source"],
            "patient_id": cases["patient_id"].where(known),
            "second_round": cases["second_round"].astype(int),
            "no_correct_evaluation_marked_anything": (~cases["marked"]).astype(int),
            "reason_not_554": "",
        }
    )
    images.to_csv(root / "images.csv", index=False)


def _write_notes(root: Path, images: int, seed: int) -> None:
    """Say in the folder that it is simulated, and how."""
    about = {"simulated": SENTENCE, "seed": seed, "images": images, "version": medxai.__version__}
    (root / "SIMULATED.json").write_text(json.dumps(about | {"parameters": _parameters()}, indent=1) + "\n")
    (root / "README.md").write_text(f"# Simulated DermXDB\n\n{SENTENCE} Written by `medxai.data.simulate`.\n")
    (root / "LICENSE").write_text(f"{SENTENCE} They may be used without restriction (CC0 1.0).\n")


def write(root: Path, *, images: int = 554, seed: int = 0) -> Path:
    """Write a simulated DermXDB in the layout of the public repository, without mask pictures; return `root`.

    The same seed, 0 or more, gives the same bytes, and any first n images of two sets with the same seed are equal.
    There are at least 12, so that each of the six diseases is there. Tables 1, A.8 and A.11 of Jalaboi et al. 2023,
    Medical Image Analysis 83:102647 (DermX), are parameters; 2, 3, A.9 and A.10 were the targets to which others were
    fitted.

    Raises
    ------
    ValueError
        If there are too few images or the seed is negative.
    DataError
        If there is something at `root`, or it cannot be written; nothing is left behind.
    """
    if images < 12:
        raise ValueError(f"images is {images}: expected at least 12, two of each disease on average")
    if seed < 0:
        raise ValueError(f"seed is {seed}: expected 0 or more")
    cases, raters = _cases(images), _raters(seed)
    with files.new_folder(root) as part:
        (part / "annotations").mkdir()
        rows, masks = [], []
        for _, case in tqdm(cases.iterrows(), total=images, desc="simulating", disable=None):
            row, index = _write_image(seed, raters, case, part / "annotations")
            rows.append(row)
            masks += index
        _write_tables(part, cases.join(pd.DataFrame(rows)), masks, seed)
        _write_notes(part, images, seed)
    return root
