"""Which kernel parameters a container may have: those that one of its own namespaces holds, and no other."""

from __future__ import annotations

import re

from engine.errors import InvalidInput
from engine_runtime_native.stage.sysctls import WriteSysctl, file_of

_IPC = frozenset(
    f"kernel/{name}"
    for name in (
        "msgmax", "msgmnb", "msgmni", "msg_next_id", "sem", "sem_next_id", "shmall", "shmmax", "shmmni",
        "shm_next_id", "shm_rmid_forced",
    )
)  # fmt: skip
_UTS = {"kernel/hostname": "--hostname", "kernel/domainname": "--domainname"}
_FILE = r"[a-zA-Z0-9_][a-zA-Z0-9_.:@-]*(/[a-zA-Z0-9_][a-zA-Z0-9_.:@-]*)+"


def translate(wanted: dict[str, str], kinds: frozenset[str]) -> list[WriteSysctl]:
    """Return the writes. Raises `InvalidInput` for a parameter of the whole machine or of a shared namespace."""
    return [WriteSysctl(_allowed(name, kinds), value) for name, value in wanted.items()]


def _allowed(name: str, kinds: frozenset[str]) -> str:
    file = file_of(name)
    if not re.fullmatch(_FILE, file):
        raise InvalidInput(f"{name!r} is no name of a kernel parameter", fix="Write it as in sysctl(8).")
    if file in _UTS:
        raise InvalidInput(f"{name} cannot be set as a kernel parameter", fix=f"Use {_UTS[file]}.")
    kind = "ipc" if file in _IPC or file.startswith("fs/mqueue/") else "net" if file.startswith("net/") else ""
    if not kind:
        raise InvalidInput(
            f"{name} is a parameter of the whole machine, not of a container",
            fix="Set it on the host. A container has kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.*.",
        )
    if kind not in kinds:
        raise InvalidInput(
            f"{name} belongs to the host here, since the container shares its {kind} namespace",
            fix=f"Give the container a {kind} namespace of its own, or set it on the host.",
        )
    return name
