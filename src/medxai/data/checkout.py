"""Part of a public git repository at one commit: git fetches folder by folder, so that an interrupted run goes on."""

import math
import os
import shutil
import subprocess
import time
from pathlib import Path

from tqdm import tqdm

from medxai import files
from medxai.data.datasets import Repository
from medxai.errors import DataError

CONTACT = 20
"""Seconds in which the server must answer at all."""

PINNED = "refs/medxai/pinned"

SETTINGS = {
    "remote.origin.promisor": "true",
    "remote.origin.partialclonefilter": "blob:none",  # no content but that of the folders that are checked out
    "core.autocrlf": "false",  # byte for byte, on every system
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",  # a transfer that stays under 1 kB/s for a minute is given up
    "http.lowSpeedTime": "60",
}

OF_A_HOOK = {"GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"}
"""What git tells the programs that it runs about its own repository."""


def checkout(repository: Repository, target: Path, wait: float = math.inf) -> Path:
    """Check `repository.paths` out into `target`, without ``.git``; all of it or nothing. Return `target`.

    What was downloaded is kept in ``.<name>.part`` beside `target` until it is complete, so that a run that was
    interrupted (time over, network gone, disk full, Ctrl-C) goes on with the folder at which it stopped. Git compares
    what comes with its hash, down from that of the commit.

    Raises
    ------
    DataError
        If there is no git, no network, no such commit, no space left, or if it takes more than `wait` seconds.
    """
    part = target.with_name(f".{target.name}.part")
    git = _Git(part, repository.url, time.monotonic() + wait)
    try:
        with files.disk_refusals(target):
            part.mkdir(parents=True, exist_ok=True)
            _fetch(git, repository)
            shutil.rmtree(part / ".git")
            part.replace(target)
    except _GitError as error:
        raise DataError(
            f"{repository.url} could not be fetched ({error}): run the same command again to go on from where it "
            f"stopped, delete {part} to start anew, or put the unpacked repository or an archive of it at {target}"
        ) from error
    return target


def _fetch(git: "_Git", repository: Repository) -> None:
    """Get the commit without the content of its files, then the content of one folder after the other."""
    for lock in (git.folder / ".git").rglob("*.lock"):  # of a killed run
        lock.unlink()
    git("init", "--quiet", "--template=", "--object-format=sha1")
    if git("for-each-ref", "--format=%(objectname)", PINNED).strip() != repository.commit:
        git("ls-remote", "--quiet", "origin", "HEAD", seconds=CONTACT)
        refspec = f"+{repository.commit}:{PINNED}"
        git("fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", refspec)
    with tqdm(repository.paths, unit="folder", disable=None) as bar:
        for number, path in enumerate(bar, 1):
            bar.set_description(path)
            git("sparse-checkout", "set", "--no-cone", *(f"/{wanted}" for wanted in repository.paths[:number]))
            git("checkout", "--quiet", "--force", "--detach", repository.commit)


class _GitError(Exception):
    """Git did not do what it was told; the reason, in its own words where it has any."""


class _Git:
    """Runs git in a folder, never on a repository around it, until a time is over."""

    def __init__(self, folder: Path, url: str, until: float) -> None:
        self.folder = folder
        self.until = until
        settings = (SETTINGS | {"remote.origin.url": url}).items()
        self.command = ["git", *(part for name, value in settings for part in ("-c", f"{name}={value}"))]
        self.environment = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
        self.environment |= {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder), "LC_ALL": "C"}
        self.environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}

    def __call__(self, *arguments: str, seconds: float = math.inf) -> str:
        """Return what ``git <arguments>`` writes; `seconds` bounds this one command."""
        if shutil.which("git") is None:
            raise _GitError("git is needed and is not installed")
        bound = max(0.0, min(self.until - time.monotonic(), seconds))
        options = {"cwd": self.folder, "env": self.environment, "timeout": None if bound == math.inf else bound}
        try:
            done = subprocess.run([*self.command, *arguments], capture_output=True, encoding="utf-8", **options)
        except subprocess.TimeoutExpired as error:
            raise _GitError(f"no answer in {bound:.0f} s") from error
        if "No space left on device" in done.stderr:
            raise _GitError("the disk is full")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
            raise _GitError(said[0] if said else f"git {arguments[0]} ended with {done.returncode}")
        return done.stdout
