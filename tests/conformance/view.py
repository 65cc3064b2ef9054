"""What a container sees of itself, as fields that can be compared: printed by a shell script, read here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from engine.spec.defaults import MASKED_PATHS

SCRIPT = r"""
section() { echo "== $1"; }
section mounts; cat /proc/self/mountinfo
section status; grep -E '^(Uid|Gid|Groups|Umask|Cap...|Sig...|NoNewPrivs|Seccomp|Cpus_allowed_list)' /proc/self/status
section limits; tail -n +2 /proc/self/limits | sed 's/   */\t/g'
section nodes; find /dev | while read -r path; do
    echo "$path $(stat -c '%F %a %u:%g %t:%T' "$path") $(readlink "$path")"
done
section environment; env
section namespaces; for name in /proc/self/ns/*; do echo "${name##*/} $(readlink "$name")"; done
section identity; echo "ids $(id)"; echo "directory $(pwd)"; echo "hostname $(hostname)"
    echo "oom_score_adj $(cat /proc/self/oom_score_adj)"; echo "session $(cut -d' ' -f5-8 /proc/1/stat)"
    echo "descriptors $(ls /proc/self/fd | tr '\n' ' ')"; echo "links $(ls /sys/class/net | tr '\n' ' ')"
    echo "loopback $(cat /sys/class/net/lo/operstate)"; echo "init $(cat /proc/1/comm)"
section cgroup; cd /sys/fs/cgroup
for file in */memory.limit_in_bytes */memory.memsw.limit_in_bytes */memory.soft_limit_in_bytes */cpu.shares \
    */cpu.cfs_quota_us */cpuset.cpus */pids.max memory.max memory.swap.max cpu.weight cpu.max pids.max; do
    [ ! -e $file ] || echo "$file $(cat $file)"
done
section devices; cat */devices.list 2> /dev/null || true
section masked; for path in PATHS; do
    [ ! -e $path ] || echo "$path $([ -z "$(cat $path 2> /dev/null; ls $path/ 2> /dev/null)" ] || echo shown)"
done
""".replace("PATHS", " ".join(MASKED_PATHS))
"""For a busybox shell; every field is a line, in sections."""

View = dict[str, str]
"""Field to value: "status CapEff", "mount /proc", "node /dev/null", "limit Max open files"."""

_OWN_TO_A_SNAPSHOT = ("lowerdir", "upperdir", "workdir")
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


def of(printed: str) -> View:
    """Return the fields of what `SCRIPT` printed."""
    view: View = {}
    for text in printed.split("== ")[1:]:
        section, *lines = text.splitlines()
        view.update(_PARSERS.get(section, _words)(section, lines))
    return view


def _words(section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _space, value = line.partition(" ")
        yield f"{section} {name}", value


def _mounts(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        words = line.split()
        fstype, _source, data = words[words.index("-") + 1 :]
        options = [one for one in data.split(",") if not one.startswith(_OWN_TO_A_SNAPSHOT)]
        root = _CONTAINER_ID.sub("ID", words[3])
        yield f"mount {words[4]}", f"{fstype} {root} {_sorted(words[5])} {_sorted(','.join(options))}"


def _sorted(options: str) -> str:
    return ",".join(sorted(options.split(",")))


def _status(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _colon, value = line.partition(":")
        yield f"status {name}", value.strip()


def _limits(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _tab, value = line.partition("\t")
        yield f"limit {name}", value.strip()


def _environment(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _equals, value = line.partition("=")
        yield f"environment {name}", value


def _namespaces(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, value = line.split()
        yield f"namespace {name}", "the host's" if os.readlink(f"/proc/self/ns/{name}") == value else "its own"


def _devices(_section: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        yield f"device rule {line}", "allowed"


_PARSERS = {
    "mounts": _mounts,
    "status": _status,
    "limits": _limits,
    "environment": _environment,
    "namespaces": _namespaces,
    "devices": _devices,
}
