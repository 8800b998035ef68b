"""``medxai build``: settle the data, let Snakemake do what is not done yet, say where the site is."""

import contextlib
import datetime
import fcntl
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from medxai import paths, profiles
from medxai.book import chapters, progress, times, workers
from medxai.book.target import Target
from medxai.errors import DataError
from medxai.files import dump, write, write_if_changed

FETCH_WAIT = 120.0
"""Seconds that a build spends on fetching annotations before it goes on with simulated ones."""

FETCH_AGAIN = datetime.timedelta(days=1)
"""How long a failed try is remembered, so that a build without network does not wait each time."""

OTHERS = ("busi", "isic_uda1", "ham10000_artefacts", "medmnist", "ham10000_28", "pneumonia_partial", "weights")
"""Folders of data sets, beside the annotations, that a chapter uses if they are there."""

LOG_LINES = 20
"""How much of the log is shown if the graph itself fails."""


class BuildFailed(RuntimeError):  # noqa: N818 - read as a statement
    """A step of the build failed; the message says which and why."""


def build(target: Target, kind: str = "auto", wanted: list[str] | None = None) -> Path:
    """Execute the chapters that are not up to date, build the site, and return its first page.

    Parameters
    ----------
    target
        Profile and edition.
    kind
        Which annotations: ``auto``, ``real`` or ``simulated``.
    wanted
        Names of chapters; all by default.

    Raises
    ------
    BuildFailed
        If a chapter or the site fails.
    DataError, ValueError
        If the data asked for are not there, or a name is unknown.
    """
    selected = chapters.select(wanted)
    if not selected:
        raise DataError(f"no chapter to build: {paths.NOTEBOOKS} holds no file named NN_name.md")
    print(f"Building {', '.join(selected)} at profile {target.profile}: looking at the data", file=sys.stderr)
    with _only_build() as lock:
        kind = settle_data(target, kind)
        for left in (target.failed, target.temporary):
            shutil.rmtree(left, ignore_errors=True)
        write(target.progress, "")
        first_page = target.html / "index.html"
        if not first_page.exists():
            target.site.unlink(missing_ok=True)
        _snakemake(target, selected, kind, lock)
    _warn(target, selected)
    return first_page


def settle_data(target: Target, kind: str) -> str:
    """Choose the annotations, write the manifest if they differ from the last build's, and return their kind.

    The manifest is what makes chapters execute again, so its digest changes with the data and with nothing else.
    """
    from medxai.data import real_or_simulated

    profile = profiles.get(target.profile)
    if kind == "auto" and target.profile != "smoke" and real_or_simulated.real_dermxdb() is None:
        _try_to_fetch("dermxdb")
    root = real_or_simulated.dermxdb_root(profile, kind)
    kind = "real" if root == real_or_simulated.real_dermxdb() else "simulated"
    manifest = {"dermxdb": {"kind": kind, "root": str(root), "digest": digest(root)}}
    manifest["others"] = {name: digest(paths.data_root() / name) for name in OTHERS}
    write_if_changed(target.data, dump(manifest))
    return kind


def digest(root: Path) -> str:
    """Return a digest of the names, sizes and modification times of all files under `root`: no file is read."""
    entries = [
        (path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def _try_to_fetch(name: str) -> None:
    """Fetch a data set unless a try failed within the last day; a failure is told and remembered, never raised."""
    from medxai.data import fetch

    memory = paths.RESULTS / f"fetch_{name}_failed.json"
    if memory.exists():
        last = json.loads(memory.read_text(encoding="utf-8"))
        if datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(last["when"]) < FETCH_AGAIN:
            return
    print(f"Fetching {name}, for at most {FETCH_WAIT:.0f} s", file=sys.stderr)
    try:
        fetch.fetch(name, wait=FETCH_WAIT)
        memory.unlink(missing_ok=True)
    except DataError as error:
        print(f"Going on with simulated annotations: {error}", file=sys.stderr)
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write(memory, dump({"when": when, "why": str(error)}))


def command(target: Target, selected: list[str]) -> list[str]:
    """Return the call of Snakemake that brings the site of `selected` chapters up to date."""
    options = {
        "snakefile": [str(paths.SNAKEFILE)],
        "directory": [str(paths.ROOT)],
        "cores": [str(os.cpu_count() or 1)],
        "scheduler": ["greedy"],
        "rerun-triggers": ["mtime", "input"],
        # All but its cache of sources, which would lie in the user's home.
        "shared-fs-usage": ["input-output", "persistence", "software-deployment", "sources", "storage-local-copies"],
        "config": [f"profile={target.profile}", f"edition={target.edition}", f"chapters={','.join(selected)}"],
    }
    # Our own lock ends with the process that holds it, unlike Snakemake's, which a killed run leaves behind. Threads
    # only wait for the processes of `workers`.
    flags = ["--keep-going", "--nolock", "--rerun-incomplete", "--nocolor", "--force-use-threads"]
    values = [word for name, words in options.items() for word in (f"--{name}", *words)]
    return [sys.executable, "-m", "snakemake", *flags, *values]


def _snakemake(target: Target, selected: list[str], kind: str, lock: int) -> None:
    """Run the graph and show how far it is; what is up to date stays as it is."""
    cores = os.cpu_count() or 1
    environment = os.environ | {"MEDXAI_DATA_KIND": kind} | workers.ENVIRONMENT
    screen, seen, events = progress.Screen(), -1, []
    expected = functools.cache(lambda job: times.expected(target.profile, job))
    with target.log.open("w") as log:
        told = {"env": environment, "stdout": log, "stderr": log}
        process = subprocess.Popen(command(target, selected), pass_fds=[lock], **told)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            while process.poll() is None:
                size = progress.size(target.progress)
                events = progress.read(target.progress) if size != seen else events
                screen.show(progress.line(progress.jobs(events, expected), cores, time.time()), news=size != seen)
                seen = size
                time.sleep(0.5)
        except KeyboardInterrupt:
            process.wait()  # the terminal has told Snakemake too, which stops its jobs
            raise
        except SystemExit:
            # What a shell starts in the background ignores interrupts, and so do its children.
            ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
            screen.close()
    if process.returncode:
        failed = [event["failed"] for event in progress.read(target.progress) if "failed" in event]
        raise BuildFailed("\n".join(failed or target.log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:]))


def _warn(target: Target, selected: list[str]) -> None:
    """Tell GitHub which chapters took much longer than their budget."""
    if os.environ.get("CI"):
        from medxai.book import pages

        for sentence in times.overruns(pages.records(target, selected), times.budget()):
            print(f"::warning::{sentence}")


@contextlib.contextmanager
def _only_build() -> Iterator[int]:
    """Hold the lock of the checkout's builds, and give its file descriptor.

    Snakemake inherits it. The operating system frees the lock when all have ended that have the file open, so that what
    a killed build leaves behind does not run beside the next one.
    """
    paths.BUILD.mkdir(exist_ok=True)
    with (paths.BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildFailed(f"another build of {paths.ROOT} is running: wait until it has finished") from None
        yield lock.fileno()
