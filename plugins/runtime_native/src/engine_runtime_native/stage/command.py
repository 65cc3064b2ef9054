"""Executing the container's command: the search by PATH, and what a failure means for a person."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Mapping, Sequence

from engine.errors import CommandNotFound, CommandNotRunnable, EngineError
from engine.linux.syscalls import explain
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Searched when the environment has no PATH, as other engines do."""

_HEAD = 4096
_LONGEST = 200
_PROGRAM_INTERPRETER = 3


def execute(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Execute; raise `CommandNotFound` or `CommandNotRunnable` when that is not possible."""
    name = arguments[0]
    if not name:
        raise CommandNotFound("the command is an empty string", fix="Give a command to run.")
    refused: EngineError | None = None
    for candidate in _candidates(name, environment.get("PATH", DEFAULT_PATH)):
        try:
            os.execve(candidate, list(arguments), environment)
        except OSError as error:
            found = _failure(candidate, error)
            if refused is None and found is not None:
                refused = _of(found, name, error.errno or 0)
    missing = CommandNotFound(
        f"the image has no command {name!r}" + ("" if "/" in name else " in its PATH"),
        fix="Look at what the image holds, or give the full path of the command.",
    )
    raise refused or _of(missing, name, errno.ENOENT)


def _of(error: EngineError, name: str, number: int) -> EngineError:
    error.action, error.errno = f"execute {_shown(name)}", errno.errorcode.get(number, "")
    return error


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [f"{directory or '.'}/{name}" for directory in path.split(":")]


def _failure(path: str, error: OSError) -> EngineError | None:
    """Return what a person should know; None when there simply is no such file."""
    number = error.errno or 0
    if number in {errno.ENOENT, errno.ENOTDIR}:
        interpreter = _interpreter(path)
        if interpreter is None:
            return None
        return CommandNotFound(
            f"{_shown(path)} cannot be executed: its interpreter {_shown(interpreter)} does not exist in the image",
            fix="Install the interpreter in the image, or correct the first line of the script.",
        )
    return CommandNotRunnable(
        f"{_shown(path)} cannot be executed: {error.strerror} ({_meaning(path, number)})",
        fix="Give a command that is an executable file of this machine's architecture.",
    )


def _shown(text: str) -> str:
    """Return a text of the image for a person's terminal: nothing in it may move the cursor or pass for our words."""
    return text if text.isprintable() and len(text) <= _LONGEST else repr(text[:_LONGEST])


def _meaning(path: str, number: int) -> str:
    if number == errno.EACCES and _is(path, stat.S_ISDIR):
        return "it is a directory"
    return explain(number, "execve")


def _is(path: str, kind: object) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return bool(kind(mode))  # type: ignore[operator]


def _interpreter(path: str) -> str | None:
    """Return the interpreter that a script or a program names; None when there is no such file, or it names none.

    Read as the container's own user, inside of its root: whatever the image says can only mislead the message.
    """
    if not _is(path, stat.S_ISREG):
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "(unknown: the file cannot be read)"
    try:
        head = os.read(fd, _HEAD)
        if head.startswith(b"#!"):
            words = head[2:].split(b"\n", 1)[0].split()
            return os.fsdecode(words[0]) if words else "(none is named)"
        return _program_interpreter(fd, head) or "(a loader)"
    finally:
        os.close(fd)


def _program_interpreter(fd: int, head: bytes) -> str | None:
    """Return PT_INTERP of a 64-bit little-endian ELF file (elf(5))."""
    if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64:
        return None
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for number in range(min(count, 64)):
        header = os.pread(fd, 56, offset + number * size)
        if len(header) < 56:
            return None
        kind, _flags, start, _virtual, _physical, length = struct.unpack_from("<IIQQQQ", header)
        if kind == _PROGRAM_INTERPRETER:
            return os.fsdecode(os.pread(fd, min(length, _HEAD), start).rstrip(b"\0"))
    return None
