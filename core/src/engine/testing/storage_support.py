"""What the storage suite's checks share: mounting a driver's answer, filling layers, looking at what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from engine.actions.rootfs import MountRootfs
from engine.contracts.common import IdMap
from engine.contracts.storage import Mount, SnapshotInfo, SnapshotKind, StorageDriver, Whiteouts, to_row
from engine.errors import EngineError
from engine.linux import mountinfo
from engine.testing.processes import in_child, with_private_mounts

T = TypeVar("T")

WHITEOUT_DEVICE = os.makedev(0, 0)


class StorageChecks:
    """The base of the suite's parts: the fixtures that every check may ask for."""

    @pytest.fixture
    def driver(self) -> StorageDriver:
        """Make the driver under test over an empty root directory of its own (mode 0700). A subclass overrides it."""
        raise NotImplementedError("a storage driver's test class provides the fixture 'driver'")

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """Return the root directory that `driver` was given; a subclass that puts it elsewhere overrides this."""
        return tmp_path / "root"

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Make a directory to mount on."""
        place = tmp_path / "rootfs"
        place.mkdir()
        return place


def inside(
    driver: StorageDriver, key: str, place: Path, function: Callable[[Path], T], idmap: IdMap | None = None
) -> T:
    """Mount the snapshot on ``place`` in a forked child's own mount namespace, and return what ``function`` returns."""
    values = driver.mounts(key, idmap=idmap) if idmap else driver.mounts(key)
    return in_child(mounted(values, place, function))


def mounted(values: tuple[Mount, ...], place: Path, function: Callable[[Path], T]) -> Callable[[], T]:
    """Return what a child runs: mount in a namespace of its own, then ``function``."""

    def mount_and_run() -> T:
        for value in values:
            _attach(value, place)
        return function(place)

    return with_private_mounts(mount_and_run)


def _attach(value: Mount, place: Path) -> None:
    """Mount one value as the shim does."""
    MountRootfs(str(place), (to_row(value),)).run({})


def layer(driver: StorageDriver, name: str, parent: str | None, fill: Callable[[Path], object]) -> None:
    """Make the committed snapshot ``name``: ``fill`` unpacks it in the driver's unpack target."""
    key = f"unpack-{name}"
    driver.prepare(key, parent)
    fill(driver.unpack_target(key).directory)
    driver.commit(key, name)


def delete(driver: StorageDriver, key: str, path: str) -> None:
    """Unpack a whiteout: ``path`` of the parent does not exist in this layer."""
    target = driver.unpack_target(key)
    victim = target.directory / path
    if target.whiteouts is Whiteouts.DELETE:
        remove(victim)
        return
    victim.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(victim, 0o600 | 0o020000, WHITEOUT_DEVICE)


def make_implied(driver: StorageDriver, key: str, path: str) -> Path:
    """Make a directory as an unpacker does that found an entry below it and none for it."""
    target = driver.unpack_target(key)
    directory = target.directory / path
    if not directory.exists():
        directory.mkdir(mode=0o755)
        if target.implied:
            os.setxattr(directory, target.implied, b"")
    return directory


def make_opaque(driver: StorageDriver, key: str, path: str) -> None:
    """Unpack an opaque directory: nothing of the parent's ``path`` shows through."""
    target = driver.unpack_target(key)
    directory = target.directory / path
    if target.whiteouts is Whiteouts.DELETE:
        for entry in directory.iterdir():
            remove(entry)
        return
    directory.mkdir(parents=True, exist_ok=True)
    os.setxattr(directory, f"{target.xattr_prefix}opaque", b"y")


def remove(path: Path) -> None:
    """Remove a file, or a directory with all in it."""
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            remove(entry)
        path.rmdir()
    else:
        path.unlink()


def paths(directory: Path) -> set[str]:
    """Return every path below a directory, relative to it; empty when it does not exist."""
    found: set[str] = set()
    for here, directories, files in os.walk(directory):
        found.update(os.path.relpath(os.path.join(here, name), directory) for name in (*directories, *files))
    return found


def infos(driver: StorageDriver) -> dict[str, SnapshotInfo]:
    """Return what the driver lists, by name; a name listed twice fails."""
    found = list(driver.snapshots())
    names = [info.name for info in found]
    assert len(names) == len(set(names)), f"snapshots() lists a name twice: {sorted(names)}"
    return {info.name: info for info in found}


def kinds(driver: StorageDriver) -> dict[str, SnapshotKind]:
    """Return the kind of everything the driver lists, by name."""
    return {name: info.kind for name, info in infos(driver).items()}


@contextmanager
def refused(kind: type[EngineError], *words: str) -> Iterator[None]:
    """Expect the body to raise exactly ``kind``, as one sentence in which each of ``words`` occurs."""
    with pytest.raises(kind) as caught:
        yield
    error = caught.value
    assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
    assert error.what.strip(), "the error says nothing"
    assert "\n" not in error.what + error.fix, f"the error is more than one line: {error.what!r}, {error.fix!r}"
    missing = [word for word in words if word not in error.what]
    assert not missing, f"the error does not name {missing}: {error.what!r}"


@contextmanager
def nothing_mounted() -> Iterator[None]:
    """Fail when the body leaves a mount in this mount namespace."""
    before = {entry.mount_id for entry in mountinfo.read()}
    yield
    left = [entry for entry in mountinfo.read() if entry.mount_id not in before]
    assert not left, f"left mounted: {', '.join(entry.mount_point for entry in left)}"


@contextmanager
def nothing_left(root: Path) -> Iterator[None]:
    """Fail when the body leaves a file below ``root`` that was not there, or takes one away."""
    before = paths(root)
    yield
    after = paths(root)
    assert after == before, f"left behind: {sorted(after - before)}, gone: {sorted(before - after)}"
