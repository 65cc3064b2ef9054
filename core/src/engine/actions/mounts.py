"""Actions that mount below a container's root, so that nothing which the image or a volume holds leads outside of it.

A target is never followed as a string: it is resolved below the slot ``rootfs`` by openat2(2), as if that were ``/``,
made when it is missing, and the mount is attached to the descriptor of what was found. A *strict* target (``/proc``,
``/sys``, ``/dev``) is refused when any part of it is a symbolic link.

A bind mount takes two steps. The shim opens the source as a detached mount with its attributes set, in its own mount
namespace and with its own rights (`OpenBind`); the child attaches it (`AttachMount`): so a user namespace that does
not hold the source's owner still gets it, and a source that is missing is known before anything is started.

Everything here lives in a mount namespace and ends with it: there is nothing to undo.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from engine.actions.base import Slots, action
from engine.actions.namespaces import Maps, namespace_of
from engine.errors import InvalidInput
from engine.linux import mounts, paths
from engine.tuples import NamedTuple

_STRICT = paths.RESOLVE_IN_ROOT | paths.RESOLVE_NO_MAGICLINKS | paths.RESOLVE_NO_SYMLINKS
_NULL = os.makedev(1, 3)

SET = {
    "ro": mounts.MOUNT_ATTR_RDONLY,
    "nosuid": mounts.MOUNT_ATTR_NOSUID,
    "nodev": mounts.MOUNT_ATTR_NODEV,
    "noexec": mounts.MOUNT_ATTR_NOEXEC,
    "nodiratime": mounts.MOUNT_ATTR_NODIRATIME,
    "nosymfollow": mounts.MOUNT_ATTR_NOSYMFOLLOW,
}
"""mount(8)'s words for attributes of a mount that are set."""
CLEAR = {
    "rw": mounts.MOUNT_ATTR_RDONLY,
    "suid": mounts.MOUNT_ATTR_NOSUID,
    "dev": mounts.MOUNT_ATTR_NODEV,
    "exec": mounts.MOUNT_ATTR_NOEXEC,
    "diratime": mounts.MOUNT_ATTR_NODIRATIME,
    "symfollow": mounts.MOUNT_ATTR_NOSYMFOLLOW,
}
"""The words that take them off."""
ACCESS_TIME = {
    "relatime": mounts.MOUNT_ATTR_RELATIME,
    "norelatime": mounts.MOUNT_ATTR_STRICTATIME,
    "noatime": mounts.MOUNT_ATTR_NOATIME,
    "atime": mounts.MOUNT_ATTR_RELATIME,
    "strictatime": mounts.MOUNT_ATTR_STRICTATIME,
    "nostrictatime": mounts.MOUNT_ATTR_RELATIME,
}
"""The words for when access times are written, of which a mount has one."""
PROPAGATION = {
    "private": mounts.MS_PRIVATE,
    "slave": mounts.MS_SLAVE,
    "shared": mounts.MS_SHARED,
    "unbindable": mounts.MS_UNBINDABLE,
}


def attribute_bits(words: Iterable[str]) -> tuple[int, int]:
    """Return the MOUNT_ATTR_* bits that these words set and those that they clear; the last word on a bit counts."""
    bits = clear = 0
    for word in words:
        if word in ACCESS_TIME:
            bits = bits & ~mounts.MOUNT_ATTR_ATIME_MASK | ACCESS_TIME[word]
            clear |= mounts.MOUNT_ATTR_ATIME_MASK
        elif word in SET:
            bits, clear = bits | SET[word], clear & ~SET[word]
        else:
            bits, clear = bits & ~CLEAR[word], clear | CLEAR[word]
    return bits, clear


