"""Mounts: mount(2), umount2(2), pivot_root(2), and the newer interface in which a mount is a descriptor before it is
attached (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2)).

Everything here needs CAP_SYS_ADMIN in the user namespace that owns the caller's mount namespace; ``fsopen`` and what
follows it need Linux 5.2, ``mount_setattr`` 5.12. A descriptor of a mount that is closed before it was attached
unmounts it: nothing is left behind by a process that dies between the two.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence

from engine.linux.syscalls import check, encode, function, system_call

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

MNT_FORCE = 0x1
MNT_DETACH = 0x2
MNT_EXPIRE = 0x4
UMOUNT_NOFOLLOW = 0x8

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_ATIME_MASK = 0x70
"""To be cleared (``attr_clr``) whenever one of the three kinds of access time below is set."""
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
_AT_SYMLINK_NOFOLLOW = 0x100
OPEN_TREE_CLONE = 0x1
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = _FSPICK_CLOEXEC = 0x1
_FSPICK_EMPTY_PATH = 0x8
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_FSCONFIG_CMD_RECONFIGURE = 7

_int, _uint, _ulong, _text = ctypes.c_int, ctypes.c_uint, ctypes.c_ulong, ctypes.c_char_p
_mount = function("mount", _text, _text, _text, _ulong, _text)
_umount2 = function("umount2", _text, _int)
_pivot_root = system_call("pivot_root", _text, _text)
_fsopen = system_call("fsopen", _text, _uint)
_fsconfig = system_call("fsconfig", _int, _uint, _text, _text, _int)
_fsmount = system_call("fsmount", _int, _uint, _uint)
_fspick = system_call("fspick", _int, _text, _uint)
_move_mount = system_call("move_mount", _int, _text, _int, _text, _uint)
_open_tree = system_call("open_tree", _int, _text, _uint)
_mount_setattr = system_call("mount_setattr", _int, _text, _uint, _text, ctypes.c_size_t)


def mount(source: str | None, target: str, fstype: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount the old way, mount(2). ``data`` is at most a page, less one byte. Both paths follow symbolic links."""
    arguments = [None if value is None else encode(value) for value in (source, target, fstype, data)]
    check(_mount(arguments[0], arguments[1], arguments[2], flags, arguments[3]), target)


