"""Executing one chapter: papermill runs it, then the notebook is made fit for publication and a record is kept."""

import datetime
import os
import resource
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from medxai import paths, provenance
from medxai.book import chapters, editions, first_cell, scrub
from medxai.book.target import Target
from medxai.files import dump, write

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "opencv-python-headless", "papermill")
SLOWEST = 3


class ChapterFailed(RuntimeError):  # noqa: N818 - read as a statement
    """A cell of a chapter raised an error, or its kernel died."""


def execute(name: str, target: Target) -> Path:
    """Execute the chapter `name` and write the notebook and its record to ``target.chapters``.

    The kernel is that of the running interpreter and works in ``notebooks/``, as it does for a student who opens the
    text in Jupyter. The only papermill parameter is ``profile``.

    Raises
    ------
    ChapterFailed
        Says chapter, cell and error; the notebook as far as it got is kept in ``target.failed``.
    DataError
        If a solution is marked wrongly.
    """
    notebook = chapters.read(name)
    if target.edition == "student":
        notebook = editions.student(notebook, name)
    target.temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.temporary) as folder:
        executed = _run(name, notebook, target, Path(folder))
    record = _record(name, target, executed)
    write(target.chapters / f"{name}.ipynb", nbformat.writes(publishable(executed, name)))
    write(target.chapters / f"{name}.json", dump(record))
    return target.chapters / f"{name}.ipynb"


def _run(name: str, notebook: NotebookNode, target: Target, folder: Path) -> NotebookNode:
    """Return the executed notebook; whatever papermill and IPython write goes to `folder`."""
    plain, executed = folder / "plain.ipynb", folder / "executed.ipynb"
    nbformat.write(notebook, plain)
    # With MPLBACKEND set, figures would not reach the notebook.
    os.environ.pop("MPLBACKEND", None)
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(folder / "ipython"), "PYTHONHASHSEED": "0"}
    try:
        return papermill.execute_notebook(
            plain,
            executed,
            parameters={"profile": target.profile},
            kernel_name="python3",
            cwd=chapters.NOTEBOOKS,
            # The kernel warns that its sockets, which are this machine's own, are not encrypted, and of interruptions.
            extra_arguments=["--Application.log_level=50"],
            progress_bar={"desc": name, "mininterval": 0.1 if sys.stderr.isatty() else 5},
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        message = _failure(name, executed, error)
        kept = target.failed / f"{name}.ipynb"
        write(kept, executed.read_bytes())
        message += f" (the notebook up to there: {kept.relative_to(paths.ROOT)})"
        raise ChapterFailed(message) from None


def _failure(name: str, executed: Path, error: Exception) -> str:
    """Return the sentence that says which cell failed and how."""
    if isinstance(error, PapermillExecutionError):
        what = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
        states = ("failed",)
    else:
        what = "the kernel died, perhaps for want of memory"
        states = ("running", "failed")
    cells = nbformat.read(executed, as_version=4).cells
    cell = next(cell for cell in cells if cell.metadata.get("papermill", {}).get("status") in states)
    return f"chapter {name}: {chapters.place(cell)} failed: {what}"


def publishable(notebook: NotebookNode, name: str) -> NotebookNode:
    """Return the executed notebook as it is published: it starts without a clone and names no path of this machine."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.metadata["tags"] = [*cell.metadata["tags"], "remove-cell"]
    notebook.cells.insert(0, first_cell.cell())
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.papermill |= {"input_path": f"notebooks/{name}.md", "output_path": f"chapters/{name}.ipynb"}
    notebook = nbformat.from_dict(scrub.scrub(notebook))
    left = scrub.remaining(notebook)
    if left:
        raise RuntimeError(f"chapter {name}: a path of this machine is left in its output: {left[0][:200]!r}")
    return notebook


def _record(name: str, target: Target, executed: NotebookNode) -> dict:
    """Return the execution record, from papermill's own metadata and the operating system's account."""
    metadata = executed.metadata.papermill
    cells = [cell for cell in executed.cells if cell.metadata.get("papermill", {}).get("duration")]
    cells.sort(key=lambda cell: -cell.metadata.papermill.duration)
    return {
        "chapter": name,
        "profile": target.profile,
        "edition": target.edition,
        "data": target.data_kinds(),
        "seconds": round(metadata.duration, 1),
        "peak_memory_mb": _peak_memory(),
        "slowest": [
            {"cell": chapters.place(cell), "seconds": round(cell.metadata.papermill.duration, 1)}
            for cell in cells[:SLOWEST]
        ],
        "versions": provenance.versions(PACKAGES),
        "commit": provenance.commit(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _peak_memory() -> int:
    """Return the largest resident memory of any finished child process (the kernel), in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6)
