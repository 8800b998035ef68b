"""Executing one chapter: papermill runs it, then the notebook is made fit for publication and a record is kept."""

import datetime
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import nbformat
import papermill
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from medxai import paths, provenance
from medxai.book import chapters, editions, first_cell, imports, kernel, pages, scrub, workers
from medxai.book.target import Target
from medxai.files import dump, write

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "opencv-python-headless", "papermill")
SLOWEST = 3
SHUTDOWN = 60.0
"""Seconds in which a kernel must have written its account and ended."""

KernelProvisionerFactory.provisioners["medxai"] = EntryPoint("medxai", "medxai.book.kernel:Provisioner", "")


class ChapterFailed(RuntimeError):  # noqa: N818 - read as a statement
    """A cell of a chapter raised an error, or its kernel died."""


def execute(name: str, target: Target, tell: Callable[..., None] = lambda **_: None) -> Path:
    """Execute the chapter `name` and write the notebook and its record to ``target.chapters``.

    The kernel is that of the running interpreter and works in ``notebooks/``, as it does for a student who opens the
    text in Jupyter. The only papermill parameter is ``profile``. Progress is told as ``tell(doing=...)``.

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
        executed = _run(name, notebook, target, Path(folder), tell)
        account = json.loads((Path(folder) / "account.json").read_text(encoding="utf-8"))
    record = _record(name, target, executed, account)
    write(target.chapters / f"{name}.ipynb", nbformat.writes(publishable(executed, name)))
    write(target.chapters / f"{name}.json", dump(record))
    return target.chapters / f"{name}.ipynb"


def _run(name: str, notebook: NotebookNode, target: Target, folder: Path, tell: Callable[..., None]) -> NotebookNode:
    """Return the executed notebook; whatever papermill, IPython and the kernel write goes to `folder`."""
    plain, executed = folder / "plain.ipynb", folder / "executed.ipynb"
    nbformat.write(notebook, plain)
    os.environ |= workers.ENVIRONMENT
    os.environ |= {"IPYTHONDIR": str(folder / "ipython"), kernel.ACCOUNT: str(folder / "account.json")}
    numbers = {cell.id: cell.id.partition("-")[2] for cell in notebook.cells if cell.cell_type == "code"}

    def begin(cell: NotebookNode, cell_index: int) -> None:
        if cell.id in numbers:
            tell(doing=f"cell {numbers[cell.id]} of {[*numbers.values()][-1]}")

    try:
        return papermill.execute_notebook(
            plain,
            executed,
            parameters={"profile": target.profile},
            kernel_name="python3",
            cwd=paths.NOTEBOOKS,
            # The kernel warns that its sockets, which are this machine's own, are not encrypted, and of interruptions.
            extra_arguments=["--Application.log_level=50"],
            progress_bar=False,
            on_cell_start=begin,
            config=Config(KernelManager={"shutdown_wait_time": SHUTDOWN}),
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
    """Return the executed notebook as it is published.

    It starts without a clone, names no path of this machine, and the figure of a finding has its computed description.
    """
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.metadata["tags"] = [*cell.metadata["tags"], "remove-cell"]
        for output in cell.get("outputs", ()):
            if note := output.get("metadata", {}).get(pages.FINDING):
                cell.metadata.setdefault("mystnb", {})["image"] = {"alt": note["alt"]}
    notebook.cells.insert(0, first_cell.cell())
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.papermill |= {"input_path": f"notebooks/{name}.md", "output_path": f"chapters/{name}.ipynb"}
    notebook = nbformat.from_dict(scrub.scrub(notebook))
    left = scrub.remaining(notebook)
    if left:
        raise RuntimeError(f"chapter {name}: a path of this machine is left in its output: {left[0][:200]!r}")
    return notebook


def _record(name: str, target: Target, executed: NotebookNode, account: dict) -> dict:
    """Return the execution record, from papermill's own metadata and the kernel's account."""
    metadata = executed.metadata.papermill
    cells = [cell for cell in executed.cells if cell.metadata.get("papermill", {}).get("duration")]
    cells = [cell for cell in cells if "injected-parameters" not in cell.metadata.tags]
    cells.sort(key=lambda cell: -cell.metadata.papermill.duration)
    return {
        "chapter": name,
        "profile": target.profile,
        "edition": target.edition,
        "data": target.data_kinds(),
        "seconds": round(metadata.duration, 1),
        "importing": round(imports.seconds() + account["importing"], 1),
        "imported_before": imports.before(),
        "peak_memory_mb": account["peak_memory_mb"],
        "modules": account["modules"],
        "slowest": [
            {"cell": chapters.place(cell), "seconds": round(cell.metadata.papermill.duration, 1)}
            for cell in cells[:SLOWEST]
        ],
        "versions": provenance.versions(PACKAGES),
        "commit": provenance.commit(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
