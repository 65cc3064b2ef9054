"""The user a container's process runs as, as text: its names are the container's, and resolved there by the stage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.spec.refusal import refusal
from engine.spec.runtime import User

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}\$?"
_LARGEST_ID = (1 << 32) - 2
"""4294967295 is -1, which chown(2) and setuid(2) take for "leave it"."""


def parse_user(text: str, flag: str = "--user") -> str:
    """Return ``NAME|UID[:GROUP|GID]`` after a look at its form. Raises `InvalidInput`."""
    user, colon, group = text.partition(":")
    parts = [user, group] if colon else [user]
    for part in parts:
        if not re.fullmatch(_PART, part):
            raise refusal(
                flag, text, "is not of the form NAME or UID, then perhaps :GROUP or :GID", "www-data:www-data"
            )
        if part.isdecimal() and int(part) > _LARGEST_ID:
            raise refusal(flag, text, f"has an id beyond {_LARGEST_ID}", "1000:1000")
    return text


def parse_group(text: str, flag: str = "--group-add") -> str:
    """Return ``NAME|GID`` after a look at its form. Raises `InvalidInput`."""
    if not re.fullmatch(_PART, text):
        raise refusal(flag, text, "is neither a group's name nor a number", "audio")
    if text.isdecimal() and int(text) > _LARGEST_ID:
        raise refusal(flag, text, f"has an id beyond {_LARGEST_ID}", "1000")
    return text


def user_of(text: str, groups: Sequence[str] = ()) -> User:
    """Return ``process.user``: numbers where they are given, and the text for the stage to look up the rest.

    The stage looks up numbers too: the user's home directory, and the groups it is a member of. ``groups`` are more of
    them, each by name or number.
    """
    user, _, group = text.partition(":")
    found: User = {"uid": int(user) if user.isdecimal() else 0, "gid": int(group) if group.isdecimal() else 0}
    if text:
        found["username"] = text
    if groups:
        found["groupnames"] = list(groups)
    return found
