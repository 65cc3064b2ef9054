"""The container's log: a log driver's sink, whose failures never stop the container."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import time_ns

from engine.shim.notes import note
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Log:
    """A sink (see `engine.contracts.logs`), opened. Its first failure is reported on the shim's standard error."""

    def __init__(self, module: str, arguments: Mapping[str, str], directory: str) -> None:
        """Import the sink's module and open it over the container's directory."""
        __import__(module)
        directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sink: Any = sys.modules[module].open(directory_fd, arguments)
        self._failed = False

    def write(self, stream: str, data: bytes) -> None:
        """Keep a piece of output."""
        now = time_ns()
        self._tolerate(lambda: self._sink.write(stream, data, now))

    def close(self) -> None:
        """Tell the sink that there will be no more: what it held back is written."""
        self._tolerate(self._sink.close)

    def _tolerate(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if not self._failed:
                note(f"the log cannot be written: {error}")
            self._failed = True
