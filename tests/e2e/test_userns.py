"""Containers with ids of their own: whose the files are inside, on disk and outside, and what their root cannot do."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.box import BUSYBOX, Box, Container, refused
from tests.e2e.terminal import Terminal
from tests.testbed.btrfs import mounted_btrfs

CAPABILITY, ACL = "security.capability", "system.posix_acl_access"
NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
"""VFS_CAP_REVISION_2, the effective bit, CAP_NET_RAW permitted (linux/capability.h)."""
NONE = 0xFFFFFFFF
READERS = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 6, NONE), (2, 4, 33), (4, 4, NONE), (0x10, 4, NONE), (0x20, 4, NONE))
)
"""An access control list by which user 33 may read (linux/posix_acl_xattr.h)."""
CHANGE = """
set -e
mkdir -p /srv; echo new >/srv/new; chown 5:6 /srv/new; mkdir /srv/directory; ln -s new /srv/link; mkfifo /srv/pipe
echo x >>/etc/passwd; chown 33 /etc/passwd; rm /bin/vi; chmod 4755 /srv/new
"""
OWNERS = {
    "srv/new": (5, 6), "srv/directory": (0, 0), "srv/link": (0, 0), "srv/pipe": (0, 0), "etc/passwd": (33, 0),
}  # fmt: skip


def first_of(container: Container) -> int:
    """Return the host's id of a container's root."""
    return Path(f"/proc/{container.pid}").stat().st_uid


def owners(archive: bytes) -> dict[str, tuple[int, int]]:
    """Return the owners of what is in an archive, by name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: (member.uid, member.gid) for member in tar}


def exported(box: Box, name: str) -> bytes:
    """Return what `engine export` writes."""
    command = box.root.command("export", name)
    return subprocess.run(command, env=box.root.environment, check=True, capture_output=True).stdout


@pytest.fixture(params=["overlay", "btrfs"])
def either(request: pytest.FixtureRequest, own_box: Box, tmp_path: Path) -> Iterator[tuple[Box, str]]:
    """An engine of the test's own and a storage driver, with its root on what it needs."""
    if request.param == "overlay":
        yield own_box, "overlay"
        return
    with mounted_btrfs(tmp_path / "disk", own_box.root.root / "storage" / "btrfs"):
        yield own_box, "btrfs"
        own_box.done("rmi", "--force", "made", BUSYBOX)


def test_what_a_container_writes_is_stored_with_the_ids_inside(either: tuple[Box, str]) -> None:
    """Running or not: `export`, `commit` and `cp` say the ids inside, and another container sees them as they were."""
    box, driver = either
    script = f"test -e /done || ( {CHANGE} touch /done ); exec sleep 600"
    with box.container("--userns", "private", "--storage", driver, script=script) as container:
        container.sh("until test -e /done; do sleep 0.01; done")
        running = owners(exported(box, container.name))
        assert {path: running[path] for path in OWNERS} == OWNERS
        box.done("commit", container.name, "made")
        diff = box.done("diff", container.name).stdout.splitlines()
        assert {"A /srv/new", "C /etc/passwd", "D /bin/vi"} <= set(diff)
        box.done("kill", container.name)
        box.done("wait", container.name)
        stopped = owners(exported(box, container.name))
        assert stopped == running
        box.done("start", container.name)
        assert container.sh("stat -c %u:%g /srv/new /etc/passwd") == "5:6\n33:0\n"
    look = "stat -c '%u:%g %a' /srv/new /srv/link /etc/passwd | cut -d ' ' -f 1; test ! -e /bin/vi"
    for flags in ((), ("--userns", "private")):
        assert box.run("--storage", driver, *flags, script=look, image="made") == "5:6\n0:0\n33:0\n"


def test_layers_are_shared_and_never_changed(box: Box) -> None:
    """Two containers of other ids at once, and nothing of the image is copied or given away."""
    box.run()
    layers = box.root.root / "storage" / "overlay" / "committed"

    def layer_files() -> dict[str, tuple[int, int, int]]:
        found = {str(path): path.lstat() for path in layers.rglob("*")}
        return {path: (status.st_ino, status.st_uid, status.st_ctime_ns) for path, status in found.items()}

    before = layer_files()
    flags = ("--userns", "private")
    with box.container(*flags) as one, box.container(*flags) as other:
        assert abs(first_of(one) - first_of(other)) >= 65536
        for container in (one, other):
            assert container.sh("touch /mine; stat -c %u /bin/busybox /mine /etc/hosts") == "0\n0\n0\n"
            uppers = list(box.root.root.glob(f"storage/overlay/active/{container.inspect()['Id']}/fs/mine"))
            assert [path.stat().st_uid for path in uppers] == [0]
    assert layer_files() == before


