"""Making the reference of a study, in as many sittings as it takes."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from medxai import files, profiles, provenance, results
from medxai.errors import DataError
from medxai.profiles import Profile
from medxai.studies.store import Absent, Data, Study, Trial, write_record


def write_reference(study: Study, profile: Profile, command: str, names: Sequence[str] = ()) -> None:
    """Run the trials of a study, or those called `names`, that its reference lacks, and keep each as soon as it ends.

    A trial is computed even if ``results`` has its record, whose commit, time and machine nobody knows.

    Raises
    ------
    ValueError
        If a name is that of no trial.
    DataError
        If some data are simulated or absent: a reference comes from real ones.
    KeyboardInterrupt
        With a sentence on what is kept.
    """
    chosen, opened = study.named(names, profile), study.open_data(profile)
    _check_real(study.name, opened)
    plan, here = _plan(study, profile, opened), provenance.here(but="data/reference")
    there = results.there(study.name, plan["trials"])
    seconds = {trial: made["seconds"] for trial, made in there.items() if made["seconds"] is not None}
    changed = {trial: results.outdated(made, plan) for trial, made in there.items()}
    waiting = [trial for trial in chosen if trial.name not in changed or changed[trial.name]]
    done, whole = sum(not reasons for reasons in changed.values()), len(plan["trials"])
    _say(f"{study.name}: {done} of {whole} trials are there, {len(waiting)} to run at commit {here['commit']}")
    for position, trial in enumerate(waiting):
        again = f", again as {'; '.join(changed[trial.name])}" if trial.name in changed else ""
        _say(f"trial {done + 1} of {whole}: {trial.name}{again} ...{_estimate(waiting[position:], seconds)}")
        try:
            with files.alone(study.record_path(trial, profile)):  # another process may be at it, and end it meanwhile
                made = results.there(study.name, [trial.name]).get(trial.name)
                if made is None or results.outdated(made, plan):
                    seconds[trial.name] = _run(study, trial, profile, plan, {"command": command, **here})
        except KeyboardInterrupt:
            kept = f"{done} of {whole} trials of {study.name} are kept"
            raise KeyboardInterrupt(f"stopped in trial {trial.name}; {kept}, the same command goes on there") from None
        done += 1
    results.write_plan(study.name, plan)
    _say(f"{done} of {whole} trials are in {results.folder_of(study.name)}")


def missing(study: Study, profile: Profile) -> list[str]:
    """Return the names of the trials that the reference of a study lacks, or has out of date; DataError as above."""
    opened = study.open_data(profile)
    _check_real(study.name, opened)
    plan = _plan(study, profile, opened)
    there = results.there(study.name, plan["trials"])
    return [name for name in plan["trials"] if name not in there or results.outdated(there[name], plan)]


def _check_real(study: str, opened: Mapping[str, Data]) -> None:
    for name, data in opened.items():
        if data.kind != "real":
            reason = data.reason if isinstance(data, Absent) else "set MEDXAI_DATA to where they are"
            raise DataError(f"reference results of {study!r} need the real {name}: {reason}")


def _plan(study: Study, profile: Profile, opened: Mapping[str, Data]) -> dict:
    """Return what makes the reference whole, with all that it depends on but the lock file, as it is read from JSON."""
    trials = {
        trial.name: {"arguments": dict(trial.arguments), "data": {name: opened[name].digest for name in trial.data}}
        for trial in study.trials(profile)
    }
    return json.loads(json.dumps({"version": study.version, "profile": asdict(profile), "trials": trials}))


def _run(study: Study, trial: Trial, profile: Profile, plan: dict, origin: dict) -> float:
    """Compute a trial, keep its tables, and return how many seconds it took."""
    for place in (study.record_path(trial, profile), results.folder_of(study.name) / trial.name):
        files.check_place(place)  # before the work, not after it
    start, recording = time.perf_counter(), profiles.recording(profile)
    tables = study.compute(trial, profile, recording)
    seconds = time.perf_counter() - start
    expected = plan["trials"][trial.name]
    made = {
        "study": study.name,
        "trial": trial.name,
        "version": study.version,
        "profile": profile.name,
        "sizes": {name: getattr(profile, name) for name in sorted(recording.sizes_read)},
        "arguments": expected["arguments"],
        "data": {name: {"kind": "real", "sha256": digest} for name, digest in expected["data"].items()},
        "seed": study.seed,
        "seconds": round(seconds, 1),
        **origin,
    }
    write_record(study.record_path(trial, profile), tables)
    results.write_trial(study.name, trial.name, tables, made, plan, study.digits)
    return seconds


def _estimate(waiting: Sequence[Trial], seconds: Mapping[str, float]) -> str:
    """Say how long trials will take, by how long each took before, else by the mean; nothing if none was ever timed."""
    if not seconds:
        return ""
    mean = sum(seconds.values()) / len(seconds)
    minutes = sum(seconds.get(trial.name, mean) for trial in waiting) / 60
    return f" (estimated {minutes:.0f} min left)" if minutes >= 1 else " (estimated less than a minute left)"


def _say(line: str) -> None:
    print(line, flush=True)  # at once, even into a file
