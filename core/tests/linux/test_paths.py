from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.linux import paths, syscalls


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "secret").write_text("the host's")
    (tmp_path / "root").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


def place(fd: int) -> str:
    return os.readlink(paths.fd_path(fd))


@pytest.mark.parametrize("target", ["../secret", "/secret", "/../../../secret", "../../../../../../secret"])
def test_a_link_leads_to_the_containers_own_file_never_outside(root: int, tmp_path: Path, target: str) -> None:
    (tmp_path / "root" / "link").symlink_to(target)
    with pytest.raises(FileNotFoundError):
        paths.read_regular(root, "link", 100)
    (tmp_path / "root" / "secret").write_text("the container's")
    assert paths.read_regular(root, "/link", 100) == b"the container's"


def test_a_magic_link_is_refused(root: int, tmp_path: Path) -> None:
    fd = os.open("/proc", os.O_PATH)
    with pytest.raises(OSError, match="self/root") as caught:
        paths.open_in_root(fd, "self/root", os.O_PATH)
    assert caught.value.errno == errno.ELOOP
    os.close(fd)


def test_read_regular_bounds_the_size(root: int, tmp_path: Path) -> None:
    (tmp_path / "root" / "file").write_bytes(b"x" * 100)
    assert paths.read_regular(root, "file", 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99") as caught:
        paths.read_regular(root, "file", 99)
    assert caught.value.errno == errno.EFBIG


def test_read_regular_refuses_what_is_no_regular_file_and_does_not_block(root: int, tmp_path: Path) -> None:
    inside = tmp_path / "root"
    os.mkfifo(inside / "fifo")
    os.mknod(inside / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (inside / "directory").mkdir()
    for name, number in (("fifo", errno.EINVAL), ("null", errno.EINVAL), ("directory", errno.EISDIR)):
        with pytest.raises(OSError, match=name) as caught:
            paths.read_regular(root, name, 100)
        assert caught.value.errno == number


def test_opening_a_fifo_does_not_block(root: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root" / "fifo")
    os.close(paths.open_in_root(root, "fifo", os.O_RDONLY))
    with pytest.raises(OSError, match="fifo") as caught:
        paths.open_in_root(root, "fifo", os.O_WRONLY)
    assert caught.value.errno == errno.ENXIO


def test_descriptors_are_closed_on_exec(root: int) -> None:
    fd = paths.open_in_root(root, "/", os.O_PATH)
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("a/b/c", "a/b/c"),
        ("/a//./b/", "a/b"),
        ("../../a", "a"),
        ("a/../b/../../c", "c"),
        ("up/x", "x"),
        ("absolute/x", "real/x"),
        ("dangling/x", "run/missing/x"),
        ("chain/x", "run/missing/x"),
    ],
)
def test_make_directories(root: int, tmp_path: Path, path: str, made: str) -> None:
    inside = tmp_path / "root"
    (inside / "real").mkdir()
    (inside / "up").symlink_to("../../..")
    (inside / "absolute").symlink_to("/real")
    (inside / "dangling").symlink_to("../../run/missing")
    (inside / "chain").symlink_to("/dangling")
    fd = paths.make_directories(root, path)
    assert place(fd) == str(inside / made)
    assert place(paths.make_directories(root, path)) == str(inside / made)
    os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["root", "secret"]


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("/etc/resolv.conf", "run/stub/resolv.conf"),
        ("new/file", "new/file"),
        ("../file", "file"),
        ("existing", "existing"),
    ],
)
def test_make_file(root: int, tmp_path: Path, path: str, made: str) -> None:
    inside = tmp_path / "root"
    (inside / "etc").mkdir()
    (inside / "etc" / "resolv.conf").symlink_to("../run/stub/resolv.conf")
    (inside / "existing").write_text("kept")
    fd = paths.make_file(root, path)
    assert place(fd) == str(inside / made)
    assert (inside / made).is_file()
    assert (inside / "existing").read_text() == "kept"
    os.close(fd)


def test_what_is_in_the_way(root: int, tmp_path: Path) -> None:
    inside = tmp_path / "root"
    (inside / "file").touch()
    (inside / "loop").symlink_to("loop")
    with pytest.raises(NotADirectoryError):
        paths.make_directories(root, "file/below")
    with pytest.raises(IsADirectoryError):
        paths.make_file(root, "/")
    with pytest.raises(OSError, match="loop") as caught:
        paths.make_directories(root, "loop/x")
    assert caught.value.errno == errno.ELOOP


def test_no_descriptor_is_left_open(root: int, tmp_path: Path) -> None:
    (tmp_path / "root" / "dangling").symlink_to("../run/missing")
    (tmp_path / "root" / "file").touch()
    before = os.listdir("/proc/self/fd")
    os.close(paths.make_directories(root, "a/b/c"))
    os.close(paths.make_file(root, "dangling/x/y"))
    for path in ("file/x", "a/file/../../file/x"):
        with pytest.raises(OSError, match="file"):
            paths.make_directories(root, path)
    paths.read_regular(root, "file", 1)
    assert os.listdir("/proc/self/fd") == before


def test_a_container_that_swaps_a_directory_for_a_link_never_leads_outside(root: int, tmp_path: Path) -> None:
    inside, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (inside / "swap").symlink_to("../outside")
    (inside / "other").mkdir()
    names = [os.fsencode(inside / name) for name in ("swap", "other")]
    racer = os.fork()
    while racer == 0:
        # RENAME_EXCHANGE: at each moment it is either the directory or the link.
        syscalls.libc.renameat2(-100, names[0], -100, names[1], 2)
    refused = made = 0
    try:
        for number in range(500):
            try:
                os.close(paths.make_file(root, f"swap/{number}/file"))
                made += 1
            except OSError as error:
                refused += error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EAGAIN}
    finally:
        os.kill(racer, signal.SIGKILL)
        os.waitpid(racer, 0)
    assert refused + made == 500
    assert made
    assert os.listdir(outside) == []
