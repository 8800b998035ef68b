"""Chapters as plain Markdown, for Jupyter and Colab, which know neither roles nor directives.

The text is parsed as Sphinx parses it; what plain Markdown has too stays as it stands, everything else is written in
other words. What has no such words here (an unknown role, a kind of list that Jupyter does not show) is an error, so
that no notebook goes out with marks that its reader cannot read.
"""

import copy
import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

import nbformat
from markdown_it.token import Token
from nbformat import NotebookNode

from medxai.book import bibliography, chapters, myst, pages, toc
from medxai.book.cross_references import Book
from medxai.book.target import Target
from medxai.book.templates import escape
from medxai.checks import quiz
from medxai.errors import DataError

KNOWN = {
    *(
        "paragraph",
        "heading",
        "inline",
        "text",
        "softbreak",
        "hardbreak",
        "em",
        "strong",
        "code_inline",
        "fence",
        "image",
    ),
    *(
        "code_block",
        "bullet_list",
        "ordered_list",
        "list_item",
        "blockquote",
        "link",
        "hr",
        "html_block",
        "html_inline",
    ),
    *("table", "thead", "tbody", "tr", "th", "td", "math_inline", "math_block", "amsmath"),
}
"""Tokens of what Jupyter and Colab show as the book does."""

DROPPED = {"myst_target", "myst_line_comment", "myst_block_break"}
ADDRESS = re.compile(r"(https?|mailto):|attachment:")
FOLDED = {"hide-input", "remove-input", "remove-cell"}
"""Tags of cells whose code the site folds away or leaves out; Jupyter folds it."""

NOT_COMPUTED = "[not computed]"
ABOUT = "about"
QUIZ = """\
from medxai.checks import quiz

# Put the letter of your answer, in quotes, in place of three dots: {{1: "A", ...
quiz.check("{name}", {{{answers}}})"""


@dataclass(frozen=True)
class Numbers:
    """The numbers that an executed chapter has for its text, and a sentence that says of which build they are."""

    texts: Mapping[str, str]
    origin: str


def built(target: Target, name: str) -> Numbers | None:
    """Return the numbers of a chapter as a build made them, or None if it has not been built."""
    executed = target.chapters / f"{name}.ipynb"
    if not executed.exists():
        return None
    prefix, texts = "application/papermill.record/", {}
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            if kept := output.get("metadata", {}).get("scrapbook"):
                texts[kept["name"]] = output["data"][f"{prefix}text/plain"]
    return Numbers(texts, pages.announcement(target.profile, target.data_kinds()))


def plain(notebook: NotebookNode, name: str, book: Book, numbers: Numbers | None) -> NotebookNode:
    """Return a copy of the chapter `name` in plain Markdown; what is plain already stays as it is.

    Parameters
    ----------
    notebook
        With or without outputs, which stay.
    name
        ``01_dataset`` ...
    book
        Where links lead.
    numbers
        For the text; where there are none, it says `NOT_COMPUTED`.

    Raises
    ------
    DataError
        If something in it has no plain form, or refers to what is not there: says chapter, cell and what.
    """
    notebook, writer = copy.deepcopy(notebook), _Writer(name, book, numbers)
    cells = [] if any(cell.id == ABOUT for cell in notebook.cells) else [_about(name, book, numbers)]
    for cell in notebook.cells:
        try:
            cells += {"code": writer.code, "markdown": writer.markdown}.get(cell.cell_type, lambda raw: [raw])(cell)
        except DataError as error:
            raise DataError(f"chapter {name}, {chapters.place(cell)}: {error}") from None
    notebook.cells = cells
    return notebook


def _about(name: str, book: Book, numbers: Numbers | None) -> NotebookNode:
    """Return the cell that says what this notebook is, and whose the numbers in its text are."""
    page = book.link("This chapter on the book's site", book.find("pages", f"{toc.CHAPTERS}{name}"))
    origin = (
        f"Numbers in the text are those of the site: “{numbers.origin}” Those that you compute here may differ."
        if numbers
        else f"Numbers in the text were not there when this notebook was written: it says {NOT_COMPUTED}."
    )
    source = f"*{page}. Run the cells from top to bottom; the first one gets the book's package. {origin}*"
    return nbformat.v4.new_markdown_cell(source, id=ABOUT)


