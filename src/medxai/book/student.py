"""The student tree: every chapter without solutions, as plain text and as notebook, ready to hand out."""

import os
import shutil
import tempfile
from pathlib import Path

import jupytext
import nbformat

from medxai.book import chapters, cross_references, editions, first_cell, plain
from medxai.book.target import Target
from medxai.errors import DataError


def write(folder: Path) -> list[Path]:
    """Write every chapter to `folder` as ``.md`` and ``.ipynb``, without solutions or outputs, and return the files.

    Their text is plain Markdown. Its numbers are those of the last build at ``quick``; of a chapter that has not
    been built, they are left out, and the notebook says so.

    Raises
    ------
    DataError
        If `folder` holds anything but an earlier student tree, a solution is marked wrongly, or one would leak; if a
        chapter has been built from an older text, or something in it has no plain form.
    """
    written = [f"{name}{suffix}" for name in chapters.names() for suffix in (".ipynb", ".md")]
    strange = sorted(path.name for path in folder.iterdir() if path.name not in written) if folder.exists() else []
    if strange:
        raise DataError(f"{folder} holds {strange[0]}, which is not of a student tree: name a new or empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        tree = Path(temporary) / "tree"
        tree.mkdir()
        book, target = cross_references.read(), Target("quick")
        for name in chapters.names():
            notebook = editions.student(chapters.read(name), name)
            notebook.cells.insert(0, first_cell.cell())
            notebook = plain.plain(notebook, name, book, plain.built(target, name))
            (tree / f"{name}.md").write_text(jupytext.writes(notebook, fmt="md:myst"), encoding="utf-8")
            nbformat.write(notebook, tree / f"{name}.ipynb")
        if found := editions.leaks(chapters.names(), tree):
            raise DataError(
                f"{len(found)} lines of solutions would leak into the student tree, for example {found[0]!r}"
            )
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(tree, folder)
    return [folder / name for name in written]
