"""Kill a process of the engine at its Nth state-changing system call: strace injects it, the product has no part.

strace(1), "Tampering": with ``inject=SET:signal=KILL:when=N`` the tracee dies on entering the Nth call of SET, which
is then never made. So N=1, 2, 3 … kills before every deed, one after the other, until the command ends unharmed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.machine.engine_root import EngineRoot

COMMAND_CALLS = (
    "mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,pwrite64,ftruncate,fsync,fdatasync,sendto,"
    "clone,clone3,fork,vfork,mount,umount2,move_mount"
)
"""What changes anything from a command: its directories and files, the store (pwrite64), the shim's plan (sendto)."""
SHIM_CALLS = f"{COMMAND_CALLS},write,unshare,bind,listen,fsmount,kill,pidfd_send_signal"
"""The same for the shim, and its journal and cgroup files (write), its socket, and the mounts it makes."""

_AS_SHIM = """\
import sys
sys.executable = {wrapper!r}
from engine.cli.main import main
main()
"""


class Killer:
    """Runs commands of one engine with a death in them."""

    def __init__(self, engine: EngineRoot) -> None:
        self.engine = engine
        self.strace = shutil.which("strace") or "strace"

    def command(self, number: int, *arguments: str) -> bool:
        """Run a command whose own process dies at its Nth call; return whether it came to that."""
        return self._run([*self._tracer(COMMAND_CALLS, number), *self.engine.command(*arguments)])

    def shim(self, number: int, *arguments: str) -> bool:
        """Run a command whose shim dies at its Nth call; return whether it came to that.

        The shim is started through a wrapper that puts strace between, as a grandchild (``-D``), so that the shim keeps
        the pid that its launcher knows.
        """
        wrapper, log = self.engine.place / "shim-python", self.engine.place / "strace.log"
        log.unlink(missing_ok=True)
        tracer = " ".join([*self._tracer(SHIM_CALLS, number, str(log)), "-D"])
        wrapper.write_text(f'#!/bin/sh\nexec {tracer} {self._python()} "$@"\n')
        wrapper.chmod(0o755)
        program = _AS_SHIM.format(wrapper=str(wrapper))
        self._run([self._python(), "-c", program, *self.engine.command(*arguments)[1:]])
        return log.exists() and "killed by SIGKILL" in log.read_text()

    def _tracer(self, calls: str, number: int, log: str = "/dev/null") -> list[str]:
        return [self.strace, "-o", log, "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={number}"]

    def _run(self, command: list[str]) -> bool:
        done = subprocess.run(
            command, env=self.engine.environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
        return done.returncode in (-9, 137)

    def _python(self) -> str:
        return os.fspath(Path(self.engine.command()[0]).parent / "python")
