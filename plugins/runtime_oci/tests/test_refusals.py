"""What such a program would drop in silence, wait for or report too late is refused before it is started."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.actions.base import Phase, Step
from engine.actions.namespaces import SetDomainname, SetTimeOffsets
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import RuntimeConfig
from engine.errors import EngineError, InvalidInput, KernelError, Unsupported
from engine.linux import cgroups
from engine.testing.runtime_support import Box, make_box, make_spec, new_namespaces, with_linux, with_process
from engine_runtime_oci import programs
from engine_runtime_oci.driver import OciRuntime


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return make_box(OciRuntime("runc", RuntimeConfig(tmp_path / "cache", {})), tmp_path / "bundle")


def program(place: Path, script: str) -> OciRuntime:
    """Return a runtime whose program is a shell script."""
    path = place / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return OciRuntime("runc", RuntimeConfig(place / "cache", {"path": str(path)}))


NAMESPACES = {
    "user": NamespacePlan(("user", "mount"), ()),
    "time": NamespacePlan(("mount",), ("time",)),
    "mount": NamespacePlan((), (), (("mount", "/proc/1/ns/mnt"),)),
}


@pytest.mark.parametrize("kind", NAMESPACES)
def test_namespaces_that_it_cannot_make(box: Box, kind: str) -> None:
    with pytest.raises(Unsupported, match=f"{kind} namespace"):
        box.task(make_spec("true"), NAMESPACES[kind])


def test_a_step_of_the_plan_that_it_cannot_take(box: Box) -> None:
    step = Step(Phase.CHILD_BEFORE_PIVOT, SetTimeOffsets(1, 1))
    with pytest.raises(Unsupported, match="shift the monotonic clock"):
        box.task(make_spec("true"), new_namespaces()._replace(steps=(step,)))


@pytest.mark.parametrize("version", ["1.0.2-dev", "1.2.0"])
def test_what_came_later_than_its_specification(tmp_path: Path, version: str) -> None:
    runtime = program(tmp_path, f"echo runc version 9; echo spec: {version}")
    named = (*new_namespaces().steps, Step(Phase.CHILD_BEFORE_PIVOT, SetDomainname("nis")))
    burst = with_linux(make_spec("true"), resources={"cpu": {"burst": 1000}})
    for spec, plan, name in (
        (make_spec("true"), new_namespaces()._replace(steps=named), "domainname"),
        (burst, new_namespaces(), r"linux.resources.cpu.burst"),
    ):
        if version == "1.2.0":
            assert runtime.plan(spec, plan)
        else:
            with pytest.raises(Unsupported, match=name):
                runtime.plan(spec, plan)


def test_cgroups_that_crun_cannot_take(tmp_path: Path) -> None:
    crun = OciRuntime("crun", RuntimeConfig(tmp_path / "cache", {}))
    assert programs.refuses("crun", "hybrid")
    assert not programs.refuses("crun", "v2")
    if cgroups.discover().mode == "hybrid":
        assert not crun.probe().usable
        with pytest.raises(Unsupported, match="side by side"):
            crun.plan(make_spec("true"), new_namespaces())


def test_an_option_that_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="colour"):
        OciRuntime("runc", RuntimeConfig(tmp_path, {"colour": "red"}))


def test_a_program_that_is_not_installed(tmp_path: Path) -> None:
    answer = OciRuntime("runc", RuntimeConfig(tmp_path, {"path": "/no/such/runc"})).probe()
    assert not answer.usable
    assert "/no/such/runc" in answer.reason
    assert "apt-get install runc" in answer.reason


def test_a_program_that_does_not_work(tmp_path: Path) -> None:
    answer = program(tmp_path, "exit 3").probe()
    assert not answer.usable
    assert "exit status 3" in answer.reason


def test_a_program_that_fails_without_a_word(tmp_path: Path) -> None:
    box = make_box(program(tmp_path, "exit 1"), tmp_path / "bundle")
    with pytest.raises(EngineError, match="runc"):
        box.run(make_spec("true"))


def test_a_fifo_where_it_looks_for_users_is_not_waited_for(box: Box) -> None:
    os.mkfifo(box.tree / "etc/fifo")
    (box.tree / "etc/group").unlink()
    (box.tree / "etc/group").symlink_to("fifo")
    began = time.monotonic()
    with pytest.raises(EngineError, match="/etc/group"):
        box.sh("true", user={"uid": 1000, "gid": 1000})
    assert time.monotonic() - began < 10


def test_a_link_where_the_engine_mounts(box: Box) -> None:
    (box.tree / "dev").symlink_to("etc")
    with pytest.raises(KernelError, match="/dev"):
        box.sh("true")


def test_nothing_of_the_program_stays_in_the_bundle(box: Box) -> None:
    assert box.sh("true").status == 0
    with pytest.raises(EngineError):
        box.run(with_process(make_spec("true"), args=["no-such-command"]))
    assert sorted(entry.name for entry in box.bundle.iterdir()) == ["config.json", "rootfs", "tree"]
