"""Listing the trials of a study for Snakemake."""

from medxai import profiles, studies
from medxai.book.files import dump, write
from medxai.book.target import Target


def list_trials(study: str, target: Target) -> None:
    """Write the trials of `study` by name, each with its version, arguments and profile, to ``target.trials``.

    A trial whose entry changes is run again.
    """
    profile, module = profiles.get(target.profile), studies.study(study)
    trials = {trial.name: repr((module.VERSION, trial, profile)) for trial in module.trials(profile)}
    write(target.trials / f"{study}.json", dump(trials))
