"""The settings that commands use: a plain value, its defaults, and where each part came from."""

from __future__ import annotations

import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from engine import cache
from engine.tuples import NamedTuple

Options = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Options of drivers: kind, then driver, then key: ``options["log"]["json-file"]["max-size"]``."""

DEFAULT = "default"
COMMAND_LINE = "command line"


class Settings(NamedTuple):
    """Validated settings.

    ``root``           images, containers and snapshots: what survives a reboot
    ``state``          sockets, locks and what a reboot may forget
    ``cache``          what can be made again; only ``ENGINE_CACHE`` moves it
    ``storage``        the storage driver, by the name of its plugin; "auto": the best that is usable
    ``cgroup_driver``, ``runtime``, ``namespace_driver``, ``log_driver``  the others, in the same way
    ``cgroup_parent``  the cgroup or slice that holds the containers; "" for the cgroup driver's own choice
    ``stop_timeout``   seconds between the stop signal and SIGKILL
    ``userns_range``   the host's ids that containers may be given: ``FIRST:COUNT``, or a user with subordinate ids; ""
                       for those of the user engine or containers, or else a range that nobody uses
    ``options``        each driver's own, by kind and driver
    ``origins``        where each field came from: "default", a file, an environment variable, "command line"
    """

    root: Path
    state: Path
    cache: Path
    storage: str = "auto"
    cgroup_driver: str = "auto"
    runtime: str = "auto"
    namespace_driver: str = "auto"
    log_driver: str = "auto"
    cgroup_parent: str = ""
    stop_timeout: int = 10
    userns_range: str = ""
    options: Options = MappingProxyType({})
    origins: Mapping[str, str] = MappingProxyType({})

    @property
    def mark(self) -> str:
        """Eight hex digits that tell this engine root from another in the names of cgroups, units and links."""
        return f"{binascii.crc32(os.path.realpath(self.root).encode()):08x}"

    def options_of(self, kind: str, name: str) -> Mapping[str, str]:
        """Return the options set for one driver."""
        return self.options.get(kind, {}).get(name, {})


DRIVERS = {
    "storage": "storage",
    "cgroup": "cgroup_driver",
    "runtime": "runtime",
    "namespace": "namespace_driver",
    "log": "log_driver",
}
"""Each kind of plugin that is chosen, and the field that names the choice."""


def defaults(environment: Mapping[str, str], uid: int | None = None) -> Settings:
    """Return what holds where nothing is set: the system's places for root, the XDG Base Directories for others.

    Without ``XDG_RUNTIME_DIR`` an unprivileged user's state lies below the root. ``uid`` is the user's; None: this
    process's.
    """
    uid = os.geteuid() if uid is None else uid
    place = Path(cache.directory(environment, uid))
    if uid == 0:
        return Settings(Path("/var/lib/engine"), Path("/run/engine"), place)
    root = _xdg(environment, "XDG_DATA_HOME", "~/.local/share") / "engine"
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    return Settings(root, Path(runtime) / "engine" if os.path.isabs(runtime) else root / "state", place)


def files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the system's and the user's settings file, whether they exist or not."""
    return Path("/etc/engine/engine.toml"), _xdg(environment, "XDG_CONFIG_HOME", "~/.config") / "engine" / "engine.toml"


def _xdg(environment: Mapping[str, str], name: str, default: str) -> Path:
    """Return an XDG base directory. A relative one is to be ignored, the specification says."""
    chosen = environment.get(name, "")
    return Path(chosen if os.path.isabs(chosen) else os.path.expanduser(default))
