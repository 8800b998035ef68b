"""Part of a public git repository at one commit: sparse, in batches, so that an interrupted run goes on."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from medxai.data.storage import writing
from medxai.errors import DataError

BATCH = 500
"""Files asked for at once: what an interruption can lose."""

CONTACT = 20
"""Seconds in which the server must answer at all."""

PINNED = "refs/medxai/pinned"

FSCK = ("fsck", "--no-dangling", "--no-progress")

SETTINGS = {
    "remote.origin.promisor": "true",
    "remote.origin.partialclonefilter": "blob:none",
    "core.sparseCheckout": "true",
    "core.autocrlf": "false",  # byte for byte, on every system
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    # A transfer that stays under 1 kB/s for a minute is given up.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}


@dataclass(frozen=True)
class Repository:
    """What to take from where."""

    url: str
    commit: str
    paths: tuple[str, ...]
    """Folders and files at its top; nothing else is downloaded."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many files each of these folders must hold."""


def checkout(repository: Repository, target: Path, *, wait: float | None = None, progress: bool = True) -> Path:
    """Check `repository.paths` out into `target`; all of it or nothing.

    What was downloaded is kept in ``.<name>.part`` beside `target` until it is complete, so that a run that was
    interrupted (time over, network gone, disk full, Ctrl-C) goes on where it stopped, losing one batch at most.
    `target` itself gets the files alone, no ``.git``.

    Parameters
    ----------
    repository
        What to take from where.
    target
        The folder to make; must not be there yet, or be empty.
    wait
        Seconds in all; ``None`` for no limit.
    progress
        Show a bar.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DataError
        If there is no git, no network, no such commit, no time or no space left, or if what came is not what the
        commit holds.
    """
    part = target.with_name(f".{target.name}.part")
    with writing(target):
        git = Git(part, repository, target, wait)
        files = _prepare(git)
        _download(git, set(files.values()), target.name, progress)
        (git.objects / "info").mkdir(exist_ok=True)
        (git.objects / "info/sparse-checkout").write_text("".join(f"/{path}\n" for path in repository.paths))
        git("checkout", "--quiet", "--force", "--detach", repository.commit)
        _verify(git, files)
        git.files.replace(target)
    shutil.rmtree(part, ignore_errors=True)
    return target


class GitError(DataError):
    """Git itself said no (in contrast to: it is not there, or it took too long)."""


class Git:
    """Runs git on ``git/`` and ``files/`` of a folder, never on a repository around it, within a time in all."""

    def __init__(self, folder: Path, repository: Repository, target: Path, wait: float | None) -> None:
        self.objects = folder / "git"
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.repository = repository
        self.target = target
        self.wait = wait
        self.started = time.monotonic()

    def __call__(self, *arguments: str, stdin: str = "", seconds: float | None = None) -> str:
        """Return what ``git <arguments>`` writes; `seconds` bounds this one command."""
        left = None if self.wait is None else max(0.0, self.started + self.wait - time.monotonic())
        bound = min((limit for limit in (left, seconds) if limit is not None), default=None)
        try:
            process = subprocess.Popen(
                ("git", *arguments),
                cwd=self.files,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # its helpers (git-remote-https) must end with it
            )
        except FileNotFoundError as error:
            if error.filename != "git":  # the folder is gone: another process has finished the same fetch
                raise
            raise self.failure("git is needed and is not installed") from error
        try:
            output, errors = process.communicate(stdin, timeout=bound)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            over = f"the {self.wait:g} s that it may take are over" if bound == left else f"no answer in {bound:g} s"
            raise self.failure(over) from error
        if process.returncode:
            raise GitError(str(self.failure(_reason(errors))))
        return output

    def failure(self, reason: str) -> DataError:
        """Return the one sentence: what failed, where, and what to do."""
        return DataError(
            f"{self.repository.url} could not be fetched ({reason}): run the same command again to go on from where "
            f"it stopped, or put the unpacked repository or an archive of it at {self.target}"
        )

    def _environment(self) -> dict[str, str]:
        foreign = {"GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"}
        kept = {name: value for name, value in os.environ.items() if name not in foreign}
        here = {"GIT_DIR": str(self.objects), "GIT_WORK_TREE": str(self.files)}
        return kept | here | {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "LC_ALL": "C"}


def _reason(errors: str) -> str:
    """Return the line of git's messages that says why."""
    if "No space left on device" in errors:
        return "the disk is full"
    told = [line for line in errors.splitlines() if line.startswith(("fatal:", "error:"))] or errors.splitlines()
    return told[0].strip() if told else "git stopped without a word"


def _prepare(git: Git) -> dict[str, str]:
    """Make the empty repository, get the commit and its folders; return path -> object of the wanted files."""
    repository = git.repository
    for lock in git.objects.rglob("*.lock"):  # of a killed run
        lock.unlink()
    try:
        git(*FSCK)
    except GitError:  # nothing here yet, or damaged on this disk: going on from that would fail for ever
        shutil.rmtree(git.objects, ignore_errors=True)
    git("init", "--quiet", "--template=", "--object-format=sha1")
    for name, value in SETTINGS.items() | {("remote.origin.url", repository.url)}:
        git("config", name, value)
    if git("for-each-ref", "--format=%(objectname)", PINNED).strip() != repository.commit:
        git("ls-remote", "--quiet", "origin", "HEAD", seconds=CONTACT)
        refspec = f"+{repository.commit}:{PINNED}"
        git("fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", refspec)
    listing = git("ls-tree", "-r", "-z", repository.commit, "--", *repository.paths)
    files = {path: head.split()[2] for head, path in (entry.split("\t") for entry in listing.split("\0") if entry)}
    for path in repository.paths:
        if not any(name == path or name.startswith(f"{path}/") for name in files):
            raise git.failure(f"commit {repository.commit} holds no {path}")
    return files


def _download(git: Git, wanted: set[str], name: str, progress: bool) -> None:
    """Fetch the objects that are not here yet, batch by batch."""
    absent = git("rev-list", "--objects", "--missing=print", git.repository.commit).splitlines()
    missing = sorted(wanted & {line[1:] for line in absent if line.startswith("?")})
    with tqdm(
        total=len(wanted), initial=len(wanted) - len(missing), desc=name, unit="file", disable=not progress
    ) as bar:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            # The command by which git itself gets the missing objects of a partial clone.
            git(
                *("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"),
                *("--recurse-submodules=no", "--filter=blob:none", "--stdin", "origin"),
                stdin="\n".join(batch),
            )
            bar.update(len(batch))


def _verify(git: Git, files: dict[str, str]) -> None:
    """Compare what is here with the commit: its name, the hash of every object, the number of files."""
    git(*FSCK)
    if git("rev-parse", "HEAD").strip() != git.repository.commit:
        raise git.failure("another commit came")
    for folder, count in git.repository.counts.items():
        found = sum(path.is_file() for path in (git.files / folder).rglob("*"))
        if found != count:
            raise git.failure(f"{folder} holds {found} files instead of {count}")
    absent = [path for path in files if not (git.files / path).is_file()]
    if absent:
        raise git.failure(f"{len(absent)} files were not written, the first is {absent[0]}")
