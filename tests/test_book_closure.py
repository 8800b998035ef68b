"""The import closure: which modules a chapter depends on, of a package made for it and of the book's own chapters."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from medxai import paths
from medxai.book import chapters, closure


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose modules import one another in every way that Python allows."""
    files = {
        "pack/__init__.py": "",
        "pack/alone.py": "",
        "pack/sub/__init__.py": "from .inner import thing",
        "pack/sub/inner.py": "thing = 1",
        "pack/sub/other.py": "from .. import top",
        "pack/top.py": "def late():\n    from pack import lazy",
        "pack/lazy.py": "import json\nimport pack.circle",
        "pack/circle.py": "import pack.lazy",
        "pack/reader.py": 'from pathlib import Path\nPARAMETERS = Path(__file__).with_name("parameters.yml")',
        "pack/parameters.yml": "a: 1",
        "pack/unread.yml": "a: 1",
        "package_of_others/__init__.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(package: Path, *code: str) -> set[str]:
    return {path.relative_to(package).as_posix() for path in closure.modules(code, package, "pack")}


def test_a_module_brings_the_packages_it_lies_in_and_what_they_import(package: Path) -> None:
    assert names(package, "import pack.sub.other as o") == {
        "pack/__init__.py",
        "pack/sub/__init__.py",
        "pack/sub/inner.py",
        "pack/sub/other.py",
        "pack/top.py",
        "pack/lazy.py",
        "pack/circle.py",
    }


def test_from_package_import_module_is_followed(package: Path) -> None:
    assert names(package, "from pack import alone") == {"pack/__init__.py", "pack/alone.py"}


def test_from_package_import_name_is_that_package(package: Path) -> None:
    assert names(package, "from pack.sub import thing") == {
        "pack/__init__.py",
        "pack/sub/__init__.py",
        "pack/sub/inner.py",
    }


def test_modules_that_import_each_other_end(package: Path) -> None:
    assert names(package, "import pack.circle") == {"pack/__init__.py", "pack/circle.py", "pack/lazy.py"}


def test_data_files_count_where_a_module_names_them(package: Path) -> None:
    assert names(package, "import pack.reader") == {"pack/__init__.py", "pack/reader.py", "pack/parameters.yml"}


def test_other_packages_do_not_count(package: Path) -> None:
    assert names(package, "import json, package_of_others, pack_not_there") == set()


def test_what_others_provide(package: Path) -> None:
    (package / "pack/user.py").write_text(
        "import os.path\nimport numpy as np\ndef late():\n    from scipy import stats"
    )
    code = ["import pack.user\nfrom pandas import DataFrame"]
    assert closure.others(code, package, "pack") == ["numpy", "pandas.DataFrame", "scipy.stats"]


def test_every_cell_counts(package: Path) -> None:
    assert names(package, "x = 1", "if x:\n    import pack.alone") == {"pack/__init__.py", "pack/alone.py"}


LOADED = """
import json, os, sys

import matplotlib.pyplot, pandas, torch  # once, before the fork: they take most of the time

for name, imports in json.loads(sys.stdin.read()).items():
    sys.stdout.flush()
    if os.fork() == 0:
        exec(imports)
        if "medxai.attribution" in sys.modules:
            from medxai.attribution import CONTROLS, METHODS
            assert all(callable(method.function) for method in (METHODS | CONTROLS).values())
        modules = [module for key, module in sys.modules.items() if key.partition(".")[0] == "medxai"]
        print(json.dumps([name, [module.__file__ for module in modules]]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[Path]]:
    """By chapter: the files of the package that are loaded once its imports have run and every method was looked up."""
    code = {
        name: "\n".join(
            ast.unparse(node)
            for cell in chapters.code(chapters.read(name))
            for node in ast.walk(ast.parse(cell))
            if isinstance(node, ast.Import | ast.ImportFrom)
        )
        for name in chapters.names()
    }
    result = subprocess.run(
        [sys.executable, "-c", LOADED], input=json.dumps(code), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return {name: set(map(Path, files)) for name, files in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize("name", chapters.names())
def test_what_a_chapter_loads_is_in_its_closure(loaded: dict[str, set[Path]], name: str) -> None:
    """Each of these modules is an input of the chapter, so that editing it makes the chapter due (test_book_build)."""
    assert len(loaded[name]) > 10
    assert loaded[name] <= set(closure.modules(chapters.code(chapters.read(name))))


def test_a_chapter_that_explains_depends_on_every_method() -> None:
    attribution = paths.ROOT / "src" / "medxai" / "attribution"
    assert set(attribution.rglob("*.py")) <= set(closure.modules(["from medxai.attribution import explain"]))
