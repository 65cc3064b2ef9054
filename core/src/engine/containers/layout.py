"""Where things lie below an engine's root and state directories.

::

    <root>/engine.db                 the store
    <root>/content/                  blobs
    <root>/storage/<driver>/         each storage driver's own
    <root>/cache/                    what can be made again
    <root>/events/                   the journal of events
    <root>/containers/<id>/          config.json, rootfs (mount point), log, exit, wanted, hosts, hostname, resolv.conf
    <state>/containers/<id>/         journal, shim, init, socket: gone when the container has ended
    <state>/locks/<id>               one command at a time on a container
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import EngineError
from engine.tuples import NamedTuple


class Layout(NamedTuple):
    """The two directories of one engine, and the paths below them."""

    root: Path
    state: Path

    def container(self, container_id: str) -> Path:
        """Return a container's own directory, the bundle."""
        return self.root / "containers" / container_id

    def container_state(self, container_id: str) -> Path:
        """Return a container's state directory."""
        return self.state / "containers" / container_id

    def lock(self, container_id: str) -> Path:
        """Return the file that whoever changes the container holds under flock(2)."""
        return self.state / "locks" / container_id

    @property
    def events(self) -> Path:
        """The directory of the journal of events; made with its first event."""
        return self.root / "events"

    def make(self) -> None:
        """Make the directories, for their owner alone. Raises `EngineError` where that is not possible."""
        if (self.root / "cache").is_dir() and (self.state / "locks").is_dir():  # the last of each that is made
            return
        try:
            for directory in (self.root, self.state):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("containers", "storage", "cache"):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            for name in ("containers", "locks"):
                (self.state / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EngineError(
                f"cannot make the engine's directory {error.filename}: {error.strerror}",
                fix="Run as root, or choose places you may write to with --root and --state.",
            ) from error
