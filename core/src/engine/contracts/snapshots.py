"""Snapshots kept in one directory each: the crash-safe half of a storage driver, for drivers that want it ready-made.

Below the driver's root::

    active/<key>/        active snapshots and views
    committed/<name>/    committed snapshots
    partial/<name>/      being made or being removed: never taken for a snapshot
    lock                 flock(2): shared to use a parent, exclusive to remove a committed snapshot

Each snapshot's directory holds ``snapshot.json`` (its parents, and what the driver wants to remember) and whatever the
driver puts beside it. Every change of state is one rename(2) of that directory, so a process killed at any moment
leaves either the old state or the new one, and at worst a directory in ``partial`` that `SnapshotStore.remove` clears.
The chain of parents is written into each snapshot when it is made: it is resolved by reading one file, and it cannot
become wrong, because a committed snapshot never changes and is not removed while it is a parent.

All methods raise `EngineError` with the driver's name in ``plugin``; `OSError` never leaves this module.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine.contracts.storage import SnapshotInfo, SnapshotKind
from engine.errors import Conflict, EngineError, InvalidInput, KernelError, NotFound, StateError
from engine.linux.syscalls import explain
from engine.linux.trees import remove_tree
from engine.tuples import NamedTuple

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_RECORD = "snapshot.json"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Record(NamedTuple):
    """One snapshot: ``parents`` nearest first, ``directory`` where it lies, ``detail`` what the driver remembers."""

    name: str
    kind: SnapshotKind
    parents: tuple[str, ...]
    directory: Path
    detail: Mapping[str, str]

    @property
    def parent(self) -> str | None:
        """The nearest parent's name."""
        return self.parents[0] if self.parents else None


Build = Callable[[Path, Record | None], Mapping[str, str]]
"""Fill the directory of a new snapshot, given the parent's record; return what to remember as ``detail``."""
Seal = Callable[[Record, Record | None], Mapping[str, str]]
"""Make an active snapshot's files immutable and durable, given the parent's record; return the new ``detail``."""