@dataclass(frozen=True)
class _Writer:
    """Writes the cells of one chapter."""

    name: str
    book: Book
    numbers: Numbers | None

    def code(self, cell: NotebookNode) -> list[NotebookNode]:
        """Return the cell, folded if the site folds it, and its figure's caption as a cell of its own."""
        if FOLDED & set(cell.metadata.get("tags", ())):
            cell.metadata.setdefault("jupyter", {})["source_hidden"] = True
        shown = cell.metadata.pop("mystnb", {})
        figure, alt = shown.get("figure", {}), shown.get("image", {}).get("alt")
        parts = []
        if "caption" in figure:
            number = self.book.find("figures", figure["name"]).number
            parts.append(f"**Fig. {number}.** {self.text(figure['caption'])}")
        if alt:
            parts.append(_folded("The figure in words", escape(alt)))
        caption = nbformat.v4.new_markdown_cell("\n\n".join(parts), id=f"{cell.id}-caption")
        return [cell, caption] if parts else [cell]

    def markdown(self, cell: NotebookNode) -> list[NotebookNode]:
        """Return the cell in plain Markdown, cut at its quizzes, each of which gets a cell for the answers."""
        parts = []
        for part in _cut(cell.source):
            if isinstance(part, myst.Directive):
                parts += _quiz(part.argument)
            elif text := self.text(part).strip("\n"):
                parts.append(nbformat.v4.new_markdown_cell(text))
        for number, part in enumerate(parts):
            part.id = f"{cell.id}-{number}" if number else cell.id
        return parts

    def text(self, source: str) -> str:
        """Return a text in plain Markdown."""
        lines, taken, edits = source.split("\n"), {}, []
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        for token in myst.parser().parse(source):
            if (block := self.block(token)) is not None:
                edits.append(_block(token, lines, starts, block))
            elif token.type == "inline":
                edits += self.inline(token, lines, starts, taken)
        for start, end, new in sorted(edits, reverse=True):
            source = source[:start] + new + source[end:]
        return source

    def block(self, token: Token) -> str | None:
        """Return what stands for a block, or None if it stays."""
        if token.type in DROPPED:
            return ""
        if token.type == "math_block_label":
            number = self.book.find("equations", token.info).number
            return f"$$\n{token.content.strip()} \\tag{{{number}}}\n$$"
        directive = myst.directive(token)
        if directive is None:
            _check(token)
            return None
        if directive.name not in self.DIRECTIVES:
            raise DataError(f"the directive {directive} has no plain form; known are {', '.join(self.DIRECTIVES)}")
        return self.DIRECTIVES[directive.name](self, directive)

    def inline(
        self, token: Token, lines: list[str], starts: list[int], taken: dict[int, int]
    ) -> Iterator[tuple[int, int, str]]:
        """Yield start and end in the text of each role in a paragraph, a heading or a cell, and what stands for it."""
        places = myst.positions(token, lines, taken)
        for child in token.children:
            if child.type != "myst_role":
                _check(child)
                continue
            role = f"{{{child.meta['name']}}}`{child.content}`"
            if child.meta["name"] not in self.ROLES:
                raise DataError(f"the role {role} has no plain form; known are {', '.join(self.ROLES)}")
            if places is None:
                raise DataError(f"the role {role} cannot be found in the text: take it out of its table or list")
            try:
                new = self.ROLES[child.meta["name"]](self, child.content)
            except DataError as error:
                raise DataError(f"the role {role}: {error}") from None
            start, end = (_offset(token.content, at, places, starts) for at in child.meta["span"])
            yield start, end, new

    def number(self, content: str) -> str:
        """Write a number as MyST-NB's ``glue:text`` does: ``name:format``."""
        from myst_nb.core.variables import format_plain_text

        name, form = content.rsplit(":", 1) if ":" in content else (content, "s")
        if self.numbers is None:
            return escape(NOT_COMPUTED)
        if name not in self.numbers.texts:
            raise DataError("the build has no such number: build the book again")
        try:
            return escape(format_plain_text(self.numbers.texts[name], form))
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.numbers.texts[name]} cannot be written like that ({error})") from None

    def cited_in_brackets(self, content: str) -> str:
        """Write works as ``(authors, year; authors, year)``."""
        works = [(key, self.work(key)) for key in content.split(",")]
        return f"({'; '.join(self.cite(key, f'{work.authors}, {work.year}') for key, work in works)})"

    def cited_in_text(self, content: str) -> str:
        """Write works as ``authors (year)``."""
        works = [(key, self.work(key)) for key in content.split(",")]
        return ", ".join(self.cite(key, f"{work.authors} ({work.year})") for key, work in works)

    def work(self, key: str) -> bibliography.Work:
        if key.strip() not in bibliography.works():
            raise DataError(f"{bibliography.FILE.name} has no work {key.strip()!r}")
        return bibliography.works()[key.strip()]

    def cite(self, key: str, text: str) -> str:
        """Return `text` with a link to the work, or to the bibliography if the work has no address."""
        if address := self.work(key).address:
            return f"[{escape(text)}]({address})"
        return self.book.link(text, self.book.find("pages", "book/bibliography"))

    def page(self, content: str) -> str:
        """Write a page by the words of its link, else by its title."""
        text, name = myst.explicit(content)
        place = self.book.page(name, f"{toc.CHAPTERS}{self.name}")
        return self.book.link(text or place.title, place)

    def section(self, content: str) -> str:
        """Write a section by the words of its link, else by its title."""
        text, label = myst.explicit(content)
        place = self.book.find("sections", label)
        if not text and not place.title:
            raise DataError("no heading follows the label: the link needs words, as in `words <label>`")
        return self.book.link(text or place.title, place)

    def figure(self, content: str) -> str:
        """Write a figure by its number."""
        text, label = myst.explicit(content)
        place = self.book.find("figures", label)
        return self.book.link((text or "Fig. %s").replace("%s", place.number).replace("{number}", place.number), place)

    def equation(self, content: str) -> str:
        """Write an equation by its number."""
        place = self.book.find("equations", content)
        return self.book.link(f"({place.number})", place)

    def term(self, content: str) -> str:
        """Write a term as it stands."""
        text, term = myst.explicit(content)
        return self.book.link(text or term, self.book.find("terms", term.lower()))

    def admonition(self, directive: myst.Directive) -> str:
        """Write a box as a quotation with a title, a folded one as details."""
        if "dropdown" in directive.options.get("class", ""):
            return _folded(html.escape(directive.argument), self.text(directive.body))
        return self.box(self.text(directive.argument), directive.body)

    def named(self, directive: myst.Directive) -> str:
        """Write a box whose kind is its title; what follows the name belongs to the text."""
        return self.box(directive.name.capitalize(), f"{directive.argument}\n{directive.body}".strip())

    def exercise(self, directive: myst.Directive) -> str:
        """Write an exercise as a box with its number."""
        number = self.book.find("exercises", directive.options.get("label", "")).number
        title = f" ({self.text(directive.argument)})" if directive.argument else ""
        return self.box(f"Exercise {number}{title}", directive.body)

    def box(self, title: str, body: str) -> str:
        """Return a quotation; a formula in it stands on one line, since Jupyter takes ``>`` inside it for a sign."""
        text = re.sub(r"\$\$.*?\$\$", lambda formula: " ".join(formula[0].split()), self.text(body), flags=re.DOTALL)
        return "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *text.split("\n")])

    def drawing(self, directive: myst.Directive) -> str:
        """Write a drawing in words: its description and its caption; Jupyter and Colab remove what draws it."""
        try:
            parts = [*ElementTree.fromstring(directive.body).iter()]
        except ElementTree.ParseError as error:
            raise DataError(f"{directive}: what has a plain form is one figure, well-formed ({error})") from None
        found = {part.tag.rpartition("}")[2]: " ".join("".join(part.itertext()).split()) for part in parts}
        if not {"desc", "figcaption"} <= found.keys():
            raise DataError(f"{directive}: a drawing needs <desc> and <figcaption>, which are its plain form")
        place = self.book.find("pages", f"{toc.CHAPTERS}{self.name}")
        site = self.book.link("The drawing is on the book's site", place)
        return self.box("A drawing, in words", f"{escape(found['desc'])}\n\n{escape(found['figcaption'])}\n\n{site}.")

    ROLES: ClassVar[dict[str, Callable[["_Writer", str], str]]] = {
        "glue:text": number,
        "cite:p": cited_in_brackets,
        "cite:t": cited_in_text,
        "doc": page,
        "ref": section,
        "numref": figure,
        "eq": equation,
        "term": term,
    }
    DIRECTIVES: ClassVar[dict[str, Callable[["_Writer", myst.Directive], str]]] = {
        "admonition": admonition,
        **dict.fromkeys(("note", "tip", "hint", "important", "warning", "seealso"), named),
        "exercise": exercise,
        "raw": drawing,
    }


