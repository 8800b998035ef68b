"""Measure a build of the book in a fresh clone: cold, and again with nothing to do; and the tests, if asked for.

Usage: ``python benchmarks/build.py NAME [REVISION] [options]``. Clones this checkout into a temporary folder, builds
there (with the running interpreter's packages, or with new ones: ``--install``, which ``--tests`` implies), and writes
the numbers under NAME (``before``, ``after``) to ``build.json`` beside this file. CPU time is the user's and the
system's of all processes; importing is counted in each Python process by `medxai.book.imports`, and the start of the
interpreter is added. Silence is the longest time without a word. Needs Linux, and an idle machine for its seconds to
mean something. Nothing is gated on these numbers.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from medxai import paths, profiles, provenance
from medxai.files import dump, write

RESULTS = Path(__file__).with_name("build.json")
ADOPT = 36
"""Number of Linux's option PR_SET_CHILD_SUBREAPER: processes whose parent has ended become our children."""

COUNTER = """\
import importlib.util, json, os, sys, time

spec = importlib.util.spec_from_file_location("imports", {imports!r})
imports = importlib.util.module_from_spec(spec)
spec.loader.exec_module(imports)
start = [time.process_time()]
os.register_at_fork(after_in_child=lambda: start.__setitem__(0, 0.0))


def tell(seconds):
    with open(os.path.join({folder!r}, str(os.getpid())), "w") as file:
        json.dump([start[0] + seconds, sys.orig_argv[1:4]], file)


imports.watch(tell)
"""
"""What every interpreter of the build runs first, as ``sitecustomize``."""


def build(python: Path, checkout: Path, options: list[str]) -> dict[str, object]:
    """Build the book in `checkout` and return what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "counted"
        counted.mkdir()
        imports = paths.ROOT / "src/medxai/book/imports.py"
        (Path(folder) / "sitecustomize.py").write_text(COUNTER.format(imports=str(imports), folder=str(counted)))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([folder, str(checkout / "src")])}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [str(python), "-m", "medxai.cli", "build", *options]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, cwd=checkout, env=environment, **pipe) as process:
            said = words(process, start)
        if process.returncode:
            raise SystemExit(f"the build of {checkout} failed")
        wall = time.perf_counter() - start
        adopted()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = [json.loads(path.read_text()) for path in counted.iterdir()]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    importing = sum(seconds for seconds, _ in spent)
    by_program: Counter[str] = Counter()
    for seconds, call in spent:
        by_program[" ".join(call)[:60]] += seconds
    for program, seconds in by_program.most_common():
        print(f"{seconds:6.1f} s of importing: {program}")
    return {
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "importing_cpu_seconds": round(importing, 1),
        "importing_share": round(importing / cpu, 3),
        "python_processes": len(spent),
        "first_word_after_seconds": round(said[0], 1),
        "longest_silence_seconds": round(max(b - a for a, b in zip(said, [*said[1:], wall], strict=True)), 1),
    }


def words(process: subprocess.Popen, start: float) -> list[float]:
    """Pass on what the build says, and return when it said something, in seconds since `start`."""
    said = []
    while some := os.read(process.stdout.fileno(), 1 << 16):
        said.append(time.perf_counter() - start)
        sys.stdout.buffer.write(some)
        sys.stdout.flush()
    return said


def tests(checkout: Path) -> dict[str, object]:
    """Run ``make test`` in `checkout`, and return how long it took and what pytest says in the end."""
    start = time.perf_counter()
    subprocess.run(["make", "--directory", str(checkout), "test"], check=True)
    wall = time.perf_counter() - start
    return {"seconds": round(wall, 1), "pytest": (checkout / "_build/pytest.log").read_text().splitlines()[-1]}


def adopted() -> None:
    """Wait for the processes that outlived their parents, so that their time counts."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def main() -> None:
    """Clone, install if asked, build twice, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="under which the numbers are kept")
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument(
        "--install", action="store_true", help="with packages of its own, not those of this interpreter"
    )
    parser.add_argument("--tests", action="store_true", help="run make test, too, with packages of its own")
    parser.add_argument("--profile", choices=profiles.PROFILES, default="quick")
    parser.add_argument("--data", choices=profiles.KINDS, default="simulated")
    parser.add_argument("--chapters", nargs="+", default=[])
    asked = parser.parse_args()
    options = ["--profile", asked.profile, "--data", asked.data]
    options += ["--chapters", *asked.chapters] if asked.chapters else []
    ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        checkout, python = Path(folder) / "book", Path(sys.executable)
        subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(checkout)], check=True)
        subprocess.run(["git", "-C", str(checkout), "checkout", "--quiet", asked.revision], check=True)
        if asked.install or asked.tests:
            subprocess.run(
                ["make", "--directory", str(checkout), f"PYTHON={sys.executable}", ".venv/installed"], check=True
            )
            python = checkout / ".venv/bin/python"
        measured = {
            "commit": subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "HEAD"], text=True)[:12],
            "options": " ".join(options),
            "processor": f"{provenance.processor()}, {os.cpu_count()} cores",
            "load_average_before": round(os.getloadavg()[0], 1),
            "cold": build(python, checkout, options),
            "nothing_to_do": build(python, checkout, options),
        }
        if asked.tests:
            measured["make_test"] = tests(checkout)
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    write(RESULTS, dump(known | {asked.name: measured}))
    print(dump(measured))


if __name__ == "__main__":
    main()
