"""Acting on files as another user, with every capability kept (setfsuid(2), setfsgid(2), capabilities(7)).

For mounts whose ids are mapped: whoever creates a file there must have an id that the map has, and the host's root is
none of them (EOVERFLOW). The ids are the thread's, so the caller has a single one.
"""

from __future__ import annotations

import ctypes

from engine.linux import capabilities
from engine.linux.syscalls import function

_setfsuid = function("setfsuid", ctypes.c_uint)
_setfsgid = function("setfsgid", ctypes.c_uint)
_ASK = (1 << 32) - 1
"""No id: the calls change nothing and answer with the present one, which is the only way to see a failure."""


class FileSystemIds:
    """A context: files that are made in its body belong to ``uid`` and ``gid``, and access is looked at as theirs.

    Needs CAP_SETUID and CAP_SETGID; raises `PermissionError` without.
    """

    def __init__(self, uid: int, gid: int) -> None:
        self._wanted = uid, gid
        self._before = 0, 0

    def __enter__(self) -> None:
        self._before = _now()
        try:
            _take(*self._wanted)
        except PermissionError:
            _take(*self._before)
            raise

    def __exit__(self, *_exc: object) -> None:
        _take(*self._before)


def _take(uid: int, gid: int) -> None:
    """Change both; the user's change takes the capabilities over files out of the effective set, or puts them in."""
    kept = capabilities.get()
    _setfsgid(gid)
    _setfsuid(uid)
    capabilities.set(kept.effective, kept.permitted, kept.inheritable)
    if _now() != (uid, gid):
        raise PermissionError(f"this process may not act on files as user {uid} and group {gid}")


def _now() -> tuple[int, int]:
    return _setfsuid(_ASK) & _ASK, _setfsgid(_ASK) & _ASK
