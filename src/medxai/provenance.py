"""How a result was made: the commit of the checkout, the processor, the versions of packages."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from medxai import paths

PACKAGES = ("numpy", "pandas", "opencv-python-headless", "scipy", "scikit-learn", "torch", "torchvision", "timm")
"""Those whose versions a result names."""


def here(but: str = "") -> dict:
    """Return commit, date, hardware and versions of a result that is made now; `but` as of `commit`."""
    return {
        "commit": commit(but),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{processor()}, {os.cpu_count()} cores",
        "versions": versions(PACKAGES),
    }


def commit(but: str = "") -> str:
    """Return the commit of the checkout, 12 digits, ``+`` appended if files differ from it; ``unknown`` outside git.

    Parameters
    ----------
    but
        A folder of the checkout whose files may differ.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", *([f":!{but}"] if but else []))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changed else head


def _git(*arguments: str) -> str:
    call = ["git", "-C", str(paths.ROOT), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()


def processor() -> str:
    """Return the processor's name; Linux tells it in /proc/cpuinfo only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of installed packages, by name."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}
