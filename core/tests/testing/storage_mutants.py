"""The reference driver broken in one way at a time, and which check of the storage suite must notice each.

`MUTANTS` is the table that `test_storage_suite` holds complete: a check without a mutant might be one that cannot fail.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.tests.testing.vfs import Signatures, VfsDriver
from engine.contracts.common import IdMap, Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    Capability,
    Change,
    ChangeKind,
    Mount,
    SnapshotInfo,
    SnapshotKind,
    UnpackTarget,
    Usage,
    Whiteouts,
)
from engine.errors import Conflict, EngineError, NotFound
from engine.linux import mounts

MUTANTS: dict[str, type[VfsDriver]] = {}


def caught_by(*checks: str) -> Callable[[type[VfsDriver]], type[VfsDriver]]:
    """Enter a broken driver into the table; each check may have one."""

    def enter(mutant: type[VfsDriver]) -> type[VfsDriver]:
        assert not MUTANTS.keys() & set(checks), f"{checks} have a mutant already"
        MUTANTS.update(dict.fromkeys(checks, mutant))
        return mutant

    return enter


# Lifecycle


@caught_by("test_probe_says_usable_and_leaves_nothing")
class LeavesItsProbe(VfsDriver):
    def probe(self) -> Probe:
        (self.root / "probe").mkdir()
        return super().probe()


@caught_by("test_capabilities_are_of_the_contract")
class DeclaresNonsense(VfsDriver):
    capabilities = frozenset({"teleport"})  # type: ignore[arg-type]


@caught_by("test_prepare_makes_an_active_snapshot")
class ListsViews(VfsDriver):
    def snapshots(self) -> Iterator[SnapshotInfo]:
        return (info._replace(kind=SnapshotKind.VIEW) for info in super().snapshots())


@caught_by("test_commit_turns_the_key_into_a_name")
class KeepsTheKey(VfsDriver):
    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        super().commit(key, name, parent=parent)
        self.prepare(key, name)


@caught_by("test_snapshots_name_their_parent")
class ForgetsParents(VfsDriver):
    def snapshots(self) -> Iterator[SnapshotInfo]:
        return (info._replace(parent=None) for info in super().snapshots())


@caught_by("test_state_is_on_disk")
class RemembersInMemory(VfsDriver):
    listed: Iterator[SnapshotInfo] | tuple[SnapshotInfo, ...] = ()

    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        self.listed = tuple(super().snapshots())

    def snapshots(self) -> Iterator[SnapshotInfo]:
        return iter(self.listed)


class UncheckedStore(SnapshotStore):
    def _check(self, name: str) -> None:
        return


@caught_by("test_bad_names_are_refused")
class TakesAnyName(VfsDriver):
    store_class = UncheckedStore


@caught_by("test_an_existing_key_is_a_conflict")
class ReplacesKeys(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        self.remove(key)
        super().prepare(key, parent, **how)  # type: ignore[arg-type]


class ForgetfulStore(SnapshotStore):
    def _refuse_existing(self, name: str) -> None:
        if (self.root / "active" / name).exists():
            super()._refuse_existing(name)


@caught_by("test_a_committed_name_is_no_free_key")
class TakesNamesForKeys(VfsDriver):
    store_class = ForgetfulStore


@caught_by("test_an_unknown_parent_is_not_found")
class StartsEmptyInstead(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        known = {info.name for info in self.snapshots()}
        super().prepare(key, parent if parent in known else None, **how)  # type: ignore[arg-type]


class GenerousStore(SnapshotStore):
    def _find_committed(self, name: str) -> Record:
        return self.find(name)


@caught_by("test_an_uncommitted_parent_is_not_found")
class BuildsUponActive(VfsDriver):
    store_class = GenerousStore


@caught_by("test_committing_to_an_existing_name_is_a_conflict")
class ReplacesNames(VfsDriver):
    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        if key != name:
            self.remove(name)
        super().commit(key, name, parent=parent)


@caught_by("test_committing_an_unknown_key_is_not_found")
class CommitsNothing(VfsDriver):
    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        with suppress(NotFound):
            super().commit(key, name, parent=parent)


@caught_by("test_a_view_cannot_be_committed")
class CommitsViews(VfsDriver):
    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        if self.store.find_active(key).kind is SnapshotKind.VIEW:
            (self.root / "active" / key).rename(self.root / "committed" / name)
        else:
            super().commit(key, name, parent=parent)


@caught_by("test_unknown_keys_are_not_found")
class AnswersForTheUnknown(VfsDriver):
    def usage(self, key: str) -> Usage:
        try:
            return super().usage(key)
        except NotFound:
            return Usage(0, 0)


class MountsAnything(VfsDriver):
    """Base: finds committed snapshots where only active ones count."""

    class store_class(SnapshotStore):  # noqa: N801  # overrides the attribute
        def find_active(self, key: str) -> Record:
            return self.find(key)


@caught_by("test_committed_snapshots_are_not_mounted")
class MountsCommitted(MountsAnything):
    pass


@caught_by("test_remove_may_be_repeated")
class RemovesOnce(VfsDriver):
    def remove(self, key: str) -> None:
        self.store.find(key)
        super().remove(key)


@caught_by("test_remove_leaves_nothing")
class LeavesTombstones(VfsDriver):
    def remove(self, key: str) -> None:
        super().remove(key)
        (self.root / f"removed-{key}").touch()


class CarelessStore(SnapshotStore):
    def _refuse_parent(self, name: str) -> None:
        return


@caught_by("test_a_parent_in_use_stays")
class RemovesParents(VfsDriver):
    store_class = CarelessStore


@caught_by("test_a_key_may_be_used_again")
class NeverForgetsKeys(VfsDriver):
    used: frozenset[str] = frozenset()

    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        if key in self.used:
            raise Conflict(f"{key} was used already")
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        self.used |= {key}


@caught_by("test_mounts_are_plain_values")
class AnswersWithPaths(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        (mount,) = super().mounts(key, idmap=idmap)
        return (mount._replace(source=Path(mount.source)),)  # type: ignore[arg-type]


@caught_by("test_nothing_stays_mounted")
class MountsByItself(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        layer = str(self.root / "active" / key / "fs")
        mounts.mount(layer, layer, None, mounts.MS_BIND)

    def remove(self, key: str) -> None:
        shutil.rmtree(self.root / "active" / key, ignore_errors=True)

    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        return


@caught_by("test_undeclared_capabilities_are_refused")
class IgnoresSizes(VfsDriver):
    def prepare(self, key: str, parent: str | None, *, size: int | None = None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]


class ImpatientStore(SnapshotStore):
    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        with super()._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield


@caught_by("test_two_processes_work_side_by_side")
class WorksAlone(VfsDriver):
    store_class = ImpatientStore

    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        time.sleep(0.02)


class UnlockedStore(SnapshotStore):
    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        self._make_places()
        yield


@caught_by("test_parents_are_safe_from_a_race")
class LosesTheRace(VfsDriver):
    store_class = UnlockedStore

    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        time.sleep(0.2)


# Files


@caught_by("test_an_empty_snapshot_is_an_empty_directory")
class StartsWithLostAndFound(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        (self.root / "active" / key / "fs/lost+found").mkdir(exist_ok=True)


@caught_by("test_writes_are_there_at_the_next_mount")
class ForgetsWrites(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return (*super().mounts(key, idmap=idmap), Mount("tmpfs", "tmpfs"))


@caught_by("test_writes_stay_in_their_snapshot")
class SharesInodes(VfsDriver):
    copy_options = ("-al",)


@caught_by("test_layers_show_the_topmost_file")
class TakesTheOldest(VfsDriver):
    def source(self, above: Record | None, lower: Path | None) -> Path | None:
        if above is not None and above.parents:
            return self.store.directory(SnapshotKind.COMMITTED, above.parents[-1]) / "fs"
        return super().source(above, lower)


@caught_by("test_a_deleted_file_is_gone", "test_an_opaque_directory_hides_what_was_in_it")
class LiesAboutWhiteouts(VfsDriver):
    def unpack_target(self, key: str) -> UnpackTarget:
        return super().unpack_target(key)._replace(whiteouts=Whiteouts.OVERLAY)


@caught_by("test_a_directory_replaces_a_file_and_back")
class RestoresDirectories(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        layer = self.root / "active" / key / "fs"
        if (layer / "opt").is_file():
            (layer / "opt").unlink()
            (layer / "opt").mkdir()


@caught_by("test_attributes_survive")
class CopiesModesAlone(VfsDriver):
    copy_options = ("-dR", "--preserve=mode,timestamps,links")


@caught_by("test_special_files_survive")
class BreaksHardLinks(VfsDriver):
    copy_options = ("-PR", "--preserve=mode,timestamps,ownership,xattr")


@caught_by("test_the_root_directory_keeps_its_attributes")
class ForgetsTheRoot(VfsDriver):
    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        target.chmod(0o755)


@caught_by("test_an_implied_directory_looks_like_the_parents")
class ForgetsMarks(VfsDriver):
    def adopt_implied(self, layer: Path, merged: Path) -> None:
        return


@caught_by("test_a_view_is_read_only", "test_a_view_of_nothing_is_empty")
class MountsViewsWritable(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return tuple(mount._replace(attributes=()) for mount in super().mounts(key, idmap=idmap))


@caught_by("test_a_long_chain_works")
class HasALimit(VfsDriver):
    def source(self, above: Record | None, lower: Path | None) -> Path | None:
        if above is not None and len(above.parents) > 3:
            raise EngineError("too many layers", fix="Use fewer.")
        return super().source(above, lower)


@caught_by("test_layers_are_unpacked_in_any_order")
class IgnoresLateWhiteouts(VfsDriver):
    def apply_whiteouts(self, layer: Path, merged: Path) -> None:
        self.drop_whiteouts(layer)


@caught_by("test_a_directory_of_the_machine_is_a_lower")
class WritesToTheMachine(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        record = self.store.find_active(key)
        (mount,) = super().mounts(key, idmap=idmap)
        return (mount._replace(source=record.detail.get("lower", mount.source)),)


@caught_by("test_a_quota_holds")
class PromisesQuota(IgnoresSizes):
    capabilities = VfsDriver.capabilities | {Capability.QUOTA}


@caught_by("test_ids_are_mapped")
class IgnoresIdMaps(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return super().mounts(key)


# Changes and usage


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


# Crashes


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
