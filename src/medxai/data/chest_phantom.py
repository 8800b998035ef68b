"""Simulated chest radiographs with known findings, and a simulated reader's gaze, for readers without any file.

A film is normal, or shows heart failure (a large heart, wide vessels in the upper lobes, effusions, interstitial lines)
or pneumonia (a consolidation with soft edges, perhaps with air in the bronchi). The patient's anatomy, how the patient
stood, exposure, noise and devices do not depend on the class. Each film is drawn twice, with and without its findings:
where the two differ is the true map.

The reader searches the film along the anatomy, and dwells on the findings if they are seen (Kundel, Nodine and Carmody
1978, Investigative Radiology 13:175, on search and dwell).

Each film has a random state of its own. Every tenth film is a second one of the patient before.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from scipy.special import expit

from medxai.data import chest_anatomy, gaze
from medxai.data.chest_anatomy import LEFT, MIDLINE, RIGHT, TOP, Film, Line, Patient
from medxai.data.chest_films import CLASSES, ChestFilms
from medxai.data.labelled_images import LabelledImages
from medxai.data.masks import area_average
from medxai.errors import positive

NORMAL, HEART_FAILURE, PNEUMONIA = range(len(CLASSES))
CELLS = 256
"""Least side of the grid that is drawn on: smaller pictures average over it."""
SECOND = 10
"""One film in so many is a second one of a patient."""
VISIBLE = 0.06
"""Difference of density at which a finding counts in full; softer ones count by their share of it."""
AIR = 0.56
"""How much less dense a full depth of lung is than tissue."""


def draw(n: int, side: int, seed: int) -> ChestFilms:
    """Draw chest films with findings, lungs and gaze.

    Parameters
    ----------
    n
        How many, of all classes in turn. Fewer films are the first of more.
    side
        Of the pictures in pixels.
    seed
        0 or more. The same seed gives the same bytes.
    """
    n, side = positive("n", n), positive("side", side)
    labels = np.arange(n) % len(CLASSES)
    patients = np.arange(n) - (np.arange(n) % SECOND == SECOND - 1)
    drawn = [
        _film([seed, row], [seed, patient], label, side)
        for row, (label, patient) in enumerate(zip(labels, patients, strict=True))
    ]
    pictures, findings, lungs, looks = zip(*drawn, strict=True)
    names = [f"phantom {row:05d}" for row in range(n)]
    fixations = pd.concat([look.assign(image=name) for look, name in zip(looks, names, strict=True)])
    fixations = gaze.checked(fixations, names, side)
    images = LabelledImages(
        "chest phantoms",
        "simulated",
        names,
        np.stack(pictures),
        labels,
        CLASSES,
        patients,
        upside_down=False,
        truth=lambda row: findings[row],
    )
    return ChestFilms(images, gaze.static_maps(fixations, names, side), fixations, np.stack(lungs))


def _film(
    seed: list[int], patient_seed: list[int], label: int, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]:
    """Draw a picture uint8 (side, side, 3), its findings float32 (side, side), its lungs bool, and the fixations.

    Lungs are as they would be seen without disease, so that a larger heart and fluid lie in them.
    """
    body, rng, eye = (np.random.default_rng([*s, part]) for part, s in enumerate((patient_seed, seed, seed)))
    patient = Patient.drawn(body)
    film = Film(max(side, CELLS), rng.normal(0, 2.2), rng.uniform(0.93, 1.08), tuple(rng.uniform(-0.025, 0.025, 2)))
    chest = _Chest.of(film, patient, body)
    healthy = chest.density(patient.heart)
    ill = _with_findings(chest, healthy, label, rng)
    density = ill + _devices(film, patient, rng)
    findings = area_average(np.clip(np.abs(film.blurred(ill - healthy, 0.006)) / VISIBLE, 0, 1), side)
    grey = area_average(_exposed(film, density, rng), side)
    picture = np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=2)
    lungs = area_average(chest.visible_lungs(patient.heart), side) >= 0.5
    return picture, findings, lungs, _look(film, patient, findings, eye)


@dataclass(frozen=True)
class _Chest:
    """A patient on a film, in parts that are drawn once."""

    film: Film
    patient: Patient
    lungs: np.ndarray
    """How deep the lungs are, in [0, 1], the part behind the heart included."""
    outlines: tuple[np.ndarray, np.ndarray]
    """Right and left lung, in [0, 1]."""
    vessels: list[tuple[bool, Line]]
    ribs: np.ndarray
    """Density of them where they lie over lung."""
    rest: np.ndarray
    """Density of all but the lungs, what lies in them, and the ribs."""
    cage: np.ndarray
    """Above the diaphragm, in [0, 1]."""
    texture: np.ndarray

    @classmethod
    def of(cls, film: Film, patient: Patient, rng: np.random.Generator) -> "_Chest":
        outlines = tuple(film.polygon(patient.lung(side)) for side in (RIGHT, LEFT))
        lungs = sum(film.blurred(film.domed(outline, 0.11), 0.005) for outline in outlines)
        branches = chest_anatomy.vessels(patient, rng)
        texture = sum(weight * _noise(film, scale, rng) for scale, weight in ((0.006, 0.5), (0.015, 0.6), (0.05, 0.7)))
        cage = film.blurred(film.polygon(patient.cage()), 0.004)
        ribs = film.blurred(np.clip(sum(outlines), 0, 1), 0.01) * _ribs(film, patient)
        rest = _trunk(film, patient) + _bones(film, patient) + 0.03 * _noise(film, 0.1, rng)
        return cls(film, patient, lungs, outlines, branches, ribs, rest, cage, texture)

    def density(self, heart: float, upper: float = 1.0) -> np.ndarray:
        """Return the density of the chest, given the cardiothoracic ratio and the width of vessels that lead up."""
        film = self.film
        solid = _solid(film, self.patient, heart)
        air = self.lungs * (1 - 0.95 * solid)
        lines = [(points, width * (upper if up else 1.2)) for up, (points, width) in self.vessels]
        tree = film.blurred(film.strokes(lines), 0.0022)
        hila = sum(film.blob(*self.patient.hilum(side), 0.022, 0.045) for side in (RIGHT, LEFT))
        marks = (14 * tree + 0.09 * hila + 0.025 * self.texture) * np.sqrt(air)
        return self.rest + self.ribs * (1 - 0.8 * solid) - AIR * air + marks + 0.05 * solid * self.cage

    def visible_lungs(self, heart: float) -> np.ndarray:
        """Return the lungs beside the heart, in [0, 1]."""
        return np.clip(sum(self.outlines), 0, 1) * (_solid(self.film, self.patient, heart) < 0.5)


def _solid(film: Film, patient: Patient, heart: float) -> np.ndarray:
    """Return where the heart, of a cardiothoracic ratio, and the mediastinum take the place of lung, in [0, 1]."""
    parts = [film.polygon(part) for part in (patient.heart_outline(heart), *patient.mediastinum())]
    return film.blurred(np.max(parts, axis=0), 0.008)


def _noise(film: Film, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of standard deviation 1 that is smooth over a length."""
    coarse = max(4, round(1 / scale / 1.6))
    values = rng.standard_normal((coarse, coarse), np.float32)
    return cv2.resize(values, (film.cells, film.cells), interpolation=cv2.INTER_CUBIC)


