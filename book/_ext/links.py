"""Links that work: chapters launch from branch ``notebooks``, every page is edited where its text lies.

The site is built from staged and executed copies, so the theme's own links would name files that no branch has.
"""

import os
from pathlib import PurePosixPath
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

NOTEBOOK_BRANCH = "notebooks"
"""Where continuous integration publishes the chapters as ``NN_name.ipynb``."""

GENERATED = {"book/execution": "src/medxai/book/execution.md.j2"}
"""Pages that the build writes, and what writes them."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register after the theme, which makes its buttons at priority 501."""
    app.connect("config-inited", use_fork)
    app.connect("html-page-context", correct_links, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def use_fork(app: Sphinx, config: Config) -> None:
    """Let GitHub's own environment name the repository, so that forks link to themselves."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        config.html_theme_options["repository_url"] = f"https://github.com/{repository}"


def targets(page: str, options: dict[str, Any]) -> dict[str, str]:
    """Return the address of each button of a page by the button's label, or text where it has no label."""
    repository, branch = options["repository_url"].rstrip("/"), options["repository_branch"]
    name = PurePosixPath(page).name
    if PurePosixPath(page).parent.name != "chapters":
        return {"source-edit-button": f"{repository}/edit/{branch}/{GENERATED.get(page, f'{page}.md')}"}
    owner_and_name = "/".join(repository.split("/")[-2:])
    colab, binder = options["launch_buttons"]["colab_url"], options["launch_buttons"]["binderhub_url"]
    return {
        "source-edit-button": f"{repository}/edit/{branch}/notebooks/{name}.md",
        "Colab": f"{colab}/github/{owner_and_name}/blob/{NOTEBOOK_BRANCH}/{name}.ipynb",
        "Binder": f"{binder}/v2/gh/{owner_and_name}/{NOTEBOOK_BRANCH}?urlpath=lab/tree/{name}.ipynb",
    }


def correct_links(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Replace the addresses of the theme's buttons by ours."""
    addresses = targets(page, app.config.html_theme_options)
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", [group]):
            key = button.get("label", button.get("text"))
            if key in addresses:
                button["url"] = addresses[key]
