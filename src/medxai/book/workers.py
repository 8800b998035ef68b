"""Running the steps of a build: each in a process of its own, forked from one that has imported what they need.

Importing torch and its like takes seconds, and a build has some twenty processes. The standard library's fork server
pays once. It is started with the first step, so that a build with nothing to do imports nothing.
"""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterable
from functools import partial

from medxai import paths
from medxai.book import progress, times
from medxai.book.target import Target

CONTEXT = multiprocessing.get_context("forkserver")
PACKAGES = "MEDXAI_WARM"
"""Environment variable: names of the packages that `warm` imports, separated by spaces."""

ALWAYS = ("papermill", "jupytext", "ipykernel.kernelapp", "ipykernel.ipkernel", "matplotlib_inline.backend_inline")
"""What executing a notebook imports."""

ENVIRONMENT = {
    "JUPYTER_DEFAULT_PROVISIONER_NAME": "medxai",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONHASHSEED": "0",
}
"""Variables of which some are read when packages are loaded, and so before there is a kernel."""


def prepare(target: Target, jobs: Iterable[str], packages: Iterable[str]) -> None:
    """Say which steps will run, and which packages to import before the first of them does."""
    progress.append(target.progress, due=list(jobs))
    # Elsewhere than on Linux, system libraries do not all survive a fork once they are loaded.
    if sys.platform == "linux":
        os.environ[PACKAGES] = " ".join([*packages, *ALWAYS])
    CONTEXT.set_forkserver_preload(["medxai.book.warm"])


def run(target: Target, *words: str) -> None:
    """Run one step and wait for it.

    Parameters
    ----------
    target
        Profile and edition.
    *words
        ``study NAME``, ``chapter NAME``, or ``site`` and the names of its chapters.

    Raises
    ------
    RuntimeError
        If it fails; why is told among the events of the build.
    """
    process = CONTEXT.Process(target=_step, args=(target, *words))
    process.start()
    process.join()
    if process.exitcode is not None and process.exitcode < 0:
        failed = f"{name(*words)}: its process was ended by signal {-process.exitcode}, perhaps for want of memory"
        progress.append(target.progress, job=name(*words), failed=failed)
    if process.exitcode:
        raise RuntimeError(f"{name(*words)} failed")


def name(kind: str, *names: str) -> str:
    """Return what a step is called: ``study dataset``, ``chapter 01_dataset``, ``site``."""
    return kind if kind == "site" else f"{kind} {names[0]}"


def _step(target: Target, kind: str, *names: str) -> None:
    """Do the step and tell how it goes; errors that an author can cause are told in one sentence."""
    from medxai.book import steps

    tell = partial(progress.append, target.progress, job=name(kind, *names))
    start = time.perf_counter()
    tell(doing="begins")
    try:
        taken = getattr(steps, kind)(target, names, tell)
    except (steps.ChapterFailed, steps.SiteFailed, ValueError) as error:
        tell(failed=str(error))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        tell(failed=f"{name(kind, *names)}: {type(error).__name__}: {error} (see {target.log.relative_to(paths.ROOT)})")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    seconds = round(time.perf_counter() - start, 1)
    times.keep(target.profile, name(kind, *names), taken or seconds)
    tell(seconds=seconds)
