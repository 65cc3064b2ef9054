"""User and group ids: taking them on, and looking them up in a container's own /etc/passwd and /etc/group.

The lookup is pure over the bytes of the two files (passwd(5), group(5)), which the image controls: nothing of the
host's name service (``pwd``, NSS) is asked, and a line that is malformed is passed over. `resolve` reads them, by
descriptor and only when they are regular files of a sensible size.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence

from engine.errors import ImageError, InvalidInput
from engine.linux import paths
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

MAX_ID = (1 << 31) - 1
"""The largest id that can be asked for, as in Docker."""
_NUMBERS = frozenset("0123456789:")
_LARGEST = 8 << 20
"""Bytes read of /etc/passwd or /etc/group."""


class UserIds(NamedTuple):
    """Who a process runs as. ``home`` is ``/`` for a user that the passwd file does not have."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class Resolved(NamedTuple):
    """Ids and home directory; ``home`` is "" when nothing is known of it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def set_ids(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Take on the groups, the group and the user, real, effective and saved; needs CAP_SETGID and CAP_SETUID.

    In this order, since the user's change gives the privilege up. Groups that the caller has already are left alone: a
    user namespace may deny setgroups(2) altogether. Raises OSError (EINVAL: an id that has no mapping).
    """
    if set(os.getgroups()) != set(groups):
        os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def lookup_user(passwd: bytes, group: bytes, spec: str) -> UserIds:
    """Return the ids that ``spec`` means: "", "user", "uid", "user:group", "uid:gid" or a mix, by Docker's rules.

    A number is always an id, even where a user has it as a name, and need not be in the files. Without a group the
    user's own and all that list them as a member are taken; with one it is the only one. An empty user is 0. The first
    of several entries counts. Raises InvalidInput for a name that is not in the files, or a number out of range.
    """
    user_spec, _, group_spec = spec.partition(":")
    user = _find_user(passwd, user_spec or "0")
    if group_spec:
        return UserIds(user.uid, _find_group(group, group_spec), (), user.home)
    members_of = (entry.gid for entry in _groups(group) if user.name and user.name in entry.members)
    return UserIds(user.uid, user.gid, tuple(dict.fromkeys(members_of)), user.home)


def resolve(root: int, user: Mapping[str, Any]) -> Resolved:
    """Return who process.user of the specification is in the root behind the descriptor ``root``.

    Raises `InvalidInput` for a name that the image does not have, and `ImageError` for a file that is no regular one
    when a name must be looked up in it.
    """
    name, more = user.get("username", ""), user.get("groupnames", ())
    passwd = _read(root, "etc/passwd", needed=not _NUMBERS.issuperset(name))
    needed = not _NUMBERS.issuperset(name + "".join(more))
    group = _read(root, "etc/group", needed=needed) if name or needed else b""
    extra = (*user.get("additionalGids", ()), *(_find_group(group, one) for one in more))
    if not name:
        uid, gid = user.get("uid", 0), user.get("gid", 0)
        return Resolved(uid, gid, tuple(dict.fromkeys(extra)), lookup_user(passwd, b"", str(uid)).home)
    found = lookup_user(passwd, group, name)
    return Resolved(found.uid, found.gid, tuple(dict.fromkeys(found.groups + extra)), found.home)


def environment(given: Sequence[str], user: Resolved) -> dict[str, str]:
    """Return the environment of the process: what was given, and HOME when it was not."""
    pairs = (entry.partition("=") for entry in given)
    variables = {key: value for key, _equals, value in pairs}
    variables.setdefault("HOME", user.home or "/")
    return variables


def _read(root: int, path: str, *, needed: bool) -> bytes:
    """Return a file of the image; nothing when there is none. A fifo, a device or a huge file is never read: refused
    when it is needed, otherwise as good as none."""
    try:
        return paths.read_regular(root, path, _LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EISDIR, errno.EFBIG, errno.ELOOP}:
            raise
        if not needed:
            return b""
        raise ImageError(
            f"the image's /{path} cannot be used: {error.strerror}",
            fix="Give the user as numbers (--user 1000:1000), or use another image.",
        ) from error


def _find_user(passwd: bytes, spec: str) -> _User:
    uid = _number(spec)
    for user in _users(passwd):
        if user.uid == uid if uid is not None else user.name == spec:
            return user
    if uid is None:
        raise InvalidInput(
            f"the container's /etc/passwd has no user {spec!r}",
            fix="Use a user of the image, or a number.",
        )
    return _User("", _in_range(uid, spec), 0, "/")


def _find_group(group: bytes, spec: str) -> int:
    gid = _number(spec)
    for entry in _groups(group):
        if entry.gid == gid if gid is not None else entry.name == spec:
            return entry.gid
    if gid is None:
        raise InvalidInput(
            f"the container's /etc/group has no group {spec!r}",
            fix="Use a group of the image, or a number.",
        )
    return _in_range(gid, spec)


def _in_range(number: int, spec: str) -> int:
    if 0 <= number <= MAX_ID:
        return number
    raise InvalidInput(f"{spec} is not a valid user or group id", fix=f"use a number from 0 to {MAX_ID}")


def _number(text: str) -> int | None:
    """Return the decimal number that the text is, or None; Python's own rules would take ``1_000`` and `` 7``."""
    digits = text[1:] if text[:1] in {"-", "+"} else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def _users(passwd: bytes) -> Iterator[_User]:
    for fields in _lines(passwd, 4):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and 0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID:
            yield _User(fields[0], uid, gid, (fields[5] if len(fields) > 5 else "") or "/")


def _groups(group: bytes) -> Iterator[_Group]:
    for fields in _lines(group, 3):
        gid = _number(fields[2])
        if gid is not None and 0 <= gid <= MAX_ID:
            members = fields[3].split(",") if len(fields) > 3 else []
            yield _Group(fields[0], gid, tuple(member.strip() for member in members))


def _lines(content: bytes, least: int) -> Iterator[list[str]]:
    """Yield the fields of each line that has a name and at least ``least`` fields and is no comment."""
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and fields[0] and not fields[0].startswith(("#", "+", "-")):
            yield fields
