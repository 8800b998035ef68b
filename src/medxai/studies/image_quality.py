"""The study behind the chapter on image quality: ImageQX on photographs taken badly on purpose.

People, things and faults are drawn by the trials, from a seed: they are no data that anybody has to have. Raise the
version when `medxai.painting.scenes`, `medxai.painting.faults` or the raters change.
"""

from medxai.experiment import quality_baselines, quality_network, quality_photos, quality_real, quality_retakes
from medxai.experiment import quality_scores as scores
from medxai.experiment.quality_network import TrainedQuality
from medxai.experiment.quality_photos import SEED
from medxai.experiment.quality_real import RealPhotos
from medxai.profiles import Profile
from medxai.results import in_front, joined
from medxai.studies.store import Absent, Record, Study, Trial, optional

IMAGEQX, PLAIN, SOFT = "ImageQX", "without reasons", "soft labels"
NETWORKS = {IMAGEQX: {}, PLAIN: {"reasons": False}, SOFT: {"soft": True}}
"""Networks by name, with the arguments of `medxai.experiment.quality_network.trained`."""
MOST = 1000
"""Resamples at most."""
REAL = 120
"""Real photographs that are spoilt, at most."""


def _raters(profile: Profile) -> Record:
    """Let raters look at photographs that nobody has to paint for that."""
    conditions = quality_photos.drawn(profile.quality_photos)
    splits = quality_photos.split(conditions.person)
    return scores.between_raters(conditions.rated(), splits)


def network(profile: Profile, name: str, run: int) -> TrainedQuality:
    """Return a trained network of the study."""
    return quality_network.trained(profile, run=run, **NETWORKS[name])


def _network(profile: Profile, *, name: str, run: int) -> Record:
    """Train a network, and ask it about the test photographs."""
    photos, resamples = quality_photos.photos(profile), min(profile.bootstrap, MOST)
    rows = quality_photos.split(photos.groups)["test"]
    test, model = photos.rows(rows), network(profile, name, run)
    answers = model(test.pictures)
    tables = {
        "classes": scores.of_classes(test, answers),
        "reasons": scores.of_reasons(test, answers),
        "scores": scores.retake_auc(test, {name: answers.retake}, resamples),
        "thresholds": scores.thresholds(test, answers.retake),
        "calibration": scores.calibration(test, answers),
        "groups": scores.by_group(test, answers, resamples),
    }
    if name == IMAGEQX:
        tables["places"] = scores.places(test, answers, resamples)
        few = rows[: profile.quality_retakes]
        conditions = quality_photos.drawn(profile.quality_photos).rows(few)
        steps = quality_retakes.followed(model, conditions, quality_photos.patients(profile), test.side)
        tables["retakes"] = quality_retakes.shares(steps, conditions.person, resamples)
    return {title: in_front(table, network=name, run=run) for title, table in tables.items()}


def _baselines(profile: Profile) -> Record:
    """Judge statistics of pictures as networks are judged."""
    photos, resamples = quality_photos.photos(profile), min(profile.bootstrap, MOST)
    rows = quality_photos.split(photos.groups)
    test, lines = photos.rows(rows["test"]), []
    for name, answers in quality_baselines.answers(photos, rows["training"], rows["test"]).items():
        tables = {
            "classes": scores.of_classes(test, answers),
            "reasons": scores.of_reasons(test, answers),
            "scores": scores.retake_auc(test, {name: answers.retake}, resamples),
            "thresholds": scores.thresholds(test, answers.retake),
        }
        lines.append({title: in_front(table, network=name, run=0) for title, table in tables.items()})
    return _together(lines)


def _real(photographs: RealPhotos | Absent, profile: Profile) -> Record:
    """Ask a network that has seen paintings alone about real photographs."""
    if isinstance(photographs, Absent):
        return {}
    model, tables = network(profile, IMAGEQX, 0), {}
    if photographs.dermoscopy is not None:
        shown = quality_real.squares(photographs.dermoscopy, min(REAL, profile.quality_retakes), profile.quality_side)
        tables["real"] = quality_real.asked(shown, model, min(profile.bootstrap, MOST))
    if photographs.own is not None:
        answers = model(photographs.own.pictures)
        tables["own_classes"] = scores.of_classes(photographs.own, answers)
        tables["own_reasons"] = scores.of_reasons(photographs.own, answers)
    return tables


def _together(parts: list[Record]) -> Record:
    names = dict.fromkeys(title for part in parts for title in part)
    return {title: joined([part[title] for part in parts if title in part]) for title in names}


def _small(photographs: RealPhotos | Absent, profile: Profile) -> Record:
    """Do all of it once, small."""
    runs = [_network(profile, name=IMAGEQX, run=run) for run in range(profile.quality_runs)]
    return _raters(profile) | _together([*runs, _baselines(profile)]) | _real(photographs, profile)


def _trials(profile: Profile) -> list[Trial]:
    """Return each network, the raters, the statistics and the real photographs at full size, else all in one."""
    if profile.name != "full":
        return [Trial("all", _small, ("photographs",))]
    networks = [(f"run-{run}", IMAGEQX, run) for run in range(profile.quality_runs)]
    networks += [("without-reasons", PLAIN, 0), ("soft-labels", SOFT, 0)]
    return [
        Trial("raters", _raters, ()),
        *(Trial(title, _network, (), (("name", name), ("run", run))) for title, name, run in networks),
        Trial("baselines", _baselines, ()),
        Trial("real", _real, ("photographs",)),
    ]


STUDY = Study(
    "image_quality",
    chapter="06_image_quality",
    version=1,
    trials=_trials,
    data={"photographs": lambda profile: optional(lambda: quality_real.open_photographs(profile.quality_side))},
    seed=SEED,
)
"""ImageQX, its raters, its baselines and what follows from its advice, on photographs taken badly on purpose."""
