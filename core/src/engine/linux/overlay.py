"""Overlay mounts with any number of lower layers, on every kernel that the engine supports.

The kernel takes the layers in three ways, and none fits all cases: ``lowerdir+`` (Linux 6.7), one call per layer, each
at most 255 bytes long; ``lowerdir=a:b`` by fsconfig(2), 255 bytes for all of them; ``lowerdir=a:b`` by mount(2), one
page for all options together, and the result is attached somewhere at once. The source is
Documentation/filesystems/overlayfs.rst, "Multiple lower layers", and fs/overlayfs/params.c.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

from engine.linux import mounts
from engine.linux.paths import fd_path
from engine.linux.syscalls import kernel_release

_VALUE_LIMIT = 255
_PAGE_LIMIT = 4095


def new_overlay(
    lowers: Sequence[str],
    upper: str | None = None,
    work: str | None = None,
    options: Mapping[str, str | None] | None = None,
    attrs: int = 0,
    source: str = "overlay",
) -> int:
    """Return the descriptor of an overlay mount, attached nowhere yet.

    ``lowers`` are absolute directories, the topmost first; without ``upper`` and ``work`` it is read-only and needs
    two of them. ``options`` are overlay's others (``metacopy``, ``userxattr``, ``volatile``: None for a flag). Raises
    OSError with the kernel's own words; E2BIG on a kernel before 6.7 where not even descriptors fit in a page.
    """
    rest = dict(options or {})
    if kernel_release() < (6, 7):
        return by_mount(lowers, upper, work, rest, attrs, source)
    opened: list[int] = []
    try:
        settings: dict[str, str | Sequence[str] | None] = {"lowerdir+": [_short(path, opened) for path in lowers]}
        if upper is not None and work is not None:
            settings |= {"upperdir": _escape(_short(upper, opened)), "workdir": _escape(_short(work, opened))}
        return mounts.new_mount("overlay", settings | rest, attrs, source)
    finally:
        for fd in opened:
            os.close(fd)


def by_mount(
    lowers: Sequence[str],
    upper: str | None,
    work: str | None,
    options: Mapping[str, str | None],
    attrs: int,
    source: str,
) -> int:
    """Do the same with mount(2), for kernels before 6.7.

    It has to be attached for a moment: over ``work``, or over the first lower directory, in the caller's own mount
    namespace. So the caller should have one, not shared with the host's, as the shim does.
    """
    opened: list[int] = []
    directories = {} if upper is None or work is None else {"upperdir": upper, "workdir": work}
    target = os.open(work or lowers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        data = _join(list(lowers), directories, options)
        if len(os.fsencode(data)) > _PAGE_LIMIT:
            by_fd = [_by_fd(path, opened) for path in lowers]
            data = _join(by_fd, {key: _by_fd(path, opened) for key, path in directories.items()}, options)
        if len(os.fsencode(data)) > _PAGE_LIMIT:
            raise OSError(errno.E2BIG, f"{len(lowers)} lower layers do not fit in the options of mount(2)", "overlay")
        mounts.mount(source, fd_path(target), "overlay", 0, data)
        return _take_off(fd_path(target), attrs)
    finally:
        for fd in (*opened, target):
            os.close(fd)


def _take_off(path: str, attrs: int) -> int:
    """Return a detached copy of the mount on top of ``path``, a link of /proc, and unmount the original."""
    place = os.readlink(path)
    try:
        return mounts.bind_fd(mounts.AT_FDCWD, place, attr_set=attrs)
    finally:
        mounts.umount(place)


def _join(lowers: list[str], directories: Mapping[str, str], options: Mapping[str, str | None]) -> str:
    """Return the options of mount(2), in which a comma and a colon separate and a backslash protects."""
    settings = ["lowerdir=" + ":".join(_escape(path).replace(":", "\\:").replace(",", "\\,") for path in lowers)]
    settings += [f"{key}={_escape(path).replace(',', chr(92) + ',')}" for key, path in directories.items()]
    settings += [key if value is None else f"{key}={value}" for key, value in options.items()]
    return ",".join(settings)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\")


def _short(path: str, opened: list[int]) -> str:
    """Return the path, or one through a descriptor (added to ``opened``) where it is too long for fsconfig(2)."""
    return path if len(os.fsencode(path)) <= _VALUE_LIMIT else _by_fd(path, opened)


def _by_fd(path: str, opened: list[int]) -> str:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.append(fd)
    return fd_path(fd)
