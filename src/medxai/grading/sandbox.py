"""Running one exercise of a student's notebook in a process of its own, with limits, behind walls if there are any.

The walls are those of bubblewrap: no network, no other processes, nothing to write but a small folder of its own, and
of the disk only the interpreter, the package and the data. Notebooks, those of others too, cannot be seen from inside.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medxai import paths
from medxai.errors import DataError
from medxai.grading import plain_data

ENVIRONMENT = {"MEDXAI_DATA_KIND": "simulated", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
"""What the marker's own process needs, too, so that both have the same data."""

LIMITS = {"RLIMIT_AS": 6 * 2**30, "RLIMIT_FSIZE": 64 * 2**20, "RLIMIT_CORE": 0}
"""Bytes of memory, of each file that is written (the answer is one), of what a crash leaves."""
PROCESSES = 64
"""And threads. Only inside walls, since elsewhere all processes of the user count."""
LARGEST = 8 * 2**20
"""Bytes of an answer."""


def walls() -> list[str]:
    """Return the beginning of a command that runs behind walls.

    Raises
    ------
    DataError
        If there is no bubblewrap, or it does not work here.
    """
    advice = "or run with --trusted what you have read: such code can do whatever you can"
    program = shutil.which("bwrap")
    if program is None:
        raise DataError(
            f"there is no sandbox for students' code: install bubblewrap (Debian, Ubuntu, Fedora), {advice}"
        )
    command = [program, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    command += ["--perms", "1777", "--size", str(LIMITS["RLIMIT_FSIZE"]), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    command += [*_visible(), "--remount-ro", "/dev", "--remount-ro", "/"]  # the book itself may lie in /tmp
    if os.getuid() == 0:  # to become nobody inside
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    tried = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, text=True)
    if tried.returncode:
        raise DataError(f"bubblewrap does not work here ({tried.stderr.strip()}): mend that, {advice}")
    report = run({"cells": ["answer = 1"], "answer": "answer", "is_function": False}, 60, command)
    if report != {"values": [1]}:
        raise DataError(f"the sandbox does not work here ({report.get('failed')}): mend that, {advice}")
    return command


def _visible() -> list[str]:
    """Return the options for what can be read inside: the system, the interpreter, the package, the data."""
    book = [paths.SOURCE, paths.CARRIED, paths.PAGES / "quizzes", paths.simulated(""), paths.data_root()]
    places = map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", sys.base_prefix, sys.prefix))
    options = []
    for place in (*places, *book):
        for parent in reversed(place.parents[:-1]):  # bubblewrap would make them for their owner alone
            options += ["--perms", "0755", "--dir", str(parent)]
        options += ["--ro-bind-try", str(place), str(place)]
    return options


def run(task: dict, seconds: float, walls: Sequence[str]) -> dict:
    """Run one exercise; return the decoded ``values`` of its answer, or why there are none as ``failed``.

    Parameters
    ----------
    task
        What `medxai.grading.answer` reads: ``cells``, ``answer``, ``is_function``, ``first``, ``open``.
    seconds
        After so many it is killed.
    walls
        As `walls` returns them; empty for none.
    """
    limits = LIMITS | {"RLIMIT_CPU": int(seconds) + 1} | ({"RLIMIT_NPROC": PROCESSES} if walls else {})
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(json.dumps({**task, "limits": limits, "alone": bool(walls)}).encode())
        asked.seek(0)
        command = [*walls, sys.executable, "-m", "medxai.grading.answer"]
        streams = {"stdin": asked, "stdout": said, "stderr": subprocess.DEVNULL}
        home = "/tmp" if walls else folder
        process = subprocess.Popen(command, env=_environment(home), cwd=folder, start_new_session=True, **streams)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return {"failed": f"It took more than {seconds:g} s."}
        finally:
            _end(process)
        said.seek(0)
        return _read(said.read(LARGEST + 1), code)


def _environment(home: str) -> dict[str, str]:
    """Return the variables that a student's code sees: none of the marker's secrets."""
    data = {"MEDXAI_DATA": str(paths.data_root()), "PYTHONPATH": str(paths.SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **ENVIRONMENT, **data}


def _end(process: subprocess.Popen) -> None:
    """Kill the process and what it has started and not sent away; from behind walls nothing can be sent away."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(said: bytes, code: int) -> dict:
    if len(said) > LARGEST:
        return {"failed": f"The answer is larger than {LARGEST // 2**20} MB."}
    if not said:
        number = -code if code < 0 else code - 128  # of a signal, as the system and as bubblewrap say it
        ended = f"was killed by signal {number}" if number > 0 else f"ended with code {code}"
        return {"failed": f"The process {ended} before it said what the answer is."}
    try:
        report = json.loads(said)
        if "failed" in report:
            return {"failed": str(report["failed"])}
        return {"values": [plain_data.decode(value) for value in report["values"]]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"failed": "The answer is no plain data."}
