"""A simple and correct storage driver, to try the storage suite itself upon: every snapshot is a whole copy.

It is slow, and that is all that is wrong with it. The suite passes on it, and each check fails on a variant of it that
is broken in one way (`storage_mutants`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.contracts.common import IdMap, Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    Capability,
    Change,
    ChangeKind,
    Mount,
    SnapshotInfo,
    SnapshotKind,
    StorageConfig,
    StorageDriver,
    UnpackTarget,
    Usage,
    Whiteouts,
)
from engine.errors import Conflict, NotFound, Unsupported
from engine.linux.filesystems import syncfs

OPAQUE = "trusted.overlay.opaque"
IMPLIED = "trusted.implied"
Signatures = dict[str, tuple[object, ...]]


class VfsDriver(StorageDriver):
    store_class = SnapshotStore
    copy_options = ("-a",)
    capabilities = frozenset({Capability.HOST_LOWER, Capability.IDMAP, Capability.PARALLEL_UNPACK})

    def __init__(self, config: StorageConfig) -> None:
        self.root = config.root
        self.store = self.store_class(config.root, "vfs")

    def probe(self) -> Probe:
        return Probe(True, "directories can be copied")

    def prepare(
        self,
        key: str,
        parent: str | None,
        *,
        lower: Path | None = None,
        size: int | None = None,
        read_only: bool = False,
    ) -> None:
        if size is not None:
            raise Unsupported("vfs has no quota", plugin="vfs")
        if lower is not None and not lower.is_dir():
            raise NotFound(f"{lower} is no directory", plugin="vfs")

        def build(directory: Path, above: Record | None) -> Mapping[str, str]:
            (directory / "fs").mkdir(0o755)
            source = self.source(above, lower)
            if source is not None:
                self.copy(source, directory / "fs")
            return {} if lower is None else {"lower": str(lower)}

        self.store.prepare(key, parent, read_only=read_only, build=build)

    def source(self, above: Record | None, lower: Path | None) -> Path | None:
        return above.directory / "fs" if above else lower

    def copy(self, source: Path, target: Path) -> None:
        subprocess.run(["cp", *self.copy_options, f"{source}/.", target], check=True)

    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        def seal(record: Record, above: Record | None) -> Mapping[str, str]:
            layer = record.directory / "fs"
            if record.parent is None and above is not None:
                self.merge(record.directory, above.directory / "fs")
            self.adopt_implied(layer, layer)
            self.drop_whiteouts(layer)
            fd = os.open(layer, os.O_RDONLY)
            syncfs(fd)
            os.close(fd)
            return record.detail

        self.store.commit(key, name, parent=parent, seal=seal)

    def merge(self, directory: Path, below: Path) -> None:
        """Put the layer ``fs``, unpacked alone, over a copy of the parent's files."""
        merged = directory / "merged"
        merged.mkdir()
        self.copy(below, merged)
        self.apply_whiteouts(directory / "fs", merged)
        self.adopt_implied(directory / "fs", merged)
        self.copy(directory / "fs", merged)
        (directory / "fs").rename(directory / "layer")
        merged.rename(directory / "fs")
        subprocess.run(["rm", "-rf", directory / "layer"], check=True)

    def adopt_implied(self, layer: Path, merged: Path) -> None:
        for here, _, _ in os.walk(layer):
            if IMPLIED in os.listxattr(here):
                os.removexattr(here, IMPLIED)
                below = merged / Path(here).relative_to(layer)
                if below.is_dir():
                    shutil.copystat(below, here)
                    os.chown(here, below.stat().st_uid, below.stat().st_gid)

    def apply_whiteouts(self, layer: Path, merged: Path) -> None:
        for here, directories, files in os.walk(layer):
            place = merged / Path(here).relative_to(layer)
            opaque = OPAQUE in os.listxattr(here)
            for name in [*os.listdir(place)] if opaque and place.is_dir() else [*directories, *files]:
                if opaque or not (place / name).is_dir() or not (Path(here) / name).is_dir():
                    subprocess.run(["rm", "-rf", place / name], check=True)

    def drop_whiteouts(self, layer: Path) -> None:
        for here, _, files in os.walk(layer):
            if OPAQUE in os.listxattr(here):
                os.removexattr(here, OPAQUE)
            for name in files:
                status = (Path(here) / name).lstat()
                if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                    (Path(here) / name).unlink()

    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        record = self.store.find_active(key)
        attributes = ("ro",) if record.kind is SnapshotKind.VIEW else ()
        return (Mount("bind", str(record.directory / "fs"), (), attributes, idmap),)

    def unpack_target(self, key: str) -> UnpackTarget:
        record = self.store.find_active(key)
        if record.kind is SnapshotKind.VIEW:
            raise Conflict(f"{key} is a view", plugin="vfs")
        whiteouts = Whiteouts.DELETE if record.parents else Whiteouts.OVERLAY
        return UnpackTarget(record.directory / "fs", whiteouts, implied=IMPLIED)

    def changes(self, key: str) -> Iterator[Change]:
        record = self.store.find(key)
        below = self.below(record)
        before = self.signatures(below) if below else {}
        now = self.signatures(record.directory / "fs")
        found = {path: self.kind(path, before, now) for path in before.keys() | now.keys()}
        return iter([Change(kind, f"/{path}") for path, kind in self.ordered(found) if kind is not None])

    def below(self, record: Record) -> Path | None:
        if "lower" in record.detail:
            return Path(record.detail["lower"])
        if record.parent is None:
            return None
        return self.store.directory(SnapshotKind.COMMITTED, record.parent) / "fs"

    def ordered(self, found: dict[str, ChangeKind | None]) -> list[tuple[str, ChangeKind | None]]:
        return sorted(found.items(), key=lambda item: item[0].split("/"))

    def kind(self, path: str, before: Signatures, now: Signatures) -> ChangeKind | None:
        if path not in before:
            return ChangeKind.ADDED
        if path not in now:
            return None if os.path.dirname(path) not in {*now, ""} or self.is_hidden(path, now) else ChangeKind.DELETED
        if before[path] != now[path] or self.has_changed_inside(path, before, now):
            return ChangeKind.CHANGED
        return None

    def is_hidden(self, path: str, now: Signatures) -> bool:
        """Whether a file took the place of the directory that a path was in."""
        above = os.path.dirname(path)
        return above != "" and now[above][0] != "directory"

    def has_changed_inside(self, path: str, before: Signatures, now: Signatures) -> bool:
        inside = {other for other in before.keys() | now.keys() if other.startswith(f"{path}/")}
        return any(before.get(other) != now.get(other) for other in inside)

    def signatures(self, tree: Path) -> Signatures:
        found: Signatures = {}
        for here, directories, files, fd in os.fwalk(tree):
            for name in (*directories, *files):
                try:
                    found[os.path.relpath(os.path.join(here, name), tree)] = self.signature(name, fd)
                except OSError:
                    # Gone meanwhile, or something else: what a race shows is up to the race.
                    continue
        return found

    def signature(self, name: str, fd: int) -> tuple[object, ...]:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        owner = (status.st_mode, status.st_uid, status.st_gid)
        if stat.S_ISLNK(status.st_mode):
            return ("link", os.readlink(name, dir_fd=fd))
        if stat.S_ISDIR(status.st_mode):
            return ("directory", *owner)
        if not stat.S_ISREG(status.st_mode):
            return ("special", *owner, status.st_rdev)
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
        with open(opened, "rb") as file:
            xattrs = tuple((key, os.getxattr(opened, key)) for key in sorted(os.listxattr(opened)))
            content = hashlib.file_digest(file, "sha256").hexdigest() if status.st_size < 1 << 24 else ""
            return ("file", *owner, status.st_size, content, xattrs)

    def usage(self, key: str) -> Usage:
        record = self.store.find(key)
        if record.kind is SnapshotKind.VIEW:
            return Usage(0, 0)
        seen: dict[int, int] = {}
        for change in self.changes(key):
            if change.kind is not ChangeKind.DELETED:
                status = (record.directory / f"fs{change.path}").lstat()
                seen[status.st_ino] = status.st_blocks * 512
        return Usage(sum(seen.values()), len(seen))

    def remove(self, key: str) -> None:
        self.store.remove(key)

    def snapshots(self) -> Iterator[SnapshotInfo]:
        return self.store.snapshots()
