"""pyproject.toml, requirements.lock, environment.yml and what is installed agree."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import metadata

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from medxai.book import chapters
from medxai.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
LOCKED = [Requirement(line) for line in LINES]
DECLARED = [
    Requirement(text)
    for text in [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
# The Pythons and systems that the lock file is for.
ENVIRONMENTS = [
    default_environment()
    | {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": platform}
    | {"implementation_name": "cpython"}
    for python in ("3.11", "3.12", "3.13")
    for platform in ("linux", "darwin", "win32")
]


def pin(requirement: Requirement) -> Version:
    """The version of a line ``name==version``."""
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", f"{requirement} is not pinned"
    return Version(specifier.version)


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda requirement: requirement.name)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: f"{one['python_version']}-{one['sys_platform']}")
def test_each_dependency_is_pinned_once_and_within_its_bounds(declared, environment):
    name = canonicalize_name(declared.name)
    pins = [pin(one) for one in LOCKED if canonicalize_name(one.name) == name and applies(one, environment)]
    assert len(pins) == 1, f"{declared.name} has {len(pins)} pins in requirements.lock"
    assert declared.specifier.contains(pins[0], prereleases=True), f"{declared} is locked to {pins[0]}: run `make lock`"


def test_no_dependency_is_declared_twice():
    counts = Counter(canonicalize_name(one.name) for one in DECLARED)
    assert not {name for name, count in counts.items() if count > 1}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: f"{one['python_version']}-{one['sys_platform']}")
def test_nothing_is_locked_twice(environment):
    counts = Counter(canonicalize_name(one.name) for one in LOCKED if applies(one, environment))
    assert not {name for name, count in counts.items() if count > 1}


def test_the_lock_names_packages_and_no_places():
    for line, requirement in zip(LINES, LOCKED, strict=True):
        assert requirement.url is None, line
        assert not line.startswith("-"), line
        pin(requirement)
    assert not re.search("https?:|--index|--find|file:", "\n".join(LINES))


def test_conda_installs_from_the_lock():
    (pip,) = [one["pip"] for one in CONDA["dependencies"] if isinstance(one, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    assert "pip" in CONDA["dependencies"]


def test_the_python_of_conda_is_one_that_the_project_takes():
    (python,) = [one for one in CONDA["dependencies"] if isinstance(one, str) and one.startswith("python=")]
    version = python.removeprefix("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert version in {one["python_version"] for one in ENVIRONMENTS}


def test_what_is_installed_is_what_is_locked():
    here = default_environment()
    wanted = {one.name: str(pin(one)) for one in LOCKED if applies(one, here)}
    installed = {}
    for name in wanted:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    assert installed == wanted


def test_no_tracked_file_names_a_package_registry():
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("anaconda", "org"))]
    hosts.append("://" + "conda.")
    found = subprocess.run(
        ["git", "grep", "--untracked", "-I", "-l", "-F", *(option for host in hosts for option in ("-e", host))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        pytest.skip(f"this is not a git checkout: {found.stderr.strip()}")
    assert found.stdout == ""


def imported(code: str) -> set[str]:
    """The top-level modules that a piece of code imports."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_a_downloaded_chapter_needs_nothing_but_the_package_and_its_dependencies():
    here = {path.relative_to(ROOT / "src/medxai").parts[0]: set() for path in (ROOT / "src/medxai").rglob("*.py")}
    for path in (ROOT / "src/medxai").rglob("*.py"):
        here[path.relative_to(ROOT / "src/medxai").parts[0]] |= imported(path.read_text(encoding="utf-8"))
    pipeline = here.pop("book") | here.pop("grading") | here.pop("cli.py")
    chapter_code = ["\n".join(chapters.code(chapters.read(name))) for name in chapters.names()]
    used = set().union(*here.values(), *(imported(code) for code in chapter_code))
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    providers = metadata.packages_distributions()
    foreign = {name for name in used if name not in sys.stdlib_module_names and name != "medxai"}
    missing = {n for n in foreign if not declared & {canonicalize_name(d) for d in providers.get(n, [])}}
    assert foreign >= {"numpy", "pandas"}
    assert missing == set()
    assert "papermill" in pipeline  # what only the build needs is an extra
