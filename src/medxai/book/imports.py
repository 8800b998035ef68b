"""How much of a process's time goes into importing: the CPU time of loading modules, wherever an import stands."""

import importlib._bootstrap as machinery
import os
import threading
import time
from collections.abc import Callable

_here = threading.local()
_spent = [0.0]
_before = [0.0]


def watch(tell: Callable[[float], None] = lambda seconds: None) -> None:
    """Count from now on, and call `tell` with the sum after each import that loaded something.

    The interpreter calls one function for each module that is not loaded yet, whether a statement or ``importlib``
    asks for it; imports inside of imports are counted once. A forked process begins at zero.
    """
    load = machinery._find_and_load
    if load.__module__ == __name__:
        return

    def timed(name: str, import_: object) -> object:
        if getattr(_here, "importing", False):
            return load(name, import_)
        _here.importing, start = True, time.thread_time()
        try:
            return load(name, import_)
        finally:
            _here.importing = False
            _spent[0] += time.thread_time() - start
            tell(_spent[0])

    machinery._find_and_load = timed
    os.register_at_fork(after_in_child=_begin)


def _begin() -> None:
    _before[0], _spent[0] = _spent[0], 0.0


def seconds() -> float:
    """Return the CPU seconds that this process has spent on importing since `watch`."""
    return _spent[0]


def before() -> float:
    """Return the CPU seconds that the process had spent from which this one was forked."""
    return _before[0]
