"""The storage driver `btrfs`: every snapshot is a subvolume, made from its parent's by a snapshot of btrfs.

In the directory of each snapshot (see `engine.contracts.snapshots` for what lies around it)::

    fs/      the subvolume: writable while the snapshot is active, read-only once it is committed
    base/    only over a directory of the machine: that subvolume as it was then, to compare with

A view of a parent has none of its own: it is the parent's ``fs``, which is read-only in itself.
Everything but `mounts` needs root in the first user namespace.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.contracts.common import IdMap, Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    Capability,
    Change,
    Mount,
    SnapshotInfo,
    SnapshotKind,
    StorageConfig,
    StorageDriver,
    UnpackTarget,
    Usage,
    Whiteouts,
)
from engine.errors import Conflict, InvalidInput, NotFound, Unsupported
from engine.linux.filesystems import syncfs
from engine.linux.trees import remove_tree
from engine_storage_btrfs import subvolumes

_NAME = "btrfs"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ADVICE = "Use --storage overlay."


class BtrfsDriver(StorageDriver):
    """See the module's text. It has no options."""

    def __init__(self, config: StorageConfig) -> None:
        if config.options:
            unknown = sorted(config.options)[0]
            raise InvalidInput(f"the btrfs driver has no option '{unknown}'", fix="Leave it out.", plugin=_NAME)
        self._root = config.root
        self._store = SnapshotStore(config.root, _NAME, _erase)
        self.capabilities = frozenset({Capability.HOST_LOWER, Capability.IDMAP})
        if _quotas_enabled(config.root):
            self.capabilities |= {Capability.QUOTA}

    def probe(self) -> Probe:
        """Make a subvolume and a snapshot below the root, and delete them."""
        from engine_storage_btrfs.probe import probe

        return probe(self._store)

    def prepare(
        self,
        key: str,
        parent: str | None,
        *,
        lower: Path | None = None,
        size: int | None = None,
        read_only: bool = False,
    ) -> None:
        """Make the subvolume ``fs``. See the contract."""
        if size is not None and Capability.QUOTA not in self.capabilities:
            what = f"the btrfs of {self._root} limits no sizes (quota): its quota groups are off"
            raise Unsupported(what, fix=f"Run: btrfs quota enable {self._root}", plugin=_NAME)
        if lower is not None and parent is not None:
            raise InvalidInput("a snapshot is over a parent or over a directory, not over both", plugin=_NAME)

        def build(directory: Path, above: Record | None) -> Mapping[str, str]:
            with _opened(directory) as fd:
                if lower is not None:
                    self._copy_lower(lower, fd, read_only=read_only)
                elif above is not None:
                    self._copy_parent(above, fd, read_only=read_only)
                else:
                    _make_empty(fd, read_only=read_only)
                if size is not None and not read_only:
                    with _opened(directory / "fs") as subvolume:
                        subvolumes.limit_exclusive(subvolume, size)
            return {"lower": os.fspath(lower)} if lower is not None else {}

        self._store.prepare(key, parent, read_only=read_only, build=build)

    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        """Sync the subvolume, rename the snapshot, and make it read-only. See the contract."""
        if parent is not None:
            what = "the storage driver btrfs cannot unpack a layer before its parent (parallel-unpack)"
            raise Unsupported(what, fix="Prepare it over its parent.", plugin=_NAME)

        def seal(record: Record, _above: Record | None) -> Mapping[str, str]:
            if "lower" in record.detail:
                what = f"the snapshot '{key}' is over {record.detail['lower']}, which is no committed snapshot"
                raise Conflict(what, fix="Pack its changes into a layer instead.", plugin=_NAME)
            with _opened(record.directory / "fs") as fd:
                self._refuse_nested(key, fd)
                syncfs(fd)
            return {}

        self._store.commit(key, name, parent=None, seal=seal)
        with self._store.explaining(f"make the snapshot '{name}' read-only"):
            _make_read_only(self._store.directory(SnapshotKind.COMMITTED, name) / "fs")

    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        """Return one bind mount of the subvolume, of the parent's for a view."""
        record = self._store.find_active(key)
        attributes = ("ro",) if record.kind is SnapshotKind.VIEW else ()
        return (Mount("bind", os.fspath(self._subvolume(record)), (), attributes, idmap),)

    def plan_mounts(
        self, key: str, parents: Sequence[str], *, lower: Path | None = None, idmap: IdMap | None = None
    ) -> tuple[Mount, ...]:
        """Return the bind mount of the subvolume to be."""
        return (Mount("bind", f"{self._store.directory(SnapshotKind.ACTIVE, key)}/fs", (), (), idmap),)

    def unpack_target(self, key: str) -> UnpackTarget:
        """Return ``fs``, which holds the parent's files already."""
        record = self._store.find_active(key)
        if record.kind is SnapshotKind.VIEW:
            raise Conflict(f"the snapshot '{key}' is a view: nothing is unpacked there", plugin=_NAME)
        return UnpackTarget(record.directory / "fs", Whiteouts.DELETE)

    def changes(self, key: str) -> Iterator[Change]:
        """Compare the subvolume with the parent's. See the contract."""
        from engine_storage_btrfs.compare import compare

        record = self._store.find(key)
        if record.kind is SnapshotKind.VIEW:
            return
        with self._store.explaining(f"compare the snapshot '{key}' with its parent"), self._trees(record) as trees:
            for difference in compare(*trees):
                yield difference.change

    def usage(self, key: str) -> Usage:
        """Count the files that are new or changed against the parent, each whole, with several links once.

        Parts of a changed file that it still shares with its parent count as well.
        """
        from engine_storage_btrfs.compare import compare

        record = self._store.find(key)
        if record.kind is SnapshotKind.VIEW:
            return Usage(0, 0)
        blocks: dict[tuple[int, int], int] = {}
        with self._store.explaining(f"measure the snapshot '{key}'"), self._trees(record) as trees:
            for _, status in compare(*trees):
                if status is not None:
                    blocks[status.st_dev, status.st_ino] = status.st_blocks
        return Usage(sum(blocks.values()) * 512, len(blocks))

    def remove(self, key: str) -> None:
        """Rename the snapshot out of the way and delete its subvolumes. See the contract."""
        self._store.remove(key)

    def snapshots(self) -> Iterator[SnapshotInfo]:
        """Yield everything below the root. See the contract."""
        return self._store.snapshots()

    def _subvolume(self, record: Record) -> Path:
        """Return the path of the subvolume that shows a snapshot's files."""
        if record.kind is SnapshotKind.VIEW and record.parent is not None:
            return self._store.directory(SnapshotKind.COMMITTED, record.parent) / "fs"
        return record.directory / "fs"

    @contextmanager
    def _trees(self, record: Record) -> Iterator[tuple[int, int | None]]:
        """Open a snapshot's subvolume and the one to compare it with, if there is one."""
        with _opened(record.directory / "fs") as now:
            if "lower" in record.detail:
                before = record.directory / "base"
            elif record.parent is not None:
                before = self._store.directory(SnapshotKind.COMMITTED, record.parent) / "fs"
            else:
                yield now, None
                return
            with _opened(before) as fd:
                yield now, fd

    @staticmethod
    def _copy_parent(above: Record, directory_fd: int, *, read_only: bool) -> None:
        source = above.directory / "fs"
        # A commit killed right before its end left this out.
        _make_read_only(source)
        if not read_only:
            with _opened(source) as fd:
                subvolumes.snapshot(fd, directory_fd, "fs", read_only=False)

    def _copy_lower(self, lower: Path, directory_fd: int, *, read_only: bool) -> None:
        if not lower.is_absolute() or not lower.is_dir():
            raise NotFound(f"{lower} is no directory of this machine", fix="Give an absolute path.", plugin=_NAME)
        with _opened(lower) as fd:
            if not subvolumes.is_subvolume(fd):
                what = f"the storage driver btrfs takes only a subvolume as lower (host-lower): {lower} is none"
                raise Unsupported(what, fix=_ADVICE, plugin=_NAME)
            if subvolumes.filesystem_id(fd) != subvolumes.filesystem_id(directory_fd):
                what = f"the storage driver btrfs takes only a lower of its own file system (host-lower), not {lower}"
                raise Unsupported(what, fix=_ADVICE, plugin=_NAME)
            subvolumes.snapshot(fd, directory_fd, "base", read_only=True)
        with _opened_at(directory_fd, "base") as base:
            subvolumes.snapshot(base, directory_fd, "fs", read_only=read_only)

    @staticmethod
    def _refuse_nested(key: str, fd: int) -> None:
        nested = subvolumes.list_nested(fd)
        if nested:
            name = os.fsdecode(nested[0].name)
            what = f"the snapshot '{key}' holds the subvolume {name!r}, whose files a snapshot of it would leave out"
            raise Conflict(what, fix="Replace it by a directory, or delete it.", plugin=_NAME)


def _make_empty(directory_fd: int, *, read_only: bool) -> None:
    subvolumes.create(directory_fd, "fs")
    with _opened_at(directory_fd, "fs") as fd:
        os.fchmod(fd, 0o755)
        if read_only:
            subvolumes.set_read_only(fd, True)


def _make_read_only(subvolume: Path) -> None:
    with _opened(subvolume) as fd:
        if not subvolumes.is_read_only(fd):
            subvolumes.set_read_only(fd, True)


def _erase(directory_fd: int, name: str) -> None:
    """Delete the directory of a snapshot with its subvolumes; nothing when it is not there."""
    try:
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    try:
        for subvolume in ("fs", "base"):
            subvolumes.destroy(fd, subvolume)
    finally:
        os.close(fd)
    remove_tree(directory_fd, name)


def _quotas_enabled(root: Path) -> bool:
    """Return whether sizes can be limited; a root that is not there, or not on btrfs, has none."""
    try:
        with _opened(root) as fd:
            return subvolumes.has_quotas(fd)
    except OSError:
        return False


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened_at(directory_fd: int, name: str) -> Iterator[int]:
    fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory_fd)
    try:
        yield fd
    finally:
        os.close(fd)