class SnapshotStore:
    """The snapshots of one driver below ``root``. ``erase`` removes one entry of an open directory, files and all."""

    def __init__(self, root: Path, driver: str, erase: Callable[[int, str], None] = remove_tree) -> None:
        self.root = root
        self._driver = driver
        self._erase = erase

    def directory(self, kind: SnapshotKind, name: str) -> Path:
        """Return where a snapshot of that kind and name lies."""
        return self.root / ("committed" if kind is SnapshotKind.COMMITTED else "active") / name

    def find(self, name: str) -> Record:
        """Return the snapshot of that key or name. Raises `NotFound`, and `StateError` for an unreadable record."""
        self._check(name)
        for place in ("active", "committed"):
            record = self._read(place, name)
            if record is not None:
                return record
        raise NotFound(f"there is no snapshot '{name}'", fix="See `engine system check`.", plugin=self._driver)

    def find_active(self, key: str) -> Record:
        """Return the active snapshot or view of that key. Raises as `find`."""
        self._check(key)
        record = self._read("active", key)
        if record is None:
            raise NotFound(f"there is no active snapshot '{key}'", fix="Prepare it first.", plugin=self._driver)
        return record

    def prepare(self, key: str, parent: str | None, *, read_only: bool, build: Build) -> None:
        """Make the active snapshot or view ``key``; ``build`` fills it. Raises `Conflict`, `NotFound`."""
        self._check(key)
        kind = SnapshotKind.VIEW if read_only else SnapshotKind.ACTIVE
        with self._locked(fcntl.LOCK_SH), self.explaining(f"make the snapshot '{key}'"):
            self._refuse_existing(key)
            above = None if parent is None else self._find_committed(parent)
            with self._partial(key) as directory:
                detail = build(directory, above)
                parents = () if above is None else (above.name, *above.parents)
                self._write(directory, Record(key, kind, parents, directory, detail))
                directory.rename(self.root / "active" / key)

    def commit(self, key: str, name: str, *, parent: str | None, seal: Seal) -> None:
        """Make the active snapshot ``key`` the committed ``name``; durable when this returns.

        ``parent`` gives one to a snapshot prepared without. Raises `Conflict`, `NotFound`.
        """
        self._check(name)
        with self._locked(fcntl.LOCK_SH), self.explaining(f"commit the snapshot '{key}' as '{name}'"):
            record = self.find_active(key)
            if record.kind is SnapshotKind.VIEW:
                raise Conflict(f"the snapshot '{key}' is a view and cannot be committed", plugin=self._driver)
            self._refuse_existing(name)
            above = self._new_parent(record, parent)
            parents = () if above is None else (above.name, *above.parents)
            detail = seal(record, above)
            self._write(record.directory, Record(name, SnapshotKind.COMMITTED, parents, record.directory, detail))
            sync(record.directory / _RECORD)
            sync(record.directory)
            self._publish(record.directory, name)

    def remove(self, name: str) -> None:
        """Remove a snapshot and what a crash left under its name. Raises `Conflict` while it is a parent."""
        self._check(name)
        with self.explaining(f"remove the snapshot '{name}'"):
            if not self.root.is_dir():
                return
            self._make_places()
            if (self.root / "committed" / name).exists():
                with self._locked(fcntl.LOCK_EX):
                    self._refuse_parent(name)
                    self._retire("committed", name)
            self._retire("active", name)
            self._clear(name)

    def snapshots(self) -> Iterator[SnapshotInfo]:
        """Yield every snapshot, and as ACTIVE what is half made, half removed or unreadable."""
        seen: set[str] = set()
        for place in ("active", "committed", "partial"):
            for name in self._names(place):
                info = self._info(place, name)
                # What another process moves on meanwhile is met in two places.
                if info is not None and name not in seen:
                    seen.add(name)
                    yield info

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Make a directory for the body to try things in, where a crash in it is seen and cleared as of a snapshot.

        Raises `OSError`: a probe puts it in words of its own.
        """
        self.root.mkdir(0o700, parents=True, exist_ok=True)
        self._make_places()
        with self._partial(name) as directory:
            yield directory
        self._clear(name)

    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """Turn an `OSError` of the body into an `EngineError` that says what failed, why, and what to do."""
        try:
            yield
        except OSError as error:
            reason = f"cannot {what}: {error.strerror or error}"
            if error.errno in _FULL:
                fix = f"Free space on the file system of {self.root}, or choose another --root."
                raise EngineError(reason, fix=fix, plugin=self._driver) from error
            subject = f" ({error.filename})" if error.filename else ""
            meaning = f": {explain(error.errno, 'open')}" if error.errno else ""
            raise KernelError(f"{reason}{subject}{meaning}", plugin=self._driver) from error

    def _check(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            fix = "Use up to 128 of a-z, 0-9, '.', '_' and '-', a letter or digit first."
            raise InvalidInput(f"{name!r} is no name for a snapshot", fix=fix, plugin=self._driver)

    def _read(self, place: str, name: str) -> Record | None:
        directory = self.root / place / name
        try:
            data = json.loads((directory / _RECORD).read_bytes())
            return Record(name, self._kind(place, data["kind"]), tuple(data["parents"]), directory, data["detail"])
        except FileNotFoundError:
            if not directory.exists():
                return None
            reason = "it has no record"
        except (ValueError, KeyError, TypeError) as error:
            reason = f"its record is unreadable ({error!r})"
        fix = "It was half written when the machine lost power: remove it."
        raise StateError(f"the snapshot '{name}' is broken: {reason}", fix=fix, plugin=self._driver)

    @staticmethod
    def _kind(place: str, written: str) -> SnapshotKind:
        """Return the kind: the place decides, as a commit writes the record before it moves the directory."""
        if place == "committed":
            return SnapshotKind.COMMITTED
        return SnapshotKind.VIEW if written == SnapshotKind.VIEW else SnapshotKind.ACTIVE

    @staticmethod
    def _write(directory: Path, record: Record) -> None:
        """Write the record beside the old one and rename it into place."""
        data = {"kind": record.kind, "parents": record.parents, "detail": dict(record.detail)}
        new = f"{directory}/{_RECORD}.new"
        with open(new, "wb", buffering=0) as file:
            file.write(json.dumps(data).encode())
        os.rename(new, f"{directory}/{_RECORD}")

    def _find_committed(self, name: str) -> Record:
        self._check(name)
        record = self._read("committed", name)
        if record is None:
            raise NotFound(f"there is no committed snapshot '{name}' to build upon", plugin=self._driver)
        return record

    def _new_parent(self, record: Record, parent: str | None) -> Record | None:
        """Return the parent that a snapshot will have: its own, or the one given now."""
        if parent is None or parent == record.parent:
            return None if record.parent is None else self._find_committed(record.parent)
        if record.parent is not None:
            what = f"the snapshot '{record.name}' was prepared over '{record.parent}', not over '{parent}'"
            raise Conflict(what, plugin=self._driver)
        return self._find_committed(parent)

    def _refuse_existing(self, name: str) -> None:
        for place in ("active", "committed"):
            if (self.root / place / name).exists():
                what = f"there is a snapshot '{name}' already ({place})"
                raise Conflict(what, fix="Choose another name, or remove it first.", plugin=self._driver)

    def _refuse_parent(self, name: str) -> None:
        children = [info.name for info in self.snapshots() if info.parent == name]
        if children:
            what = f"the snapshot '{name}' is the parent of '{children[0]}'"
            what += f" and {len(children) - 1} others" if len(children) > 1 else ""
            raise Conflict(what, fix="Remove what was made from it first.", plugin=self._driver)

    def _publish(self, directory: Path, name: str) -> None:
        try:
            directory.rename(self.root / "committed" / name)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            raise Conflict(f"there is a snapshot '{name}' already (committed)", plugin=self._driver) from error
        sync(self.root / "committed")

    @contextmanager
    def _partial(self, key: str) -> Iterator[Path]:
        """Make the directory of a snapshot to be; whatever fails in the body, it is cleared away."""
        directory = self.root / "partial" / key
        try:
            try:
                directory.mkdir(0o700)
            except FileExistsError:
                self._clear(key)
                directory.mkdir(0o700)
            yield directory
        except BaseException:
            self._clear(key)
            raise

    def _retire(self, place: str, name: str) -> None:
        """Move a snapshot to ``partial``, where it is one no longer."""
        source = self.root / place / name
        if source.exists():
            self._clear(name)
            source.rename(self.root / "partial" / name)

    def _clear(self, name: str) -> None:
        """Erase what lies in ``partial`` under a name; the caller holds the lock of that name, so nobody uses it."""
        fd = os.open(self.root / "partial", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._erase(fd, name)
        finally:
            os.close(fd)

    def _info(self, place: str, name: str) -> SnapshotInfo | None:
        try:
            record = None if place == "partial" else self._read(place, name)
        except StateError:
            record = None
        if record is not None:
            return SnapshotInfo(name, record.kind, record.parent)
        if (self.root / place / name).exists():
            return SnapshotInfo(name, SnapshotKind.ACTIVE, None)
        return None

    def _names(self, place: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root / place))
        except FileNotFoundError:
            return []

    def _make_places(self) -> None:
        if not (self.root / "partial").exists():
            for place in ("active", "committed", "partial"):
                (self.root / place).mkdir(0o700, exist_ok=True)

    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        with self.explaining(f"lock {self.root}"):
            self._make_places()
            fd = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with self.explaining(f"lock {self.root}"):
                fcntl.flock(fd, mode)
            yield
        finally:
            os.close(fd)


def sync(path: Path) -> None:
    """Have a file's or directory's content on disk (fsync(2)) when this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
