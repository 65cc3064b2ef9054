"""What a container that does not run would hide: the places on which something is mounted while it runs.

`cp` writes to the layer of such a container, and whatever lands below one of these places would be gone from sight at
the next start, for as long as the container exists. So it is refused by name. Called by the command's process with a
descriptor of the container's root; nothing is mounted.
"""

from __future__ import annotations

import json
import os
import posixpath

from engine.containers.engine import Engine
from engine.errors import Conflict
from engine.linux.paths import fd_path, open_in_root
from engine.metadata.containers import Record
from engine.spec.runtime import Spec
from engine.spec.tarheader import DIRECTORY, TarEntry
from engine.tuples import NamedTuple


class Hidden(NamedTuple):
    """The places, as the kernel names them below the root, and the container's name for messages."""

    places: tuple[str, ...] = ()
    container: str = ""

    def refuse(self, real: str, shown: str = "") -> None:
        """Raise `Conflict` for a path at or below such a place; ``shown`` is how the user wrote it."""
        for place in self.places:
            if real == place or real.startswith(f"{place}/"):
                raise Conflict(
                    f"{self.container}:{shown or real} is in {place}, which is mounted only while the container runs",
                    fix=f"Start it first: `engine start {self.container}`.",
                )

    def refuse_entry(self, directory: str, entry: TarEntry) -> None:
        """Raise `Conflict` for a file that would be hidden, or in a mount's way; ``directory`` is where it is placed.

        A directory at the very place is neither: it is what the mount is made on.
        """
        real = "/" + posixpath.normpath(f"{directory}/{os.fsdecode(entry.name)}").lstrip("/")
        if entry.kind == DIRECTORY and real in self.places:
            return
        self.refuse(real)
        if entry.kind != DIRECTORY and self.below(real):
            raise Conflict(
                f"{self.container}:{real} would be in the way of what is mounted below it while the container runs",
                fix="Leave it out, or copy it under another name.",
            )

    def below(self, directory: str) -> bool:
        """Tell whether such a place is in a directory, however deep."""
        return any(place.startswith(f"{directory.rstrip('/')}/") for place in self.places)


def what_hides(engine: Engine, record: Record, root_fd: int) -> Hidden:
    """Return what the mounts of a container would hide; links on the way are followed as its start follows them."""
    spec: Spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    return Hidden(tuple(leads(root_fd, mount["destination"]) for mount in spec["mounts"]), record.name)


def leads(root_fd: int, path: str) -> str:
    """Return where a path leads, and what is missing of it after what is there."""
    missing = ""
    while (real := _real(root_fd, path)) is None:
        path, _, name = path.rstrip("/").rpartition("/")
        missing = f"/{name}{missing}"
    return real.rstrip("/") + missing or "/"


def _real(root_fd: int, path: str) -> str | None:
    """Return where a path leads, as the kernel names it below the root; None when it leads nowhere."""
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        return None
    try:
        return os.readlink(fd_path(fd))
    finally:
        os.close(fd)
