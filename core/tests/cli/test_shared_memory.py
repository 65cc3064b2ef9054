"""``--ipc container:NAME`` shares /dev/shm too, and a container cannot make something else of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.machine.engine_root import EngineRoot

READ = "test -e /dev/shm/passwd && echo leaked; findmnt -n -o OPTIONS /dev/shm"
LINK = "umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm && echo ready; sleep 600"
MOUNT = "umount /dev/shm && mount -t tmpfs -o dev,suid,exec mine /dev/shm && echo ready; sleep 600"


@contextmanager
def other(engine_root: EngineRoot, script: str) -> Iterator[str]:
    started = engine_root.run("run", "-d", "--cap-add", "SYS_ADMIN", "host:", "sh", "-c", script)
    assert started.returncode == 0, started.stderr
    name = started.stdout.strip()
    while "ready" not in engine_root.run("logs", name).stdout:
        time.sleep(0.05)
    yield name
    engine_root.run("rm", "-f", name)


def test_a_link_in_its_place_is_not_followed(engine_root: EngineRoot) -> None:
    with other(engine_root, LINK) as name:
        joined = engine_root.run("run", "--rm", "--ipc", f"container:{name}", "host:", "sh", "-c", READ)
    assert joined.returncode == 125
    assert joined.stdout == ""
    assert "share /dev/shm with the container of process" in joined.stderr


def test_what_the_other_may_do_on_its_mount_is_not_taken_over(engine_root: EngineRoot) -> None:
    with other(engine_root, MOUNT) as name:
        joined = engine_root.run("run", "--rm", "--ipc", f"container:{name}", "host:", "sh", "-c", READ)
    assert joined.returncode == 0, joined.stderr
    assert {"nosuid", "nodev", "noexec"} <= set(joined.stdout.strip().split(","))


def test_a_mount_of_ones_own_comes_first(engine_root: EngineRoot) -> None:
    with other(engine_root, "touch /dev/shm/theirs; echo ready; sleep 600") as name:
        flags = ("--rm", "--ipc", f"container:{name}", "--tmpfs", "/dev/shm")
        joined = engine_root.run("run", *flags, "host:", "ls", "/dev/shm")
    assert (joined.returncode, joined.stdout) == (0, "")
