"""`engine commit`: what a container changed becomes a layer, the same for every storage driver."""

from __future__ import annotations

import io
import json
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import BUSYBOX, HOST, Box, refused, until
from tests.testbed.btrfs import mounted_btrfs

CHANGE = """
set -e
mkdir -p /made/deep; echo new >/made/deep/file
ln /made/deep/file /made/again; ln -s ../made/again /made/pointer
mkfifo /made/pipe; mknod /made/device c 1 3
rm /etc/group; rm -r /home; mkdir /home; echo mine >/home/only
rm -r /srv; echo 'a file now' >/srv
touch -d '2001-02-03 04:05:06' /made/deep/file
chown 12:34 /made/deep/file; chmod 4751 /made/deep/file
chmod 1777 /made; touch -d '2002-03-04 05:06:07' /made/deep
dd if=/dev/zero of=/made/big bs=1M count=20 2>/dev/null; echo end >>/made/big
"""
BASE = "mkdir -p /srv/below /home/them; echo g >/etc/group; echo old >/home/them/file; echo x >/srv/below/file"
LOOK = """
cd /
stat -c '%n %F %a %u:%g %Y' made made/* made/deep/file | sort
stat -c '%n %t:%T' made/device; stat -c '%n %h' made/deep/file
readlink made/pointer; cat made/again; cat srv; ls -A home; test ! -e etc/group
tail -c 4 made/big; wc -c <made/big; ls -A
"""


@pytest.fixture
def base(own_box: Box) -> Box:
    """A box whose image `base` was itself committed, so that a container's changes hide files of a layer."""
    with own_box.to_be_removed() as name:
        own_box.done("run", "--name", name, BUSYBOX, "sh", "-c", BASE)
        own_box.done("commit", name, "base")
    return own_box


def changed(box: Box, *flags: str) -> tuple[str, str]:
    """Return what a look into a changed container shows, and the ID of the image committed of it."""
    with box.to_be_removed() as name:
        box.done("run", "--cap-add", "MKNOD", "--name", name, *flags, "base", "sh", "-c", f"{CHANGE}\n{LOOK}")
        shown = box.done("logs", name).stdout
        return shown, box.done("commit", name, "made:1").stdout.strip()


def test_a_container_of_the_image_sees_what_the_container_saw(base: Box) -> None:
    shown, image = changed(base)
    assert "made/deep/file regular file 4751 12:34 981173106\n" in shown
    assert base.run(script=LOOK, image=image) == shown
    assert base.run(script=LOOK, image="made:1") == shown


def test_an_image_that_was_saved_and_loaded_elsewhere_is_the_same(base: Box, tmp_path: Path) -> None:
    shown, image = changed(base)
    base.done("save", "-o", tmp_path / "made.tar", "made:1")
    base.done("rmi", "--force", image)
    assert base.done("load", "-q", "-i", tmp_path / "made.tar").stdout.strip() == image
    assert base.run(script=LOOK, image="made:1") == shown


@pytest.fixture
def on_btrfs(base: Box, tmp_path: Path) -> Iterator[Box]:
    """The box with the btrfs driver's root on a real btrfs."""
    with mounted_btrfs(tmp_path / "disk", base.root.root / "storage" / "btrfs"):
        yield base
        base.done("rmi", "--force", "base", "made:1")


def test_the_layer_is_the_same_whatever_the_driver(on_btrfs: Box) -> None:
    shown, _ = changed(on_btrfs, "--storage", "btrfs")
    assert on_btrfs.run("--storage", "btrfs", script=LOOK, image="made:1") == shown
    assert on_btrfs.run("--storage", "overlay", script=LOOK, image="made:1") == shown
    shown, _ = changed(on_btrfs, "--storage", "overlay")
    assert on_btrfs.run("--storage", "btrfs", script=LOOK, image="made:1") == shown


def members(box: Box, image: str, tmp_path: Path) -> list[tarfile.TarInfo]:
    """Return the entries of an image's last layer, from the archive that `save` writes."""
    box.done("save", "-o", tmp_path / "saved.tar", image)
    with tarfile.open(tmp_path / "saved.tar") as saved:
        listed = saved.extractfile("manifest.json")
        assert listed is not None
        layer = saved.extractfile(json.load(listed)[0]["Layers"][-1])
        assert layer is not None
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as archive:
            return archive.getmembers()


def test_the_layer_holds_the_changes_alone_as_other_engines_read_them(base: Box, tmp_path: Path) -> None:
    changed(base)
    entries = {entry.name: entry for entry in members(base, "made:1", tmp_path)}
    assert {"etc/.wh.group", "home/.wh.them", "home/only", "srv", "made/pipe", "made/device"} <= entries.keys()
    assert entries["made/deep/file"].islnk() != entries["made/again"].islnk()
    assert not [name for name in entries if name.startswith(("bin", "proc", "dev", "sys"))], sorted(entries)
    assert (entries["etc"].isdir(), entries["etc"].mode) == (True, 0o755)


