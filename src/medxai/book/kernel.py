"""The kernel of a chapter: forked from the process that executes it, and so with all large packages loaded."""

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
from pathlib import Path

from ipykernel.kernelapp import IPKernelApp
from jupyter_client.provisioning import LocalProvisioner

from medxai.book import imports
from medxai.files import dump, write

ACCOUNT = "MEDXAI_ACCOUNT"
"""Environment variable: the file to which the kernel writes its account when it ends."""


class Provisioner(LocalProvisioner):
    """Starts kernels for Jupyter; see ``jupyter_client.provisioning``."""

    async def launch_kernel(self, cmd: list[str], **options: object) -> dict:
        """Start `main` instead of the command ``python -m ipykernel_launcher``, with its arguments."""
        # What `workers` forked has one thread; any other process may have more, and must not be forked.
        forked = multiprocessing.parent_process() and sys.platform == "linux"
        context = multiprocessing.get_context("fork" if forked else "spawn")
        process = context.Process(target=main, args=(cmd[3:], options["env"]))
        process.start()
        self.process, self.pid = _Popen(process), process.pid
        return self.connection_info


class _Popen:
    """A process of `multiprocessing` with the methods of one of `subprocess`."""

    stdin = stdout = stderr = None

    def __init__(self, process: multiprocessing.Process) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self._process.pid, number)


def main(arguments: list[str], environment: dict[str, str]) -> None:
    """Be a kernel until told to end, then write what that took."""
    os.setsid()  # Ctrl-C in a terminal is for the build, which then ends its kernels
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environment)
    asyncio.set_event_loop(asyncio.new_event_loop())
    imports.watch()
    before = set(sys.modules)
    IPKernelApp.launch_instance(arguments)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    loaded = sorted(name for name in set(sys.modules) - before if name.startswith("medxai."))
    write(
        Path(environment[ACCOUNT]),
        dump({"importing": imports.seconds(), "peak_memory_mb": round(peak / 1e6), "modules": loaded}),
    )
