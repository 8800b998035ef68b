"""The first cell of every notebook that leaves the checkout: it fetches the package where there is none.

It fetches what the package needs to run and no more: with a sparse, partial clone the folder ``notebooks/``, which
holds the solutions, is neither downloaded nor checked out.
"""

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
        clone = ["git", "clone", "--quiet", "--depth", "1", "--filter=blob:none", "--sparse"]
        subprocess.run([*clone, "{repository}", "medxai-book"], check=True)
    sparse = ["git", "-C", "medxai-book", "sparse-checkout"]
    subprocess.run([*sparse, "init", "--cone"], check=True)
    subprocess.run([*sparse, "set", {folders}], check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "medxai-book"]
    subprocess.run(install, check=True)
    sys.path.insert(0, "medxai-book/src")"""


FOLDERS = ("src", "data", "book/quizzes")
"""What runs: the package, its tables, the questions of the quizzes."""


def repository() -> str:
    """Return the public address of the repository: the fork that GitHub builds, else that of ``_config.yml``."""
    if fork := os.environ.get("GITHUB_REPOSITORY"):
        return f"https://github.com/{fork}"
    return yaml.safe_load(paths.SITE_CONFIG.read_text(encoding="utf-8"))["repository"]["url"]


def cell() -> NotebookNode:
    """Return the cell; it is not shown on the site."""
    folders = ", ".join(f'"{folder}"' for folder in FOLDERS)
    source = TEMPLATE.format(repository=repository(), folders=folders)
    return nbformat.v4.new_code_cell(source, id="bootstrap", metadata={"tags": ["remove-cell"]})
