from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.linux import mounts
from engine.linux.trees import remove_tree

IMMUTABLE = (0x10).to_bytes(8, "little")
SET_FLAGS = 0x40086602


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_everything_goes_and_nothing_behind_a_link(directory: int, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").touch()
    (tree / "a" / "out").symlink_to("../../kept")
    (tree / "absolute").symlink_to(tmp_path / "kept")
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tree / "a" / "b").chmod(0)
    remove_tree(directory, "tree")
    assert os.listdir(directory) == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_a_link_itself_is_removed_not_its_target(directory: int, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    remove_tree(directory, "link")
    remove_tree(directory, "missing")
    assert os.listdir(directory) == ["kept"]


def test_a_tree_deeper_than_any_path(directory: int, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for number in range(1500):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(os.open(f"file{number}", os.O_CREAT, dir_fd=below))
        os.close(here)
        here = below
    os.close(here)
    open_before = os.listdir("/proc/self/fd")
    remove_tree(directory, "tree")
    assert os.listdir(directory) == []
    assert os.listdir("/proc/self/fd") == open_before


def test_what_chattr_made_immutable_goes_too(directory: int, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for path in (tree / "sub" / "file", tree / "sub"):
        if not path.is_dir():
            path.touch()
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SET_FLAGS, IMMUTABLE)
        except OSError as error:
            pytest.skip(f"this filesystem has no immutable files ({error})")
        finally:
            os.close(fd)
    remove_tree(directory, "tree")
    assert os.listdir(directory) == []


def test_a_mount_point_inside_is_not_gone_through(in_mount_namespace: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "tree" / "mounted").mkdir(parents=True)

    def body() -> list[Any]:
        mounts.mount("tmpfs", str(tmp_path / "tree" / "mounted"), "tmpfs")
        (tmp_path / "tree" / "mounted" / "file").touch()
        try:
            remove_tree(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY), "tree")
        except OSError as error:
            return [error.errno, os.listdir(tmp_path / "tree" / "mounted")]
        return []

    assert in_mount_namespace(body) == [errno.EBUSY, ["file"]]
