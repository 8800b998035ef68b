"""The first cell of every notebook that leaves the checkout: it fetches the package where there is none."""

import os

import nbformat
import yaml
from nbformat import NotebookNode

from medxai import paths

TEMPLATE = """\
# This notebook was downloaded: fetch the book's package (with its tables) if it is not installed.
try:
    import medxai
except ImportError:
    import pathlib
    import subprocess
    import sys

    if not pathlib.Path("medxai-book").exists():
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{repository}", "medxai-book"], check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "medxai-book"]
    subprocess.run(install, check=True)
    sys.path.insert(0, "medxai-book/src")"""


def repository() -> str:
    """Return the public address of the repository: the fork that GitHub builds, else that of ``_config.yml``."""
    if fork := os.environ.get("GITHUB_REPOSITORY"):
        return f"https://github.com/{fork}"
    return yaml.safe_load(paths.SITE_CONFIG.read_text(encoding="utf-8"))["repository"]["url"]


def cell() -> NotebookNode:
    """Return the cell; it is not shown on the site."""
    return nbformat.v4.new_code_cell(
        TEMPLATE.format(repository=repository()), id="bootstrap", metadata={"tags": ["remove-cell"]}
    )