@action("mount")
class OpenBind(NamedTuple):
    """Open ``source`` of the host as a detached mount into ``slot``. PARENT_BEFORE, in the shim.

    ``attributes`` hold for the mount itself, ``below`` for it and all mounts beneath it. ``propagation`` is a word of
    `PROPAGATION` for all of them; "slave" keeps what the shim's mounts are: slaves of the host's. ``maps``: its files
    appear owned by other ids (rows for users and for groups; None: as they are), with ``maps_below`` those of all
    mounts beneath it too.
    """

    source: str
    slot: str
    recursive: bool
    attributes: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    propagation: str = "private"
    maps: Maps | None = None
    maps_below: bool = False

    def describe(self) -> str:
        """Return the sentence."""
        mapped = ", its ids mapped" if self.maps else ""
        return f"open {self.source} of the host to bind it{mapped}{_listed(self.attributes + self.below)}"

    def run(self, slots: Slots) -> None:
        """Open it. The slot is closed by whoever owns the slots, which unmounts what was not attached."""
        fd = self._opened(os.path.realpath(self.source, strict=True), slots)
        try:
            bits, clear = attribute_bits(self.below)
            mounts.mount_setattr(fd, "", bits, clear, PROPAGATION[self.propagation], recursive=self.recursive)
            if self.attributes:
                mounts.mount_setattr(fd, "", *attribute_bits(self.attributes))
        except OSError:
            os.close(fd)
            raise
        slots[self.slot] = fd

    def _opened(self, source: str, slots: Slots) -> int:
        if self.maps is None:
            return mounts.bind_fd(mounts.AT_FDCWD, source, self.recursive)
        from engine.linux import idmapped  # for the containers that have one

        namespace = namespace_of(self.maps, slots)
        return idmapped.bind(source, namespace, recursive=self.recursive, below=self.maps_below)


@action("mount")
class AttachMount(NamedTuple):
    """Attach the detached mount of ``slot`` at ``target``, made when it is missing. CHILD_BEFORE_PIVOT."""

    slot: str
    target: str
    strict: bool = False

    def describe(self) -> str:
        """Return the sentence."""
        return f"attach {self.slot} at {self.target}"

    def run(self, slots: Slots) -> None:
        """Make a directory or an empty file, as the source is one, and attach the mount upon it."""
        fd = slots[self.slot]
        attach(slots["rootfs"], fd, self.target, directory=stat.S_ISDIR(os.fstat(fd).st_mode), strict=self.strict)


@action("mount")
class MountFilesystem(NamedTuple):
    """Mount a new filesystem at ``target``, a directory that is made when it is missing. CHILD_BEFORE_PIVOT.

    ``options`` are the filesystem's own, (key, value) in order, the value ``""`` for a flag; ``attributes`` the words
    of the mount. ``verified``: afterwards the path leads to that very filesystem, or the step fails.
    """

    fstype: str
    target: str
    source: str
    options: tuple[tuple[str, str], ...] = ()
    attributes: tuple[str, ...] = ()
    strict: bool = False
    verified: bool = False

    def describe(self) -> str:
        """Return the sentence."""
        options = tuple(f"{key}={value}" if value else key for key, value in self.options)
        return f"mount {self.fstype} at {self.target}{_listed(self.attributes + options)}"

    def run(self, slots: Slots) -> None:
        """Make the filesystem in the namespaces that the caller is in, and attach it."""
        options = {key: value or None for key, value in self.options}
        fd = mounts.new_mount(self.fstype, options, attribute_bits(self.attributes)[0], self.source or None)
        try:
            attach(slots["rootfs"], fd, self.target, directory=True, strict=self.strict)
            if self.verified:
                _verify(slots["rootfs"], self.target, fd)
        finally:
            os.close(fd)


