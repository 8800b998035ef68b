"""The study behind the chapter on failure detection: what scores of doubt are worth, on small images.

A trial is a set of images: it trains networks of several seeds on it and judges every score, as the images are and
under corruptions that no score was fitted on.
"""

from sklearn.model_selection import train_test_split

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB, chosen
from medxai.data.labelled_images import LabelledImages
from medxai.data.medmnist import Splits
from medxai.experiment import doubt_tables, doubted, image_sets, robust_network
from medxai.experiment.robust_network import SEED
from medxai.profiles import Profile
from medxai.results import in_front
from medxai.studies.store import Absent, Record, Study, Trial, optional

PAINTINGS = "paintings"
SETS = {"breast": "breastmnist", "retina": "retinamnist", "ham10000_28": "ham10000-28"}
"""How trials call the sets; simulated images stand in for the first alone."""
MOST = 1000
"""Resamples at most."""
SHARES = (0.6, 0.1)
"""Of the paintings that are trained on, and that stop the training."""


def painted(db: DermXDB, profile: Profile) -> Splits:
    """Return paintings of DermXDB, split at random, each disease alike; their truth is known, but not used here."""
    names = chosen(db, profile.painted_images)
    images = image_sets.painted(db, names, profile.painted_size, doubted.RECIPE.side)
    rows = list(range(len(names)))
    train, rest = train_test_split(rows, train_size=SHARES[0], stratify=images.labels, random_state=SEED)
    share = SHARES[1] / (1 - SHARES[0])
    val, test = train_test_split(rest, train_size=share, stratify=images.labels[rest], random_state=SEED)
    parts = {
        name: LabelledImages(
            images.name,
            images.kind,
            [names[row] for row in some],
            images.pictures[some],
            images.labels[some],
            images.classes,
        )
        for name, some in (("train", train), ("val", val), ("test", test))
    }
    told = {"task": "multi-class", "licence": "", "attribution": "", "remark": "", "official": False, "grey": False}
    return Splits(PAINTINGS, **told, **parts)


def _judged(data: Splits | DermXDB | Absent, profile: Profile, *, name: str) -> Record:
    if isinstance(data, Absent):
        return {}
    images = painted(data, profile) if name == PAINTINGS else data
    of = doubted.judged(images, profile, range(profile.failure_seeds))
    resamples = min(profile.bootstrap, MOST)
    tables = {
        "doubts": doubt_tables.scored(of, resamples),
        "curves": doubt_tables.curves(of),
        "parts": doubt_tables.by_part(of, resamples),
        "added": doubt_tables.added(of, resamples),
        "referred": doubt_tables.referred(of),
        "images": doubt_tables.images(of),
        "asked": doubt_tables.asked(of),
    }
    return {title: in_front(table, set=name).round(4) for title, table in tables.items()}


def _trials(profile: Profile) -> list[Trial]:
    """Return all sets at full size, else the first."""
    names = (*SETS, PAINTINGS) if profile.name == "full" else (next(iter(SETS)),)
    return [Trial(name, _judged, ("dermxdb" if name == PAINTINGS else name,), (("name", name),)) for name in names]


def _open(name: str) -> Splits | Absent:
    kind = None if name == next(iter(SETS)) else "real"
    return optional(lambda: robust_network.open_images(SETS[name], kind))


STUDY = Study(
    "failure_detection",
    chapter="09_failure_detection",
    version=1,
    trials=_trials,
    data={
        **{name: lambda _, name=name: _open(name) for name in SETS},
        "dermxdb": lambda profile: optional(lambda: real_or_simulated.open_dermxdb(profile)),
    },
    seed=SEED,
)
"""ResNet18 of several seeds, trained on small images and asked about others; every score of doubt about its answers."""
