"""Whether a cgroup v2 parent can hold containers at all, found out before anything is made.

The kernel says it late and by errno: EOPNOTSUPP to the clone, or EBUSY to a write that comes after others
(cgroup-v2.rst, "Threads" and "No Internal Process Constraint"). The top of the hierarchy is free of both rules.

For plugins of the kind ``cgroup``. Runs in the command's process and reads one or two files for each parent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from engine.errors import Conflict
from engine.linux.cgroups import read_value

_DOMAIN = "domain"
_SHOWN = 5


def must_be_domain(top: str, directory: str, *, plugin: str) -> None:
    """Raise `Conflict` when a group made at ``directory`` could hold threads alone, or nothing, and no process.

    ``top`` is the mount point of v2. What the nearest parent is decides for all that is made below it.
    """
    for path in _parents(top, directory):
        kind = read_value(path, "cgroup.type")
        if kind != _DOMAIN:
            raise Conflict(
                f"no container can be in the cgroup {path}: it is of a threaded subtree (its cgroup.type is {kind})",
                fix="Choose another --cgroup-parent: its cgroup.type must be domain.",
                plugin=plugin,
            )
        return


def must_give(top: str, directory: str, controllers: Iterable[str], *, plugin: str) -> None:
    """Raise `Conflict` when a parent of ``directory`` has to enable one of ``controllers`` and has processes."""
    wanted = set(controllers)
    for path in _parents(top, directory) if wanted else ():
        missing = wanted.difference(read_value(path, "cgroup.subtree_control").split())
        pids = read_value(path, "cgroup.procs").split() if missing else []
        if pids:
            more = ", …" if len(pids) > _SHOWN else ""
            raise Conflict(
                f"the cgroup {path} has processes of its own ({', '.join(pids[:_SHOWN])}{more}), so it cannot give the "
                f"containers in it {', '.join(sorted(missing))}",
                fix="Move them into a cgroup below it, or choose another --cgroup-parent.",
                plugin=plugin,
            )


def _parents(top: str, directory: str) -> Iterator[str]:
    """Yield the parents that exist, from the nearest up to ``top``, but for the top of the whole hierarchy."""
    path = os.path.dirname(directory)
    while len(path) >= len(top):
        if os.path.exists(f"{path}/cgroup.type"):
            yield path
        path = os.path.dirname(path)
