"""Running the steps of a build: each in a process of its own, forked from one that has imported what they need.

Importing torch and its like takes seconds, and a build has some twenty processes. The standard library's fork server
pays once. It is started with the first step, so that a build with nothing to do imports nothing.
"""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from functools import partial

from medxai import paths
from medxai.book import progress, times
from medxai.book.target import Target

CONTEXT = multiprocessing.get_context("forkserver")
PACKAGES = "MEDXAI_WARM"
"""Environment variable: names of the packages that `warm` imports, separated by spaces."""

ALWAYS = ("papermill", "jupytext", "ipykernel.kernelapp", "ipykernel.ipkernel")
"""What executing a notebook imports; not the inline backend, which looks for a kernel when it is loaded."""

ENVIRONMENT = {
    "JUPYTER_DEFAULT_PROVISIONER_NAME": "medxai",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONHASHSEED": "0",
}
"""Variables of which some are read when packages are loaded, and so before there is a kernel."""


def prepare(target: Target, jobs: Sequence[str], packages: Iterable[str]) -> None:
    """Say which steps will run, and which packages to import before the first of them does."""
    progress.append(target.progress, due=jobs)
    cores = os.cpu_count() or 1
    at_once = min(cores, max(1, sum(job.startswith("chapter") for job in jobs)))
    os.environ.setdefault("OMP_NUM_THREADS", str(cores // at_once))
    # Elsewhere than on Linux, system libraries do not all survive a fork once they are loaded.
    if sys.platform == "linux":
        os.environ[PACKAGES] = " ".join([*packages, *ALWAYS])
    CONTEXT.set_forkserver_preload(["medxai.book.warm"])


def run(target: Target, kind: str, name: str) -> None:
    """Run one step and wait for it.

    Parameters
    ----------
    target
        Profile and edition.
    kind, name
        ``study`` or ``chapter`` and its name, or ``site`` and the names of its chapters, separated by commas.

    Raises
    ------
    RuntimeError
        If it fails; why is told among the events of the build.
    """
    process = CONTEXT.Process(target=_step, args=(target, kind, name))
    process.start()
    process.join()
    if process.exitcode < 0:
        failed = f"{label(kind, name)}: its process was ended by signal {-process.exitcode}, perhaps for want of memory"
        progress.append(target.progress, job=label(kind, name), failed=failed)
    if process.exitcode:
        raise RuntimeError(f"{label(kind, name)} failed")


def label(kind: str, name: str = "") -> str:
    """Return what readers call a step: ``study dataset``, ``chapter 01_dataset``, ``site``."""
    return kind if kind == "site" else f"{kind} {name}"


def _step(target: Target, kind: str, name: str) -> None:
    """Do the step and tell how it goes; errors that an author can cause are told in one sentence."""
    from medxai.book import execute, site, trials

    job, start = label(kind, name), time.perf_counter()
    tell = partial(progress.append, target.progress, job=job)
    tell(doing="begins")
    try:
        step = {"study": trials.compute, "chapter": execute.execute, "site": site.make}[kind]
        taken = step(name, target, tell)
    except KeyboardInterrupt:
        sys.exit(130)
    except (execute.ChapterFailed, site.SiteFailed, ValueError) as error:
        tell(failed=str(error))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        tell(failed=f"{job}: {type(error).__name__}: {error} (see {target.log.relative_to(paths.ROOT)})")
        sys.exit(1)
    seconds = round(time.perf_counter() - start, 1)
    times.keep(target.profile, job, taken if kind == "study" else seconds)
    tell(seconds=seconds)
