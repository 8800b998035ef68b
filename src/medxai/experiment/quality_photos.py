"""Photographs as patients take them: who is on them, what went wrong, and what simulated raters say.

What happens is drawn first, as numbers (`Conditions`), so that the same patient can take the same photograph again with
other faults; then it is painted. People and things are those of `medxai.painting.scenes`, drawn from a seed: nobody has
to have any data for them.
"""

import functools
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from medxai import painting
from medxai.data.masks import area_average
from medxai.data.photo_quality import MAP_SIDE, REASONS, QualityPhotos
from medxai.data.photo_raters import Rated, rate
from medxai.experiment.kept_maps import once
from medxai.painting import faults, noise, scenes
from medxai.painting.faults import FAULTS, SHARE
from medxai.profiles import Profile

SEED = 0
SHOTS = 4
"""Photographs that each person takes."""
THINGS = 0.019
"""Share of photographs without skin, or nearly."""
HEALTHY, FAINT = 0.194, 0.198
"""Share of those of people that show no lesion, and one that is hard to see."""
CARELESS = 0.622
"""Share of photographs on which anything goes wrong at all."""
CHANCES = {"Bad framing": 0.356, "Bad light": 0.241, "Blurry": 0.151, "Low resolution": 0.217, "Too far away": 0.104}
"""How often each fault occurs, at a strength that is uniform between 0 and 1."""
TEST = 9874 / 36509
"""Share of the people whose photographs are tested on, as in table 1 of the paper."""
FRAMING, FAR = REASONS.index("Bad framing"), REASONS.index("Too far away")


@dataclass(frozen=True, eq=False)
class Conditions:
    """What is photographed and how, for n photographs."""

    person: np.ndarray
    """int (n,): number of the person, or of the one whose skin is seen at the edge of a thing."""
    photo: np.ndarray
    """int (n,): number of the photograph, from which all is drawn that is not said here."""
    skin: np.ndarray
    """float64 (n,) in [0, 1]: 1 for a person; for a thing the share that is skin."""
    visible: np.ndarray
    """float64 (n,) in [0, 1]: how visible the lesion is, 0 without one."""
    faults: np.ndarray
    """float64 (n, 5) in [0, 1]: strengths, in the order of `REASONS`."""
    variants: np.ndarray
    """str (n, 5): kinds of faults, of `FAULTS`."""

    def __len__(self) -> int:
        return len(self.person)

    def rows(self, rows: np.ndarray) -> "Conditions":
        """Return some of them."""
        return Conditions(*(getattr(self, field.name)[rows] for field in fields(self)))

    def rated(self, seed: int = SEED) -> Rated:
        """Return what the raters say."""
        return rate(self.faults, self.visible, self.skin, seed=seed)


def drawn(n: int, seed: int = SEED) -> Conditions:
    """Draw the conditions of n photographs, `SHOTS` of each person; the same seed, the same conditions."""
    rng = np.random.default_rng([seed, n])
    things, careless = max(round(THINGS * n), 1), rng.random(n) < CARELESS
    thing = np.isin(np.arange(n), rng.choice(n, things, replace=False))
    skin = np.where(thing, np.maximum(rng.uniform(-0.6, 0.3, n), 0), 1.0)
    person = np.arange(n) // SHOTS
    healthy = (rng.random(n) < HEALTHY) | thing
    visible = np.where(rng.random(n) < FAINT, rng.random(n), 1.0)
    strengths = strengths_drawn(n, rng) * careless[:, None]
    strengths[healthy | (visible == 0), FRAMING] = 0  # what is in the middle of healthy skin, or of a room?
    strengths[thing, FAR] = 0
    return Conditions(person, np.arange(n), skin, np.where(healthy, 0, visible), strengths, kinds_drawn(n, rng))


