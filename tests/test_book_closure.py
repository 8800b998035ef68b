"""The import closure: which modules a chapter depends on."""

from pathlib import Path

import pytest

from medxai.book import closure


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