def _trunk(film: Film, patient: Patient) -> np.ndarray:
    """Return the density of soft tissue: the body, round at its edges, breasts, the belly, without the windpipe."""
    trunk, *arms = (film.polygon(part) for part in patient.body())
    depth = film.domed(trunk, 0.2)
    limbs = np.max([film.domed(arm, 0.07) for arm in arms], axis=0)
    _, y = film.grid
    belly = 0.14 * expit((y - patient.dome - 0.05) / 0.035)
    breasts = sum(
        film.blob(MIDLINE + side * 0.55 * patient.chest, patient.dome - 0.07, 0.11, 0.07) for side in (RIGHT, LEFT)
    )
    windpipe = film.blurred(film.polygon(_windpipe(patient)), 0.004)
    bubble = film.blob(MIDLINE + 0.5 * patient.chest, patient.floor(LEFT) + 0.07, patient.stomach + 1e-3, 0.022)
    tissue = 0.72 * patient.habitus**0.3 * np.maximum(depth, 0.62 * limbs) + patient.breasts * breasts
    return film.blurred(tissue + belly * depth, 0.003) - 0.1 * windpipe - 4 * patient.stomach * bubble


def _windpipe(patient: Patient) -> np.ndarray:
    fork = patient.apex + 0.22
    points = [(-0.017, -0.1), (-0.017, fork - 0.02), (-0.06, fork + 0.06), (-0.05, fork + 0.07), (0, fork + 0.02)]
    points += [(0.055, fork + 0.075), (0.065, fork + 0.065), (0.017, fork - 0.02), (0.017, -0.1)]
    return np.array(points) + TOP


