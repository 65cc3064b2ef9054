"""Compiled seccomp filters, and the cache that keeps them: compiling Docker's profile takes 20 ms, reading it none.

A filter is keyed by everything that it was made from: the profile's content, the machine, libseccomp's version. The
file holds its own digest, so one that a crash cut short is compiled anew.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import os
from pathlib import Path

from engine.errors import InvalidInput, Unsupported
from engine.linux import seccomp
from engine.linux.syscalls import MACHINE
from engine.spec.runtime import Seccomp
from engine_runtime_native.stage.process import LoadSeccomp

_DIGEST_LENGTH = 64
_HANDLED = frozenset({"defaultAction", "defaultErrnoRet", "architectures", "flags", "syscalls"})


def step(profile: Seccomp, cache: Path) -> LoadSeccomp:
    """Return the action that loads the profile, compiled now or found in ``cache``.

    Raises `Unsupported` for what needs a process beside the container (a listener), `InvalidInput` for a broken one.
    """
    _refuse_unknown(profile)
    flags = 0
    for name in profile.get("flags", []):  # type: ignore[attr-defined]  # the specification has it, few write it
        if name not in seccomp.FLAGS:
            raise InvalidInput(f"the seccomp flag {name} is unknown", fix=f"Known are {', '.join(seccomp.FLAGS)}.")
        flags |= seccomp.FLAGS[name]
    return LoadSeccomp(binascii.b2a_base64(program(profile, cache), newline=False).decode(), flags)


def _refuse_unknown(profile: Seccomp) -> None:
    for key in profile:
        if key not in _HANDLED:
            raise Unsupported(
                f"the native runtime does not apply linux.seccomp.{key}", fix="Leave it out of the profile."
            )
    actions = [profile.get("defaultAction", ""), *(rule.get("action", "") for rule in profile.get("syscalls") or [])]
    if "SCMP_ACT_NOTIFY" in actions:
        raise Unsupported(
            "the native runtime has nobody to tell of a system call, as SCMP_ACT_NOTIFY asks for",
            fix="Use SCMP_ACT_ERRNO or SCMP_ACT_LOG.",
        )


def program(profile: Seccomp, cache: Path) -> bytes:
    """Return the BPF program of a profile. Raises as `engine.linux.seccomp.compile` does."""
    file = cache / f"{_key(profile)}.bpf"
    found = _read(file)
    if found is None:
        found = seccomp.compile(profile)
        _write(file, found)
    return found


def _key(profile: Seccomp) -> str:
    reason = seccomp.available()
    version = seccomp.library_version() if reason is None else ()
    return hashlib.sha256(json.dumps([profile, MACHINE, version], sort_keys=True).encode()).hexdigest()


def _read(file: Path) -> bytes | None:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    digest, found = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH:]
    return found if hashlib.sha256(found).hexdigest().encode() == digest else None


def _write(file: Path, content: bytes) -> None:
    """Write beside and rename: two commands may compile the same filter at once."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_bytes(hashlib.sha256(content).hexdigest().encode() + content)
    beside.replace(file)