def _check(token: Token) -> None:
    """Refuse what Jupyter would not show as the book does."""
    shown = (token.content or token.info).strip()[:60]
    if token.type.removesuffix("_open").removesuffix("_close") not in KNOWN:
        raise DataError(f"{token.type} has no plain form: {shown!r}")
    address = token.attrs.get("src" if token.type == "image" else "href")
    if address is not None and not ADDRESS.match(str(address)):
        raise DataError(f"a link to {str(address)!r}, which a notebook elsewhere does not find: use {{doc}} or {{ref}}")
    if {"class", "id"} & token.attrs.keys():
        raise DataError(f"attributes in braces have no plain form: {token.attrs}")
    for inside in (token.children or ()) if token.type == "image" else ():
        _check(inside)


def _cut(source: str) -> Iterator[str | myst.Directive]:
    """Yield a text in parts: what stands between its quizzes, and the quizzes."""
    lines, start = source.split("\n"), 0
    for token in myst.parser().parse(source):
        directive = myst.directive(token)
        if directive and directive.name == "quiz" and token.level == 0:
            yield "\n".join(lines[start : token.map[0]])
            yield directive
            start = token.map[1]
    yield "\n".join(lines[start:])


def _quiz(name: str) -> list[NotebookNode]:
    """Return the questions of a quiz with lettered options, and a cell for the answers, which the package knows."""
    try:
        questions = quiz.load(quiz.QUIZZES / f"{name}.yml")
    except (OSError, ValueError) as problem:
        raise DataError(f"quiz {name}: {problem}") from None
    blocks = []
    for number, question in enumerate(questions, start=1):
        options = (f"- **{letter}.** {_inline(one['text'])}" for letter, one in quiz.lettered(question).items())
        blocks += [f"**{number}.** {_inline(question['prompt'])}", "\n".join(options)]
    answers = ", ".join(f"{number}: ..." for number in range(1, len(questions) + 1))
    return [
        nbformat.v4.new_markdown_cell("\n\n".join(blocks)),
        nbformat.v4.new_code_cell(QUIZ.format(name=name, answers=answers)),
    ]