def umount(target: str, flags: int = MNT_DETACH | UMOUNT_NOFOLLOW) -> None:
    """Unmount ``target``, by default lazily: it leaves the tree at once, and goes when its last user is gone."""
    check(_umount2(encode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root of this mount namespace and put the old root at ``old``, both paths of directories.

    ``pivot_root(".", ".")`` stacks the old root over the new one, to be unmounted as "." (pivot_root(2), NOTES).
    """
    check(_pivot_root(encode(new), encode(old)), new)


def make_propagation(path: str, flag: int) -> None:
    """Set how mounts at ``path`` spread: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; MS_REC for all below."""
    mount(None, path, None, flag)


def fsopen(fstype: str) -> int:
    """Return the descriptor of a new filesystem context, to be configured and mounted."""
    return check(_fsopen(encode(fstype), _FSOPEN_CLOEXEC), fstype)


def fspick(dirfd: int, path: str = "") -> int:
    """Return a context for reconfiguring the filesystem mounted at ``path`` (empty: that of ``dirfd``)."""
    flags = _FSPICK_CLOEXEC | (0 if path else _FSPICK_EMPTY_PATH)
    return check(_fspick(dirfd, encode(path), flags), path or dirfd)


def fsconfig_set_string(context: int, key: str, value: str) -> None:
    """Set an option that has a value; the kernel takes at most 255 bytes of it."""
    _configure(context, _FSCONFIG_SET_STRING, key, encode(value))


def fsconfig_set_flag(context: int, key: str) -> None:
    """Set an option that has no value."""
    _configure(context, _FSCONFIG_SET_FLAG, key, None)


def fsconfig_create(context: int) -> None:
    """Make the filesystem from the options set."""
    _configure(context, _FSCONFIG_CMD_CREATE, None, None)


def fsconfig_reconfigure(context: int) -> None:
    """Apply the options set to the filesystem that ``fspick`` named."""
    _configure(context, _FSCONFIG_CMD_RECONFIGURE, None, None)


def _configure(context: int, command: int, key: str | None, value: bytes | None) -> None:
    """Make one fsconfig(2) call; the kernel's own explanation, kept in the context, becomes part of the error."""
    # A value is named in the error only when it is a path: of some filesystems it is a password.
    subject = f"{key}={os.fsdecode(value)}" if value is not None and value.startswith(b"/") else key
    try:
        check(_fsconfig(context, command, None if key is None else encode(key), value, 0), subject)
    except OSError as error:
        messages = "; ".join(read_log(context))
        if not messages:
            raise
        raise OSError(error.errno, f"{error.strerror} ({messages})", subject) from None


def read_log(context: int) -> list[str]:
    """Return what the kernel has to say about a filesystem context, oldest first, and forget it (8 at most)."""
    messages: list[str] = []
    while True:
        try:
            # One message per read, led by "e ", "w " or "i ".
            messages.append(os.read(context, 8192).decode(errors="replace")[2:].rstrip())
        except OSError as error:
            if error.errno == errno.ENODATA:
                return messages
            raise


def fsmount(context: int, attrs: int = 0) -> int:
    """Return the descriptor of a mount of the filesystem created in ``context``, attached nowhere yet."""
    return check(_fsmount(context, _FSMOUNT_CLOEXEC, attrs), context)


def move_mount(from_fd: int, to_dirfd: int, to_path: str = "") -> None:
    """Attach the mount ``from_fd`` at ``to_path`` below ``to_dirfd``; empty: upon ``to_dirfd`` itself.

    A symbolic link at the end of ``to_path`` is not followed; links before it are. For a path that somebody else
    controls, open the target first (:mod:`engine.linux.paths`) and leave ``to_path`` empty.
    """
    flags = _MOVE_MOUNT_F_EMPTY_PATH | (0 if to_path else _MOVE_MOUNT_T_EMPTY_PATH)
    check(_move_mount(from_fd, b"", to_dirfd, encode(to_path), flags), to_path or to_dirfd)


attach = move_mount
"""The other half of :func:`new_mount` and :func:`bind_fd`."""


def open_tree(dirfd: int, path: str = "", flags: int = OPEN_TREE_CLONE) -> int:
    """Return a descriptor of a copy of the mount at ``path`` (empty: of ``dirfd``); AT_RECURSIVE takes what is below.

    A symbolic link at the end of the path is not followed.
    """
    flags |= os.O_CLOEXEC | _AT_SYMLINK_NOFOLLOW | (0 if path else AT_EMPTY_PATH)
    return check(_open_tree(dirfd, encode(path), flags), path or dirfd)


def mount_setattr(
    fd: int,
    path: str = "",
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = -1,
    recursive: bool = False,
) -> None:
    """Change the attributes of the mount at ``path`` below ``fd`` (empty: of ``fd``), all of them or none.

    ``userns_fd`` with MOUNT_ATTR_IDMAP maps its ids (only on a mount not attached yet). ``propagation`` is 0 or one of
    MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE.
    """
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd, 64 bits each.
    fields = (attr_set, attr_clr, propagation, max(userns_fd, 0))
    attributes = b"".join(field.to_bytes(8, "little") for field in fields)
    flags = _AT_SYMLINK_NOFOLLOW | (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    check(_mount_setattr(fd, encode(path), flags, attributes, len(attributes)), path or fd)


def new_mount(
    fstype: str,
    options: Mapping[str, str | Sequence[str] | None] | None = None,
    attrs: int = 0,
    source: str | None = None,
) -> int:
    """Return the descriptor of a new filesystem's mount, attached nowhere yet.

    ``options`` are the filesystem's own: a value of None is a flag, a sequence sets the key once for each item
    (overlay's ``lowerdir+``). ``attrs`` are MOUNT_ATTR_* of the mount; MOUNT_ATTR_RDONLY leaves the filesystem itself
    writable, the option ``ro`` does not. Overlays with many lower layers: :func:`engine.linux.overlay.new_overlay`.
    Raises OSError with the filesystem type as filename and the kernel's own words, where it has any.
    """
    context = fsopen(fstype)
    try:
        if source is not None:
            fsconfig_set_string(context, "source", source)
        for key, value in (options or {}).items():
            _set_option(context, key, value)
        fsconfig_create(context)
        return fsmount(context, attrs)
    except OSError as error:
        subject = fstype if error.filename is None else f"{fstype}, {error.filename}"
        raise OSError(error.errno, error.strerror, subject) from None
    finally:
        os.close(context)


def _set_option(context: int, key: str, value: str | Sequence[str] | None) -> None:
    if value is None:
        fsconfig_set_flag(context, key)
    elif isinstance(value, str):
        fsconfig_set_string(context, key, value)
    else:
        for item in value:
            fsconfig_set_string(context, key, item)


def bind_fd(
    dirfd: int,
    path: str = "",
    recursive: bool = False,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = -1,
) -> int:
    """Return the descriptor of a bind mount of ``path`` below ``dirfd`` (empty: of ``dirfd``), attached nowhere yet.

    ``recursive`` takes the mounts below along, and then the attributes hold for each of them. ``userns_fd`` (0 or more)
    maps the ids of its files by that user namespace.
    """
    fd = open_tree(dirfd, path, OPEN_TREE_CLONE | (AT_RECURSIVE if recursive else 0))
    if userns_fd >= 0:
        attr_set |= MOUNT_ATTR_IDMAP
    try:
        if attr_set or attr_clr or propagation:
            mount_setattr(fd, "", attr_set, attr_clr, propagation, userns_fd, recursive)
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, error.strerror, path or f"fd {dirfd}") from None
    return fd
