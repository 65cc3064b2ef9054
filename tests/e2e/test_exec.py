"""`engine exec`: one more process in a running container, in its namespaces, cgroup and limits."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.box import Box, alive, until
from tests.e2e.flag_isolation import PROC_NAMES


def test_it_is_in_every_namespace_of_the_container(box: Box) -> None:
    with box.container("--namespace", "time=new") as container:
        pid = container.pid
        inside = container.sh("cd /proc/self/ns; for name in *; do readlink $name; done").splitlines()
        assert {os.readlink(f"/proc/{pid}/ns/{name}") for name in PROC_NAMES.values()} <= set(inside)


def test_it_is_in_the_cgroup_and_held_by_its_limits(box: Box) -> None:
    with box.container("--pids-limit", "5") as container:
        groups = Path(f"/proc/{container.pid}/cgroup").read_text()
        box.done("exec", "--detach", container.name, "sleep", "602")
        until(lambda: "sleep 602" in container.sh("ps -o args"), "the detached process")
        sleeping = [pid for pid in os.listdir("/proc") if pid.isdigit() and _command(pid) == "sleep 602"]
        assert Path(f"/proc/{sleeping[0]}/cgroup").read_text() == groups
        assert "fork" in container.sh("(for n in 1 2 3 4 5 6; do sleep 1 & done) 2>&1 || true")


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_it_has_the_capabilities_and_the_filter_of_the_container(box: Box) -> None:
    status = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/{}/status"
    with box.container("--cap-drop", "CHOWN", "--security-opt", "no-new-privileges") as container:
        assert container.sh(status.format("self")) == container.sh(status.format(1))
        assert "not permitted" in container.sh("chown 5 /tmp 2>&1 || true")
        assert "not permitted" in container.sh("unshare -U true 2>&1 || true")


def test_input_output_and_errors_are_relayed_apart(box: Box) -> None:
    with box.container() as container:
        done = box("exec", "-i", container.name, "sh", "-c", "cat; echo bad >&2; exit 5", input="typed\n" * 1000)
        assert (done.returncode, done.stdout, done.stderr) == (5, "typed\n" * 1000, "bad\n")
        assert box.done("exec", container.name, "cat", input="typed\n").stdout == ""


def test_input_that_nobody_reads_holds_nothing_up(box: Box) -> None:
    much, late = "x" * (4 << 20), "sleep 0.5; exec <&-; echo on"
    assert box.done("run", "--rm", "-i", box.image, "sleep", "0.5", input=much).stdout == ""
    with box.container() as container:
        assert box.done("exec", "-i", container.name, "true", input=much).stdout == ""
        assert box.done("exec", "-i", container.name, "sh", "-c", late, input=much).stdout == "on\n"


def test_a_command_that_the_end_of_the_container_killed_says_so(box: Box) -> None:
    """Without a pid namespace of the container's own, nothing but its cgroup ends such a command."""
    ends_well = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    with box.container("--pid", "host", script=ends_well) as container:
        container.wait_for_log("ready")
        running = box.root.popen("exec", container.name, "sh", "-c", "echo on; sleep 600", stdout=subprocess.PIPE)
        assert running.stdout is not None
        assert running.stdout.readline() == "on\n"
        box.done("stop", container.name)
        assert running.wait(timeout=20) == 137
        assert container.wait() == 0
        running.stdout.close()


def test_much_output_arrives_whole(box: Box) -> None:
    with box.container() as container:
        assert container.sh("seq 200000") == "".join(f"{n}\n" for n in range(1, 200001))


def test_environment_directory_and_user(box: Box, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=1\n")
    with box.container("--env", "OWN=container", "--workdir", "/tmp") as container:
        assert container.sh("pwd; id -u; echo $OWN") == "/tmp\n0\ncontainer\n"
        flags = ["-e", "OWN=exec", "-e", "PASSED", "--env-file", str(tmp_path / "env"), "-w", "/home", "-u", "user"]
        shown = box.done(
            "exec",
            *flags,
            container.name,
            "sh",
            "-c",
            "pwd; id -un; echo $OWN $PASSED $FROM_FILE",
            env={"PASSED": "on"},
        ).stdout
        assert shown == "/home\nuser\nexec on 1\n"
        assert container.sh("id -u; id -g; grep CapEff /proc/self/status", "--user", "7:9").splitlines() == [
            "7", "9", "CapEff:\t0000000000000000",
        ]  # fmt: skip


def test_detached_it_outlives_the_command_and_ends_with_the_container(box: Box) -> None:
    with box.container() as container:
        box.done("exec", "-d", container.name, "sh", "-c", "touch /began; exec sleep 603")
        until(lambda: container.sh("ls /began 2>/dev/null || true") != "", "the detached process")
        pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _command(pid) == "sleep 603"]
        assert [alive(pid) for pid in pids] == [True]
        box.done("stop", "-t", "0", container.name)
        assert not alive(pids[0])


def test_it_ends_when_the_container_does(box: Box) -> None:
    with box.container() as container:
        running = box.root.popen("exec", container.name, "sh", "-c", "echo in; sleep 600", stdout=-1)
        assert running.stdout is not None
        assert running.stdout.readline() == "in\n"
        box.done("kill", container.name)
        assert running.wait(timeout=20) == 137
        running.stdout.close()


@pytest.mark.parametrize("state", ["ended", "missing"])
def test_nothing_to_be_executed_in(state: str, box: Box) -> None:
    with box.to_be_removed() as name:
        if state == "ended":
            box.done("run", "--name", name, box.image, "true")
        done = box("exec", name, "true")
        assert done.returncode == 125
        assert len(done.stderr.splitlines()) == 2


def test_a_large_input_that_comes_back_twice_holds_up_nobody(box: Box) -> None:
    """While the process waits for its output to be read it takes no input, and the command must go on reading."""
    lines = [f"line {number} of the input\n" for number in range(300_000)]
    text, twice = "".join(lines), "".join(2 * line for line in lines)
    assert box.run("--interactive", "--log-driver", "none", script="sed p", input=text, timeout=50) == twice
    with box.container() as container:
        assert box.done("exec", "--interactive", container.name, "sed", "p", input=text, timeout=50).stdout == twice