def _ribs(film: Film, patient: Patient) -> np.ndarray:
    """Return the density of the ribs."""
    posterior, anterior = (_tubes(film, lines, 0.5) for lines in chest_anatomy.ribs(patient))
    return patient.ribs * (0.145 * posterior + 0.07 * anterior)


def _bones(film: Film, patient: Patient) -> np.ndarray:
    """Return the density of collar bones, shoulders and spine."""
    x, y = film.grid
    column = np.exp(-0.5 * np.square(np.square((x - MIDLINE) / 0.034)))
    spine = column * (0.0825 + 0.0125 * np.cos(2 * np.pi * y / 0.052))
    collar = 0.13 * _tubes(film, chest_anatomy.collar_bones(patient), 0.3)
    shoulders = film.blurred(_tubes(film, chest_anatomy.shoulders(patient), 0.25), 0.006)
    return spine + patient.ribs * (collar + 0.13 * shoulders)


def _tubes(film: Film, lines: list[Line], hollow: float) -> np.ndarray:
    """Return bones, which are denser at their edges than in their middle, the broadest up to 1."""
    outer = film.strokes(lines)
    inner = film.strokes([(points, 0.6 * width) for points, width in lines])
    return film.blurred(outer - hollow / 0.6 * inner, 0.0025) / max(width for _, width in lines)


def _with_findings(chest: _Chest, healthy: np.ndarray, label: int, rng: np.random.Generator) -> np.ndarray:
    """Return the density of the chest with the findings of a class, given that without."""
    if label == HEART_FAILURE:
        severity = rng.uniform(0.15, 1)
        upper = 1 + severity * rng.uniform(0.3, 1)
        density = chest.density(chest.patient.heart + 0.13 * severity * rng.uniform(0.4, 1), upper)
        return density + _effusions(chest, severity, rng) + _interstitial(chest, severity, rng)
    return healthy + _consolidation(chest, rng) if label == PNEUMONIA else healthy


