"""Reading MyST: the parser that Sphinx uses, with the place of each role in the text, and directives in their parts."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.myst_role import index as roles
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from medxai import paths

DIRECTIVE = re.compile(r"\{(?P<name>[^}\s]+)\}\s*(?P<argument>.*)", re.DOTALL)
OPTION = re.compile(r":(?P<key>[\w-]+):\s*(?P<value>.*)")
EXPLICIT = re.compile(r"(?P<text>.*?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
VERBATIM = {"raw", "glossary", "list-table", "bibliography", "code-cell", "code-block", "math", "quiz"}
"""Directives whose body is not MyST by itself."""


@functools.cache
def parser() -> MarkdownIt:
    """Return the book's parser of MyST; a role's token says where it stands: ``token.meta["span"]``, see `positions`.

    Lists of tasks stay out of it, since Jupyter shows them as they are.
    """
    config = yaml.safe_load(paths.SITE_CONFIG.read_text(encoding="utf-8"))
    extensions = set(config.get("parse", {}).get("myst_enable_extensions", ())) - {"tasklist"}
    found = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
    found.inline.ruler.at("myst_role", _role)
    return found


def _role(state: StateInline, silent: bool) -> bool:
    start = state.pos
    if not roles.myst_role(state, silent):
        return False
    if not silent:
        state.tokens[-1].meta["span"] = (start, state.pos)
    return True


@dataclass(frozen=True)
class Directive:
    """A directive's name, what follows on its line, its options, and what it holds."""

    name: str
    argument: str
    options: dict[str, str]
    body: str

    def __str__(self) -> str:
        return f"{{{self.name}}} {self.argument}".strip()


def directive(token: Token) -> Directive | None:
    """Return the directive that a token is, or None; options are read as ``:key: value`` or between lines ``---``."""
    match = DIRECTIVE.fullmatch(token.info.strip()) if token.type in {"fence", "colon_fence"} else None
    if not match:
        return None
    lines, options = token.content.split("\n"), {}
    if lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:]):
        end = next(number for number, line in enumerate(lines[1:], start=1) if line.strip() == "---")
        given = yaml.safe_load("\n".join(lines[1:end])) or {}
        options, lines = {key: str(value) for key, value in given.items()}, lines[end + 1 :]
    while lines and (option := OPTION.fullmatch(lines[0].strip())):
        options[option["key"]] = option["value"]
        lines = lines[1:]
    return Directive(match["name"], match["argument"].strip(), options, "\n".join(lines).strip("\n"))


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text in reading order, those inside its directives, too."""
    for token in parser().parse(text):
        yield token
        found = directive(token)
        if found and found.name not in VERBATIM:
            yield from tokens(found.body)


def words(token: Token) -> str:
    """Return what an inline token says, without its markup."""
    return "".join(child.content or " " * (child.type == "softbreak") for child in token.children or ())


def explicit(content: str) -> tuple[str, str]:
    """Return the words of a role and its target: ``below <label>`` has both, ``label`` no words."""
    match = EXPLICIT.fullmatch(content.strip())
    return (match["text"], match["target"].strip()) if match else ("", content.strip())


def positions(token: Token, lines: list[str], taken: dict[int, int]) -> list[tuple[int, int]] | None:
    """Return line and column in the text at which each line of an inline token's content begins; None if not found.

    Parameters
    ----------
    token
        With the content as the parser sees it: without indentation, quotation marks and the bars of tables.
    lines
        The text.
    taken
        By line, how far it has been assigned to earlier tokens (cells of the same row of a table); brought up to date.
    """
    found = []
    for number, content in enumerate(token.content.split("\n"), start=token.map[0]):
        line = lines[number].rstrip()
        column = len(line) - len(content) if line.endswith(content) else line.find(content, taken.get(number, 0))
        if column < taken.get(number, 0):
            return None
        taken[number] = column + len(content)
        found.append((number, column))
    return found
