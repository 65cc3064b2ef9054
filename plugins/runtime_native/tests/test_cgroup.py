"""Where the init and what is exec'ed end up: in the groups that the plan names, before anything of theirs runs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from engine.actions.base import Phase, Step
from engine.actions.cgroups import EnterCgroups, OpenCgroup, OpenEntrances
from engine.actions.task import Task
from engine.linux import mountinfo, processes
from engine.spec.runtime import Process
from engine.testing.runtime_support import Box, give_away, make_spec, new_namespaces
from engine.testing.shim import Container, in_shim
from engine_runtime_native import stage as native
from engine_runtime_native.stage import launch


def own_directory(fstype: str, controllers: str) -> Path:
    """Return the directory of this process in a hierarchy; the test is skipped where that is not mounted."""
    for entry in mountinfo.of_type(fstype, mountinfo.read()):
        if fstype == "cgroup2" or controllers in entry.super_options:
            for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
                _number, found, path = line.split(":", 2)
                if found == controllers:
                    return Path(entry.mount_point + path.removeprefix(entry.root.rstrip("/")))
    pytest.skip(f"no {fstype} hierarchy {controllers} is mounted here")


def made(parent: Path) -> Iterator[Path]:
    """Make a group below ``parent``, and remove it when its processes are gone."""
    group = parent / f"native-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    yield group
    for _ in range(100):
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{group} still holds processes: {(group / 'cgroup.procs').read_text()}")


@pytest.fixture
def unified() -> Iterator[Path]:
    yield from made(own_directory("cgroup2", ""))


@pytest.fixture
def freezer() -> Iterator[Path]:
    yield from made(own_directory("cgroup", "freezer"))


def before(*steps: Step, task: Task) -> Task:
    return task._replace(steps=(*steps, *task.steps))


def into(group: Path) -> Step:
    return Step(Phase.PARENT_BEFORE, OpenCgroup(str(group)))


def through(group: Path) -> tuple[Step, Step]:
    paths = (str(group),)
    return Step(Phase.PARENT_BEFORE, OpenEntrances(paths)), Step(Phase.CHILD_BEFORE_PIVOT, EnterCgroups(paths))


def members(group: Path, task: Task) -> list[bool]:
    """Return whether the init is in the group when it is made, and when it runs."""

    def scenario() -> list[bool]:
        with Container(native, task) as container:
            created = container.create()
            first = str(created.pid) in (group / "cgroup.procs").read_text().split()
            container.start()
            return [first, str(created.pid) in (group / "cgroup.procs").read_text().split()]

    return in_shim(scenario)


def test_init_is_cloned_into_its_v2_group(box: Box, unified: Path) -> None:
    assert members(unified, before(into(unified), task=box.task(make_spec("sleep", "60")))) == [True, True]


def test_init_enters_it_itself_where_clone3_is_hidden(box: Box, unified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = processes.clone3

    def hidden(flags: int = 0, cgroup_fd: int | None = None, exit_signal: int = 17) -> processes.Cloned:
        if cgroup_fd is not None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return real(flags, None, exit_signal)

    monkeypatch.setattr(launch.processes, "clone3", hidden)
    assert members(unified, before(into(unified), task=box.task(make_spec("sleep", "60"))))[1]


def test_init_enters_its_v1_group_before_its_cgroup_namespace(box: Box, freezer: Path) -> None:
    task = before(*through(freezer), task=box.task(make_spec("cat", "/proc/self/cgroup")))

    def scenario() -> str:
        with Container(box.stage, task) as container:
            container.start()
            return container.finish().stdout

    assert ":freezer:/\n" in in_shim(scenario)


def test_container_sees_its_own_groups_and_cannot_change_them(box: Box, freezer: Path) -> None:
    script = "cd /sys/fs/cgroup/freezer && cat cgroup.procs; echo THAWED > freezer.state; mkdir x; ls -d x"
    spec = make_spec("sh", "-c", script)
    options = ["ro", "nosuid", "nodev", "noexec"]
    spec["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options})
    task = before(*through(freezer), task=box.task(spec))

    def scenario() -> tuple[str, str]:
        with Container(box.stage, task) as container:
            container.start()
            output = container.finish()
            return output.stdout, output.stderr

    stdout, stderr = in_shim(scenario)
    assert stdout.split()[0] == "1"
    assert "x" not in stdout
    assert stderr.count("Read-only file system") == 2


@pytest.mark.parametrize("user", [False, True])
def test_exec_is_in_the_groups_too(box: Box, unified: Path, freezer: Path, *, user: bool) -> None:
    spec = make_spec("sleep", "60")
    if user:
        give_away(box.tree)
        spec["linux"]["namespaces"].append({"type": "user"})
    task = before(into(unified), *through(freezer), task=box.task(spec, new_namespaces(user=user)))
    process = cast("Process", {**spec["process"], "args": ["cat", "/proc/self/cgroup"]})
    steps = (into(unified), *through(freezer), *box.runtime.plan_exec(spec, process))

    def scenario() -> str:
        with Container(box.stage, task) as container:
            container.start()
            return container.execute(process, steps).stdout

    lines = in_shim(scenario).splitlines()
    assert "0::/" in lines
    assert any(line.endswith(":freezer:/") for line in lines)
