"""Terminals: a pair from a given devpts, its size, raw mode and back, and being the controlling terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeAlias

_SIZE = struct.Struct("=4H")
_UNLOCK = struct.pack("=i", 0)
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441

Attributes: TypeAlias = "list[Any]"
"""What termios.tcgetattr returns, to be given back to :func:`restore`."""


def open_pty(devpts: int) -> tuple[int, str]:
    """Make a terminal in the devpts mounted at the directory ``devpts``; return the master and the other side's path.

    The path is the one inside the container, ``/dev/pts/N``. Nothing is opened by name but ``ptmx`` of that directory,
    which must be the mounted devpts itself; the other side is opened with :func:`open_peer`. ENOSPC when devpts has as
    many terminals as its ``max=``.
    """
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=devpts)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, _UNLOCK)
        (number,) = struct.unpack("=I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))
    except OSError:
        os.close(master)
        raise
    return master, f"/dev/pts/{number}"


def open_peer(master: int) -> int:
    """Open the other side of a terminal by its master, whatever is mounted at /dev (Linux 4.13); not as controlling."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set a terminal's size in characters, which sends SIGWINCH to its foreground processes if it changes."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, _SIZE.pack(rows, columns, 0, 0))


def get_size(fd: int) -> tuple[int, int]:
    """Return a terminal's rows and columns. OSError (ENOTTY) when it is none."""
    rows, columns, _, _ = _SIZE.unpack(fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(_SIZE.size)))
    return rows, columns


def attributes(fd: int) -> Attributes:
    """Return how a terminal is set. OSError (ENOTTY) when it is none."""
    return termios.tcgetattr(fd)


def raw_mode(fd: int) -> Attributes:
    """Pass every byte through unchanged, at once and without echo, and no signal by key; return what it was before.

    Only what a process of the terminal's foreground may do: another one is stopped by SIGTTOU. termios(3), cfmakeraw.
    """
    before = termios.tcgetattr(fd)
    after = termios.tcgetattr(fd)
    after[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        | termios.ICRNL | termios.IXON
    )  # fmt: skip
    after[1] &= ~termios.OPOST
    after[2] = after[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    after[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    after[6][termios.VMIN], after[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSADRAIN, after)
    return before


def restore(fd: int, before: Attributes) -> None:
    """Set a terminal as :func:`raw_mode` found it, after what was written to it is out."""
    termios.tcsetattr(fd, termios.TCSADRAIN, before)
