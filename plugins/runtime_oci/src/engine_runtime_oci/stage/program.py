"""Running the program: its arguments, its streams, its log, and how long it may take.

What it keeps of a container (its ``--root``), its log and what it is given lie on a tmpfs that is mounted in the shim's
own mount namespace: it is gone with the shim, however that ends, and nothing of it is to be cleaned up after a crash.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
from collections.abc import Sequence

from engine.actions.task import Streams, Task
from engine.errors import KernelError
from engine.linux import mounts, processes
from engine.tuples import NamedTuple
from engine_runtime_oci.stage import failures

PATIENCE = 60.0
"""Seconds that the program gets for one command: a hostile image must not hang the shim for good."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_SIZE = "16m"
_NOT_STARTED = 127


class Program(NamedTuple):
    """The program for one container: ``directory`` is the tmpfs, ``systemd`` whether systemd makes the cgroup."""

    name: str
    path: str
    directory: str
    systemd: bool

    def run(self, command: str, arguments: Sequence[str]) -> None:
        """Run one command of the program to its end, as `begin` and `finish` do. Raises `EngineError`."""
        self.finish(self.begin(command, arguments), command)

    def begin(
        self, command: str, arguments: Sequence[str], streams: Streams | None = None, passed: Sequence[int] = ()
    ) -> int:
        """Start one command of the program, in silence without ``streams``; return its pid.

        Its descriptors from 3 on are those ``passed``.
        """
        log = self._log
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            ends = [null if fd < 0 else fd for fd in streams or (-1, -1, -1)]
            return _spawn(self.path, [*self._words(log), command, *arguments], ends, passed)
        finally:
            os.close(null)

    def finish(self, pid: int, command: str, executed: str = "") -> None:
        """Wait for the program's end. Raises `EngineError` when it failed.

        ``executed`` is what the container shall run, for the error's text.
        """
        if _ended(pid, f"{self.name} {command}"):
            raise failures.of(self.name, command, _last_error(self._log), executed)

    def read_pid(self, file: str) -> int:
        """Return the pid that the program wrote."""
        with open(f"{self.directory}/{file}", encoding="ascii") as opened:
            return int(opened.read())

    def write(self, file: str, document: object) -> str:
        """Write a document for the program; return its path."""
        path = f"{self.directory}/{file}"
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as opened:
            json.dump(document, opened, ensure_ascii=False)
        return path

    @property
    def _log(self) -> str:
        return f"{self.directory}/log"

    def _words(self, log: str) -> list[str]:
        words = [self.name, "--root", f"{self.directory}/state", "--log", log, "--log-format", "json"]
        return [*words, "--systemd-cgroup"] if self.systemd else words


def directory_of(task: Task) -> str:
    """Return where the tmpfs of a task is mounted: its bundle for the program, beside the engine's ``rootfs``."""
    return f"{task.bundle}/oci-{task.id}"


def prepare(task: Task) -> Program:
    """Mount the tmpfs; return the program that works there."""
    directory = directory_of(task)
    os.makedirs(directory, 0o700, exist_ok=True)
    fd = mounts.new_mount("tmpfs", {"mode": "700", "size": _SIZE}, mounts.MOUNT_ATTR_NOSUID, "engine-oci")
    try:
        mounts.attach(fd, mounts.AT_FDCWD, directory)
    finally:
        os.close(fd)
    arguments = task.arguments
    return Program(arguments["name"], arguments["path"], directory, bool(arguments.get("systemd_cgroup")))


def forget(task: Task) -> None:
    """Unmount the tmpfs if it is mounted, and remove its mount point; nothing when both are gone."""
    directory = directory_of(task)
    if os.path.ismount(directory):
        mounts.umount(directory)
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return


def _spawn(path: str, arguments: Sequence[str], ends: Sequence[int], passed: Sequence[int]) -> int:
    """Start the program with these streams, what is ``passed`` after them, and no signal ignored or blocked.

    The container would inherit that.

    By hand: glibc's posix_spawn(3) leaves its own two signals ignored. The program dies with the shim, so that it makes
    no cgroup after somebody has cleaned up.
    """
    shim = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        processes.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != shim:
            os._exit(_NOT_STARTED)
        processes.reset_signals()
        beyond = len(ends) + len(passed)  # where no number is that one of them is to get
        for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, beyond) for fd in (*ends, *passed)]):
            os.dup2(fd, number)
        os.execve(path, list(arguments), _ENVIRONMENT)
    finally:
        os._exit(_NOT_STARTED)


def _ended(pid: int, what: str) -> int:
    """Wait for the program; return its exit status. It is killed, and `KernelError` raised, when it takes too long."""
    pidfd = processes.pidfd_open(pid)
    try:
        if not readable(pidfd, PATIENCE):
            processes.pidfd_send_signal(pidfd, signal.SIGKILL)
            processes.wait(pid)
            raise KernelError(f"{what} did not end within {PATIENCE:.0f} seconds")
        ended = processes.wait(pid)
    finally:
        os.close(pidfd)
    return 1 if ended is None else ended.exit_status


def readable(fd: int, seconds: float) -> bool:
    """Wait until a descriptor is readable, as a pidfd is once its process has ended; tell whether it is."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _last_error(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        entries = [json.loads(line) for line in file if line.startswith("{")]
    found = [entry["msg"] for entry in entries if entry.get("level") in {"error", "fatal"} and "msg" in entry]
    return str(found[-1]) if found else "it says no more than that"
