"""Checks of the flags for limits: what the kernel does when a limit is reached."""

from __future__ import annotations

from tests.e2e.box import Container
from tests.e2e.scene import Scene

MEBIBYTE = 1 << 20
_FILES = {
    "cpu throttled": ("/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu.stat"),
    "cpu used": ("/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu.stat"),
    "memory and swap": ("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "/sys/fs/cgroup/memory.swap.max"),
}
"""What a container's own view of its cgroup has on v1 and on v2."""


def cgroup_file(name: str) -> str:
    """Return shell words that print a file of the container's own cgroup, whichever version holds it."""
    v1, v2 = _FILES[name]
    return f"cat {v1} 2>/dev/null || cat {v2}"


def memory(scene: Scene) -> None:
    """What does not fit is killed, with all the memory that the container took, and what fits is not."""
    allocate = "head -c {}m /dev/zero | tail >/dev/null"
    with scene.box.to_be_removed() as name:
        command = ("/bin/sh", "-c", allocate.format(100))
        assert scene.box("run", "--name", name, *scene.typed, scene.box.image, *command).returncode == 137
        assert Container(scene.box, name).state["OOMKilled"] is True
    scene.run(allocate.format(16))
    scene.bare(allocate.format(100))


def memory_swap(scene: Scene) -> None:
    """The kernel keeps it. Its effect needs swap, which the machine may not have."""
    shown = int(scene.run(cgroup_file("memory and swap")))
    assert shown in {64 * MEBIBYTE, 32 * MEBIBYTE}, "v1 counts both together, v2 swap alone"


def cpus(scene: Scene) -> None:
    spin = "timeout 0.6 sh -c 'while :; do :; done'; "
    throttled = f"{spin} {cgroup_file('cpu throttled')}"
    assert _value(scene.run(throttled), "nr_throttled") > 1
    assert _value(scene.bare(throttled) + "\nnr_throttled 0", "nr_throttled") == 0
    used = f"{spin} {cgroup_file('cpu used')}"
    assert _seconds(scene.run(used)) < 0.3, "a tenth of a processor for 0.6 seconds, and the start"


def cpu_shares(scene: Scene) -> None:
    """Two that want one processor at the same time get it by their weights."""
    begin = "exec 2>/dev/null; until test -e /go/now; do sleep 0.01; done; "
    spin = f"{begin} timeout 1 sh -c 'while :; do :; done'; {cgroup_file('cpu used')}"
    together = ("--cpuset-cpus", "0", "--volume", f"{scene.place}:/go")
    with (
        scene.box.container(*together, script=spin) as ordinary,
        scene.box.container(*scene.typed, *together, script=spin) as lighter,
    ):
        (scene.place / "now").touch()
        ordinary.wait()
        lighter.wait()
        assert _seconds(ordinary.logs()) > 1.8 * _seconds(lighter.logs())


def cpuset_cpus(scene: Scene) -> None:
    allowed = "grep Cpus_allowed_list /proc/self/status | cut -f 2; nproc"
    assert scene.run(allowed) == "1\n1\n"
    assert scene.bare(allowed) != "1\n1\n"


def pids_limit(scene: Scene) -> None:
    many = "for n in $(seq 12); do sleep 60 & done 2>&1; set -- $(jobs -p); echo $#; kill $@"
    shown = scene.run(f"({many}) 2>&1 || true")
    assert "fork" in shown
    assert scene.bare(many) == "12\n"


def _value(text: str, name: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)


def _seconds(text: str) -> float:
    """Return processor time from v1's nanoseconds or v2's ``usage_usec``."""
    return int(text) / 1e9 if text.strip().isdecimal() else _value(text, "usage_usec") / 1e6
