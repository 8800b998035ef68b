"""Listing the trials of a study for Snakemake."""

from medxai import profiles, studies
from medxai.book.target import Target
from medxai.files import dump, write


def list_trials(name: str, target: Target) -> None:
    """Write the trials of a study by name, each with its version, arguments and profile, to ``target.trials``.

    A trial whose entry changes is run again.
    """
    profile, study = profiles.get(target.profile), studies.study(name)
    trials = {trial.name: repr((study.version, trial, profile)) for trial in study.trials(profile)}
    write(target.trials / f"{name}.json", dump(trials))