def test_the_engines_own_files_are_the_containers_roots(box: Box) -> None:
    script = "echo 10.0.0.1 there >>/etc/hosts && tail -n 1 /etc/hosts; df /dev/shm | wc -l; touch /dev/shm/x /tmp/y"
    assert box.run("--userns", "private", script=script) == "10.0.0.1 there\n2\n"


def test_users_and_groups_inside(box: Box) -> None:
    """A user of the image with all its groups, as the init and by exec; ids outside are those of the range."""
    with box.container("--userns", "private") as container:
        container.sh("echo web:x:33:33::/:/bin/sh >>/etc/passwd; printf 'web:x:33:\\nmore:x:44:web\\n' >>/etc/group")
        assert container.sh("id -u; id -g; id -G; readlink /proc/self/ns/user", "--user", "web").split() == [
            "33", "33", "33", "44", container.sh("readlink /proc/1/ns/user").strip(),
        ]  # fmt: skip
        listed = box.done("top", container.name).stdout
        assert str(first_of(container)) in listed
        refused(box("exec", "--user", "70000", container.name, "true"), "70000")
    assert box.run("--userns", "private", "--user", "33:44", script="id -u; id -g; touch /tmp/x") == "33\n44\n"


def test_a_terminal_belongs_to_the_user(box: Box) -> None:
    command = box.root.command(
        "run", "--rm", "-it", "--userns", "private", "--user", "33", box.image, "sh", "-c",
        "stat -c 'owner %u' $(tty); echo typed >$(tty)",
    )  # fmt: skip
    with Terminal(command, box.root.environment) as terminal:
        terminal.wait_for("owner 33")
        terminal.wait_for("typed")
        assert terminal.process.wait(20) == 0


def test_copies_in_and_out(box: Box, tmp_path: Path) -> None:
    """Files copied in are the container's root's, or with -a of the same ids inside; so too in its mounts."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below/file").write_text("text")
    (source / "link").symlink_to("below/file")
    os.chown(source / "below/file", 1000, 1001)
    far = tmp_path / "far"
    far.write_text("")
    os.chown(far, 70000, 0)
    (tmp_path / "volume").mkdir()
    with box.container("--userns", "private", "-v", f"{tmp_path}/volume:/volume", "--tmpfs", "/memory") as container:
        name, first = container.name, first_of(container)
        for place in ("/root", "/volume", "/memory"):
            box.done("cp", source, f"{name}:{place}/plain")
            box.done("cp", "-a", source, f"{name}:{place}/kept")
            assert container.sh(f"stat -c %u:%g {place}/plain/below/file {place}/kept/below/file") == "0:0\n1000:1001\n"
            assert container.sh(f"rm {place}/plain/link; cat {place}/kept/link") == "text"
        assert (tmp_path / "volume/kept/below/file").stat().st_uid == first + 1000
        refused(box("cp", "-a", far, f"{name}:/root/far"), "70000")
        box.done("cp", far, f"{name}:/root/far")
        archive = box.root.command("cp", f"{name}:/volume/kept", "-")
        done = subprocess.run(archive, env=box.root.environment, check=True, capture_output=True)
        assert owners(done.stdout)["kept/below/file"] == (1000, 1001)
        box.done("kill", name)
        box.done("wait", name)
        box.done("cp", "-a", source, f"{name}:/root/after")
        box.done("cp", "-a", f"{name}:/root/after", tmp_path / "out")
        box.done("start", name)
        assert container.sh("stat -c %u:%g /root/after/below/file") == "1000:1001\n"
    assert (tmp_path / "out/below/file").stat().st_uid == 1000


def test_attributes_that_hold_ids(box: Box, tmp_path: Path) -> None:
    """File capabilities and access control lists hold inside, and leave the container as they came into it."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o640)
    os.setxattr(program, CAPABILITY, NET_RAW)
    os.setxattr(program, ACL, READERS)
    with box.container("--userns", "private") as container:
        box.done("cp", "-a", program, f"{container.name}:/tmp/program")
        assert container.sh("head -c 4 /tmp/program", "--user", "33") == "\x7fELF"
        init = Path(f"/proc/{container.pid}/root/tmp/program")
        assert os.getxattr(init, CAPABILITY)[20:] == struct.pack("<I", first_of(container))
        with tarfile.open(fileobj=io.BytesIO(exported(box, container.name))) as tar:
            headers = tar.getmember("tmp/program").pax_headers
    found = [headers[f"SCHILY.xattr.{name}"].encode("utf-8", "surrogateescape") for name in (CAPABILITY, ACL)]
    assert found == [NET_RAW, READERS]


