"""Leases: what a running command still needs, so that a collection of garbage beside it leaves it alone.

A lease is a file of lines, locked by its holder. The order of steps is what makes it safe without a lock around long
work:

- the holder writes a name down *before* it looks whether the thing exists, and lets the lease go *after* a record in
  the metadata names what it keeps;
- the collector takes ``gc.lock`` exclusively, reads the leases *before* the metadata, and sweeps. Writing a name
  takes the same lock for a moment, so nothing is promised between a collector's reading and its sweeping.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.locks import hold_new, locked, remove_abandoned


class Lease:
    """The names one command protects. Made by `Leases.take`, valid inside its ``with``."""

    def __init__(self, descriptor: int, gate: Path) -> None:
        self._descriptor = descriptor
        self._gate = gate

    def protect(self, *names: str) -> None:
        """Keep what bears these names (digests of blobs, IDs of images, names of snapshots) until the lease ends.

        Raises `OSError` on a full disk.
        """
        left = memoryview("".join(f"{name}\n" for name in names).encode())
        with locked(self._gate, shared=True):
            while left:
                left = left[os.write(self._descriptor, left) :]


class Leases:
    """All leases over one content store; ``root`` is the store's directory."""

    def __init__(self, root: Path) -> None:
        self._directory = root / "leases"
        self._gate = root / "gc.lock"

    @contextmanager
    def take(self) -> Iterator[Lease]:
        """Give a lease for the body of the ``with``."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = hold_new(self._directory)
        try:
            yield Lease(descriptor, self._gate)
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def collecting(self) -> Iterator[frozenset[str]]:
        """Keep new promises out for the body, and give the names that living leases protect; dead ones are removed."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self._gate):
            names: set[str] = set()
            for path in self._directory.iterdir():
                if not remove_abandoned(path):
                    names.update(_names(path))
            yield frozenset(names)


def _names(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []  # the lease ended just now: what it kept is in the metadata, which is read after this
