"""Taking the paths of this machine out of an executed notebook."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from medxai import paths

BINARY = ("image/png", "image/jpeg", "application/pdf")
"""Base64 text, in which letters that look like a path mean nothing."""


def _rules() -> list[tuple[re.Pattern[str], str]]:
    """Return (pattern, replacement), the longest path first; a path counts only where it stands as a whole."""
    found = {str(Path.home()): "~", str(paths.data_root()): "MEDXAI_DATA", sys.prefix: "python", str(paths.ROOT): "."}
    rules = [(re.compile(rf"{re.escape(str(paths.ROOT))}/"), "")]
    # Colour codes of a terminal end in a digit and the letter m, right before the path.
    rules += [
        (re.compile(rf"(?:(?<![\w.~-])|(?<=\dm)){re.escape(path)}(?![\w.-])"), name)
        for path, name in sorted(found.items(), key=lambda item: -len(item[0]))
        if path not in ("/", sys.base_prefix)
    ]
    return [*rules, (re.compile(r"(?:/[\w.~@+-]+)*/ipykernel_\d+/\d+\.py"), "<cell>")]


def scrub(value: object) -> object:
    """Return the JSON value with the paths of the checkout, the data, the interpreter and the home folder replaced."""
    rules = _rules()

    def replace(text: str) -> str:
        for pattern, name in rules:
            text = pattern.sub(name, text)
        return text

    return _map(value, replace)


def remaining(value: object) -> list[str]:
    """Return every text in the JSON value that still names the checkout or the home folder of this machine."""
    texts: list[str] = []
    _map(value, lambda text: texts.append(text) or text)
    rules = _rules()
    return [text for text in texts if any(pattern.search(text) for pattern, _ in rules)]


def _map(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map(item, change) for item in value]
    if isinstance(value, dict):
        return {key: item if key in BINARY else _map(item, change) for key, item in value.items()}
    return value
