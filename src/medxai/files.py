"""Writing files whole: under a temporary name in the same folder, then renamed."""

import json
import os
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_if_changed(path: Path, content: str | bytes) -> bool:
    """Write `content` unless the file has it already, so that its modification time means a change; return whether."""
    content = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == content:
        return False
    write(path, content)
    return True


def dump(value: object) -> str:
    """Return `value` as indented JSON that ends with a line break."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
