"""MathJax from the site itself: one file, with its fonts inside, so that no page with formulas needs the network."""

from importlib.metadata import files
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

SCRIPT = "tex-svg-full.js"


def setup(app: Sphinx) -> dict[str, bool]:
    """Point Sphinx to the local script and copy it into the site."""
    app.config.mathjax_path = SCRIPT
    app.connect("build-finished", copy_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy_script(app: Sphinx, error: Exception | None) -> None:
    """Copy the script out of the installed package ``sphinx-mathjax-offline``, which cannot be imported by its name."""
    if error is None:
        (script,) = (file for file in files("sphinx-mathjax-offline") if file.name == SCRIPT)
        copy_asset(str(script.locate()), str(Path(app.outdir, "_static")))
