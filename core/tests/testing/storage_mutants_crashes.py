"""Storage drivers that cannot be killed or starved."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.tests.testing.storage_mutants_table import caught_by
from core.tests.testing.vfs import VfsDriver
from engine.contracts.common import Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    SnapshotKind,
)
from engine.errors import Conflict


class ScatteringStore(SnapshotStore):
    @contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        directory = self.root / f"temporary-{os.getpid()}"
        directory.mkdir()
        try:
            yield directory
        except BaseException:
            shutil.rmtree(directory)
            raise


@caught_by("test_killed_in_probe")
class TriesAnywhere(VfsDriver):
    def probe(self) -> Probe:
        (self.root / "probe").mkdir()
        (self.root / "probe").rmdir()
        return super().probe()


@caught_by("test_killed_in_prepare")
class LosesTemporaries(VfsDriver):
    store_class = ScatteringStore


class HastyStore(SnapshotStore):
    @contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        """Write the record and only then the files."""
        directory = self.root / "active" / key
        directory.mkdir()
        parents = tuple(name for name in self._names("committed") if name == "base")
        self._write(directory, Record(key, SnapshotKind.ACTIVE, parents, directory, {}))
        yield directory


@caught_by("test_killed_in_prepare_and_prepared_again")
class RecordsFirst(VfsDriver):
    store_class = HastyStore


class CopyingStore(SnapshotStore):
    def _publish(self, directory: Path, name: str) -> None:
        subprocess.run(["cp", "-a", directory, self.root / "committed" / name], check=True)
        for entry in sorted(directory.rglob("*"), reverse=True):
            entry.rmdir() if entry.is_dir() else entry.unlink()
        directory.rmdir()


@caught_by("test_killed_in_commit")
class CommitsByCopy(VfsDriver):
    store_class = CopyingStore


class MarkingStore(SnapshotStore):
    def _publish(self, directory: Path, name: str) -> None:
        marker = self.root / f"committing-{name}"
        marker.touch()
        super()._publish(directory, name)
        marker.unlink()


@caught_by("test_killed_in_commit_and_removed")
class LeavesMarkers(VfsDriver):
    store_class = MarkingStore


class SlicingStore(SnapshotStore):
    def _retire(self, place: str, name: str) -> None:
        source = self.root / place / name
        if source.exists():
            for entry in sorted((source / "fs").rglob("*"), reverse=True):
                entry.rmdir() if entry.is_dir() else entry.unlink()
        super()._retire(place, name)


@caught_by("test_killed_in_remove")
class RemovesBitByBit(VfsDriver):
    store_class = SlicingStore


class StaleStore(SnapshotStore):
    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        self._make_places()
        lock = self.root / "lock"
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError as error:
            raise Conflict("somebody holds the lock") from error
        yield
        lock.unlink()


@caught_by("test_others_go_on_beside_a_remnant")
class LocksByExistence(VfsDriver):
    store_class = StaleStore


class MessyStore(SnapshotStore):
    @contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        self._clear(key)
        directory = self.root / "partial" / key
        directory.mkdir()
        yield directory


@caught_by("test_a_full_disk_in_prepare")
class LeavesWhatFailed(VfsDriver):
    store_class = MessyStore


class RawStore(SnapshotStore):
    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        yield


@caught_by("test_a_full_disk_in_commit")
class RaisesOSError(VfsDriver):
    store_class = RawStore
