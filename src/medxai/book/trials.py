"""The step of a build that computes the trials of a study."""

import time
from collections.abc import Callable

from medxai import profiles, studies
from medxai.book import imports, times
from medxai.book.target import Target
from medxai.files import dump, write


def compute(name: str, target: Target, tell: Callable[..., None]) -> dict[str, float]:
    """Compute the trials of a study that are not stored, one after the other; return the seconds of each.

    They are also written to ``target.trials``; those of a stored trial are from when it was computed. Progress is told
    as ``tell(doing=...)``.
    """
    profile, study = profiles.get(target.profile), studies.study(name)
    trials = study.trials(profile)
    tell(doing="looking at its data")
    known = times.kept(target.profile, f"study {name}") or {}
    taken = {trial.name: known.get(trial.name, 0.0) for trial in trials}
    missing = [trial for trial in trials if not study.record_path(trial, profile).exists()]
    if all(taken[trial.name] for trial in missing):
        tell(expected=sum(taken[trial.name] for trial in missing))
    for number, trial in enumerate(missing, start=1):
        tell(doing=f"trial {number} of {len(missing)}, {trial.name}")
        start = time.perf_counter()
        study.run_trial(trial, profile)
        taken[trial.name] = round(time.perf_counter() - start, 1)
    record = {"chapter": study.chapter, "trials": taken, "importing": round(imports.seconds(), 1)}
    write(target.trials / f"{name}.json", dump(record))
    return taken
