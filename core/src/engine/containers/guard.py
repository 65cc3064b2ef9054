"""Leave a terminal as it was found, even when this process is killed while the terminal is raw."""

from __future__ import annotations

import os
import signal
from types import TracebackType

from engine.linux import terminal


class TerminalGuard:
    """Raw mode in the block. A forked child waits for this process to end and restores the terminal if it has to.

    The child holds one end of a pipe; when the other end closes without a word, this process was killed.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> None:
        self._before = terminal.attributes(self._fd)
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        ready, tell = os.pipe2(os.O_CLOEXEC)
        self._child = os.fork()
        if self._child == 0:
            self._watch(tell)
        os.close(self._reading)
        os.close(tell)
        os.read(ready, 1)  # not before somebody watches may the terminal be changed
        os.close(ready)
        terminal.raw_mode(self._fd)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._restore()
        os.write(self._writing, b"x")
        os.close(self._writing)
        try:
            os.waitpid(self._child, 0)
        except ChildProcessError:  # whoever started us ignores SIGCHLD, so the kernel has reaped it
            return

    def _watch(self, tell: int) -> None:
        """Wait in the child, in a session's background where no key reaches it, and never return."""
        code = 1
        try:
            os.close(self._writing)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU):
                signal.signal(number, signal.SIG_IGN)
            os.write(tell, b"x")
            if not os.read(self._reading, 1):
                self._restore()
            code = 0
        finally:
            os._exit(code)

    def _restore(self) -> None:
        try:
            terminal.restore(self._fd, self._before)
        except OSError:  # the terminal itself is gone: nothing to restore
            return
