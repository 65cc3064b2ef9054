"""Known ways out of a container, tried: each was an escape from another runtime."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from engine.actions.base import Phase, Slots, Step, action
from engine.contracts.namespace import NamespacePlan
from engine.linux.syscalls import prctl
from engine.spec.runtime import Process, SpecMount
from engine.testing.runtime_support import Box, make_spec, new_namespaces
from engine.testing.shim import Container, in_shim
from plugins.runtime_native.tests import bare

_PR_GET_DUMPABLE = 3
_TRAP = """#!/proc/self/exe -IS
import os
own = os.open("/proc/self/exe", os.O_PATH)
os.set_inheritable(own, True)
shim = os.getppid()
if os.fork() == 0:
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), number)
    os.execv("/bin/sh", ["sh", "-c", f'''
        n=0
        while kill -0 $0 && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done
        sleep 0.2
        if (echo overwritten > /proc/self/fd/{own}) 2> /result.new; then echo overwritten > /result.new; fi
        mv /result.new /result''', str(shim)])
"""


def _host_libraries() -> list[SpecMount]:
    """Return what Debian's interpreter needs to run in the container, so that the trap can be written in Python."""
    return [
        {"destination": place, "type": "bind", "source": place, "options": ["rbind", "ro"]}
        for place in ("/usr/lib", "/usr/lib64")
        if os.path.isdir(place)
    ]


@pytest.mark.parametrize("protected", [True, False])
def test_interpreter_cannot_be_overwritten(box: Box, tmp_path: Path, *, protected: bool) -> None:
    """CVE-2019-5736. The image's command is ``#!/proc/self/exe``: what runs inside is the host's interpreter, which the
    container then writes to once nobody executes it any more. A read-only mount of the interpreter, from which the shim
    is started, leaves the container nothing to write through; without it the attack succeeds, so this test can fail."""
    interpreter = Path(shutil.copy(os.path.realpath("/usr/bin/python3"), tmp_path / "python3"))
    content = interpreter.read_bytes()
    script = box.tree / "bin/trap"
    script.write_text(_TRAP)
    script.chmod(0o755)
    (box.tree / "lib").symlink_to("usr/lib")
    (box.tree / "lib64").symlink_to("usr/lib64")
    (box.tree / "bin/mv").symlink_to("busybox")
    spec = make_spec("trap")
    spec["mounts"] += _host_libraries()
    plan = new_namespaces()
    shared_pids = NamespacePlan(tuple(kind for kind in plan.clone if kind != "pid"), plan.unshare, (), plan.steps)
    bare.run(box.task(spec, shared_pids), interpreter=interpreter, protected=protected)
    deadline = time.monotonic() + 60
    while not (box.tree / "result").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    result = (box.tree / "result").read_text()
    if protected:
        assert "Read-only file system" in result
        assert interpreter.read_bytes() == content
    else:
        assert result == "overwritten\n"


@action("prctl")
class TellDumpable(NamedTuple):
    """Writes whether the process can be dumped, and so traced, to a file of the root."""

    file: str

    def describe(self) -> str:
        return "tell whether it can be dumped"

    def run(self, slots: Slots) -> None:
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT, dir_fd=slots["rootfs"])
        os.write(fd, str(prctl(_PR_GET_DUMPABLE)).encode())
        os.close(fd)


def test_stage_inside_the_container_cannot_be_traced(box: Box) -> None:
    """CVE-2016-9962. A process that joins could be traced by what runs there, and its descriptors used."""
    spec = make_spec("sleep", "60")
    process = cast("Process", {**spec["process"], "args": ["true"]})
    task = box.task(spec)
    task = task._replace(steps=(*task.steps, Step(Phase.CHILD_AFTER_PIVOT, TellDumpable("init"))))
    steps = (
        Step(Phase.CHILD_AFTER_PIVOT, TellDumpable("before")),
        *box.runtime.plan_exec(spec, process),
        Step(Phase.CHILD_AFTER_PIVOT, TellDumpable("after")),
    )

    def scenario() -> None:
        with Container(box.stage, task) as container:
            container.start()
            container.execute(process, steps)

    in_shim(scenario)
    assert [(box.tree / name).read_text() for name in ("init", "before", "after")] == ["0", "0", "0"]


def test_descriptors_of_the_host_are_closed_before_the_container_is_entered(box: Box) -> None:
    """CVE-2024-21626. A descriptor that is open while the stage is inside can be reached through /proc/PID/fd."""

    @action("open")
    class TellDescriptors(NamedTuple):
        def describe(self) -> str:
            return "tell what is open"

        def run(self, slots: Slots) -> None:
            found = {int(name) for name in os.listdir("/proc/self/fd")}
            links = [os.readlink(f"/proc/self/fd/{number}") for number in sorted(found) if _is_open(number)]
            (Path("/") / "open").write_text("\n".join(links))

    spec = make_spec("true")
    task = box.task(spec)
    entered = next(number for number, step in enumerate(task.steps) if type(step.action).__name__ == "NewKeyring")
    steps: list[Any] = list(task.steps)
    steps.insert(entered, Step(Phase.CHILD_AFTER_PIVOT, TellDescriptors()))

    def scenario() -> None:
        with Container(box.stage, task._replace(steps=tuple(steps))) as container:
            container.start()
            container.finish()

    in_shim(scenario)
    outside = [
        link for link in (box.tree / "open").read_text().splitlines() if not link.startswith(("pipe:", "socket:"))
    ]
    assert outside == ["/"]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
