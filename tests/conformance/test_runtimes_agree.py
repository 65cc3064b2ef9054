"""The same container on the native runtime and on runc, compared from inside, field by field.

Two runtimes that could hardly be made more differently: what they agree on is what the contract says, and what they do
not is a named field with its reason, or a bug of one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.spec.defaults import MASKED_PATHS
from tests.conformance import view
from tests.e2e.box import Box

DIFFERENT = {
    "mount /sys": "runc mounts the whole sysfs read-only, native this mount of it",
    "mount /sys/fs/cgroup": "runc 1.1 leaves the tmpfs that holds the hierarchies writable, native does not",
    "mount /sys/fs/cgroup/unified": "beside v1, runc does not show the v2 hierarchy, though it joins it; native does",
    **dict.fromkeys(
        (f"mount {path}" for path in MASKED_PATHS if path.startswith("/proc/")),
        "a masked file is the container's own /dev/null with runc, the host's with native; both are empty",
    ),
    "nodes /dev/core": "a link to /proc/kcore: runc makes it only where the kernel has that file",
    "device rule c 10:200 rwm": "runc 1.1 lets every container use /dev/net/tun; native does not, nor does runc 1.2",
}
"""Fields that may differ between native and runc, and why."""

CONTAINERS = {
    "as it comes": "",
    "limited": "--memory 64m --cpus 0.5 --cpu-shares 300 --pids-limit 33"
    " --ulimit nofile=64:128 --ulimit core=0 --oom-score-adj 200",
    "locked up": "--read-only --user 1000:1000 --cap-drop ALL --workdir /tmp --security-opt no-new-privileges",
    "open": "--cap-add NET_ADMIN --cap-drop CHOWN --security-opt seccomp=unconfined"
    " --security-opt systempaths=unconfined --device /dev/fuse:/dev/deep/fuse:rw --tmpfs /run:size=1m,mode=700"
    " --sysctl net.ipv4.ip_default_ttl=77",
    "with the host": "--pid host --network host --uts host --ipc host --env A=b --shm-size 1m",
}


def differences(one: view.View, other: view.View) -> dict[str, tuple[str | None, str | None]]:
    """Return the fields that are not the same in both, each with its two values."""
    fields = sorted(one.keys() | other.keys())
    return {name: (one.get(name), other.get(name)) for name in fields if one.get(name) != other.get(name)}


def unnamed(found: dict[str, tuple[str | None, str | None]]) -> dict[str, tuple[str | None, str | None]]:
    return {name: values for name, values in found.items() if name not in DIFFERENT}


def seen(box: Box, runtime: str, *flags: str) -> view.View:
    hostname = [] if "host" in flags else ["--hostname", "same"]
    return view.of(box.run("--runtime", runtime, *hostname, *flags, script=view.SCRIPT))


@pytest.mark.parametrize("flags", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_the_first_process_sees_the_same(box: Box, flags: str) -> None:
    native, runc = (seen(box, runtime, *flags.split()) for runtime in ("native", "runc"))
    assert {
        "mount /proc",
        "status CapEff",
        "status Seccomp",
        "limit Max open files",
        "nodes /dev/null",
    } <= native.keys()
    assert not unnamed(differences(native, runc))


def test_one_more_process_sees_the_same(box: Box) -> None:
    def views() -> Iterator[view.View]:
        for runtime in ("native", "runc"):
            flags = ("--runtime", runtime, "--hostname", "same", *CONTAINERS["limited"].split())
            with box.container(*flags) as container:
                yield view.of(container.sh(view.SCRIPT, "--user", "5:6", "--env", "MORE=1", "--workdir", "/etc"))

    native, runc = views()
    assert native["identity ids"].startswith("uid=5 gid=6")
    assert not unnamed(differences(native, runc))


def test_a_difference_would_be_found(box: Box) -> None:
    native, runc = seen(box, "native"), seen(box, "runc", "--cap-drop", "CHOWN", "--pids-limit", "9")
    assert {"status CapBnd", "status CapEff", "status CapPrm"} <= unnamed(differences(native, runc)).keys()
