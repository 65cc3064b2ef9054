"""Which cgroup hierarchies of this machine a container can be shown, found by asking mountinfo."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

from engine.linux import mountinfo
from engine.tuples import NamedTuple
from engine_runtime_native.stage.cgroups import HierarchyRow


class Hierarchies(NamedTuple):
    """Rows and links for `engine_runtime_native.stage.cgroups.MountCgroups`."""

    rows: tuple[HierarchyRow, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def find() -> Hierarchies:
    """Read what is mounted, and which hierarchies the caller is in."""
    memberships = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    return of(mountinfo.read(), [line.split(":", 2)[1] for line in memberships])


def of(mounts: Sequence[mountinfo.MountEntry], memberships: Sequence[str]) -> Hierarchies:
    """Return the mounted ones of ``memberships`` (the middle fields of /proc/PID/cgroup). Pure."""
    v1 = mountinfo.of_type("cgroup", mounts)
    rows, links = [], []
    for controllers in memberships:
        wanted = set(controllers.split(","))
        mount = next((entry for entry in v1 if wanted <= set(entry.super_options)), None)
        if not controllers or mount is None:
            continue
        name = posixpath.basename(mount.mount_point)
        rows.append((name, mount.mount_point, mount.root, controllers))
        links += [(one, name) for one in controllers.split(",") if one != name and "=" not in one]
    v2 = next(iter(mountinfo.of_type("cgroup2", mounts)), None)
    if v2 is not None:
        rows.append(("unified" if rows else "", v2.mount_point, v2.root, ""))
    return Hierarchies(tuple(rows), tuple(links))
