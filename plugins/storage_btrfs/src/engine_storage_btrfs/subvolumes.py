"""Subvolumes and quota groups by ioctl(2), on descriptors (include/uapi/linux/btrfs.h, btrfs_tree.h).

No path inside a subvolume is ever followed: its contents are a container's. What lies in it is reached by file handles
made of subvolume and inode number (fs/btrfs/export.c), so neither links nor the length of a path matter. Needs
CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH in the first user namespace. Every function raises OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from engine.linux.filesystems import open_by_handle
from engine.tuples import NamedTuple

_MAGIC = 0x94
_WRITE, _READ = 1, 2
"""The directions of an ioctl, as seen from user space (asm-generic/ioctl.h)."""


def _number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | _MAGIC << 8 | number


_VOLUME = struct.Struct("=qQQ32x4040s")
"""struct btrfs_ioctl_vol_args_v2: fd, transid, flags, (quota inheritance), name."""
_INO_LOOKUP = struct.Struct("=QQ4080s")
_LIMIT = struct.Struct("=QQQQQQ")
"""struct btrfs_ioctl_qgroup_limit_args: qgroupid, flags, max_rfer, max_excl, rsv_rfer, rsv_excl."""
_SEARCH = struct.Struct("=7Q4I4QQ")
_SEARCH_ITEM = struct.Struct("=QQQII")
"""struct btrfs_ioctl_search_header: transid, objectid, offset, type, len."""
_ROOT_REF = struct.Struct("=QQH")
"""struct btrfs_root_ref: dirid, sequence, name_len; the name follows."""
_HANDLE = struct.Struct("=QQI")
"""struct btrfs_fid: objectid, root_objectid, generation."""

_SNAP_CREATE_V2 = _number(_WRITE, 23, 4096)
_SUBVOL_CREATE_V2 = _number(_WRITE, 24, 4096)
_SUBVOL_GETFLAGS = _number(_READ, 25, 8)
_SUBVOL_SETFLAGS = _number(_WRITE, 26, 8)
_SNAP_DESTROY_V2 = _number(_WRITE, 63, 4096)
_TREE_SEARCH_V2 = _number(_WRITE | _READ, 17, _SEARCH.size)
_INO_LOOKUP_IOCTL = _number(_WRITE | _READ, 18, 4096)
_FS_INFO = _number(_READ, 31, 1024)
_QGROUP_LIMIT = _number(_READ, 43, _LIMIT.size)

_SUBVOL_RDONLY = 0x2
_QGROUP_LIMIT_MAX_EXCL = 0x2
_ROOT_TREE, _ROOT_INODE = 1, 256
_INODE_ITEM_KEY, _ROOT_REF_KEY = 1, 156
_EVERYTHING = 2**64 - 1
_SEARCH_ROOM = 65536
_HANDLE_TYPE = 0x4D
"""FILEID_BTRFS_WITHOUT_PARENT (linux/exportfs.h)."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Nested(NamedTuple):
    """A subvolume inside of another: the directory of ``parent`` that holds it (inode number), its name there."""

    parent: int
    directory: int
    name: bytes
    subvolume: int


def create(directory_fd: int, name: str) -> None:
    """Make an empty subvolume in a directory."""
    _volume_call(directory_fd, _SUBVOL_CREATE_V2, os.fsencode(name))


def snapshot(source_fd: int, directory_fd: int, name: str, *, read_only: bool) -> None:
    """Make a snapshot of the subvolume ``source_fd`` in a directory of the same file system."""
    flags = _SUBVOL_RDONLY if read_only else 0
    _volume_call(directory_fd, _SNAP_CREATE_V2, os.fsencode(name), source_fd, flags)


def destroy(directory_fd: int, name: str) -> None:
    """Delete a subvolume and every one nested in it, whatever a container made of them; nothing if it is not there.

    The kernel frees the space later, in the background.
    """
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    try:
        for nested in reversed(list_nested(fd)):
            _destroy_nested(fd, nested)
    finally:
        os.close(fd)
    _volume_call(directory_fd, _SNAP_DESTROY_V2, os.fsencode(name))


def _destroy_nested(mount_fd: int, nested: Nested) -> None:
    parent_fd = _open_inode(mount_fd, nested.parent, _ROOT_INODE)
    try:
        if is_read_only(parent_fd):
            set_read_only(parent_fd, False)
        directory_fd = _open_inode(mount_fd, nested.parent, nested.directory)
        try:
            _volume_call(directory_fd, _SNAP_DESTROY_V2, nested.name)
        finally:
            os.close(directory_fd)
    finally:
        os.close(parent_fd)


def list_nested(fd: int) -> list[Nested]:
    """Return the subvolumes inside the subvolume ``fd``, at any depth, each after the one that it lies in."""
    found: list[Nested] = []
    pending = [subvolume_id(fd)]
    while pending:
        inner = _children(fd, pending.pop())
        found += inner
        pending += [nested.subvolume for nested in inner]
    return found


