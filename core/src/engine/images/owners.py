"""Whose a file is, inside a container and outside: ids, and the attributes that hold ids, by an identity map.

What is looked at from outside in a container whose ids are mapped has the ids of outside; an archive has those inside.
Pure. An identity map of None changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from engine.contracts.common import IdMap, IdMapping
from engine.errors import InvalidInput

NOBODY = 65534
"""What the kernel shows for an id that has no mapping (user_namespaces(7)), inside the container too."""
_CAPABILITY = b"security.capability"
_REVISION_2, _REVISION_3, _REVISION_MASK = 0x02000000, 0x03000000, 0xFF000000
_SIZE_2, _SIZE_3 = 20, 24
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 2, 8
"""Tags of the entries that have an id (linux/posix_acl_xattr.h); a head of 4 bytes stands before the entries."""


def inside(ids: IdMap | None, uid: int, gid: int) -> tuple[int, int]:
    """Return the owner that the container sees; `NOBODY` for an id that it does not have."""
    if ids is None:
        return uid, gid
    return _inside(ids.uids, uid), _inside(ids.gids, gid)


def outside(ids: IdMap | None, uid: int, gid: int) -> tuple[int, int]:
    """Return the owner of what is the container's ``uid`` and ``gid``. Raises `InvalidInput` for one it lacks."""
    if ids is None:
        return uid, gid
    return _outside(ids.uids, uid, "user"), _outside(ids.gids, gid, "group")


def attribute_inside(ids: IdMap | None, name: bytes, value: bytes) -> bytes:
    """Return an extended attribute, read from outside, as the container has it.

    The kernel shows file capabilities that hold in a mapped container with the host's id of its root (capabilities(7),
    "File capability extended attribute versioning"); those of an image have none.
    """
    if ids is None:
        return value
    if name == _CAPABILITY and len(value) == _SIZE_3:
        magic, root = struct.unpack_from("<I", value)[0], struct.unpack_from("<I", value, _SIZE_2)[0]
        if magic & _REVISION_MASK == _REVISION_3 and _inside(ids.uids, root) == 0:
            return struct.pack("<I", magic & ~_REVISION_MASK | _REVISION_2) + value[4:_SIZE_2]
    if name in _ACLS:
        return _with_ids(value, lambda uid: _inside(ids.uids, uid), lambda gid: _inside(ids.gids, gid))
    return value


def attribute_outside(ids: IdMap | None, name: bytes, value: bytes) -> bytes:
    """Return the value to be set from outside for one that the container is to have. Raises as `outside`."""
    if ids is None:
        return value
    if name == _CAPABILITY and len(value) == _SIZE_2:
        magic = struct.unpack_from("<I", value)[0] & ~_REVISION_MASK | _REVISION_3
        return struct.pack("<I", magic) + value[4:] + struct.pack("<I", _outside(ids.uids, 0, "user"))
    if name in _ACLS:
        return _with_ids(
            value, lambda uid: _outside(ids.uids, uid, "user"), lambda gid: _outside(ids.gids, gid, "group")
        )
    return value


def _with_ids(acl: bytes, user: Callable[[int], int], group: Callable[[int], int]) -> bytes:
    """Return an access control list with its ids changed."""
    changed = bytearray(acl)
    for offset in range(4, len(acl) - _ENTRY.size + 1, _ENTRY.size):
        tag, permissions, owner = _ENTRY.unpack_from(acl, offset)
        if tag in (_ACL_USER, _ACL_GROUP):
            owner = user(owner) if tag == _ACL_USER else group(owner)
        _ENTRY.pack_into(changed, offset, tag, permissions, owner)
    return bytes(changed)


def _inside(rows: Sequence[IdMapping], number: int) -> int:
    for row in rows:
        if row.host <= number < row.host + row.size:
            return row.container + number - row.host
    return NOBODY


def _outside(rows: Sequence[IdMapping], number: int, word: str) -> int:
    for row in rows:
        if row.container <= number < row.container + row.size:
            return row.host + number - row.container
    raise InvalidInput(
        f"a file belongs to {word} {number}, and the container's identity map has no such {word}",
        fix="Leave out -a to give all files to its root, or give the container more ids (--userns map:...).",
    )