def strengths_drawn(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the faults of n careless photographs, float64 (n, 5) in [0, 1]."""
    happens = rng.random((n, len(REASONS))) < np.array([CHANCES[name] for name in REASONS]) / CARELESS
    return happens * rng.random((n, len(REASONS)))


def kinds_drawn(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw which kind each fault would be, str (n, 5); one of its own name where there is only one."""
    kinds = [rng.choice(list(FAULTS.get(name, (name.lower(),))), n) for name in REASONS]
    return np.stack(kinds, axis=1)


@dataclass(frozen=True, eq=False)
class People:
    """People who are painted once and photographed often."""

    tones: np.ndarray
    """str (n,)."""
    scenes: np.ndarray
    """uint8 (n, 2, large, large, 3): each with and without the lesion."""

    def __getitem__(self, number: int) -> scenes.Person:
        return scenes.Person(str(self.tones[number]), *(self.scenes[number].astype(np.float32) / 255))


@functools.lru_cache(maxsize=2)
def people(number: int, side: int, seed: int = SEED) -> People:
    """Paint people of whom photographs of a side are to be taken, or read them from ``results/maps``."""
    told = hashlib.sha256(repr((number, side, seed)).encode())
    for program in sorted(Path(painting.__file__).parent.glob("*.py")):
        told.update(program.read_bytes())

    def make() -> dict[str, np.ndarray]:
        tones, both = [], []
        for one in (scenes.person(row, round(side / SHARE), seed=seed) for row in range(number)):
            tones.append(one.tone)
            both.append(faults.to_bytes(np.stack([one.with_lesion, one.without])))
        return {"tones": np.array(tones), "scenes": np.stack(both)}

    return People(**once(f"people-{told.hexdigest()[:16]}", make))


def photographed(
    conditions: Conditions, people: People, side: int, *, seed: int = SEED, visit: int = 0
) -> QualityPhotos:
    """Take the photographs, and let the raters look at them.

    Parameters
    ----------
    side
        Of the pictures in pixels.
    visit
        How often the same patients have been here before: raters see each time anew.
    """
    rated = conditions.rated(seed + visit)
    shots = [_shot(conditions, row, people[conditions.person[row]], side, seed) for row in range(len(conditions))]
    pictures, maps, tones = (np.stack(parts) for parts in zip(*shots, strict=True))
    return QualityPhotos(
        pictures,
        rated.labels,
        rated.reasons,
        rated.votes,
        conditions.faults.astype(np.float32),
        maps,
        tones,
        conditions.person,
        np.where(conditions.faults > 0, conditions.variants, ""),
    )


def _shot(
    conditions: Conditions, row: int, person: scenes.Person, side: int, seed: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Take one photograph: stand somewhere, then let blur, light and the camera do what they do."""
    number, skin, strengths = int(conditions.photo[row]), conditions.skin[row], conditions.faults[row]
    rng = noise.generator(seed, f"photo {number}", "shot")
    surround, where = scenes.thing(number, side, seed=seed), np.zeros((len(REASONS), side, side), np.float32)
    if skin < 1:
        picture = scenes.with_skin(surround, person.without, skin, rng)
    else:
        angle, scene = rng.uniform(0, 2 * np.pi), person.scene(conditions.visible[row])
        framing, far = strengths[FRAMING], strengths[FAR]
        picture, where[FRAMING], where[FAR] = faults.take(scene, surround, framing=framing, far=far, angle=angle)
    for name, kinds in FAULTS.items():
        reason = REASONS.index(name)
        fault = kinds[str(conditions.variants[row, reason])]
        picture, where[reason] = fault(picture, float(strengths[reason]), rng)
    coarse = np.stack([area_average(one, MAP_SIDE) for one in where]).astype(np.float16)
    return faults.to_bytes(picture), coarse, person.tone if skin == 1 else ""


@functools.lru_cache(maxsize=2)
def photos(profile: Profile, seed: int = SEED) -> QualityPhotos:
    """Return the photographs of a profile, once per process."""
    conditions = drawn(profile.quality_photos, seed)
    return photographed(conditions, patients(profile, seed), profile.quality_side, seed=seed)


def patients(profile: Profile, seed: int = SEED) -> People:
    """Return the people who take the photographs of a profile."""
    return people(-(-profile.quality_photos // SHOTS), profile.quality_side, seed)


def split(patients: np.ndarray, seed: int = SEED) -> dict[str, np.ndarray]:
    """Return rows for ``training`` and ``test`` of photographs of patients, int (n,): no patient is in both."""
    known = np.unique(patients)
    tested = np.random.default_rng([seed, 1]).permutation(known)[: max(round(TEST * len(known)), 1)]
    there = np.isin(patients, tested)
    return {"training": np.flatnonzero(~there), "test": np.flatnonzero(there)}


def five_issues(side: int, person: int = 3, strength: float = 0.8, seed: int = SEED) -> dict[str, np.ndarray]:
    """Return a good photograph, and the same with each of the five faults, uint8 (side, side, 3) by name."""
    names = ("as it should be", *REASONS)
    n, kinds = len(names), kinds_drawn(len(names), np.random.default_rng(seed))
    kinds[:, REASONS.index("Bad light")] = "shadow"
    strengths = np.vstack([np.zeros(len(REASONS)), strength * np.eye(len(REASONS))])
    who, ones = np.zeros(n, int), np.ones(n)
    conditions = Conditions(who, np.full(n, person), ones, ones, strengths, kinds)
    one = scenes.person(person, round(side / SHARE), seed=seed)
    both = faults.to_bytes(np.stack([one.with_lesion, one.without]))
    photos = photographed(conditions, People(np.array([one.tone]), both[None]), side, seed=seed)
    return dict(zip(names, photos.pictures, strict=True))