def _children(fd: int, subvolume: int) -> list[Nested]:
    """Return the subvolumes directly inside a subvolume, from the references that the tree of roots keeps."""
    found: list[Nested] = []
    start = 0
    while True:
        page = _search_root_refs(fd, subvolume, start)
        found += page
        if not page:
            return found
        start = page[-1].subvolume + 1


def _search_root_refs(fd: int, subvolume: int, start: int) -> list[Nested]:
    found = []
    for child, item in _search(fd, _ROOT_TREE, subvolume, _ROOT_REF_KEY, start):
        directory, _, name_length = _ROOT_REF.unpack_from(item)
        found.append(Nested(subvolume, directory, item[_ROOT_REF.size : _ROOT_REF.size + name_length], child))
    return found


def _search(fd: int, tree: int, identity: int, kind: int, start: int) -> list[tuple[int, bytes]]:
    """Return the offsets and contents of a page of items of one kind that a tree keeps of something."""
    buffer = bytearray(_SEARCH.size + _SEARCH_ROOM)
    key = (tree, identity, identity, start, _EVERYTHING, 0, _EVERYTHING, kind, kind)
    _SEARCH.pack_into(buffer, 0, *key, 2**32 - 1, 0, 0, 0, 0, 0, _SEARCH_ROOM)
    fcntl.ioctl(fd, _TREE_SEARCH_V2, buffer)
    count = _SEARCH.unpack_from(buffer)[9]
    found = []
    at = _SEARCH.size
    for _ in range(count):
        _, _, offset, _, length = _SEARCH_ITEM.unpack_from(buffer, at)
        at += _SEARCH_ITEM.size
        found.append((offset, bytes(buffer[at : at + length])))
        at += length
    return found


def is_subvolume(fd: int) -> bool:
    """Return whether an open directory is the root of a btrfs subvolume."""
    try:
        is_read_only(fd)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP}:
            return False
        raise
    return True


def is_read_only(fd: int) -> bool:
    """Return whether a subvolume is read-only. EINVAL for a directory that is none, ENOTTY when it is not btrfs."""
    flags = bytearray(8)
    fcntl.ioctl(fd, _SUBVOL_GETFLAGS, flags)
    return bool(int.from_bytes(flags, "little") & _SUBVOL_RDONLY)


def set_read_only(fd: int, read_only: bool) -> None:
    """Make a subvolume read-only, or writable again."""
    flags = _SUBVOL_RDONLY if read_only else 0
    fcntl.ioctl(fd, _SUBVOL_SETFLAGS, flags.to_bytes(8, "little"))


def subvolume_id(fd: int) -> int:
    """Return the number of the subvolume that an open file lies in. ENOTTY when it is not btrfs."""
    buffer = bytearray(_INO_LOOKUP.size)
    _INO_LOOKUP.pack_into(buffer, 0, 0, _ROOT_INODE, b"")
    fcntl.ioctl(fd, _INO_LOOKUP_IOCTL, buffer)
    return int(_INO_LOOKUP.unpack(buffer)[0])


def filesystem_id(fd: int) -> str:
    """Return the UUID of the btrfs that an open file lies on, as sysfs writes it. ENOTTY when it is not btrfs."""
    buffer = bytearray(1024)
    fcntl.ioctl(fd, _FS_INFO, buffer)
    digits = buffer[16:32].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def has_quotas(fd: int) -> bool:
    """Return whether quota groups are enabled there (`btrfs quota enable`; Linux 5.9 shows it in sysfs)."""
    return os.path.isdir(f"/sys/fs/btrfs/{filesystem_id(fd)}/qgroups")


def limit_exclusive(fd: int, size: int) -> None:
    """Let the subvolume ``fd`` hold at most ``size`` bytes that it does not share with a snapshot."""
    buffer = _LIMIT.pack(subvolume_id(fd), _QGROUP_LIMIT_MAX_EXCL, 0, size, 0, 0)
    fcntl.ioctl(fd, _QGROUP_LIMIT, buffer)


def _volume_call(directory_fd: int, request: int, name: bytes, source_fd: int = 0, flags: int = 0) -> None:
    try:
        fcntl.ioctl(directory_fd, request, bytearray(_VOLUME.pack(source_fd, 0, flags, name)))
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fsdecode(name)) from None


def _open_inode(fd: int, subvolume: int, inode: int) -> int:
    """Open a directory of any subvolume by its number. FileNotFoundError when it is not there."""
    items = _search(fd, subvolume, inode, _INODE_ITEM_KEY, 0)
    if not items:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"inode {inode} of subvolume {subvolume}")
    # Older kernels want the very generation (that of Debian 12 does), newer ones take 0 for any.
    generation = int.from_bytes(items[0][1][:8], "little")
    handle = _HANDLE.pack(inode, subvolume, generation & 0xFFFFFFFF)
    return open_by_handle(fd, _HANDLE_TYPE, handle, _DIRECTORY)
