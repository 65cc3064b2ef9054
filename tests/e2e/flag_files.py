"""Checks of the flags for mounts, the root filesystem and devices."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.scene import Scene


def volume(scene: Scene) -> None:
    (scene.place / "data").mkdir()
    (scene.place / "data/from-host").write_text("host\n")
    assert scene.run("cat /data/from-host; echo inside >/data/from-inside") == "host\n"
    assert (scene.place / "data/from-inside").read_text() == "inside\n"


def volume_read_only(scene: Scene) -> None:
    """The missing source is made, and read-only holds for what is mounted below it too."""
    assert "Read-only" in scene.run("touch /data/x 2>&1 || true")
    assert list((scene.place / "made").iterdir()) == []
    with _tmpfs(scene.place / "made"), _tmpfs(scene.place / "made/below"):
        assert "Read-only" in scene.run("touch /data/below/x 2>&1 || true")


def mount(scene: Scene) -> None:
    (scene.place / "file").write_text("one file\n")
    assert scene.run("cat /etc/one; echo x 2>/dev/null >/etc/one || echo refused") == "one file\nrefused\n"


def mount_tmpfs(scene: Scene) -> None:
    assert scene.run("stat -f -c %T /data; stat -c %a /data") == "tmpfs\n1770\n"
    assert scene.run("head -c 2000000 /dev/zero >/data/x 2>/dev/null || wc -c </data/x") == "1048576\n"


def tmpfs(scene: Scene) -> None:
    fill = "head -c 2000000 /dev/zero >/data/x 2>/dev/null || wc -c </data/x"
    assert scene.run(f"stat -f -c %T /data; {fill}") == "tmpfs\n65536\n"
    assert scene.run("stat -c %u:%g /data") == "1000:1000\n"
    assert scene.run("cp /bin/busybox /data/true 2>/dev/null || true; /data/true; echo $?").strip() == "126"


def volumes_from(scene: Scene) -> None:
    """Also when the other does not run, and from one that has them from a third; what is typed counts more."""
    box = scene.box
    (scene.place / "file").write_text("inherited\n")
    (scene.place / "own").mkdir()
    with box.to_be_removed() as third, box.to_be_removed() as other:
        box.done("create", "--name", third, "-v", f"{scene.place}:/data", "--tmpfs", "/memory", box.image, "true")
        box.done("create", "--name", other, "--volumes-from", third, "-v", f"{scene.place}:/ro:ro", box.image, "true")
        typed = tuple(word.replace("NAME", other) for word in scene.typed)
        scene = scene._replace(typed=typed)
        assert scene.run("cat /data/file /ro/file; echo back >/data/back; ls -d /memory 2>&1 || true").startswith(
            "inherited\ninherited\nls:"
        )
        assert (scene.place / "back").read_text() == "back\n"
        assert "Read-only" in scene.run("touch /ro/x 2>&1 || true")
        assert scene.run("ls /data", "-v", f"{scene.place}/own:/data") == ""
        with box.container(*typed) as container:
            found = {mount["Destination"]: mount["RW"] for mount in container.inspect()["Mounts"]}
            assert (found["/data"], found["/ro"]) == (True, False)


def volumes_from_read_only(scene: Scene) -> None:
    (scene.place / "file").write_text("inherited\n")
    with scene.box.container("-v", f"{scene.place}:/data") as other:
        scene = scene._replace(typed=tuple(word.replace("NAME", other.name) for word in scene.typed))
        assert "Read-only" in scene.run("cat /data/file; touch /data/x 2>&1 || true")
        other.sh("touch /data/x")


def shm_size(scene: Scene) -> None:
    fill = "head -c 300000 /dev/zero >/dev/shm/x 2>/dev/null; wc -c </dev/shm/x"
    assert scene.run(fill) == "131072\n"
    assert scene.bare(fill) == "300000\n"


def read_only(scene: Scene) -> None:
    script = "touch /x 2>&1 || true; touch /dev/shm/x && echo shm"
    assert "Read-only file system" in scene.run(script)
    assert scene.run(script).endswith("shm\n")
    assert scene.bare(script) == "shm\n"


def device(scene: Scene) -> None:
    """The node is there, and the cgroup lets it be opened; without the flag neither, even with a node of one's own."""
    assert scene.run("head -c 3 /dev/here >/dev/null; stat -c %t:%T /dev/here") == "7:0\n"
    assert scene.run("echo x 2>/dev/null >/dev/here || echo refused") == "refused\n"
    own = "mknod /tmp/loop b 7 0 && head -c 3 /tmp/loop 2>&1 >/dev/null || true"
    assert "Operation not permitted" in scene.bare(own)


@contextmanager
def _tmpfs(target: Path) -> Iterator[None]:
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "engine-test", os.fspath(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", os.fspath(target)], check=True)
