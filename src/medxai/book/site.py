"""Staging what Sphinx reads, and building the site from it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import yaml
from sphinx_external_toc.parsing import create_toc_dict

from medxai import paths
from medxai.book import chapters, methods, pages, times
from medxai.book.target import Target
from medxai.book.toc import CHAPTERS, contents
from medxai.errors import DataError
from medxai.files import dump, write, write_if_changed


class SiteFailed(RuntimeError):  # noqa: N818 - read as a statement
    """Sphinx warned, or made other pages than the table of contents has."""


def make(names: str, target: Target, tell: Callable[..., None]) -> None:
    """Stage the source of the site with the chapters `names`, which commas separate, and build it.

    The finished site replaces the last one whole, so that a failure leaves a site to read. Progress is told as
    ``tell(doing=...)``.

    Raises
    ------
    SiteFailed
        With the warnings of Sphinx; its whole output is kept in ``sphinx.log``.
    DataError
        If something in a chapter cannot be written as plain Markdown, for the notebooks that readers download.
    """
    selected = names.split(",")
    complete = selected == chapters.names()
    expected = stage(target, selected)
    # Links to chapters that were left out cannot be resolved, so only a complete book is built strictly.
    strict = ["-W", "-n", "--keep-going"] if complete else []
    tell(doing=f"Sphinx begins with {len(expected)} pages")
    target.temporary.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.temporary) as folder:
        program = Path(sys.executable).with_name("jupyter-book")
        command = [str(program), "build", str(target.source), "--all", *strict, "--path-output", folder]
        code, output = _sphinx(command, tell)
        write(target.folder / "sphinx.log", output)
        built = Path(folder) / "_build" / "html"
        check(code, output, built, expected, strict=bool(strict))
        _make_plain(built / "_sources", target, selected)
        if target.html.exists():
            shutil.rmtree(target.html)
        built.rename(target.html)
    write(target.site, dump({"pages": len(expected), "chapters": selected}))


def _make_plain(sources: Path, target: Target, selected: list[str]) -> None:
    """Replace the chapters among the `sources`, which readers download, by notebooks in plain Markdown."""
    from medxai.book import cross_references, plain  # parsers that the other steps of a build need not load

    book = cross_references.read()
    for name in selected:
        executed = nbformat.read(target.chapters / f"{name}.ipynb", as_version=4)
        made = plain.plain(executed, name, book, plain.built(target, name))
        write(sources / f"{CHAPTERS}{name}.ipynb", nbformat.writes(made))


def _sphinx(command: list[str], tell: Callable[..., None]) -> tuple[int, str]:
    """Run Sphinx, tell how far it is, and return its code and what it said."""
    output = []
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipe) as process:
        for line in process.stdout:
            output.append(re.sub(r"\x1b\[[\d;]*m", "", line))  # Jupyter Book colours whatever one asks
            if step := re.match(r"(reading sources|writing output)\.\.\. \[ *(\d+)%", output[-1]):
                tell(doing=f"Sphinx is {step[1]}, {step[2]} %")
    return process.returncode, "".join(output)


def check(returncode: int, output: str, built: Path, expected: list[str], *, strict: bool) -> None:
    """Refuse a build that failed or lacks a page of the table of contents: Jupyter Book can end with code 0 anyway.

    Raises
    ------
    SiteFailed
        Saying what is wrong, with the warnings if there are any.
    """
    warnings = [line for line in output.splitlines() if "WARNING" in line or "ERROR" in line]
    if returncode or (strict and warnings):
        raise SiteFailed("\n".join(["the site could not be built:", *(warnings or output.splitlines()[-20:])]))
    missing = [page for page in ("index", *expected) if not (built / f"{page}.html").is_file()]
    if missing:
        raise SiteFailed(f"the site lacks {len(missing)} of {len(expected) + 1} pages: {', '.join(missing)}")


def stage(target: Target, selected: list[str]) -> list[str]:
    """Write what Sphinx reads to ``target.source``, touching only what differs; return the pages that it must make.

    Raises
    ------
    DataError
        If the table of contents lacks a chapter.
    """
    config = yaml.safe_load(paths.SITE_CONFIG.read_text(encoding="utf-8"))
    missing = [name for name in chapters.names() if CHAPTERS + name not in contents()]
    if missing:
        raise DataError(f"_toc.yml lacks {', '.join(CHAPTERS + name for name in missing)}")
    toc = contents(CHAPTERS + name for name in chapters.names() if name not in selected)
    config.setdefault("html", {})["announcement"] = pages.announcement(target.profile, target.data_kinds())
    files: dict[str, str | bytes] = {"_config.yml": yaml.safe_dump(config)}
    files["_toc.yml"] = yaml.safe_dump(create_toc_dict(toc))
    book = paths.PAGES
    for path in sorted(book.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"book/{path.relative_to(book).as_posix()}"] = path.read_bytes()
    found = []
    for name in selected:
        executed = target.chapters / f"{name}.ipynb"
        files[f"{CHAPTERS}{name}.ipynb"] = executed.read_bytes()
        found += pages.findings(executed)
    files |= {f"book/_generated/{finding.label}.png": finding.png for finding in found}
    files["book/_generated/findings.md"] = pages.front(found)
    files["book/execution.md"] = pages.execution(pages.records(target, selected), times.budget())
    known = methods.labels(pages.text(target.chapters / f"{name}.ipynb") for name in selected)
    files["book/_generated/methods.md"] = methods.attribution(known)
    files["book/_generated/applications.md"] = methods.applications(known)
    _mirror(files, target.source)
    return list(toc)


def _mirror(files: dict[str, str | bytes], folder: Path) -> None:
    """Make `folder` hold exactly `files`."""
    for name, content in files.items():
        write_if_changed(folder / name, content)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
