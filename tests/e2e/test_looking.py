"""`inspect`, `diff`, `info`, `version`: what is shown is what the kernel holds."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container

LIMITS: list[tuple[list[str], str, object, str]] = [
    (["--memory", "64m"], "memory.limit", 64 << 20, str(64 << 20)),
    (["--pids-limit", "77"], "pids.limit", 77, "77"),
    (["--cpus", "0.25"], "cpu.quota", 25000, "25000"),
    (["--cpuset-cpus", "0"], "cpu.cpus", "0", "0"),
    (["--cpu-shares", "512"], "cpu.shares", 512, "512"),
]


def test_inspect_shows_each_limit_as_asked_and_as_read_back(box: Box) -> None:
    flags = [word for words, *_ in LIMITS for word in words]
    with box.container(*flags) as container:
        limits = {limit["Name"]: limit for limit in container.inspect()["Limits"]}
    for _, name, asked, applied in LIMITS:
        assert limits[name]["Asked"] == asked, name
        assert applied in limits[name]["Applied"].split(), limits[name]


def test_inspect_shows_what_was_asked_and_how_it_goes(box: Box, tmp_path: Path) -> None:
    flags = ["-e", "A=1", "-v", f"{tmp_path}:/data:ro", "--label", "team=x", "--workdir", "/tmp", "--user", "user"]
    with box.container(*flags) as container:
        found = container.inspect()
        assert (found["Name"], found["Path"], found["Args"]) == (
            f"/{container.name}",
            "/bin/sh",
            ["-c", "exec sleep 600"],
        )
        assert (found["State"]["Status"], found["State"]["Running"]) == ("running", True)
        assert "A=1" in found["Config"]["Env"]
        assert (found["Config"]["Labels"], found["Config"]["WorkingDir"]) == ({"team": "x"}, "/tmp")
        mount = next(one for one in found["Mounts"] if one["Destination"] == "/data")
        assert (mount["Source"], mount["RW"]) == (str(tmp_path), False)
        assert found["Image"] == json.loads(box.done("image", "inspect", box.image).stdout)[0]["Id"]


def test_inspect_with_a_template(box: Box) -> None:
    with box.container() as container:
        shown = box.done("inspect", "--format", "{{.State.Status}} {{.State.Pid}}", container.name).stdout
        assert shown == f"running {container.pid}\n"


def test_diff_shows_what_was_added_changed_and_deleted(box: Box) -> None:
    script = "mkdir /made; echo x >/made/file; echo y >>/etc/passwd; rm /etc/group; chmod 700 /home"
    with box.to_be_removed() as name:
        box.done("run", "--name", name, "--tmpfs", "/hidden", box.image, "sh", "-c", f"{script}; touch /hidden/x")
        shown = set(box.done("diff", name).stdout.splitlines())
        wanted = {"A /made", "A /made/file", "C /etc/passwd", "D /etc/group", "C /home"}
        assert wanted <= shown
        assert shown - wanted <= {"C /etc", "A /hidden", "C /"}


def test_diff_of_one_that_runs(box: Box) -> None:
    with box.container(script="echo x >/new; exec sleep 600") as container:
        container.sh("until test -e /new; do sleep 0.02; done")
        assert "A /new" in box.done("diff", container.name).stdout.splitlines()


def test_info_tells_of_the_machine_and_the_drivers(box: Box) -> None:
    with box.container():
        found = json.loads(box.done("info", "--format", "json").stdout)
    assert (found["ContainersRunning"], found["Root"]) == (1, str(box.root.root))
    assert (found["Kernel"], found["Processors"]) == (os.uname().release, os.cpu_count())
    assert (found["Runtime"], found["StorageDriver"]) == ("native", "overlay")


def test_version(box: Box) -> None:
    found = json.loads(box.done("version", "--format", "json").stdout)
    assert found["Python"] == platform.python_version()
    assert box.done("--version").stdout == f"engine {found['Version']}\n"


@pytest.mark.parametrize("command", ["inspect", "diff", "logs", "start", "stop", "kill", "wait", "attach", "rm"])
def test_a_container_that_does_not_exist(command: str, box: Box) -> None:
    done = box(command, "no-such-container")
    assert (done.returncode, done.stdout) == (125, "")
    what, fix = done.stderr.splitlines()
    assert "no-such-container" in what
    assert fix.startswith("  ")


def test_an_end_by_lack_of_memory_is_told(box: Box) -> None:
    with box.to_be_removed() as name:
        allocate = "head -c 100m /dev/zero | tail"
        assert box("run", "--memory", "24m", "--name", name, box.image, "sh", "-c", allocate).returncode == 137
        assert Container(box, name).state["OOMKilled"] is True
        assert "out of memory" in box.done("ps", "--all").stdout
