"""The study behind chapter 05: eleven architectures, trained alike, and whether they look where dermatologists look.

One trial is one training of one architecture; one more computes the dermatologists' rows from their annotations alone.
"""

from medxai import paths
from medxai.data import photo_sets, real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.data.photo_sets import ArtefactSet, ImageSet
from medxai.evaluation import benchmark_tables, per_class
from medxai.experiment import benchmark_network, clever_hans, pasted_shortcuts, suppressor
from medxai.experiment import benchmark_scores as scores
from medxai.experiment.benchmark_network import Start
from medxai.experiment.pasted_shortcuts import KINDS, STRENGTHS
from medxai.experiment.trained_dermx import FOLDS
from medxai.experiment.trained_network import start
from medxai.models.benchmark_networks import BENCHMARK
from medxai.models.weights import DEFAULT, Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies import dataset
from medxai.studies.store import Absent, Record, Study, Trial, optional

SEED = 0


SMOKE = ("mobilenet_v2", "vit_small")
"""Architectures that stand for all: of convolutions, and of attention; in the tests, and at quick for the letters."""


def _raters(db: DermXDB, profile: Profile) -> Record:
    """Score the dermatologists on the benchmark's images, and on random halves of them."""
    test = min(benchmark_tables.TEST, int(db.images["benchmark"].sum()) // 2 or 1)
    return benchmark_tables.dermatologists(db, dataset.overlaps(db), number=profile.bootstrap, seed=SEED, test=test)


def _run(db: DermXDB, begin: Start, profile: Profile, *, network: str, run: int) -> Record:
    """Train one architecture and score its diagnoses, and its maps against what the dermatologists outlined."""
    images = benchmark_network.shown(db, profile)
    trained = benchmark_network.train(images, begin, profile, name=network, run=run)
    found = trained.probabilities[trained.test].argmax(1)
    number = len(trained.images.classes)
    there = per_class.one_hot(trained.images.labels[trained.test], number)
    diagnosis = per_class.scores(there, per_class.one_hot(found, number), trained.images.classes)
    maps, seconds = scores.maps_of_all(trained)
    known = {"network": network, "run": run}
    tables = {
        "diagnosis": diagnosis.rename_axis("class").reset_index(),
        "images": scores.at_images(trained, maps),
        "characteristics": scores.at_characteristics(db, trained, maps),
        "networks": scores.of_network(trained, seconds),
        "shown": scores.maps_shown(trained),
        "methods": scores.by_methods(trained, profile),
    }
    return {name: table.assign(**known).round(4) for name, table in tables.items()}


def _watermark(db: DermXDB, begin: Start, profile: Profile, *, network: str) -> Record:
    """Teach one architecture a watermark, and test whether it reads it."""
    return {"watermark": clever_hans.compared(db, begin, profile, name=network).assign(network=network).round(4)}


def _guided(db: DermXDB, weights: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Teach DermX and its kin the watermark, and test on a fold whether guided attention keeps them from reading it."""
    return {"guided": clever_hans.guided(db, weights, profile, fold=fold).round(4)}


def _lamp(db: DermXDB, weights: Pretrained, profile: Profile) -> Record:
    """Ask which maps mark the lamp, which says nothing of the class."""
    return suppressor.compared(db, weights, profile)


def _artefact(
    photographs: ImageSet | Absent,
    artefacts: ArtefactSet | Absent,
    weights: Pretrained,
    profile: Profile,
    *,
    kind: str,
    strength: float,
) -> Record:
    """Teach the book's network a real artefact, and ask which explanation sees it."""
    if isinstance(photographs, Absent) or isinstance(artefacts, Absent):
        return {}
    return pasted_shortcuts.compared(photographs, artefacts, weights, profile, kind=kind, strength=strength)


def _trials(profile: Profile) -> list[Trial]:
    networks = SMOKE if profile.name == "smoke" else tuple(BENCHMARK)
    taught_letters = tuple(BENCHMARK) if profile.name == "full" else SMOKE
    kinds, strengths = (KINDS, STRENGTHS) if profile.name == "full" else (KINDS[:1], STRENGTHS[-1:])
    folds = range(FOLDS if profile.name == "full" else 1)
    return [
        Trial("raters", _raters, ("dermxdb",)),
        *(
            Trial(f"{network}_{run}", _run, ("dermxdb", network), (("network", network), ("run", run)))
            for run in range(profile.benchmark_runs)
            for network in networks
        ),
        *(
            Trial(f"watermark_{network}", _watermark, ("dermxdb", network), (("network", network),))
            for network in taught_letters
        ),
        *(Trial(f"guided_{fold}", _guided, ("dermxdb", DEFAULT), (("fold", fold),)) for fold in folds),
        Trial("lamp", _lamp, ("dermxdb", DEFAULT)),
        *(
            Trial(
                f"{kind}_{strength:g}",
                _artefact,
                ("isic_uda1", "ham10000_artefacts", DEFAULT),
                (("kind", kind), ("strength", strength)),
            )
            for kind in kinds
            for strength in strengths
        ),
    ]


def _artefacts() -> ArtefactSet:
    return photo_sets.ham10000_artefacts(paths.data_root() / "ham10000_artefacts")


STUDY = Study(
    "benchmark",
    chapter="05_benchmark",
    version=cache.VERSION,  # other paintings, other results
    trials=_trials,
    data={
        "dermxdb": real_or_simulated.open_dermxdb,
        "isic_uda1": lambda _: optional(lambda: photo_sets.isic_uda1(paths.data_root() / "isic_uda1")),
        "ham10000_artefacts": lambda _: optional(_artefacts),
        DEFAULT: lambda _: start(),
        **{name: lambda profile, name=name: benchmark_network.start(name, profile) for name in BENCHMARK},
    },
    seed=SEED,
)
