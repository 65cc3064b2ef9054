"""`engine why` and `inspect` say what ended a container, or kept it from starting, each by what really happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import HOST, Box, Container, until
from tests.machine.engine_root import EngineRoot
from tests.testbed.btrfs import mounted_btrfs

PYTHON = "/usr/bin/python3"


def why(box: Box, name: str) -> dict[str, str]:
    """Return what `engine why --format json` says."""
    found: dict[str, str] = json.loads(box.done("why", "--format", "json", name).stdout)
    return found


def script(place: Path, first_line: str) -> Path:
    """Make a script with a first line, to be executed in a container."""
    file = place / "script"
    file.write_text(f"{first_line}\n")
    file.chmod(0o755)
    return file


ENDS = [
    ((), ["sh", "-c", "exit 3"], "exit", "status 3"),
    ((), ["sh", "-c", "true"], "exit", "with success"),
    ((), ["sh", "-c", "no-such-command"], "exit", "127: shells say so"),
    ((), ["sh", "-c", "kill -9 $$ & sleep 1; sh -c 'kill -9 $$'"], "exit", "137: shells say so that a command died"),
    ((), [PYTHON, "-c", "import ctypes; ctypes.string_at(0)"], "signal", "SIGSEGV: it used memory"),
    (("--timeout", "1s"), ["sleep", "60"], "timeout", "--timeout 1 s"),
    (("--memory", "32m"), [PYTHON, "-c", "b'1' * 10**9"], "oom", "its limit of 33554432 bytes, and it was killed"),
    (
        ("--memory", "32m"), ["sh", "-c", f"{PYTHON} -c \"b'1' * 10**9\"; exit 5"],
        "oom", "one of its processes was killed; it ended with status 5",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "command", "kind", "what"), ENDS)
def test_an_end(box: Box, flags: tuple[str, ...], command: list[str], kind: str, what: str) -> None:
    with box.to_be_removed() as name:
        box("run", "--name", name, *flags, HOST, *command)
        said = why(box, name)
        assert said["Kind"] == kind, said
        assert what in said["What"], said


def test_a_missing_library_is_told_from_a_missing_file(box: Box, tmp_path: Path) -> None:
    library, program = tmp_path / "libengine-test.so", tmp_path / "program"
    (tmp_path / "library.c").write_text("int one(void) { return 1; }\n")
    (tmp_path / "program.c").write_text("int one(void); int main(void) { return one(); }\n")
    subprocess.run(["cc", "-shared", "-o", library, tmp_path / "library.c"], check=True)
    subprocess.run(["cc", "-o", program, tmp_path / "program.c", library], check=True)
    library.unlink()
    with box.to_be_removed() as name:
        box("run", "--name", name, "-v", f"{program}:/program:ro", HOST, "/program")
        said = why(box, name)
    assert (said["Kind"], "libengine-test.so" in said["What"]) == ("library", True), said


def test_stop_kill_and_a_killed_shim(box: Box) -> None:
    with box.container(script="trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done") as container:
        assert why(box, container.name)["Kind"] == "running"
        container.wait_for_log("ready")
        box.done("stop", container.name)
        assert why(box, container.name)["What"] == "`engine stop` asked it to end, and it ended with status 4"
        box.done("start", container.name)
        box.done("kill", container.name)
        container.wait()
        assert why(box, container.name)["What"] == "`engine kill` had sent it SIGKILL; it died of SIGKILL"
        box.done("start", container.name)
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        until(lambda: container.state["Status"] == "exited", "the end of the container whose shim was killed")
        assert why(box, container.name)["Kind"] == "shim killed"
    with box.container("--stop-timeout", "0", script="trap '' TERM; echo ready; while :; do sleep 1; done") as deaf:
        deaf.wait_for_log("ready")
        box.done("stop", deaf.name)
        assert "killed it as it did not in time" in why(box, deaf.name)["What"]


def test_a_signal_of_somebody_else(box: Box) -> None:
    with box.container() as container:
        os.kill(container.pid, signal.SIGKILL)
        container.wait()
        said = why(box, container.name)
    assert (said["Kind"], said["What"].startswith("it died of SIGKILL: a process of the machine")) == ("signal", True)


def test_a_container_never_started(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, HOST, "true")
        assert why(box, name)["Kind"] == "created"


@pytest.mark.parametrize(
    ("first_line", "errno", "what", "code"),
    [
        ("", "ENOENT", "the image has no command '/place/nothing'", 127),
        ("#!/no/such/interpreter", "ENOENT", "its interpreter /no/such/interpreter does not exist", 127),
        ("no script", "ENOEXEC", "cannot be executed: Exec format error", 126),
    ],
)
def test_a_command_that_cannot_be_executed(
    box: Box, tmp_path: Path, first_line: str, errno: str, what: str, code: int
) -> None:
    command = script(tmp_path, first_line).name if first_line else "nothing"
    with box.to_be_removed() as name:
        box("run", "--name", name, "-v", f"{tmp_path}:/place", HOST, f"/place/{command}")
        said, state = why(box, name), Container(box, name).state
    assert (said["Kind"], said["Errno"], said["Action"]) == ("start failed", errno, f"execute /place/{command}")
    assert what in said["What"]
    assert said["Fix"]
    assert (state["Status"], state["Error"], state["ExitCode"]) == ("created", said["What"], code)


def test_a_step_that_the_kernel_refused(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with box.to_be_removed() as name:
        done = box("run", "--name", name, "-v", f"{tmp_path}/file:/dev/null/inside", HOST, "true")
        said = why(box, name)
        assert done.returncode == 125
        assert (said["Kind"], said["Errno"], said["Plugin"]) == ("start failed", "EEXIST", "native")
        assert said["Action"].startswith("make the devices /dev/null")
        assert said["Meaning"] == "a file of that name is there already"
        text = box.done("why", name).stdout
        assert f"  errno        EEXIST\n  which means  {said['Meaning']}\n" in text


def test_a_start_that_succeeds_forgets_the_failure(box: Box, tmp_path: Path) -> None:
    with box.to_be_removed() as name:
        box("run", "--name", name, "-v", f"{tmp_path}:/place", HOST, "/place/script")
        assert why(box, name)["Kind"] == "start failed"
        script(tmp_path, "#!/bin/sh")
        box.done("start", "--attach", name)
        assert why(box, name)["Kind"] == "exit"
        (tmp_path / "script").unlink()
        box("start", name)
        said, state = why(box, name), Container(box, name).state
    assert said["Kind"] == "start failed"
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("exited", 127, said["What"])


def test_a_container_that_was_to_be_removed_keeps_nothing(box: Box) -> None:
    with box.to_be_removed() as name:
        assert box("run", "--rm", "--name", name, HOST, "no-such-command").returncode == 127
        assert "no container" in box("why", name).stderr
        assert not list((box.root.root / "containers").iterdir())


@pytest.fixture
def small_box(engine_root: EngineRoot) -> Iterator[Box]:
    """An engine whose root is a small file system of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", engine_root.root], check=True)
    try:
        yield Box(engine_root, HOST)
    finally:
        subprocess.run(["umount", "-l", engine_root.root], check=True)