@action("mount")
class OpenFilesystem(NamedTuple):
    """Make a filesystem of the shim's own namespaces, detached, into ``slot``. PARENT_BEFORE, in the shim.

    For what shows a namespace of the host that the container shares: a user namespace of its own may not mount it.
    ``attributes`` as in `MountFilesystem`.
    """

    fstype: str
    slot: str
    source: str
    attributes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the sentence."""
        return f"open the host's {self.fstype}{_listed(self.attributes)}"

    def run(self, slots: Slots) -> None:
        """Make it. The slot is closed by whoever owns the slots, which unmounts what was not attached."""
        bits = attribute_bits(self.attributes)[0]
        slots[self.slot] = mounts.new_mount(self.fstype, None, bits, self.source or None)


@action("mount")
class MaskPaths(NamedTuple):
    """Cover files with /dev/null and directories with an empty read-only tmpfs; what is missing is skipped.

    CHILD_BEFORE_PIVOT: the /dev/null is the host's.
    """

    paths: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"mask {', '.join(self.paths)}"

    def run(self, slots: Slots) -> None:
        """Cover each."""
        null = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        try:
            if os.fstat(null).st_rdev != _NULL:
                raise OSError(errno.ENODEV, "it is not the null device", "/dev/null")
            for path in self.paths:
                target = _existing(slots["rootfs"], path)
                if target >= 0:
                    _cover(target, null)
        finally:
            os.close(null)


@action("mount")
class ReadOnlyPaths(NamedTuple):
    """Make paths read-only, mounts beneath them included; what is missing is skipped. CHILD_BEFORE_PIVOT."""

    paths: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"make {', '.join(self.paths)} read-only"

    def run(self, slots: Slots) -> None:
        """Bind each upon itself, read-only."""
        for path in self.paths:
            target = _existing(slots["rootfs"], path)
            if target >= 0:
                _place(mounts.bind_fd(target, recursive=True, attr_set=mounts.MOUNT_ATTR_RDONLY), target)


@action("mount")
class RootReadOnly(NamedTuple):
    """Make the root mount read-only; the mounts on it stay as they are. CHILD_BEFORE_PIVOT, after all targets exist."""

    def describe(self) -> str:
        """Return the sentence."""
        return "make the root filesystem read-only"

    def run(self, slots: Slots) -> None:
        """Set the attribute."""
        mounts.mount_setattr(slots["rootfs"], "", mounts.MOUNT_ATTR_RDONLY)


@action("mkdir")
class MakeDirectory(NamedTuple):
    """Make a directory below the root, with its parents, unless it is there. CHILD_BEFORE_PIVOT."""

    path: str
    mode: int = 0o755

    def describe(self) -> str:
        """Return the sentence."""
        return f"make the directory {self.path} where it is missing"

    def run(self, slots: Slots) -> None:
        """Make it; a file in its place is an error."""
        os.close(paths.make_directories(slots["rootfs"], self.path, self.mode))


def attach(root: int, mount: int, target: str, *, directory: bool, strict: bool) -> None:
    """Attach a detached mount below ``root``; see the module's text."""
    if strict:
        fd = _strict_target(root, target, directory=directory)
    else:
        fd = paths.make_directories(root, target) if directory else paths.make_file(root, target)
    try:
        mounts.move_mount(mount, fd)
    finally:
        os.close(fd)


def _strict_target(root: int, target: str, *, directory: bool) -> int:
    """Return an O_PATH descriptor of the target, made where it is missing, no part of it a link."""
    try:
        return _open_strict(root, target)
    except FileNotFoundError:
        parent, _slash, name = target.rpartition("/")
        above = _strict_target(root, parent or "/", directory=True)
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=above)
        else:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=above))
    finally:
        os.close(above)
    return _open_strict(root, target)


def _open_strict(root: int, target: str) -> int:
    try:
        return paths.openat2(root, target, os.O_PATH, 0, _STRICT)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InvalidInput(
            f"the image has a symbolic link in {target}, where the engine mounts a filesystem of its own",
            fix="Use an image in which it is a plain directory.",
        ) from error


def _verify(root: int, target: str, mount: int) -> None:
    fd = paths.openat2(root, target, os.O_PATH, 0, _STRICT)
    try:
        if not os.path.samestat(os.fstat(fd), os.fstat(mount)):
            raise OSError(errno.EXDEV, "the path leads to something else than what was mounted there", target)
    finally:
        os.close(fd)


def _existing(root: int, path: str) -> int:
    """Return an O_PATH descriptor of what is at ``path``, the last mount on it; -1 when there is nothing."""
    try:
        return paths.open_in_root(root, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _cover(target: int, null: int) -> None:
    if stat.S_ISDIR(os.fstat(target).st_mode):
        _place(mounts.new_mount("tmpfs", {"ro": None}, mounts.MOUNT_ATTR_RDONLY, "tmpfs"), target)
    else:
        _place(mounts.bind_fd(null), target)


def _place(mount: int, target: int) -> None:
    """Attach a mount upon a descriptor, and close both."""
    try:
        mounts.move_mount(mount, target)
    finally:
        os.close(mount)
        os.close(target)


def _listed(words: tuple[str, ...]) -> str:
    return f" ({', '.join(words)})" if words else ""
