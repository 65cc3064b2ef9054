"""Parents on cgroup v2 that cannot hold containers are refused by name, and left as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from engine.contracts.cgroup import CgroupConfig
from engine.errors import Conflict
from engine.linux.cgroups import discover, read_value, write_value
from engine_cgroup_fs.driver import CgroupFs
from tests.machine import marks

ENABLED_ALWAYS = {"cpuset", "cpu", "io", "memory", "pids"}


class Parent(NamedTuple):
    """A directory at the top of v2 in which the test makes what it needs: where it is, and what the user types."""

    directory: str
    typed: str


@pytest.fixture
def parent() -> Iterator[Parent]:
    top = discover().v2_mount
    if not top:
        pytest.skip("there is no cgroup v2 here")
    name = f"{marks.of_run()}-parents-{os.getpid()}"
    os.mkdir(f"{top}/{name}")
    yield Parent(f"{top}/{name}", f"/{name}")
    for directory, _, _ in os.walk(f"{top}/{name}", topdown=False):
        os.rmdir(directory)


@pytest.fixture
def driver() -> CgroupFs:
    return CgroupFs(CgroupConfig("", "00c0ffee", {}))


def in_effect(directory: str) -> list[str]:
    return [read_value(directory, name) for name in ("cgroup.type", "cgroup.subtree_control")] + os.listdir(directory)


@pytest.mark.parametrize(
    ("below", "kind"),
    [("", "domain threaded"), ("/threads", "threaded"), ("/threads/new", "threaded"), ("/beside", "domain invalid")],
)
def test_threaded_subtrees(below: str, kind: str, parent: Parent, driver: CgroupFs) -> None:
    os.mkdir(f"{parent.directory}/threads")
    write_value(f"{parent.directory}/threads", "cgroup.type", "threaded")
    os.mkdir(f"{parent.directory}/beside")
    before = in_effect(parent.directory)
    with pytest.raises(Conflict, match=rf"threaded subtree \(its cgroup\.type is {kind}\)") as caught:
        driver.plan("x", {}, parent=parent.typed + below)
    assert "--cgroup-parent" in caught.value.fix
    assert in_effect(parent.directory) == before


def test_a_parent_with_processes_gives_no_controllers(parent: Parent, driver: CgroupFs) -> None:
    """Also where the kernel would let it, and make a threaded subtree of it: only processors and pids are wanted."""
    available = set(read_value(os.path.dirname(parent.directory), "cgroup.controllers").split())
    if not available & {*ENABLED_ALWAYS, "hugetlb"}:
        pytest.skip("the v2 hierarchy here has no controllers to give")
    needing: Any = {} if available & ENABLED_ALWAYS else {"unified": {"hugetlb.2MB.max": "0"}}
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        write_value(parent.directory, "cgroup.procs", process.pid)
        before = in_effect(parent.directory)
        with pytest.raises(Conflict, match=rf"has processes of its own \({process.pid}\)") as caught:
            driver.plan("x", needing, parent=parent.typed)
        assert "--cgroup-parent" in caught.value.fix
        assert in_effect(parent.directory) == before
    finally:
        process.kill()
        process.communicate()
    assert driver.plan("x", needing, parent=parent.typed), "without processes it can"
