"""Mounts whose files belong to other ids, and acting on files as one of those."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from core.tests.linux.conftest import InChild
from engine.errors import Unsupported
from engine.linux import capabilities, idmapped, mounts, namespaces
from engine.linux.fsids import FileSystemIds

ROWS = ((0, 100000, 65536),)
MAPS = (ROWS, ((0, 200000, 65536),))


def namespace() -> int:
    return namespaces.userns_fd(*([namespaces.IdRow(*row) for row in rows] for rows in MAPS))


def test_root_and_identity() -> None:
    assert idmapped.root_of((((5, 1, 1), (0, 7, 1)), ((0, 8, 9),))) == (7, 8)
    assert idmapped.is_identity((((0, 0, 10), (10, 10, 1)), ((0, 0, 1),)))
    assert not idmapped.is_identity((((0, 0, 10),), ((0, 1, 1),)))


def test_files_are_made_as_another_user_with_every_capability(in_child: InChild, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    def body() -> list[object]:
        before = capabilities.get().effective
        with FileSystemIds(1000, 1001):
            (closed / "made").write_text("")
            inside = capabilities.get().effective
            os.chown(closed / "made", 7, 1001)
        (closed / "after").write_text("")
        return [before == inside == capabilities.get().effective, *((closed / "made").stat()[4:6])]

    assert in_child(body) == [True, 7, 1001]
    assert (closed / "after").stat().st_uid == 0


def test_another_user_is_refused_without_the_capability(in_child: InChild) -> None:
    def body() -> list[object]:
        sets = capabilities.get()
        kept = sets.effective & ~capabilities.mask(["CAP_SETUID", "CAP_SETGID"])
        capabilities.set(kept, kept, 0)
        try:
            with FileSystemIds(1000, 1000):
                return ["entered"]
        except PermissionError as error:
            return [str(error)]

    assert "1000" in in_child(body)[0]


def test_an_overlay_over_mapped_layers(in_mount_namespace: InChild, tmp_path: Path) -> None:
    """Read through two layers, written by the mapped root, and nothing stays mounted but the overlay."""
    for name in ("high", "low", "up/fs", "up/work", "place"):
        (tmp_path / name).mkdir(parents=True)
    for name, owner in (("high", 3), ("low", 4)):
        (tmp_path / name / name).write_text(name)
        os.chown(tmp_path / name / name, owner, owner)
    place = str(tmp_path / "place")

    def body() -> list[object]:
        fd = idmapped.overlay(
            [f"{tmp_path}/high", f"{tmp_path}/low"], f"{tmp_path}/up/fs", f"{tmp_path}/up/work", {}, 0, "overlay",
            maps=MAPS, namespace=namespace(), place=place,
        )  # fmt: skip
        left = os.listdir(place)
        mounts.attach(fd, mounts.AT_FDCWD, place)
        with FileSystemIds(100000, 200000):
            Path(place, "low").unlink()
            Path(place, "new").write_text("new")
        seen = Path(place, "high").stat()
        return [left, seen.st_uid, seen.st_gid, sorted(os.listdir(place))]

    assert in_mount_namespace(body) == [[], 100003, 200003, ["high", "new"]]
    new, deleted = (tmp_path / "up/fs" / name for name in ("new", "low"))
    assert (new.stat().st_uid, new.stat().st_gid) == (0, 0)
    assert (deleted.lstat().st_rdev, deleted.lstat().st_uid) == (0, 0)


def test_the_hosts_root_makes_nothing_in_a_mapped_mount(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> int:
        fd = idmapped.bind(str(tmp_path), namespace())
        try:
            os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_mount_namespace(body) == errno.EOVERFLOW


def test_what_lies_below_is_mapped_when_that_is_asked_for(in_mount_namespace: InChild, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()

    def body() -> list[int]:
        mounts.attach(mounts.new_mount("tmpfs"), mounts.AT_FDCWD, f"{tmp_path}/tmp")
        found = []
        for below in (False, True):
            fd = idmapped.bind(str(tmp_path), namespace(), recursive=True, below=below)
            found.append(os.stat("tmp", dir_fd=fd).st_uid)
        return found

    assert in_mount_namespace(body) == [0, 100000]


def test_a_file_system_that_maps_nothing_is_named(in_mount_namespace: InChild) -> None:
    def body() -> str:
        try:
            idmapped.bind("/proc/sys", namespace())
        except Unsupported as error:
            return str(error)
        return ""

    assert "/proc/sys" in in_mount_namespace(body)


def test_a_source_that_is_missing(in_mount_namespace: InChild) -> None:
    def body() -> int:
        try:
            idmapped.bind("/no/such/directory", namespace())
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_mount_namespace(body) == errno.ENOENT
