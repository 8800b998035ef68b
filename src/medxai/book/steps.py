"""The steps of a build, each called in a process of its own by `workers`."""

import time
from collections.abc import Callable, Sequence

from medxai import profiles, studies
from medxai.book import imports, times
from medxai.book.execute import ChapterFailed, execute
from medxai.book.site import SiteFailed, make
from medxai.book.target import Target
from medxai.files import dump, write

__all__ = ["ChapterFailed", "SiteFailed", "chapter", "site", "study"]


def study(target: Target, names: Sequence[str], tell: Callable[..., None]) -> dict[str, float]:
    """Compute the trials of a study that are not stored, one after the other; return the seconds of each.

    They are also written to ``target.trials``; those of a stored trial are from when it was computed.
    """
    profile, study = profiles.get(target.profile), studies.study(names[0])
    trials = study.trials(profile)
    tell(doing="looking at its data")
    known = times.kept(target.profile, f"study {names[0]}") or {}
    taken = {trial.name: known.get(trial.name, 0.0) for trial in trials}
    missing = [trial for trial in trials if not study.record_path(trial, profile).exists()]
    if not missing or all(taken[trial.name] for trial in missing):
        tell(expected=sum(taken[trial.name] for trial in missing))
    for number, trial in enumerate(missing, start=1):
        tell(doing=f"trial {number} of {len(missing)}, {trial.name}")
        start = time.perf_counter()
        study.run_trial(trial, profile)
        taken[trial.name] = round(time.perf_counter() - start, 1)
    record = {"chapter": study.chapter, "trials": taken, "importing": round(imports.seconds(), 1)}
    write(target.trials / f"{names[0]}.json", dump(record))
    return taken


def chapter(target: Target, names: Sequence[str], tell: Callable[..., None]) -> None:
    """Execute a chapter."""
    execute(names[0], target, tell)


def site(target: Target, names: Sequence[str], tell: Callable[..., None]) -> None:
    """Build the site with the chapters `names`."""
    make(target, list(names), tell)
