"""What only the shim can add to a specification: the user of the image's files, mounts that are descriptors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence

from engine.actions.base import Phase, Slots, Step
from engine.actions.mounts import AttachMount
from engine.errors import ImageError, KernelError, Unsupported
from engine.linux import identity, mounts, paths, rlimits
from engine.tuples import TYPE_CHECKING
from engine_runtime_oci.stage.handover import HandOver

if TYPE_CHECKING:
    from typing import Any

_FILES = "RLIMIT_NOFILE"
_OWN = ("proc", "sys", "dev")
"""Where the engine mounts its own filesystems."""


def process_of(process: Mapping[str, Any], root: int) -> dict[str, Any]:
    """Return the process with ids for the names of its user, HOME, and a limit of open files.

    ``root`` is a descriptor of the root whose /etc/passwd and /etc/group tell. The limit of open files is said even
    when nobody asked: the Go runtime raises its own, which the container's process would inherit.
    """
    _refuse_waiting(root)
    user = identity.resolve(root, process.get("user", {}))
    ids = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
    given = {key: value for key, value in process.get("user", {}).items() if key not in {"username", "groupnames"}}
    variables = identity.environment(process.get("env", ()), user)
    limits = list(process.get("rlimits", ()))
    if all(row["type"] != _FILES for row in limits):
        soft, hard = rlimits.get_rlimit(_FILES)
        limits.append({"type": _FILES, "soft": soft, "hard": hard})
    return {
        **{key: value for key, value in process.items() if key != "preservedDescriptors"},
        "user": {**given, **ids},
        "env": [f"{key}={value}" for key, value in variables.items()],
        "rlimits": limits,
    }


def _refuse_waiting(root: int) -> None:
    """Raise `ImageError` for a fifo, or whatever is no file, where the program looks for users: it would wait there."""
    for path in ("etc/passwd", "etc/group"):
        try:
            handle = paths.open_in_root(root, path, os.O_PATH)
        except OSError:  # the program gets no further either
            continue
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ImageError(f"the image's /{path} cannot be used: not a regular file", fix="Use another image.")
        finally:
            os.close(handle)


def mounts_of(steps: Sequence[Step], slots: Slots, directory: str, name: str) -> list[dict[str, Any]]:
    """Attach the detached mounts that steps of the child would, in ``directory``; return the bind mounts of them.

    Raises `Unsupported` for any other step that a child would run: there is no child of ours.
    """
    made: list[dict[str, Any]] = []
    for step in steps:
        if step.phase in {Phase.PARENT_BEFORE, Phase.PARENT_AFTER} or isinstance(step.action, HandOver):
            continue
        if not isinstance(step.action, AttachMount):
            raise Unsupported(f"the runtime {name} cannot {step.action.describe()}", fix="Use --runtime native.")
        source = f"{directory}/mount-{len(made)}"
        _attach(slots[step.action.slot], source)
        made.append({
            "destination": step.action.target, "type": "bind", "source": source, "options": ["rbind", "rprivate"],
        })  # fmt: skip
    return made


def _attach(fd: int, place: str) -> None:
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    mounts.attach(fd, mounts.AT_FDCWD, place)


def refuse_links(root: int, destinations: Sequence[str]) -> None:
    """Raise `KernelError` where the image has a link in the place of /proc, /sys or /dev: the program would follow it.

    runc refuses that for /proc and /sys alone. ``destinations`` are those of the mounts.
    """
    tops = {destination.strip("/").partition("/")[0] for destination in destinations}
    for name in tops.intersection(_OWN):
        try:
            mode = os.stat(name, dir_fd=root, follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise KernelError(
                f"could not mount on /{name}: {os.strerror(errno.ELOOP)} (the image has a symbolic link there)",
                fix="Use an image that has a directory there, or nothing.",
            )
