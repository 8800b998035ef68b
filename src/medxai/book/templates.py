"""Templates of generated pages: MyST with gaps, in the files ``*.md.j2`` beside this module."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(name: str, /, **values: object) -> str:
    """Return the text of the template ``NAME.md.j2``, its gaps filled with `values`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"one_line": one_line, "plain": plain, "verbatim": verbatim, "kinds": kinds}
    return environment.get_template(f"{name}.md.j2").render(values)


def one_line(text: str) -> str:
    """Return `text` with each run of white space as one space."""
    return " ".join(text.split())


def escape(text: str) -> str:
    """Return `text` so that Markdown, and MyST, show it as it is."""
    return re.sub(r"([\\`*_{}$<>\[\]])", r"\\\1", text)


def plain(text: str) -> str:
    """Return `text` so that MyST shows it as it is, on one line."""
    return escape(one_line(text))


def verbatim(text: str) -> str:
    """Return `text` as inline code, whatever back quotes it holds."""
    return f"``` {one_line(text)} ```" if "`" in text else f"`{text}`"


def kinds(data: dict[str, str]) -> str:
    """Return the kinds of data in words: ``simulated dermxdb``."""
    return ", ".join(f"{kind} {name}" for name, kind in data.items())
