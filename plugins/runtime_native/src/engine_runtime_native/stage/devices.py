"""Actions on /dev. CHILD_BEFORE_PIVOT, once the mounts are there: the nodes' places are resolved below the root."""

from __future__ import annotations

import errno
import os
import stat

from engine.actions.base import Slots, action
from engine.linux import devices, mounts, paths
from engine.tuples import NamedTuple

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}

NodeRow = tuple[str, str, int, int, int, int, int]
"""Path in the container, type (c, b, u, p), major, minor, permissions, owner, group."""


@action("mknod")
class MakeDevices(NamedTuple):
    """Make device nodes: by mknod(2), or with ``bound`` as binds of the host's (a user namespace makes none)."""

    nodes: tuple[NodeRow, ...]
    bound: bool

    def describe(self) -> str:
        """Return the sentence."""
        verb = "bind the host's devices" if self.bound else "make the devices"
        return f"{verb} {', '.join(node[0] for node in self.nodes)}"

    def run(self, slots: Slots) -> None:
        """Make each; neighbours share the descriptor of their directory."""
        directory, fd = "", -1
        try:
            for row in self.nodes:
                parent, _slash, name = row[0].rpartition("/")
                if fd < 0 or parent != directory:
                    if fd >= 0:
                        os.close(fd)
                    directory, fd = parent, paths.make_directories(slots["rootfs"], parent or "/")
                _bind(fd, name, row) if self.bound else _make(fd, name, row)
        finally:
            if fd >= 0:
                os.close(fd)


@action("symlink")
class LinkDevices(NamedTuple):
    """Make the symbolic links that every /dev has: (name in /dev, target) rows."""

    links: tuple[tuple[str, str], ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"link /dev/{', /dev/'.join(name for name, _target in self.links)}"

    def run(self, slots: Slots) -> None:
        """Make each; what the image has in its place is left alone."""
        fd = paths.make_directories(slots["rootfs"], "/dev")
        try:
            for name, target in self.links:
                try:
                    os.symlink(target, name, dir_fd=fd)
                except FileExistsError:
                    continue
        finally:
            os.close(fd)


def _make(directory: int, name: str, row: NodeRow) -> None:
    path, kind, major, minor, permissions, uid, gid = row
    try:
        devices.make_node(directory, name, _KINDS[kind] | permissions, major, minor)
    except FileExistsError:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_IFMT(found.st_mode) != _KINDS[kind] or found.st_rdev != os.makedev(major, minor):
            raise OSError(errno.EEXIST, "the image has something else there", path) from None
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def _bind(directory: int, name: str, row: NodeRow) -> None:
    path, kind, major, minor = row[:4]
    source = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(source)
        if stat.S_IFMT(found.st_mode) != _KINDS[kind] or found.st_rdev != os.makedev(major, minor):
            raise OSError(errno.ENODEV, "the host has another device there", path)
        target = paths.make_file(directory, name)
        mount = mounts.bind_fd(source)
        try:
            mounts.move_mount(mount, target)
        finally:
            os.close(mount)
            os.close(target)
    finally:
        os.close(source)