def test_root_inside_is_nobody_outside(box: Box, tmp_path: Path) -> None:
    """With every capability there is: no file of the host's root, no other process, no device, no setting."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    tmp_path.chmod(0o755)
    with subprocess.Popen(["sleep", "600"]) as other:
        script = f"""
        echo x >>/host/secret; chown 0 /host/secret; chmod 666 /host/secret; rm -f /host/secret; touch /host/new
        kill -9 {other.pid}; ip link set lo mtu 1400
        """
        flags = ("--cap-add", "ALL", "--pid", "host", "--network", "host", "--security-opt", "seccomp=unconfined")
        box.run("--userns", "private", *flags, "-v", f"{tmp_path}:/host", script=f"exec 2>/dev/null; {script} true")
        assert other.poll() is None
        other.kill()
    assert (secret.read_text(), secret.stat().st_uid, secret.stat().st_mode & 0o777) == ("secret", 0, 0o600)
    assert not (tmp_path / "new").exists()
    assert Path("/sys/class/net/lo/mtu").read_text() != "1400\n"


ATTEMPTS = (
    "cat /host/secret", "echo x >/host/secret", "mknod /tmp/disk b 7 0", "chown 70000 /tmp", "renice -n -5 -p $$",
    "ls /proc/PID/root/", "cat /proc/PID/environ", "kill -0 PID",
)  # fmt: skip


def test_what_the_hosts_root_may_the_kernel_refuses_to_the_containers(box: Box, tmp_path: Path) -> None:
    """By whose root it is alone: with the same flags but a user namespace, each of these works."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    flags = ("--cap-add", "ALL", "--pid", "host", "--security-opt", "seccomp=unconfined", "-v", f"{tmp_path}:/host")
    script = "".join(f"( {attempt} ) >/dev/null 2>&1 && echo done || echo refused\n" for attempt in ATTEMPTS)
    with subprocess.Popen(["sleep", "600"]) as other:
        for words, outcome in ((("--userns", "private"), "refused"), ((), "done")):
            said = box.run(*words, *flags, script=script.replace("PID", str(other.pid))).split()
            assert dict(zip(ATTEMPTS, said, strict=True)) == dict.fromkeys(ATTEMPTS, outcome)
        other.kill()


def test_ranges_are_taken_one_after_the_other_and_freed(own_box: Box) -> None:
    """Also for containers that were never started; when none is left, that is said before anything is made."""
    own_box.root.environment["ENGINE_USERNS_RANGE"] = "900000000:131073"
    flags = ("--userns", "auto")
    with own_box.to_be_removed() as one:
        own_box.done("create", "--name", one, *flags, own_box.image, "true")
        refused(own_box("create", "--name", one, *flags, own_box.image, "true"), one)
        with own_box.container(*flags) as two:
            assert first_of(two) == 900065536
            before = sorted(own_box.left())
            refused(own_box("run", "--rm", *flags, own_box.image, "true"), "all the ids")
            assert sorted(own_box.left()) == before
            own_box.done("rm", one)
            own_box.run(*flags, script="grep -q 900000000 /proc/self/uid_map")
            own_box.done("restart", "--time", "0", two.name)
            assert first_of(two) == 900065536
    assert own_box.left() == []


def test_containers_made_at_once_share_no_ids(box: Box) -> None:
    script = ["run", "--rm", "--userns", "private", box.image, "sh", "-c", "cat /proc/self/uid_map; sleep 2"]
    running = [box.root.popen(*script, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    maps = [one.communicate(timeout=60)[0].split() for one in running]
    firsts = sorted(int(found[1]) for found in maps)
    assert all(later - first >= 65536 for first, later in pairwise(firsts))


def test_a_directory_that_is_made_for_a_volume(box: Box, tmp_path: Path) -> None:
    box.run("--userns", "private", "-v", f"{tmp_path}/made:/data", script="touch /data/x")
    made = (tmp_path / "made").stat().st_uid
    assert made == (tmp_path / "made/x").stat().st_uid > 65536


def test_message_queues_of_the_host(box: Box) -> None:
    """The kernel lets no user namespace mount what shows an ipc namespace that is not its own."""
    assert box.run("--userns", "private", "--ipc", "host", script="mount | grep -c mqueue") == "1\n"
    with box.container() as other:
        flags = ("--userns", "private", "--ipc", f"container:{other.name}")
        refused(box("run", "--rm", *flags, box.image, "true"), "/dev/mqueue")


def test_it_is_explained(box: Box) -> None:
    text = box.done("explain", "run", "--userns", "map:0:70000:1000", box.image, "true").stdout
    assert "overlay (overlay, its ids mapped)" in text
    assert "map users 0-999 to 70000-70999 and groups 0-999 to 70000-70999 of the user namespace" in text
