"""Who the process becomes: user, groups and home, read from the image's files by descriptor."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.actions.base import Slots, Step, action
from engine.errors import ImageError
from engine.linux import capabilities, identity, paths

_NUMBERS = frozenset("0123456789:")
_LARGEST = 8 << 20
"""Bytes read of /etc/passwd or /etc/group."""


class Resolved(NamedTuple):
    """Ids and home directory; ``home`` is "" when nothing is known of it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@action("setuid")
class BecomeUser(NamedTuple):
    """Take on the ids, keeping capabilities for the step that sets them. CHILD_AFTER_PIVOT.

    ``name`` is what was asked for; the ids are filled in from the image before this runs.
    """

    name: str
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()

    def describe(self) -> str:
        """Return the sentence."""
        return f"become user {self.name or self.uid}"

    def run(self, slots: Slots) -> None:
        """Set groups, group and user."""
        capabilities.keep_on_setuid()
        identity.set_ids(self.uid, self.gid, self.groups)


def resolve(root: int, user: Mapping[str, Any]) -> Resolved:
    """Return who process.user of the specification is in the root behind the descriptor ``root``.

    Raises `InvalidInput` for a name that the image does not have, and `ImageError` for a file that is no regular one
    when a name must be looked up in it.
    """
    name = user.get("username", "")
    extra = tuple(user.get("additionalGids", ()))
    passwd = _read(root, "etc/passwd", needed=not _NUMBERS.issuperset(name))
    if not name:
        uid, gid = user.get("uid", 0), user.get("gid", 0)
        return Resolved(uid, gid, extra, identity.lookup_user(passwd, b"", str(uid)).home)
    found = identity.lookup_user(passwd, _read(root, "etc/group", needed=not _NUMBERS.issuperset(name)), name)
    return Resolved(found.uid, found.gid, tuple(dict.fromkeys(found.groups + extra)), found.home)


def settled(steps: Iterable[Step], user: Resolved) -> list[Step]:
    """Return the steps with the ids filled in."""
    return [
        step._replace(action=step.action._replace(uid=user.uid, gid=user.gid, groups=user.groups))
        if isinstance(step.action, BecomeUser)
        else step
        for step in steps
    ]


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
