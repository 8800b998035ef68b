"""What a build says while it runs: its steps append events to one file, and one line shows where they stand."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

PAUSE = 10.0
"""Seconds between two lines where a line cannot be overwritten; news are told after a fifth of it."""


def append(file: Path, **event: object) -> None:
    """Append one event, stamped with the time; several processes may do so at once.

    Parameters
    ----------
    file
        Where the events of a build are kept, one JSON object a line.
    **event
        ``due``: the names of all steps that will run; or ``job``, the name of one of them, with ``doing`` (words),
        ``expected`` (seconds that it will still take), ``seconds`` (it has ended) or ``failed`` (a sentence).
    """
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"time": time.time(), **event}) + "\n")


def size(file: Path) -> int:
    """Return how many bytes of events there are."""
    return file.stat().st_size if file.exists() else 0


def read(file: Path) -> list[dict]:
    """Return the events so far; one that is being written comes the next time."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


@dataclass
class Job:
    """One step of a build: how long it should take and how far it is; times in seconds since 1970."""

    expected: float | None
    started: float | None = None
    doing: str = "begins"
    seconds: float | None = None
    failed: str | None = None

    def ended(self) -> bool:
        """Return whether it is done, well or not."""
        return self.seconds is not None or self.failed is not None

    def left(self, now: float) -> float:
        """Return the seconds that it will still take; one that runs needs at least a tenth of what was expected."""
        expected = self.expected or 0.0
        return max(expected - (now - self.started), 0.1 * expected) if self.started else expected


def jobs(events: list[dict], expected: Callable[[str], float | None]) -> dict[str, Job]:
    """Return where each step of a build stands, by name.

    Parameters
    ----------
    events
        From `read`.
    expected
        Returns the seconds that the step of a name will take, ``None`` if nobody knows.
    """
    found: dict[str, Job] = {}
    for event in events:
        for name in event.get("due", ()):
            found[name] = Job(expected(name))
        if "job" in event:
            job = found.setdefault(event["job"], Job(expected(event["job"])))
            job.started = event["time"] if "expected" in event else job.started or event["time"]
            for name in {"expected", "doing", "seconds", "failed"} & set(event):
                setattr(job, name, event[name])
    return found


def left(found: dict[str, Job], cores: int, now: float) -> float | None:
    """Return the seconds until all is done; ``None`` while a step that has not begun is of unknown length.

    Steps that have ended say by how much this machine is slower than the expectation, or faster.
    """
    waiting = [job for job in found.values() if not job.ended()]
    if any(job.expected is None and not job.started for job in waiting):
        return None
    known = [job for job in found.values() if job.seconds is not None and job.expected]
    pace = sum(job.seconds for job in known) / sum(job.expected for job in known) if known else 1.0
    each = [pace * job.left(now) for job in waiting]
    return max([sum(each) / cores, *each])


def line(found: dict[str, Job], cores: int, now: float) -> str:
    """Return the state in words: how many steps are done, how long the others take, what runs now."""
    if not found:
        return "Looking for what has changed"
    done = sum(job.ended() for job in found.values())
    seconds = left(found, cores, now)
    estimate = f", about {clock(seconds)} left" if seconds and done < len(found) else ""
    running = [f"{name}: {job.doing}" for name, job in found.items() if job.started and not job.ended()]
    if not running and done < len(found):
        running = ["loading what the next ones need"]
    return f"{done} of {len(found)} steps done{estimate}. {'; '.join(running)}".rstrip()


def clock(seconds: float) -> str:
    """Return ``45 s`` or ``3 min 20 s``; beyond a minute in steps of ten seconds."""
    whole = round(seconds) if seconds < 60 else 10 * round(seconds / 10)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Screen:
    """Shows one line that changes: in place on a terminal, else as a new line now and then."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream, self._when = stream, 0.0

    def show(self, text: str, *, news: bool) -> None:
        """Show the line, unless it is too early for another one."""
        if self._stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text if len(text) <= width else text[: width - 1] + '…'}", end="", file=self._stream)
        elif time.monotonic() - self._when > (PAUSE / 5 if news else PAUSE):
            print(text, file=self._stream)
        else:
            return
        self._stream.flush()
        self._when = time.monotonic()

    def close(self) -> None:
        """Leave an empty line where the changing one was."""
        if self._stream.isatty():
            print("\r\x1b[K", end="", file=self._stream, flush=True)
