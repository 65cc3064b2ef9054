"""What people do with containers: programs, throw-away work, limits that hold, many at once, drivers side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.tests.images import archives
from tests.e2e.box import HOST, Box, Container, alive, until
from tests.testbed.btrfs import mounted_btrfs
from tests.testbed.systemd_machine import SystemdMachine

PROGRAM = """
import os, sys
numbers = [n for n in range(2, 2000) if all(n % d for d in range(2, int(n ** 0.5) + 1))]
child = os.fork()
if child == 0:
    os._exit(len(numbers) % 256)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
open("/srv/result", "w").write(f"{sum(numbers)}\\n")
print(open("/etc/os-release").read().count("Debian") > 0, status, os.getpid(), os.getuid(), open("/srv/result").read())
sys.exit(9)
"""


def test_a_python_program_in_debian(box: Box, debian: str) -> None:
    done = box("run", "--rm", "-i", debian, "python3", "-", input=PROGRAM)
    assert (done.returncode, done.stdout) == (9, "True 47 1 0 277050\n\n"), done.stderr


def test_a_python_program_past_its_memory_is_out_of_memory(box: Box, debian: str) -> None:
    with box.to_be_removed() as name:
        allocate = "x = bytearray(300 << 20); print(len(x))"
        done = box("run", "--name", name, "--memory", "64m", debian, "python3", "-c", allocate)
        assert (done.returncode, done.stdout) == (137, "")
        assert Container(box, name).state["OOMKilled"] is True
    assert box.done("run", "--rm", "--memory", "400m", debian, "python3", "-c", allocate).stdout == f"{300 << 20}\n"


def test_the_hosts_own_files_are_an_image_and_stay_as_they_are(box: Box) -> None:
    script = f"echo changed >/etc/hostname2; rm -rf /usr/share/doc; {sys.executable} -c 'import engine; print(6 * 7)'"
    with box.to_be_removed() as name:
        shown = box.done("run", "--name", name, HOST, "sh", "-c", f"{script}; ls {box.root.root}").stdout
        assert shown == "42\n", "the interpreter of the host runs, and the engine's own root is hidden"
        changes = box.done("diff", name).stdout.splitlines()
        assert {"A /etc/hostname2", "D /usr/share/doc"} <= set(changes)
    assert not Path("/etc/hostname2").exists()
    assert Path("/usr/share/doc").is_dir()


def test_a_fork_bomb_is_held_and_gone_within_a_second(box: Box) -> None:
    # A shell that cannot fork ends, so a bomb of shells alone may go out: what it left sleeping keeps the room full.
    bomb = "bomb() { sleep 600 & bomb | bomb & }; (sleep 0.1; bomb; while :; do sleep 600 & done) & exec sleep 600"
    with box.container("--pids-limit", "40", "--cpus", "0.5", script=bomb) as container:
        groups = [line.split(":", 2) for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()]
        paths = {controllers: path for _, controllers, path in groups}
        directory = f"/pids{paths['pids']}" if "pids" in paths else paths[""]
        count = Path(f"/sys/fs/cgroup{directory}/pids.current")
        most = 0
        deadline = time.monotonic() + 20
        while most <= 30:
            assert time.monotonic() < deadline, f"the bomb never had more than {most} processes"
            most = max(most, int(count.read_text()))
        over = time.monotonic() + 1
        while time.monotonic() < over:
            assert int(count.read_text()) <= 40
        began = time.monotonic()
        box.done("ps")
        usual = time.monotonic() - began
        began = time.monotonic()
        box.done("stop", "--time", "0", container.name)
        assert time.monotonic() - began < 1 + 2 * usual, "a second, beside what a command takes on a busy machine"
        assert not count.exists()


def test_twenty_at_once(box: Box) -> None:
    names = [f"{box.name()}-{number}" for number in range(20)]
    try:
        running = [
            box.root.popen(
                "run", "-d", "--name", name, "-h", f"host-{number}", box.image, "sh", "-c", "hostname; exec sleep 600",
                stdout=subprocess.DEVNULL,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        assert [one.wait(timeout=90) for one in running] == [0] * 20
        assert set(names) <= set(box.done("ps", "--format", "{{.Names}}").stdout.splitlines())
        pids = {Container(box, name).pid for name in names}
        assert len(pids) == 20
        assert all(alive(pid) for pid in pids)
        Container(box, names[7]).wait_for_log("host-7\n")
    finally:
        box.done("rm", "--force", *names)
    assert box.left() == []


def test_the_same_image_on_overlay_and_btrfs_side_by_side(own_box: Box) -> None:
    box, root = own_box, own_box.root
    with mounted_btrfs(root.place / "btrfs.image", root.root / "storage/btrfs"):
        kind = "grep ' / ' /proc/mounts | cut -d ' ' -f 3; exec sleep 600"
        with (
            box.container("--storage", "overlay", script=kind) as overlay,
            box.container("--storage", "btrfs", script=kind) as btrfs,
        ):
            overlay.wait_for_log("overlay\n")
            btrfs.wait_for_log("btrfs\n")
            for container in (overlay, btrfs):
                container.sh("echo mine >/mine; rm /etc/group; mkdir /new")
                changes = set(box.done("diff", container.name).stdout.splitlines())
                assert {"A /mine", "A /new", "D /etc/group"} <= changes
            assert overlay.sh("md5sum </bin/busybox") == btrfs.sh("md5sum </bin/busybox")
            assert overlay.inspect()["Image"] == btrfs.inspect()["Image"]
        assert box.run("--storage", "btrfs", script="ls /mine 2>&1 || true").startswith("ls:")
        assert box.left() == []
        box.done("rmi", "--force", box.image)


def test_the_systemd_driver_under_a_real_systemd(systemd_machine: SystemdMachine, busybox_rootfs_tar: Path) -> None:
    engine = str(Path(sys.executable).parent / "engine")
    with open(busybox_rootfs_tar, "rb") as tar:
        assert systemd_machine.run([engine, "import", "-", "busybox"], stdin=tar).returncode == 0
    limits = ["--memory", "64m", "--pids-limit", "50", "--cpus", "0.25"]
    run = [engine, "run", "-d", "--name", "held", "--cgroup-driver", "systemd", *limits, "busybox", "sleep", "600"]
    done = systemd_machine.run(run)
    assert done.returncode == 0, done.stderr
    try:
        identity = done.stdout.strip()
        units = systemd_machine.run(["systemctl", "list-units", "--no-legend", "--plain", "--type=scope"]).stdout
        unit = next(line.split()[0] for line in units.splitlines() if identity in line)
        shown = systemd_machine.run(["systemctl", "show", unit]).stdout.splitlines()
        assert {"TasksMax=50", "CPUQuotaPerSecUSec=250ms", "ActiveState=active"} <= set(shown)
        assert {"MemoryLimit=67108864", "MemoryMax=67108864"} & set(shown)
        inside = systemd_machine.run([engine, "exec", "held", "sh", "-c", "for n in $(seq 60); do sleep 1 & done"])
        assert "fork" in inside.stderr
    finally:
        assert systemd_machine.run([engine, "rm", "-f", "held"]).returncode == 0
    assert identity not in systemd_machine.run(["systemctl", "list-units", "--all", "--type=scope"]).stdout


@pytest.mark.parametrize("form", ["docker-archive", "OCI archive", "OCI directory"])
def test_load_and_run(form: str, own_box: Box, busybox_rootfs_tar: Path, tmp_path: Path) -> None:
    upper = archives.tar(archives.member(b"message", b"from the upper layer\n"))
    image = archives.TestImage((busybox_rootfs_tar.read_bytes(), upper), cmd=("cat", "/message"))
    source = tmp_path / "image"
    if form == "OCI directory":
        archives.write_files(source, archives.oci_files(image, "loaded:1"))
    elif form == "OCI archive":
        source.write_bytes(archives.archive_of(archives.oci_files(image, "loaded:1")))
    else:
        source.write_bytes(archives.docker_archive((image, ["loaded:1"])))
    assert "loaded:1" in own_box.done("load", "-i", source).stdout
    assert own_box.done("run", "--rm", "loaded:1").stdout == "from the upper layer\n"
    own_box.done("tag", "loaded:1", "other:2")
    own_box.done("rmi", "loaded:1")
    assert own_box.done("run", "--rm", "other:2", "cat", "/message").stdout == "from the upper layer\n"
    with own_box.to_be_removed() as name:
        own_box.done("create", "--name", name, "other:2")
        assert own_box("rmi", "other:2").returncode == 125, "a container needs it"
    own_box.done("rmi", "other:2")
    assert "other" not in own_box.done("images").stdout


def test_a_container_writes_as_much_as_it_likes_and_is_thrown_away(box: Box) -> None:
    before = os.statvfs(box.root.root).f_bavail
    box.run(script="head -c 200000000 /dev/zero >/big")
    until(lambda: os.statvfs(box.root.root).f_bavail > before - 100_000_000 / 4096, "the space that was taken")