def _inline(text: str) -> str:
    """Return a text of a quiz, in which only `code` and *emphasis* are marks, as Markdown on one line."""
    pieces = re.split(r"(`[^`]+`|\*[^*\s][^*]*\*)", " ".join(text.split()))
    return "".join(piece if number % 2 else escape(piece) for number, piece in enumerate(pieces))


def _folded(title: str, body: str) -> str:
    """Return Markdown that a click on its title opens, in Jupyter and in Colab."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _block(token: Token, lines: list[str], starts: list[int], new: str) -> tuple[int, int, str]:
    """Return start and end of a block in the text, and `new` behind the marks of lists and quotations it stands in."""
    first, after = token.map
    indent = len(lines[first]) - len(lines[first].lstrip(" >"))
    if lines[first][indent:][:1] in "-*+0123456789":  # on the line of an item of a list, whose mark stays
        indent = lines[first].find(token.markup or "(", indent)
        if not new:
            raise DataError(f"{lines[first].strip()!r} stands on the line of a list's mark: give it its own")
    if not new:
        return starts[first], min(starts[after], starts[-1] - 1), ""
    further = "\n" + re.sub(r"[^>\s]", " ", lines[first][:indent])
    return starts[first] + indent, starts[after] - 1, new.replace("\n", further)


def _offset(content: str, at: int, places: list[tuple[int, int]], starts: list[int]) -> int:
    """Return where position `at` in an inline token's content is in the text."""
    before = content[:at]
    line, column = places[before.count("\n")]
    return starts[line] + column + at - (before.rfind("\n") + 1)
