"""`engine explain run` makes nothing, and says what `engine run` does: the same drivers, the same actions."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import BUSYBOX, Box, refused
from tests.machine.engine_root import EngineRoot

FLAGS = ("--memory", "64m", "--ulimit", "nofile=100:100", "--tmpfs", "/scratch", "--read-only", "--workdir", "/srv")
MAKES = re.compile(
    r"O_CREAT|O_WRONLY|O_RDWR|\b(mkdir|mknod|unlink|rename|link|symlink|rmdir|chmod|chown|truncate)(at2?)?\("
    r"|\b(mount|umount2|move_mount|fsopen|fsmount|open_tree|mount_setattr|unshare|setns|clone3?|fork|vfork|kill)\("
)


def explained(box: Box, *flags: str, image: str = "", command: tuple[str, ...] = ("true",)) -> dict[str, Any]:
    """Return what `engine explain run --format json` says."""
    done = box.done("explain", "run", "--format", "json", *flags, image or box.image, *command)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def files(root: EngineRoot) -> dict[str, tuple[int, int, int]]:
    """Return every file below the engine's places with what would show a change."""
    paths = sorted(path for place in (root.root, root.state) for path in place.rglob("*"))
    return {str(path): ((s := path.lstat()).st_mtime_ns, s.st_size, s.st_ino) for path in paths}


def test_it_makes_nothing(box: Box, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    arguments = box.root.command("explain", "run", *FLAGS, "-v", f"{tmp_path}/missing:/data", "host:", "true")
    command = ["strace", "-f", "-qq", "-e", "trace=file,process,desc,kill", "-o", str(trace), *arguments]
    subprocess.run(arguments, env=box.root.environment, check=True, capture_output=True)  # what is remembered is
    before = files(box.root)
    subprocess.run(command, env=box.root.environment, check=True, capture_output=True)
    assert files(box.root) == before
    assert not (tmp_path / "missing").exists()
    made = [line for line in trace.read_text().splitlines() if MAKES.search(line) and "/dev/null" not in line]
    # The store is read through its shared memory, which SQLite opens for writing whoever reads.
    assert not [line for line in made if "engine.db-shm" not in line and "engine.db-wal" not in line], made


def test_a_root_that_is_not_there_stays_so(engine_root: EngineRoot) -> None:
    for place in (engine_root.root, engine_root.state):
        place.rmdir()
    box = Box(engine_root)
    box.done("explain", "run", "--storage", "overlay", "host:", "true")
    refused(box("explain", "run", "--storage", "overlay", "busybox", "true"), "there are no images")
    assert list(engine_root.place.iterdir()) == []
    for place in (engine_root.root, engine_root.state):
        place.mkdir()


def steps_of_shim(trace: Path) -> list[dict[str, Any]]:
    """Return the steps of the plan that the command sent to its shim, from a trace of its system calls."""
    data = b""
    for line in trace.read_text().splitlines():
        match = re.search(r'sendto\(\d+, "((?:[^"\\]|\\.)*)"', line)
        if match:
            data += match[1].encode().decode("unicode_escape").encode("latin-1")
    start = data.index(b'{"op": "start"')
    message, _end = json.JSONDecoder().raw_decode(data[start:].decode())
    steps: list[dict[str, Any]] = message["plan"]["task"]["steps"]
    return steps


@pytest.mark.parametrize("image", ["host:", BUSYBOX])
def test_the_actions_are_those_of_the_plan(box: Box, busybox_rootfs_tar: Path, tmp_path: Path, image: str) -> None:
    if image == BUSYBOX:
        box.done("import", busybox_rootfs_tar, BUSYBOX)
    said = explained(box, *FLAGS, image=image)
    trace = tmp_path / "trace"
    arguments = box.root.command("run", "--rm", *FLAGS, image, "true")
    command = ["strace", "-s", "1000000", "-e", "trace=sendto", "-o", str(trace), *arguments]
    subprocess.run(command, env=box.root.environment, check=True, capture_output=True)
    ran = steps_of_shim(trace)
    deeds = [deed for phase in said["Phases"] for deed in phase["Actions"] if deed["Action"]]
    own = re.search(r"[0-9a-f]{64}", json.dumps(ran))
    assert own
    text = json.dumps([{"do": deed["Action"], "plugin": deed["Plugin"], **deed["Arguments"]} for deed in deeds])
    text = text.replace(said["Id"], own[0]).replace(said["Id"][:12], own[0][:12])
    wanted = [{key: value for key, value in step.items() if key != "phase"} for step in ran]
    assert sorted(map(str, json.loads(text))) == sorted(map(str, wanted))


def test_layers_to_unpack_are_named_and_their_mounts_right(box: Box, busybox_rootfs_tar: Path) -> None:
    box.done("import", busybox_rootfs_tar, BUSYBOX)
    said = explained(box, image=BUSYBOX)
    first = said["Phases"][0]["Actions"]
    unpacked = any(action["Sentence"].startswith("unpack 1 of 1 layers") for action in first)
    assert unpacked is not bool(list(box.root.root.glob("storage/overlay/committed/*")))


def test_the_tree_is_for_people(box: Box) -> None:
    text = box.done("explain", "run", *FLAGS, box.image, "echo", "two words").stdout
    assert re.search(r"^├─ before the clone \(in the shim\)$", text, re.MULTILINE)
    assert re.search(r"─ cgroupfs +set memory limit 64 MiB: ", text)
    assert text.splitlines()[-1].endswith("execute echo 'two words'")
    assert "\x1b" not in text


def test_a_runtime_that_does_it_all_is_one_action(box: Box) -> None:
    said = explained(box, "--runtime", "runc")
    clone = next(phase for phase in said["Phases"] if phase["Phase"] == "clone")
    assert [action["Plugin"] for action in clone["Actions"]] == ["runc"]
    assert [phase["Process"] for phase in said["Phases"]][-1] == "shim"


def test_what_run_refuses_is_refused(box: Box) -> None:
    refused(box("explain", "run", "--memory", "1", "host:", "true"), "memory")
    refused(box("explain", "run", "no-such-image", "true"), "")
    with box.container() as container:
        refused(box("explain", "run", "--name", container.name, "host:", "true"), "in use")
