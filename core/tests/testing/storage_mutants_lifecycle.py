"""Storage drivers that are wrong about names, states and errors."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.tests.testing.storage_mutants_table import caught_by
from core.tests.testing.vfs import VfsDriver
from engine.contracts.common import IdMap, Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    Mount,
    SnapshotInfo,
    SnapshotKind,
    Usage,
)
from engine.errors import Conflict, NotFound
from engine.linux import mounts


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
