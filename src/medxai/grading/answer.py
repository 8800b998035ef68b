"""The program in the sandbox: runs the cells of one exercise as a kernel does, and says what the answer is.

It gets its task on standard input and writes JSON to standard output: ``values``, or ``failed``, a sentence. Whatever
the cells print goes nowhere. Nothing here is trusted: the code of a student runs in the same process.
"""

import json
import os
import resource
import sys
from contextlib import suppress

from traitlets.config import Config

NOBODY = 65534


def main() -> None:
    """Do the task of standard input, then end, without what else the cells have set going."""
    task = json.load(sys.stdin)
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    confine(task["limits"], alone=task["alone"])
    said.write(json.dumps(reported(task)))
    said.flush()
    os._exit(0)


def confine(limits: dict[str, int], alone: bool) -> None:
    """Lower what this process may use, by the names of `resource`; `alone` in a sandbox, root becomes nobody."""
    for name, limit in limits.items():
        with suppress(ValueError, OSError):  # macOS knows some of them by name only
            resource.setrlimit(getattr(resource, name), (limit, limit))
    if alone and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def reported(task: dict) -> dict:
    """Run the cells; return the values of the answer, or why there is none."""
    from medxai.grading.plain_data import encode

    namespace, failed = run(task["cells"])
    answer = namespace.get(task["answer"], ...)
    if failed and (answer is None or answer is ...):
        return {"failed": failed}
    try:
        return {"values": [encode(value) for value in values(answer, task)]}
    except Exception as error:
        what = "Your function" if task["is_function"] else "Reading your answer"
        return {"failed": f"{what} stopped with {told(error)}"}


def run(cells: list[str]) -> tuple[dict, str | None]:
    """Run cells in IPython; return the names that they made, and what the first failed with.

    A cell that fails does not keep the next from running: a student may have tried something below the answer.
    """
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    failed = None
    for cell in cells:
        result = shell.run_cell(cell, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None and failed is None:
            failed = f"A cell stopped with {told(error)}"
    return shell.user_ns, failed


def values(answer: object, task: dict) -> list[object]:
    """Return the answer, or what it returns, if it is a function: for the exercise's data and the check's example."""
    if not task["is_function"]:
        return [answer]
    from medxai.book.exercises import check_and_arguments

    namespace: dict[str, object] = {}
    exec(task["first"], namespace)
    check, arguments = check_and_arguments(task["open"], namespace)
    try:
        return [check.value(answer, *data) for data in (arguments, check.example())]
    except NotImplementedError:
        return [..., ...]


def told(error: BaseException) -> str:
    """Return an error in one line of bounded length."""
    return f"{type(error).__name__}: {error}"[:300]


if __name__ == "__main__":
    main()
