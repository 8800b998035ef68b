"""Which modules of the package a chapter depends on: the static closure of its imports."""

import ast
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
    found: set[Path] = set()
    waiting = [name for piece in code for name in _imported(ast.parse(piece), "")]
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] != package:
            continue
        for path, module in _files(name, source):
            if path not in found:
                found.add(path)
                tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
                # Relative imports are taken from the package that holds the module; an __init__ is its own package.
                parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
                waiting += _imported(tree, parent)
                found.update(_named_files(tree, path.parent))
    return sorted(found)


def others(code: Iterable[str], files: Iterable[Path], package: str = "medxai") -> list[str]:
    """Return the names of modules outside of `package` and the standard library that code cells or modules import."""
    pieces = [*code, *(path.read_text(encoding="utf-8") for path in files if path.suffix == ".py")]
    names = set()
    for node in (node for piece in pieces for node in ast.walk(ast.parse(piece))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return sorted(name for name in names if name.split(".")[0] not in {package, *sys.stdlib_module_names})


def _named_files(tree: ast.AST, folder: Path) -> Iterator[Path]:
    """Yield the data files of `folder` that the module names, for example ``parameters.yml``."""
    beside = {path.name: path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in beside:
            yield beside[node.value]


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
