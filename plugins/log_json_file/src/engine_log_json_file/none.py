"""The log driver ``none``: nothing is kept, and nothing can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.contracts.common import Probe
from engine.contracts.logs import Entry, Follow, LogConfig, LogDriver
from engine.errors import InvalidInput, Unsupported
from engine.hookspecs import hookimpl

contract = 1


class NoneDriver(LogDriver):
    """Keeps nothing; has no options."""

    sink = ""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def probe(self) -> Probe:
        """Usable everywhere, and never chosen unasked before a driver that keeps something."""
        return Probe(True, "keeps nothing", 0)

    def sink_arguments(self) -> Mapping[str, str]:
        """Return nothing."""
        if self._options:
            raise InvalidInput(f"the log driver none has no option '{next(iter(self._options))}'", fix="Leave it out.")
        return {}

    def read(self, directory: Path, *, tail: int | None = None, follow: Follow | None = None) -> Iterator[Entry]:
        """Raise `Unsupported`."""
        raise Unsupported("the log driver none keeps no logs", fix="Run the container with --log-driver json-file.")


@hookimpl
def log_driver(config: LogConfig) -> LogDriver:
    """Make the driver."""
    return NoneDriver(config.options)
