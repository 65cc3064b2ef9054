"""A machine and an image as values, so that the translation is tested without either."""

from __future__ import annotations

from typing import Any

from engine.cli.run_flags import RunFlags
from engine.cli.run_options import options_of
from engine.linux.capabilities import NAMES
from engine.spec.builder import build
from engine.spec.facts import ContainerFiles, HostFacts
from engine.spec.idmaps import range_from
from engine.spec.image import RunConfig
from engine.spec.isolation import NEW
from engine.spec.options import RunOptions
from engine.spec.runtime import DeviceNode, Spec

FUSE: DeviceNode = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0}
FACTS = HostFacts(
    architecture="x86_64",
    capabilities=NAMES,
    cpus="0-3",
    hostname="machine",
    devices={"/dev/fuse": [FUSE], "/dev": [FUSE]},
    init="/usr/bin/tini-static",
    blocks={"/dev/sda": (8, 0)},
    sensors=("/sys/devices/system/cpu/cpu0/thermal_throttle",),
)
IMAGE = RunConfig(
    user="www-data",
    env=("PATH=/bin", "LANG=C"),
    entrypoint=("/entry",),
    cmd=("default",),
    working_dir="/srv",
    volumes=("/data",),
    labels={"from": "image", "kept": "yes"},
    stop_signal="SIGQUIT",
)
ID = "0123456789abcdef" * 4
FILES = ContainerFiles(hosts="/c/hosts", hostname="/c/hostname", resolv_conf="/c/resolv.conf")


def flags(**given: Any) -> RunFlags:
    """Return all flags as typer hands them over, with ``given`` in place of what nobody gave."""
    nothing: dict[str, Any] = {
        name: False if annotation.__origin__ is bool else None for name, annotation in RunFlags.__annotations__.items()
    }
    assert given.keys() <= nothing.keys()
    nothing.update(given)
    return nothing  # type: ignore[return-value]


def asked(*command: str, **given: Any) -> RunOptions:
    """Return the options behind flags as typed, which must survive the record."""
    options = options_of("img", list(command), flags(**given), surrounding={"HOME": "/root", "TOKEN": "s3"})
    assert RunOptions.from_plain(options.to_plain()) == options
    return options


def spec_of(*command: str, image: RunConfig = IMAGE, facts: HostFacts = FACTS, **given: Any) -> Spec:
    """Return the specification behind flags as typed. Seccomp is left out unless it is asked for."""
    given.setdefault("security_opt", ["seccomp=unconfined"])
    options = asked(*command, **given)
    ids = (options.id_map() or range_from(100000)) if options.wishes()["user"] == NEW else None
    return build(options, image, id=ID, rootfs_path="rootfs", facts=facts, files=FILES, ids=ids)
