"""Nothing of an image is imported, executed or followed by the host's root, whatever lies in it and wherever."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.linux import mountinfo
from tests.machine.engine_root import EngineRoot
from tests.security.hostile import Image, booby_trapped


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Return a directory of the host's that no container may see or change."""
    place = tmp_path / "canary"
    place.mkdir()
    (place / "secret").write_text("of the host\n")
    (place / "passwd").write_text("root:x:0:0::/:/bin/sh\nevil:x:0:0::/:/bin/sh\n")
    before, mounts = seen(place), {entry.mount_point for entry in mountinfo.read()}
    yield place
    assert seen(place) == before, "a container changed the host's files"
    left = {entry.mount_point for entry in mountinfo.read()} - mounts
    assert not [path for path in left if str(tmp_path) in path], "a mount landed on the host"


def seen(place: Path) -> dict[str, tuple[str, int]]:
    """Return every file below a directory with its content and mode."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path): (path.read_text(), path.stat().st_mode) for path in files}


def load(engine: EngineRoot, image: bytes) -> None:
    done = engine.run("import", "-", "evil:latest", input=image, text=False)
    assert done.returncode == 0, done.stderr


def test_modules_and_libraries_of_the_image_are_never_loaded(engine_root: EngineRoot, canary: Path) -> None:
    load(engine_root, booby_trapped(canary))
    run = engine_root.run
    assert run("run", "--name", "one", "evil", "true").returncode == 0
    assert run("run", "--name", "two", "-u", "web", "evil", "id").stdout.startswith("uid=33")
    assert run("run", "--name", "three", "evil", "missing").returncode == 127
    assert run("run", "--name", "four", "-u", "nobody-of-that-name", "evil", "true").returncode == 125
    assert run("run", "--name", "five", "-w", "/bin/busybox", "evil", "true").returncode != 0
    assert run("run", "-d", "--name", "six", "evil", "sleep", "60").returncode == 0
    assert run("exec", "-u", "web", "six", "id").stdout.startswith("uid=33")
    assert run("exec", "six", "missing").returncode == 127
    assert run("exec", "-u", "nobody-of-that-name", "six", "true").returncode != 0
    for name in ("one", "two", "three", "four", "five", "six"):
        assert "/PWNED" not in run("diff", name).stdout, f"a module of the image ran in container {name}"


LINKS: dict[str, Callable[[Image, Path], None]] = {
    "etc": lambda image, canary: image.link("etc", canary),
    "etc/passwd": lambda image, canary: image.link("etc/passwd", canary / "passwd"),
    "etc/hosts": lambda image, canary: image.link("etc/hosts", f"/../../../..{canary}/secret"),
    "etc/resolv.conf": lambda image, canary: image.link("etc/resolv.conf", f"../../../../../..{canary}/secret"),
    "proc": lambda image, canary: image.link("proc", canary),
    "dev": lambda image, canary: image.link("dev", canary),
    "sys": lambda image, canary: image.link("sys", canary),
    "dev/shm": lambda image, canary: image.link("dev/shm", canary),
    "dev/pts": lambda image, canary: image.link("dev/pts", canary),
    "a loop": lambda image, _canary: image.link("etc", "etc"),
    "the volume's parent": lambda image, canary: image.link("data", canary),
    "the working directory": lambda image, canary: image.link("work", canary),
}


@pytest.mark.parametrize("place", LINKS)
def test_links_lead_nowhere_outside(engine_root: EngineRoot, canary: Path, tmp_path: Path, place: str) -> None:
    image = Image()
    LINKS[place](image, canary)
    load(engine_root, image.data())
    volume = tmp_path / "volume"
    volume.mkdir()
    where = ["-w", "/work"] if place == "the working directory" else []
    done = engine_root.run(
        "run", "--name", "it", "-v", f"{volume}:/data/deep", *where, "evil",
        "sh", "-c", f"echo inside; echo changed > /data/deep/file; cat {canary}/secret ./secret /etc/secret",
    )  # fmt: skip
    assert "of the host" not in done.stdout
    if done.returncode == 125:
        assert len(done.stderr.splitlines()) == 2, f"an error is a sentence and its advice: {done.stderr}"
    else:
        assert "inside" in done.stdout
        assert (volume / "file").read_text() == "changed\n", "the volume was mounted elsewhere"


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_pipe_in_place_of_the_users_holds_nobody_up(engine_root: EngineRoot, name: str) -> None:
    image = Image()
    image.fifo(f"etc/{name}")
    load(engine_root, image.data())
    done = engine_root.run("run", "--rm", "-u", "web:web", "evil", "true", timeout=20)
    assert done.returncode == 125
    assert f"/etc/{name}" in done.stderr


def test_users_without_end_are_refused(engine_root: EngineRoot) -> None:
    image = Image()
    image.file("etc/passwd", b"x" * (64 << 20))
    load(engine_root, image.data())
    done = engine_root.run("run", "--rm", "-u", "web", "evil", "true")
    assert done.returncode == 125
    assert "/etc/passwd" in done.stderr


def test_a_running_container_cannot_trap_an_exec(engine_root: EngineRoot, canary: Path) -> None:
    image = Image()
    image.file("etc/passwd", b"web:x:33:33::/:/bin/sh\n")
    load(engine_root, image.data())
    trap = f"rm /etc/passwd; mkfifo /etc/passwd; mv /bin /bin2; /bin2/ln -s {canary} /bin; exec /bin2/sleep 60"
    engine_root.run("run", "-d", "--name", "it", "evil", "sh", "-c", trap)
    assert engine_root.run("exec", "-u", "web", "it", "/bin2/true", timeout=20).returncode != 0
    assert engine_root.run("exec", "it", "/bin/secret").returncode == 127


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_through_a_descriptor_stays_inside(engine_root: EngineRoot, number: int) -> None:
    """Runtimes that left a descriptor of the host open were left through it: ``-w /proc/self/fd/7``."""
    load(engine_root, Image().data())
    look = "cat ../../../../../../../../etc/debian_version 2>/dev/null || echo nothing"
    done = engine_root.run("run", "--rm", "-w", f"/proc/self/fd/{number}", "evil", "sh", "-c", look)
    assert done.returncode == 125 or done.stdout == "nothing\n"


def test_no_descriptor_of_the_host_is_inherited(engine_root: EngineRoot) -> None:
    load(engine_root, Image().data())
    look = "for fd in /proc/self/fd/*; do echo $fd $(readlink $fd); done"
    engine_root.run("run", "-d", "--name", "it", "evil", "sleep", "60")
    for done in (
        engine_root.run("run", "--rm", "evil", "sh", "-c", look),
        engine_root.run("exec", "it", "sh", "-c", look),
    ):
        numbers = {line.split()[0].rpartition("/")[2] for line in done.stdout.splitlines() if len(line.split()) > 1}
        assert numbers <= {"0", "1", "2", "3"}, done.stdout
        assert not [line for line in done.stdout.splitlines() if "engine" in line], done.stdout


def test_the_engines_interpreter_cannot_be_overwritten(engine_root: EngineRoot) -> None:
    """A script whose interpreter is /proc/self/exe runs the host's own binary, and might write to it.

    It cannot while that binary runs (execve(2), ETXTBSY), and the shim runs it for as long as the container lives.
    """
    interpreter = Path(sys.executable).resolve()
    before = hashlib.sha256(interpreter.read_bytes()).hexdigest()
    image = Image()
    image.file("trap", b"#!/proc/self/exe\nopen('/proc/self/exe', 'r+b').write(b'x')\n", mode=0o755)
    image.file(
        "writer",
        b"#!/bin/sh\nfor pid in /proc/[0-9]*; do dd if=/bin/busybox of=$pid/exe conv=notrunc bs=1 count=1; done\n",
        mode=0o755,
    )
    load(engine_root, image.data())
    engine_root.run("run", "--rm", "evil", "/trap")
    engine_root.run("run", "-d", "--name", "it", "evil", "sh", "-c", "while :; do /writer; done 2>/dev/null")
    for _ in range(5):
        engine_root.run("exec", "it", "/trap")
    assert hashlib.sha256(interpreter.read_bytes()).hexdigest() == before


def test_a_shim_is_executed_from_a_read_only_mount(engine_root: EngineRoot) -> None:
    load(engine_root, Image().data())
    engine_root.run("run", "-d", "--name", "it", "evil", "sleep", "60")
    shim = json.loads(engine_root.run("inspect", "it").stdout)[0]["State"]["ShimPid"]
    assert os.statvfs(f"/proc/{shim}/exe").f_flag & os.ST_RDONLY