def _effusions(chest: _Chest, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Return fluid in the costophrenic angles, its surface rising towards the chest wall."""
    film, patient = chest.film, chest.patient
    x, y = film.grid
    total = np.zeros_like(x)
    for outline, side in zip(chest.outlines, (RIGHT, LEFT), strict=True):
        if rng.random() < 0.7:
            height = 0.15 * severity * rng.uniform(0.3, 1)
            away = np.clip(side * (x - MIDLINE) / patient.chest, 0, 1)
            surface = patient.floor(side) + 0.085 - height * (0.35 + 0.65 * away**3)
            total += 0.5 * outline * expit((y - surface) / 0.007)
    return AIR * film.blurred(total, 0.004) * chest.lungs


def _interstitial(chest: _Chest, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Return haze around the hila, and short lines at the chest wall low in the lungs."""
    film, patient = chest.film, chest.patient
    haze = sum(film.blob(*patient.hilum(side), 0.09, 0.13) for side in (RIGHT, LEFT))
    lines = []
    for side in (RIGHT, LEFT):
        for y in patient.floor(side) + rng.uniform(-0.18, 0.05, 14):
            reach = float(patient.reach(side, y)) - rng.uniform(0, 0.01)
            ends = MIDLINE + side * np.array([reach, reach - rng.uniform(0.02, 0.045)])
            lines.append((np.stack([ends, [y, y + rng.normal(0, 0.004)]], axis=1), 0.004))
    net = np.abs(_noise(film, 0.009, rng)) * haze
    amount = severity * rng.uniform(0.3, 1)
    kerley = film.blurred(film.strokes(lines), 0.0015)
    return amount * (0.09 * haze + 0.05 * net + 25 * kerley) * chest.lungs * (1 - _solid(film, patient, patient.heart))


def _consolidation(chest: _Chest, rng: np.random.Generator) -> np.ndarray:
    """Return a focal consolidation in one lung, its edge ragged and soft."""
    film, patient = chest.film, chest.patient
    number = int(rng.integers(2))
    side, outline = (RIGHT, LEFT)[number], chest.outlines[number] * (1 - _solid(film, patient, patient.heart))
    y = rng.uniform(patient.apex + 0.12, patient.floor(side) + 0.03)
    away = rng.uniform(0.35, 0.9) * float(patient.reach(side, y))
    size = rng.uniform(0.045, 0.1)
    shape = film.blob(MIDLINE + side * away, y, size * rng.uniform(0.8, 1.3), size * rng.uniform(0.8, 1.2))
    ragged = shape + 0.22 * _noise(film, 0.03, rng) * np.sqrt(shape)
    filled = film.blurred(expit((ragged - 0.5) / 0.1), 0.008) * outline
    amount = rng.uniform(0.1, 0.55)
    bronchi = [(points, 0.7 * width) for _, (points, width) in chest.vessels if width > 0.006]
    air = np.minimum(120 * film.blurred(film.strokes(bronchi), 0.002), 1) * (rng.random() < 0.5)
    patchy = 1 + 0.25 * _noise(film, 0.012, rng)
    return AIR * amount * filled * chest.lungs * (patchy - 0.5 * air)


def _devices(film: Film, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Return the density of what lies on or in the patient, by chance: leads, a venous line, a pacemaker, a letter."""
    lines, plates = [], np.zeros((film.cells, film.cells), np.float32)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            pad = rng.uniform((0.15, 0.2), (0.85, 0.8))
            ends = _lead(rng, pad)
            lines.append((ends, 0.0035))
            plates += film.polygon(pad + 0.011 * _circle())
    if rng.random() < 0.2:
        lines.append((chest_anatomy.curve([(0.25, 0.12), (0.36, 0.15), (0.47, 0.2), (0.475, 0.4)]), 0.004))
    if rng.random() < 0.1:
        box = np.array([MIDLINE + 0.62 * patient.chest, patient.apex + 0.1])
        plates += film.polygon(box + (0.045, 0.055) * _circle())
        wire = [tuple(box), (0.56, patient.apex + 0.1), (0.49, 0.35), (0.5, 0.6), (0.56, patient.dome)]
        lines.append((chest_anatomy.curve(wire), 0.004))
    corner = rng.uniform((0.86, 0.06), (0.92, 0.16))
    letter = film.strokes([(corner + np.array([(0, 0), (0, 0.045), (0.025, 0.045)]), 0.006)]) * (rng.random() < 0.5)
    return 55 * film.strokes(lines) + 0.35 * np.clip(plates, 0, 1) + 100 * letter


def _lead(rng: np.random.Generator, pad: np.ndarray) -> np.ndarray:
    """Return a lead that hangs from a pad out of the picture."""
    out = np.array([rng.choice([-0.1, 1.1]), rng.uniform(0.2, 1.1)])
    return chest_anatomy.curve([tuple(pad), tuple(0.5 * (pad + out) + rng.normal(0, 0.07, 2)), tuple(out)])


def _circle() -> np.ndarray:
    turns = np.linspace(0, 2 * np.pi, 24)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _exposed(film: Film, density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the grey that a film shows of a density, in [0, 1]: scatter, noise, sharpening, window and contrast."""
    scattered = density + rng.uniform(0.05, 0.2) * (film.blurred(density, 0.05) - density)
    grains = film.blurred(rng.standard_normal(density.shape, np.float32), 0.0022)
    noisy = scattered + rng.uniform(0.002, 0.011) * (0.5 + scattered) * grains / 0.45
    sharp = noisy + rng.uniform(0.1, 0.5) * (noisy - film.blurred(noisy, 0.012))
    black, white = rng.uniform(-0.12, 0.1), rng.uniform(1.0, 1.4)
    grey = np.clip((sharp - black) / (white - black), 0, 1)
    bend = rng.uniform(0.3, 1.9)  # dense parts differ less than the lungs do
    return -np.expm1(-bend * grey) / -np.expm1(-bend)


def _look(film: Film, patient: Patient, findings: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Return the fixations of a simulated reader, without the column ``image``."""
    stops = [stop for side in (RIGHT, LEFT) for stop in _stops(patient, side)]
    stops += [(MIDLINE, patient.apex + 0.15), (MIDLINE + 0.06, patient.dome - 0.1)]
    kept = np.array(stops)[rng.random(len(stops)) < 0.85] + rng.normal(0, 0.02, (1, 2))
    search = np.repeat(kept, rng.integers(1, 4, len(kept)), axis=0)
    search = (search + rng.normal(0, 0.03, search.shape)) @ film.matrix[:, :2].T + film.matrix[:, 2]
    dwell = _dwell(findings, rng)
    after = int(rng.integers(len(search) // 2, len(search) + 1))
    places = np.concatenate([search[:after], dwell, search[after:]]) + rng.normal(0, 0.008, 2)
    places += rng.normal(0, 0.012, places.shape)
    long = np.concatenate([np.zeros(after), np.ones(len(dwell)), np.zeros(len(search) - after)])
    durations = np.exp(rng.normal(np.log(0.24) + 0.35 * long, 0.4))
    starts = np.concatenate([[0], np.cumsum(durations + rng.uniform(0.02, 0.06, len(durations)))[:-1]])
    side = len(findings)
    table = pd.DataFrame({"x": side * places[:, 0], "y": side * places[:, 1], "start": starts, "duration": durations})
    return table[table[["x", "y"]].apply(lambda at: at.between(0, side)).all(axis=1)]


def _stops(patient: Patient, side: int) -> list[tuple[float, float]]:
    """Return where a search of a lung stops: from the apex down to the costophrenic angle, and the hilum."""
    stops = []
    for y in (patient.apex + 0.06, patient.apex + 0.2, patient.dome - 0.22, patient.dome - 0.06):
        stops.append((MIDLINE + side * 0.62 * float(patient.reach(side, y)), y))
    return [*stops, (MIDLINE + side * 0.92 * patient.chest, patient.floor(side) + 0.05), patient.hilum(side)]


def _dwell(findings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return places (k, 2) drawn from the true map, none where the reader misses the findings, as faint ones."""
    mass = findings.sum() / findings.size
    if mass == 0 or rng.random() > 0.95 * (1 - np.exp(-mass / 0.004)):
        return np.zeros((0, 2))
    shares = findings.ravel().astype(float) ** 2
    side, number = len(findings), int(rng.integers(5, 13))
    y, x = np.divmod(rng.choice(findings.size, number, p=shares / shares.sum()), side)
    return (np.stack([x, y], axis=1) + rng.uniform(0, 1, (number, 2))) / side