def test_a_socket_is_left_out_and_everything_else_stays(debian: str, box: Box) -> None:
    script = (
        "import os, socket; os.mkdir('/s'); socket.socket(socket.AF_UNIX).bind('/s/socket')\n"
        "open('/s/file', 'w').write('x'); os.setxattr('/s/file', 'user.colour', bytes(range(256)))\n"
        "os.utime('/s/file', ns=(1, 1234567890_123456789))"
    )
    look = (
        "import os; file = '/s/file'\n"
        "print(os.listdir('/s'), os.getxattr(file, 'user.colour').hex(), os.stat(file).st_mtime_ns)"
    )
    with box.to_be_removed() as name:
        box.done("run", "--name", name, debian, "python3", "-c", script)
        image = box.done("commit", name).stdout.strip()
    shown = box.done("run", "--rm", image, "python3", "-c", look).stdout
    box.done("rmi", image)
    assert shown == f"['file'] {bytes(range(256)).hex()} 1234567890123456789\n"


def config(box: Box, image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.done("image", "inspect", image).stdout)[0]
    return found


def test_the_image_runs_as_the_container_did(own_box: Box) -> None:
    flags = ["-e", "A=1", "--user", "12", "--workdir", "/tmp", "--label", "team=x"]
    with own_box.to_be_removed() as name:
        own_box.done("run", "--name", name, *flags, BUSYBOX, "sh", "-c", "echo $A $(id -u) $PWD")
        own_box.done("commit", name, "again")
    assert own_box.done("run", "--rm", "again").stdout == "1 12 /tmp\n"
    assert config(own_box, "again")["Config"]["Labels"] == {"team": "x"}


def test_author_message_and_changes(own_box: Box) -> None:
    with own_box.to_be_removed() as name:
        own_box.done("create", "--name", name, BUSYBOX, "true")
        flags = ["--author", "Ada <ada@example.org>", "--message", "as it was", "--change", 'CMD ["echo", "changed"]']
        own_box.done("commit", *flags, "--change", "ENV B=2", name, "told")
    found = config(own_box, "told")
    assert (found["Author"], found["Comment"]) == ("Ada <ada@example.org>", "as it was")
    assert "B=2" in found["Config"]["Env"]
    assert own_box.done("run", "--rm", "told").stdout == "changed\n"


def test_a_running_container_stands_still_meanwhile_and_goes_on(own_box: Box) -> None:
    script = "while :; do echo a >/first; cp /first /second; rm /first /second; done"
    with own_box.container(script=f"dd if=/dev/zero of=/big bs=1M count=60 2>/dev/null; touch /ready; {script}") as box:
        until(lambda: own_box("exec", box.name, "test", "-e", "/ready").returncode == 0, "the container is busy")
        own_box.done("commit", box.name, "caught")
        look = "test ! -e /second || test -e /first; wc -c </big"
        assert own_box.run(script=look, image="caught") == f"{60 << 20}\n"
        assert box.state["Status"] == "running"
        assert box.sh("echo goes on") == "goes on\n"


@pytest.mark.parametrize("flags", [["--pause"], ["-p=false"], ["--pause=false"]], ids=" ".join)
def test_a_container_stands_still_until_the_commit_ends_or_is_killed(own_box: Box, flags: list[str]) -> None:
    """Unless it is not to."""
    with own_box.container(script="while :; do usleep 10000; echo >>/ticks; done") as container:
        container.sh("dd if=/dev/zero of=/big bs=1M count=300 2>/dev/null")
        ticks, ingest = Path(f"/proc/{container.pid}/root/ticks"), own_box.root.root / "content" / "ingest"
        command = own_box.root.popen("commit", *flags, container.name)
        until(lambda: any(file.stat().st_size for file in ingest.iterdir()), "the layer is being written")
        command.send_signal(signal.SIGSTOP)
        before = ticks.stat().st_size
        time.sleep(0.3)
        assert (ticks.stat().st_size == before) is (flags == ["--pause"])
        command.kill()
        command.wait()
        until(lambda: ticks.stat().st_size > before, "the container goes on")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["no-such"], "there is no container 'no-such'"),
        (["{name}", "NO"], "'NO'"),
        (["--change", "FROM x", "{name}"], "FROM"),
    ],
)
def test_what_cannot_be_committed_is_refused(own_box: Box, arguments: list[str], what: str) -> None:
    with own_box.to_be_removed() as name:
        own_box.done("create", "--name", name, BUSYBOX, "true")
        refused(own_box("commit", *(word.format(name=name) for word in arguments)), what)
    assert len(own_box.done("images", "-q").stdout.split()) == 1


def test_a_name_that_means_a_deletion_is_refused_and_leaves_nothing(own_box: Box) -> None:
    blobs = own_box.root.root / "content" / "blobs" / "sha256"
    before = sorted(blobs.iterdir())
    with own_box.to_be_removed() as name:
        own_box.done("run", "--name", name, BUSYBOX, "sh", "-c", "touch /tmp/.wh.file")
        refused(own_box("commit", name), "/tmp/.wh.file")
    assert sorted(blobs.iterdir()) == before


def test_a_container_of_the_host_is_no_image(own_box: Box) -> None:
    with own_box.to_be_removed() as name:
        own_box.done("create", "--name", name, HOST, "true")
        refused(own_box("commit", name), "the machine's own files")
