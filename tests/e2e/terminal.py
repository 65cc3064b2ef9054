"""A pseudo-terminal with a command on it, used as a person uses one: type, look, resize."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from tests.e2e.box import PATIENCE


class Terminal:
    """A command that leads the session of a terminal of its own. ``before`` are the attributes it found."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], rows: int = 24, columns: int = 80) -> None:
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.before = self.attributes()
        self.shown = ""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=dict(env)
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def attributes(self) -> list[Any]:
        """Return the terminal's attributes (termios(3)) as they are now."""
        return termios.tcgetattr(self.slave)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size, as a window's border that is dragged does."""
        termios.tcsetwinsize(self.master, (rows, columns))

    def type(self, text: str) -> None:
        """Type a text; a line ends in a carriage return, as Enter sends it."""
        os.write(self.master, text.replace("\n", "\r").encode())

    def wait_for(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait until a text is shown; return what was shown before it, since the last call."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not shown; shown is {self.shown!r}"
            self._read()
        before, _, self.shown = self.shown.partition(text)
        return before

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait until the command has ended, reading what it shows; return its exit status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the command has not ended; shown is {self.shown!r}"
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.02)[0]:
            with contextlib.suppress(OSError):  # EIO: nobody has the terminal open
                self.shown += os.read(self.master, 1 << 16).decode(errors="replace")
