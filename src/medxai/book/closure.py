"""Which modules of the package a chapter depends on: the static closure of its imports."""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from medxai import paths


def modules(code: Iterable[str], source: Path = paths.SOURCE, package: str = "medxai") -> list[Path]:
    """Return the files of `package` that `code` imports, directly or through other modules.

    Importing ``a.b.c`` runs ``a/__init__.py`` and ``a/b/__init__.py`` too, so they belong to the closure. Imports
    inside functions count, since they may run; so do data files beside a module that the module names in a string.

    Parameters
    ----------
    code
        Pieces of Python, for example the code cells of a notebook.
    source
        Folder that holds the package.
    package
        Name of the package whose modules are followed.

    Returns
    -------
    list of Path
        Sorted.

    Raises
    ------
    SyntaxError
        If a piece of code or a module is not Python.
    """
    return sorted(_closure(code, source, package)[0])


def others(code: Iterable[str], source: Path = paths.SOURCE, package: str = "medxai") -> list[str]:
    """Return what `code` and the files of its closure import from outside of `package` and the standard library.

    Some are names in a module and not modules: ``from a import b`` gives ``a.b``.
    """
    names = _closure(code, source, package)[1]
    return sorted(name for name in names if name.split(".")[0] not in sys.stdlib_module_names)


def _closure(code: Iterable[str], source: Path, package: str) -> tuple[set[Path], set[str]]:
    """Return the files of `package` in the closure, and the names imported from elsewhere."""
    found: set[Path] = set()
    foreign: set[str] = set()
    waiting = [name for piece in code for name in _imported(ast.parse(piece), "")]
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] != package:
            foreign.add(name)
            continue
        for path, module in _files(name, source):
            if path not in found:
                imported, beside = _contents(path, module)
                waiting += imported
                found |= {path, *beside}
    return found, foreign


@functools.cache
def _contents(path: Path, module: str) -> tuple[list[str], list[Path]]:
    """Return what a module imports, and the data files beside it that it names, such as ``parameters.yml``."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    # Relative imports are taken from the package that holds the module; an __init__ is its own package.
    parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    beside = [file for file in path.parent.iterdir() if file.suffix != ".py" and file.name in strings]
    return list(_imported(tree, parent)), [file for file in beside if file.is_file()]


def _imported(tree: ast.AST, parent: str) -> Iterator[str]:
    """Yield the dotted names that a module imports; ``from a import b`` yields ``a.b``, as b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = parent.split(".") if node.level else []
            base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _files(name: str, source: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, module) that importing `name` runs: each ``__init__`` on the way and the module itself."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = source.joinpath(*parts[:depth])
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                yield candidate, ".".join(parts[:depth])
                break
