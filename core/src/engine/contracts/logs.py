"""The contract of log drivers: where a container's output goes, and how it is read again.

Like a runtime it has two halves. The *driver* lives in the command's process and reads; the *sink* is a lean module
(standard library only) that the shim imports and that writes. The sink's module, named by ``LogDriver.sink``, has one
function ``open(directory_fd: int, arguments: Mapping[str, str]) -> Sink``; its object has::

    write(stream: str, data: bytes, nanoseconds: int) -> None    stream is "stdout" or "stderr"; any bytes, lines or not
    close() -> None

A sink that raises `OSError` (a full disk) is reported once in the shim's own record and the output goes on to whoever
is attached: logging never stops a container. ``directory_fd`` is the container's directory below the engine's root.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.contracts.common import Probe
from engine.tuples import NamedTuple


class LogConfig(NamedTuple):
    """What the factory hook gets: the user's ``--log-opt key=value`` and the settings'."""

    options: Mapping[str, str]


class Entry(NamedTuple):
    """A piece of output: nanoseconds since the epoch, "stdout" or "stderr", the bytes (usually a line with its end)."""

    nanoseconds: int
    stream: str
    data: bytes


class LogDriver(ABC):
    """The driver half."""

    sink: str = ""
    """The sink's module name; ``""`` keeps nothing."""

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether logs can be kept here."""

    @abstractmethod
    def sink_arguments(self) -> Mapping[str, str]:
        """Return what the sink's ``open`` gets, from the options. Raises `InvalidInput` for an unknown option."""

    @abstractmethod
    def read(self, directory: Path, *, tail: int | None = None, follow: Follow | None = None) -> Iterator[Entry]:
        """Yield entries, oldest first; the last ``tail`` of them; with ``follow``, until it says that the writer ended.

        A line that a crash cut short is skipped. Raises `Unsupported` when the driver cannot read.
        """


class Follow(ABC):
    """How a reader waits for more."""

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the writer to end; true when it has ended (read once more, then stop)."""
