"""Checks of the flags for limits: what the kernel does when a limit is reached."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from engine.linux import hierarchies
from engine.testing.disks import loop_device
from tests.e2e.box import Container, until
from tests.e2e.scene import Check, Scene

MEBIBYTE = 1 << 20
_FILES = {
    "cpu throttled": ("/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu.stat"),
    "cpu used": ("/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu.stat"),
    "memory reserved": ("/sys/fs/cgroup/memory/memory.soft_limit_in_bytes", "/sys/fs/cgroup/memory.low"),
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


def memory_reservation(scene: Scene) -> None:
    """The kernel keeps it. Its effect needs a machine that is short of memory."""
    assert int(scene.run(cgroup_file("memory reserved"))) == 16 * MEBIBYTE


def oom_kill_disable(scene: Scene) -> None:
    """What does not fit waits, and is not killed; it can be killed all the same."""
    with scene.box.container(*scene.typed, script="awk 'BEGIN { s = 1; while (1) s = s s }'") as container:
        control = Path(group(container, "memory"), "memory.oom_control")
        until(lambda: _value(control.read_text(), "under_oom") == 1, "it waits for memory")
        assert container.state["Running"]
        scene.box.done("kill", container.name)
        assert container.wait() == 137


def cpu_quota(scene: Scene) -> None:
    spin = f"timeout 0.6 sh -c 'while :; do :; done'; {cgroup_file('cpu throttled')}"
    shown = scene.run(spin)
    assert _value(shown, "nr_throttled") > 1
    assert _value(shown, "nr_periods") > 8, "periods of 50 ms"


def realtime(scene: Scene) -> None:
    """A process becomes a realtime one where its group has a budget for that; without one the kernel refuses."""
    with scene.box.container(*scene.typed) as given, scene.box.container() as bare:
        os.sched_setscheduler(given.pid, os.SCHED_FIFO, os.sched_param(1))
        assert os.sched_getscheduler(given.pid) == os.SCHED_FIFO
        with pytest.raises(PermissionError):
            os.sched_setscheduler(bare.pid, os.SCHED_FIFO, os.sched_param(1))


def device_cgroup_rule(scene: Scene) -> None:
    """A node that the container makes itself can be opened for what the rule says, and without it not at all."""
    script = "mknod /loops c 10 237; (exec 3</loops) && echo read; (exec 3>/loops) && echo written; true"
    assert scene.run(script) == "read\n"
    assert scene.bare(script) == ""


def cgroup_conf(scene: Scene) -> None:
    """No more groups can be made below the container's."""
    with scene.box.container(*scene.typed) as container:
        below = Path(group(container, ""))
        (below / "one").mkdir()
        try:
            with pytest.raises(OSError, match="unavailable") as caught:
                (below / "two").mkdir()
            assert caught.value.errno == errno.EAGAIN
        finally:
            (below / "one").rmdir()


def blkio_weight(scene: Scene) -> None:
    """The kernel keeps it where a disk obeys weights; how they divide a disk is measured by the drivers' own tests."""
    with loop_device(scene.place, scheduler="bfq") as disk:
        typed = _on(disk, scene.typed)
        weights = "cat /sys/fs/cgroup/blkio/blkio.bfq.weight* 2>/dev/null || cat /sys/fs/cgroup/io.bfq.weight"
        shown = scene.box.run(*typed, script=weights)
        assert "321" in shown.split()


def slow(kind: str) -> Check:
    """Return a check that 24 blocks of 64 KiB, read or written past the page cache, take the time that they should."""
    dd = "dd if=/dev/zero of={} oflag=direct" if kind == "write" else "dd if={} of=/dev/null iflag=direct"

    def check(scene: Scene) -> None:
        with loop_device(scene.place) as disk:
            script = f"{dd.format(disk)} bs=64k count=24 2>/dev/null"
            began = time.monotonic()
            scene.box.run(*_on(disk, scene.typed), "--device", disk, script=script)
            assert time.monotonic() - began > 1.3, "1.5 MiB at 1 MiB a second, or 24 at 16 a second"

    return check


def _on(disk: str, typed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with a block device in the place of DISK."""
    return tuple(word.replace("DISK", disk) for word in typed)


def group(container: Container, controller: str) -> str:
    """Return the directory of a container's group in the hierarchy of a v1 controller, or with "" in the v2 one."""
    found = hierarchies.discover()
    mount = found.v1[controller].mount_point if controller else found.v2_mount
    lines = (line.split(":", 2) for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines())
    return next(mount + path for _, names, path in lines if controller in names.split(","))


def _value(text: str, name: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)


def _seconds(text: str) -> float:
    """Return processor time from v1's nanoseconds or v2's ``usage_usec``."""
    return int(text) / 1e9 if text.strip().isdecimal() else _value(text, "usage_usec") / 1e6
