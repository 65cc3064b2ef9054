"""Storage drivers that tell the wrong changes and sizes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.tests.testing.storage_mutants_table import caught_by
from core.tests.testing.vfs import Signatures, VfsDriver
from engine.contracts.snapshots import Record
from engine.contracts.storage import (
    Change,
    ChangeKind,
    Usage,
)


@caught_by("test_nothing_changed")
class ComparesWithNothing(VfsDriver):
    def below(self, record: Record) -> Path | None:
        return None


@caught_by("test_added")
class ListsEntriesAlone(VfsDriver):
    def has_changed_inside(self, path: str, before: Signatures, now: Signatures) -> bool:
        return False


class Blurred(VfsDriver):
    """Base: leaves the parts ``blind`` out of the signature of files."""

    blind: slice

    def signature(self, name: str, fd: int) -> tuple[object, ...]:
        whole = super().signature(name, fd)
        return tuple(part for part in whole if part not in whole[self.blind]) if whole[0] == "file" else whole


@caught_by("test_changed")
class IgnoresOwners(Blurred):
    blind = slice(1, 4)


@caught_by("test_changed_without_a_trace_in_the_times")
class TrustsTimes(VfsDriver):
    def signature(self, name: str, fd: int) -> tuple[object, ...]:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        whole = super().signature(name, fd)
        return (*whole[:5], status.st_mtime_ns) if whole[0] == "file" else whole


@caught_by("test_changed_attribute")
class IgnoresXattrs(Blurred):
    blind = slice(6, 7)


@caught_by("test_deleted")
class ListsAllThatIsDeleted(VfsDriver):
    def kind(self, path: str, before: Signatures, now: Signatures) -> ChangeKind | None:
        return ChangeKind.DELETED if path not in now else super().kind(path, before, now)


@caught_by("test_replaced")
class CallsReplacedAdded(VfsDriver):
    def kind(self, path: str, before: Signatures, now: Signatures) -> ChangeKind | None:
        if path in before and path in now and before[path][0] != now[path][0]:
            return ChangeKind.ADDED
        return super().kind(path, before, now)


@caught_by("test_moved")
class HidesWhatIsInside(VfsDriver):
    def kind(self, path: str, before: Signatures, now: Signatures) -> ChangeKind | None:
        kind = super().kind(path, before, now)
        above = os.path.dirname(path)
        return None if kind is ChangeKind.ADDED and above and above not in before else kind


@caught_by("test_everything_of_a_first_layer_is_added")
class NeedsAParent(VfsDriver):
    def changes(self, key: str) -> Iterator[Change]:
        return super().changes(key) if self.below(self.store.find(key)) else iter(())


@caught_by("test_changes_are_sorted_by_path")
class SortsBytes(VfsDriver):
    def ordered(self, found: dict[str, ChangeKind | None]) -> list[tuple[str, ChangeKind | None]]:
        return sorted(found.items())


@caught_by("test_odd_names_are_shown")
class DecodesNames(VfsDriver):
    def changes(self, key: str) -> Iterator[Change]:
        for kind, path in super().changes(key):
            yield Change(kind, os.fsencode(path).decode(errors="replace"))


class FollowsLinks(VfsDriver):
    """Base: walks by path, as a careless driver would; ``pause`` is how long it thinks between look and use."""

    pause = 0.0

    def signatures(self, tree: Path) -> Signatures:
        found: Signatures = {}
        pending = [tree]
        while pending:
            here = pending.pop()
            with suppress(OSError):
                for entry in sorted(here.iterdir()):
                    fd = os.open(here, os.O_RDONLY)
                    found[str(entry.relative_to(tree))] = self.signature(entry.name, fd)
                    os.close(fd)
                    if self.is_directory(entry):
                        time.sleep(self.pause)
                        pending.append(entry)
        return found

    def is_directory(self, entry: Path) -> bool:
        return entry.is_dir()


@caught_by("test_links_are_never_followed")
class FollowsAnyLink(FollowsLinks):
    pass


@caught_by("test_a_running_container_cannot_lead_out")
class LooksThenUses(FollowsLinks):
    pause = 0.001

    def is_directory(self, entry: Path) -> bool:
        return entry.is_dir() and not entry.is_symlink()


@caught_by("test_usage_counts_what_is_the_snapshots_own")
class CountsParents(VfsDriver):
    def usage(self, key: str) -> Usage:
        files = [file.stat() for file in (self.store.find(key).directory / "fs").rglob("*")]
        return Usage(sum(file.st_blocks * 512 for file in files), len(files))


@caught_by("test_usage_counts_links_and_holes_once")
class CountsSizes(VfsDriver):
    def usage(self, key: str) -> Usage:
        files = [file.stat() for file in (self.store.find(key).directory / "fs").rglob("*")]
        return Usage(sum(file.st_size for file in files), len(files))
