"""The program on this machine: where it is, which specification it follows, whether it can work here."""

from __future__ import annotations

import re
import shutil
import subprocess

from engine.contracts.common import Probe
from engine.errors import Unsupported
from engine.linux import capabilities, cgroups

_PATIENCE = 10.0
"""Seconds that the program gets to tell its version."""
_PREFERENCE = {"runc": 30, "crun": 20}
"""Below the native runtime's: `auto` takes a program where that one cannot run."""
_SYS_ADMIN = 1 << capabilities.NUMBERS["CAP_SYS_ADMIN"]
HYBRID = "crun refuses cgroup v1 and v2 side by side (hybrid), as here"
_SPEC = re.compile(r"^spec: (\d+)\.(\d+)", re.MULTILINE)


def find(name: str, path: str = "") -> str:
    """Return the program's path. Raises `Unsupported` when it is not installed."""
    found = shutil.which(path or name)
    if found is None:
        raise Unsupported(f"there is no program {path or name!r}", fix=f"Install it: apt-get install {name}.")
    return found


def spec_version(name: str, path: str = "") -> tuple[int, int]:
    """Return the version of the runtime-spec that the program says it follows. Raises `Unsupported`."""
    found = _SPEC.search(_told(find(name, path)))
    if found is None:
        raise Unsupported(f"{path or name} does not tell which runtime specification it follows")
    return int(found[1]), int(found[2])


def probe(name: str, path: str = "") -> Probe:
    """Say whether the program can make containers here; it is started once, to tell its version."""
    try:
        version = _told(find(name, path)).partition("\n")[0]
    except Unsupported as error:
        return Probe(False, f"{error.what}: {error.fix}" if error.fix else error.what)
    if not capabilities.get().effective & _SYS_ADMIN:
        return Probe(False, f"{name} needs CAP_SYS_ADMIN: run the engine as root")
    mode = cgroups.discover().mode
    if refuses(name, mode):
        return Probe(False, f"{HYBRID}: use runc or native")
    return Probe(True, f"{version}, on {mode} cgroups", _PREFERENCE.get(name, 0))


def refuses(name: str, mode: str) -> bool:
    """Tell whether the program refuses cgroups that are mounted so (`engine.linux.cgroups.Hierarchies.mode`)."""
    return name == "crun" and mode == "hybrid"


def _told(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unsupported(f"{program} --version does not work: {error}") from error
    return done.stdout
