from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.linux import mountinfo, mounts, namespaces, overlay

InChild = Callable[..., Any]


def layers(top: Path, count: int, name: str = "lower") -> list[str]:
    made = []
    for number in range(count):
        layer = top / f"{name}{number:03}"
        layer.mkdir(parents=True)
        (layer / f"file{number}").write_text(str(number))
        (layer / "shared").write_text(f"from {number}")
        made.append(str(layer))
    return made


def mount_tmpfs(path: Path) -> None:
    """An overlay's upper cannot lie on everything; on tmpfs it can."""
    path.mkdir(exist_ok=True)
    mounts.mount("tmpfs", str(path), "tmpfs")


def test_a_mount_is_nowhere_until_it_is_attached(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> None:
        before = len(mountinfo.read())
        fd = mounts.new_mount("tmpfs", {"size": "1m", "mode": "0700"}, mounts.MOUNT_ATTR_NODEV, "a name")
        assert len(mountinfo.read()) == before
        directory = os.open(tmp_path, os.O_PATH)
        mounts.attach(fd, directory)
        entry = mountinfo.at(str(tmp_path), mountinfo.read())
        assert entry is not None
        assert (entry.fstype, entry.source) == ("tmpfs", "a name")
        assert "nodev" in entry.options
        assert {"size=1024k", "mode=700"} <= {*entry.super_options}
        mounts.umount(str(tmp_path))
        assert len(mountinfo.read()) == before

    in_mount_namespace(body)


def test_a_closed_descriptor_unmounts(in_mount_namespace: InChild) -> None:
    def body() -> bool:
        fd = mounts.new_mount("tmpfs")
        inside = os.open(".", os.O_PATH, dir_fd=fd)
        os.close(fd)
        os.close(inside)
        return not mountinfo.of_type("x", mountinfo.read())

    assert in_mount_namespace(body)


@pytest.mark.parametrize(
    ("fstype", "options", "number", "words"),
    [
        ("no-such-fs", {}, errno.ENODEV, "no-such-fs"),
        ("tmpfs", {"nonsense": "1"}, errno.EINVAL, "nonsense"),
        ("tmpfs", {"size": "much"}, errno.EINVAL, "size"),
        ("overlay", {"lowerdir+": ["/no/such/layer"]}, errno.ENOENT, "/no/such/layer"),
        ("overlay", {"lowerdir": "/", "upperdir": "/"}, errno.EINVAL, "overlay"),
    ],
)
def test_an_error_holds_the_kernels_own_words(
    in_mount_namespace: InChild, fstype: str, options: dict[str, Any], number: int, words: str
) -> None:
    def body() -> list[Any]:
        try:
            mounts.new_mount(fstype, options)
        except OSError as error:
            return [error.errno, str(error)]
        return [0, "no error"]

    got, text = in_mount_namespace(body)
    assert got == number
    assert words in text


def test_a_bind_mount_takes_attributes_and_those_below(in_mount_namespace: InChild, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()

    def body() -> None:
        mount_tmpfs(source)
        mount_tmpfs(source / "below")
        dirfd = os.open(tmp_path, os.O_PATH)
        fd = mounts.bind_fd(dirfd, "source", True, attr_set=mounts.MOUNT_ATTR_RDONLY)
        mounts.attach(fd, dirfd, "target")
        for place in (target, target / "below"):
            with pytest.raises(OSError, match="Read-only"):
                (place / "file").touch()
        (source / "below" / "file").touch()

    in_mount_namespace(body)


def test_not_recursive_leaves_the_mounts_below_out(in_mount_namespace: InChild, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()

    def body() -> list[str]:
        mount_tmpfs(source)
        mount_tmpfs(source / "below")
        (source / "below" / "hidden").touch()
        dirfd = os.open(source, os.O_PATH)
        mounts.attach(mounts.bind_fd(dirfd), mounts.AT_FDCWD, str(target))
        return os.listdir(target / "below")

    assert in_mount_namespace(body) == []


def test_a_link_as_target_is_not_followed(in_mount_namespace: InChild, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")

    def body() -> int:
        dirfd = os.open(tmp_path, os.O_PATH)
        try:
            mounts.attach(mounts.new_mount("tmpfs"), dirfd, "link")
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_mount_namespace(body) == errno.EINVAL


def test_an_idmapped_bind_mount(in_mount_namespace: InChild, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()

    def body() -> list[int]:
        mount_tmpfs(source)
        (source / "file").touch()
        userns = namespaces.userns_fd([namespaces.IdRow(0, 100000, 10)], [namespaces.IdRow(0, 200000, 10)])
        fd = mounts.bind_fd(mounts.AT_FDCWD, str(source), userns_fd=userns)
        mounts.attach(fd, mounts.AT_FDCWD, str(target))
        status = (target / "file").stat()
        return [status.st_uid, status.st_gid]

    assert in_mount_namespace(body) == [100000, 200000]


def test_propagation(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> list[str]:
        mount_tmpfs(tmp_path / "m")
        seen = []
        for flag in (mounts.MS_SHARED, mounts.MS_PRIVATE, mounts.MS_UNBINDABLE):
            mounts.make_propagation(str(tmp_path / "m"), flag)
            entry = mountinfo.at(str(tmp_path / "m"), mountinfo.read())
            assert entry is not None
            seen.append(",".join(entry.propagation).split(":", maxsplit=1)[0])
        return seen

    assert in_mount_namespace(body) == ["shared", "", "unbindable"]


def test_pivot_root_leaves_nothing_of_the_old_root(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> list[str]:
        mount_tmpfs(tmp_path / "root")
        (tmp_path / "root" / "here").touch()
        os.chdir(tmp_path / "root")
        mounts.pivot_root(".", ".")
        mounts.umount(".")
        os.chdir("/")
        return os.listdir("/")

    assert in_mount_namespace(body) == ["here"]


def test_reconfigure_a_filesystem(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> tuple[str, ...]:
        mount_tmpfs(tmp_path / "m")
        directory = os.open(tmp_path / "m", os.O_PATH)
        context = mounts.fspick(directory)
        mounts.fsconfig_set_string(context, "size", "2m")
        mounts.fsconfig_reconfigure(context)
        entry = mountinfo.at(str(tmp_path / "m"), mountinfo.read())
        assert entry is not None
        return entry.super_options

    assert "size=2048k" in in_mount_namespace(body)


WAYS: list[Any] = [
    pytest.param(overlay.new_overlay, id="lowerdir+"),
    pytest.param(lambda lowers, upper, work: overlay.by_mount(lowers, upper, work, {}, 0, "overlay"), id="mount(2)"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prefix", ["l", "x" * 200], ids=["short", "long"])
def test_an_overlay_of_more_layers_than_a_page_names(
    in_mount_namespace: InChild, tmp_path: Path, way: Callable[..., int], prefix: str
) -> None:
    def body() -> list[Any]:
        mount_tmpfs(tmp_path / "t")
        top = tmp_path / "t"
        lowers = layers(top / prefix, 120, prefix)
        for name in ("upper", "work", "merged"):
            (top / name).mkdir()
        before = len(mountinfo.read())
        fd = way(lowers, str(top / "upper"), str(top / "work"))
        assert len(mountinfo.read()) == before
        mounts.attach(fd, mounts.AT_FDCWD, str(top / "merged"))
        (top / "merged" / "new").touch()
        shared = (top / "merged" / "shared").read_text()
        return [len(os.listdir(top / "merged")), shared, os.listdir(top / "upper")]

    assert in_mount_namespace(body) == [122, "from 0", ["new"]]


@pytest.mark.parametrize("way", WAYS)
def test_an_overlay_of_directories_with_separators_in_their_names(
    in_mount_namespace: InChild, tmp_path: Path, way: Callable[..., int]
) -> None:
    def body() -> list[str]:
        mount_tmpfs(tmp_path / "t")
        top = tmp_path / "t"
        lowers = layers(top, 2, "a:b,c\\d=e")
        for name in ("up\\per,", "wo,rk", "merged"):
            (top / name).mkdir()
        fd = way(lowers, str(top / "up\\per,"), str(top / "wo,rk"))
        mounts.attach(fd, mounts.AT_FDCWD, str(top / "merged"))
        (top / "merged" / "new").touch()
        return os.listdir(top / "up\\per,")

    assert in_mount_namespace(body) == ["new"]


def test_a_read_only_overlay(in_mount_namespace: InChild, tmp_path: Path) -> None:
    lowers = layers(tmp_path, 2)

    def body() -> int:
        fd = overlay.new_overlay(lowers, attrs=mounts.MOUNT_ATTR_RDONLY)
        try:
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_mount_namespace(body) == errno.EROFS


def test_layers_that_do_not_fit_on_an_old_kernel_are_refused(in_mount_namespace: InChild, tmp_path: Path) -> None:
    lower = layers(tmp_path, 1)[0]

    def body() -> int:
        try:
            overlay.by_mount([lower] * 400, None, None, {}, 0, "overlay")
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_mount_namespace(body) == errno.E2BIG
