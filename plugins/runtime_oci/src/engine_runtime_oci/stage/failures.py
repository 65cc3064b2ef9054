"""What went wrong in the program, as the engine's own errors.

runc and crun tell a missing command from other failures by their words alone; these are matched here. What the program
says is kept in the sentence, less the words around it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence

from engine.errors import CommandNotFound, CommandNotRunnable, EngineError, KernelError
from engine.linux import paths

_AROUND = re.compile(
    r"^(runc (create|start|run|exec|delete) failed: |exec failed: |unable to start container process: |"
    r"error during container init: )+"
)
_MISSING = re.compile(
    r'exec: "(?P<runc>.*)": (executable file not found in \$PATH|stat .*: (no such file|not a directory))'
    r"|executable file [`'](?P<crun>.*)[`'] not found"
)
_REFUSED = re.compile(r'exec: "(?P<name>.*)": |^exec (?P<path>/\S*): |open executable: ')
_FIX = "Give a command that is an executable file of this machine's architecture."
_LOOK = "Look at what the image holds, or give the full path of the command."
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEAD = 4096


def of(name: str, command: str, message: str, executed: str = "") -> EngineError:
    """Return the error for what the program ``name`` logged when its ``command`` failed.

    ``executed`` is what the container should have run, which crun does not always name.
    """
    said = _AROUND.sub("", message.strip())
    missing = _MISSING.search(said)
    if missing is not None:
        wanted = missing["runc"] or missing["crun"]
        where = "" if "/" in wanted else " in its PATH"
        return CommandNotFound(f"the image has no command {wanted!r}{where}", fix=_LOOK)
    if _REFUSED.search(said):
        return CommandNotRunnable(f"the command {executed!r} cannot be executed: {said}", fix=_FIX)
    return KernelError(f"{name} {command} failed: {said}", plugin=name)


def not_executed(root: int, arguments: Sequence[str], environment: Mapping[str, str]) -> EngineError:
    """Return why execve(2) refused the command in the root behind the descriptor ``root``, as far as its file tells.

    The program has looked whether the file is there and executable, and no longer tells anybody of a failure after
    that. What the file says can only mislead the message.
    """
    path, head = _found(root, arguments[0], environment.get("PATH", _DEFAULT_PATH))
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        interpreter = os.fsdecode(words[0]) if words else "(none is named)"
        return CommandNotFound(
            f"{path} cannot be executed: its interpreter {interpreter} does not exist in the image, or cannot be"
            " executed itself",
            fix="Install the interpreter in the image, or correct the first line of the script.",
        )
    reason = (
        "its loader does not exist in the image, or it is a program for another architecture"
        if head.startswith(b"\x7fELF")
        else "it is neither a program nor a script with an interpreter in its first line"
    )
    return CommandNotRunnable(f"{path} cannot be executed: {reason}", fix=_FIX)


def _found(root: int, name: str, path: str) -> tuple[str, bytes]:
    candidates = [name] if "/" in name else [f"{directory or '.'}/{name}" for directory in path.split(":")]
    for candidate in candidates:
        head = _head(root, candidate)
        if head is not None:
            return candidate, head
    return name, b""


def _head(root: int, path: str) -> bytes | None:
    """Return the first bytes of a regular file of the image, or None; nothing else is opened."""
    try:
        handle = paths.open_in_root(root, path, os.O_PATH)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        fd = os.open(paths.fd_path(handle), os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        return os.read(fd, _HEAD)
    finally:
        os.close(fd)