def test_a_full_disk_is_told_from_one_that_has_room_again(small_box: Box) -> None:
    with small_box.to_be_removed() as name:
        small_box.done("create", "--name", name, HOST, "true")
        filling = small_box.root.root / "filling"
        subprocess.run(["dd", "if=/dev/zero", f"of={filling}", "bs=4k"], capture_output=True, check=False)
        assert small_box("start", name).returncode != 0
        said = why(small_box, name)
        assert (said["Kind"], said["Errno"]) == ("start failed", "ENOSPC"), said
        assert said["Meaning"] == f"the disk of {small_box.root.root} is full"
        filling.unlink()
        assert "has room now" in why(small_box, name)["Meaning"]


def test_a_store_without_room_can_be_read(engine_root: EngineRoot) -> None:
    """A quota keeps SQLite from making the files that it wants beside the store."""
    with mounted_btrfs(engine_root.place / "btrfs.image", engine_root.root) as root:
        box = Box(engine_root, HOST)
        subprocess.run(["btrfs", "quota", "enable", root], check=True, capture_output=True)
        subprocess.run(["btrfs", "qgroup", "limit", "32m", "0/5", root], check=True, capture_output=True)
        with box.to_be_removed() as name:
            box.done("create", "--storage", "overlay", "--name", name, HOST, "true")
            filling = root / "filling"
            subprocess.run(["dd", "if=/dev/urandom", f"of={filling}", "bs=4k"], capture_output=True, check=False)
            os.sync()
            try:
                done = box("start", name)
                assert done.returncode == 125
                assert done.stderr.splitlines()[1].startswith("  Free "), done.stderr
                assert name in box.done("ps", "--all", "--format", "{{.Names}}").stdout
            finally:
                filling.unlink()
                os.sync()
            box.done("start", name)


def test_a_quota_is_told_from_a_full_disk(engine_root: EngineRoot) -> None:
    """On a btrfs with a limit, most of which is free."""
    with mounted_btrfs(engine_root.place / "btrfs.image", engine_root.state) as state:
        box = Box(engine_root, HOST)
        subprocess.run(["btrfs", "quota", "enable", state], check=True, capture_output=True)
        subprocess.run(["btrfs", "qgroup", "limit", "32m", "0/5", state], check=True, capture_output=True)
        with box.to_be_removed() as name:
            box.done("create", "--name", name, HOST, "true")
            box.done("start", "--attach", name)
            filling = state / "filling"
            subprocess.run(["dd", "if=/dev/urandom", f"of={filling}", "bs=4k"], capture_output=True, check=False)
            os.sync()
            try:
                refused = box("start", name)
                assert refused.returncode == 125
                assert "a quota is used up" in refused.stderr
                said = why(box, name)
                assert (said["Kind"], said["Errno"]) == ("start failed", "EDQUOT"), said
                assert said["Meaning"] == "a quota is used up, not the disk"
            finally:
                filling.unlink()
