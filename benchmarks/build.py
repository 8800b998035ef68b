"""Measure a build of the book in a fresh clone: cold, and again with nothing to do.

Usage: ``python benchmarks/build.py NAME [REVISION] [--profile quick] [--data simulated] [--chapters ...]``. Clones
this checkout into a temporary folder, builds there with the running interpreter's packages, and writes the numbers
under NAME (``before``, ``after``) to ``build.json`` beside this file. CPU time is the user's and the system's of all
processes; importing is counted in each Python process by `medxai.book.imports`, to which the start of the interpreter
is added. Silence is the longest time without a word on the terminal. Nothing is gated on these numbers.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from medxai import paths

COUNTER = """
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


def build(checkout: Path, options: list[str]) -> dict[str, object]:
    """Build the book in `checkout` and return what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "counted"
        counted.mkdir()
        imports = paths.ROOT / "src/medxai/book/imports.py"
        (Path(folder) / "sitecustomize.py").write_text(COUNTER.format(imports=str(imports), folder=str(counted)))
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([folder, str(checkout / "src")]),
            "MEDXAI_DATA": os.environ.get("MEDXAI_DATA", "data/external"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "medxai.cli", "build", *options]
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = _words(process, start)
        if process.wait():
            raise SystemExit(f"the build failed: {checkout}")
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = [json.loads(path.read_text()) for path in counted.iterdir()]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    importing = sum(seconds for seconds, _ in spent)
    by_program = Counter()
    for seconds, words in spent:
        by_program[" ".join(words)[:60]] += round(seconds, 1)
    print(*by_program.most_common(), sep="\n")
    return {
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "importing_cpu_seconds": round(importing, 1),
        "importing_share": round(importing / cpu, 3),
        "python_processes": len(spent),
        "first_word_seconds": round(said[0], 1),
        "longest_silence_seconds": round(max(b - a for a, b in zip(said, [*said[1:], wall], strict=True)), 1),
    }


def _words(process: subprocess.Popen, start: float) -> list[float]:
    """Return when the build said something, in seconds since `start`."""
    said = []
    while os.read(process.stdout.fileno(), 1 << 16):
        said.append(time.perf_counter() - start)
    return said


def main() -> None:
    """Clone, build twice, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--data", default="simulated")
    parser.add_argument("--chapters", nargs="+", default=[])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    options = ["--profile", arguments.profile, "--data", arguments.data]
    options += ["--chapters", *arguments.chapters] if arguments.chapters else []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp"), ignore_cleanup_errors=True) as folder:
        checkout = Path(folder) / "book"
        subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(checkout)], check=True)
        subprocess.run(["git", "-C", str(checkout), "checkout", "--quiet", arguments.revision], check=True)
        result = {"cold": build(checkout, options), "nothing_to_do": build(checkout, options)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
