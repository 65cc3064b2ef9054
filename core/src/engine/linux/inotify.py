"""Being told when a directory's files change (inotify(7)), instead of looking again and again."""

from __future__ import annotations

import ctypes
import os
import select

from engine.linux.syscalls import check, encode, function

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100
_ENOUGH = 1 << 16

_inotify_init1 = function("inotify_init1", ctypes.c_int)
_inotify_add_watch = function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


class DirectoryWatch:
    """Wakes who waits for a file of one directory to be written to, made, or moved there. Close it in the end.

    What happened is not told: look. Raises `OSError`; EMFILE and ENOSPC are limits of ``fs.inotify``.
    """

    def __init__(self, directory: str) -> None:
        self._fd = check(_inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        try:
            wanted = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
            check(_inotify_add_watch(self._fd, encode(directory), wanted), directory)
        except OSError:
            os.close(self._fd)
            raise

    def wait(self, seconds: float | None = None, *, reader: int = -1) -> bool:
        """Wait for a change since the last wait, ``seconds`` at most.

        With ``reader``, a descriptor that the caller writes to, it ends as well when nobody reads that any more, and
        only then it returns False.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if reader >= 0:
            poll.register(reader, 0)
        ready = dict(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        if self._fd in ready:
            os.read(self._fd, _ENOUGH)
        return reader not in ready

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)
