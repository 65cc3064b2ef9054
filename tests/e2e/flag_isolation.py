"""Checks of the flags for namespaces: which namespace a process is in, as the kernel numbers them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.scene import Check, Scene

PROC_NAMES = {
    "mount": "mnt", "uts": "uts", "ipc": "ipc", "pid": "pid", "net": "net", "user": "user", "cgroup": "cgroup",
    "time": "time",
}  # fmt: skip
"""Each kind of namespace, and its name in /proc/PID/ns."""


def own(kind: str) -> Check:
    """Return a check that the namespace of a kind is neither the host's nor that of another such container."""

    def check(scene: Scene) -> None:
        with scene.box.container(*scene.typed) as other:
            found = {inside(scene, kind), of_process(kind, other.pid), of_process(kind)}
        assert len(found) == 3

    return check


def hosts(kind: str) -> Check:
    """Return a check that the container shares the host's namespace of a kind."""

    def check(scene: Scene) -> None:
        assert inside(scene, kind) == of_process(kind)

    return check


def of_container(kind: str) -> Check:
    """Return a check that the container shares a namespace with another: its name takes the place of ``NAME``."""

    def check(scene: Scene) -> None:
        with scene.box.container(*_with_own(kind)) as other:
            typed = tuple(word.replace("NAME", other.name) for word in scene.typed)
            joined = scene._replace(typed=typed)
            assert inside(joined, kind) == of_process(kind, other.pid) != of_process(kind)

    return check


def of_path(kind: str) -> Check:
    """Return a check that the container is in the namespace of a file: its path takes the place of ``PATH``."""

    def check(scene: Scene) -> None:
        with _holder(kind) as pid:
            path = f"/proc/{pid}/ns/{PROC_NAMES[kind]}"
            typed = tuple(word.replace("PATH", path) for word in scene.typed)
            assert inside(scene._replace(typed=typed), kind) == of_process(kind, pid) != of_process(kind)

    return check


def inside(scene: Scene, kind: str) -> str:
    """Return the namespace of a container's process, as it sees it itself."""
    return scene.run(f"readlink /proc/self/ns/{PROC_NAMES[kind]}").strip()


def of_process(kind: str, pid: int | str = "self") -> str:
    """Return the namespace of a process of the host."""
    return os.readlink(f"/proc/{pid}/ns/{PROC_NAMES[kind]}")


def _with_own(kind: str) -> tuple[str, ...]:
    """Return flags for a container with a namespace of its own of a kind that is the host's by default."""
    return ("--namespace", f"{kind}=new") if kind in {"user", "time"} else ()


_HOLDERS: dict[str, tuple[str, ...]] = {
    "pid": ("--pid", "--fork", "--kill-child"), "user": ("--user", "--map-root-user"), "time": ("--time", "--fork"),
}  # fmt: skip


@contextmanager
def _holder(kind: str) -> Iterator[int]:
    """Give the pid of a process in a namespace of its own, which is no container's."""
    flags = _HOLDERS.get(kind, (f"--{kind}",))
    script = "echo $(cut -d ' ' -f 4 /proc/self/stat) 2>/dev/null; exec sleep 600"
    command = ["unshare", *flags, "sh", "-c", script if "--fork" not in flags else "echo; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield _child_of(process.pid) if "--fork" in flags else process.pid
        finally:
            if "--fork" in flags:
                _end_child(process.pid)
            process.kill()


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _end_child(pid: int) -> None:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), 9)


def network_none(scene: Scene) -> None:
    """Nothing but a loopback that is up, and that reaches nobody."""
    assert scene.run("ls /sys/class/net") == "lo\n"
    assert scene.run("ip -o addr show lo | grep -c 127.0.0.1/8") == "1\n"
    own("net")(scene)


def network_host(scene: Scene) -> None:
    assert scene.run("ls /sys/class/net").split() == sorted(os.listdir("/sys/class/net"))
    hosts("net")(scene)


def network_container(scene: Scene) -> None:
    """What one serves on its loopback, the other reaches."""
    box = scene.box
    with box.container(script="echo served >/page; exec httpd -f -p 127.0.0.1:7000 -h /") as server:
        typed = tuple(word.replace("NAME", server.name) for word in scene.typed)
        ask = "for n in $(seq 100); do wget -q -O - http://127.0.0.1:7000/page 2>/dev/null && break; sleep 0.05; done"
        assert box.run(*typed, script=ask) == "served\n"


def pid_container(scene: Scene) -> None:
    """Processes of the one are seen in the other."""
    with scene.box.container(script="sleep 601 & wait") as other:
        typed = tuple(word.replace("NAME", other.name) for word in scene.typed)
        assert "sleep 601" in scene.box.run(*typed, script="ps -o args")


def ipc_container(scene: Scene) -> None:
    """They share /dev/shm too."""
    with scene.box.container(script="echo shared >/dev/shm/note; sleep 600") as other:
        typed = tuple(word.replace("NAME", other.name) for word in scene.typed)
        read = "for n in $(seq 100); do cat /dev/shm/note 2>/dev/null && break; sleep 0.05; done"
        assert scene.box.run(*typed, script=read) == "shared\n"
    of_container("ipc")(scene)


def uts_host(scene: Scene) -> None:
    assert scene.run("hostname").strip() == os.uname().nodename
    hosts("uts")(scene)


def user_ids(scene: Scene) -> None:
    """Files of the image are root's inside, who is somebody else outside and no other container's root."""
    look = "cat /proc/self/uid_map; stat -c %u /etc/passwd; echo >/made; stat -c %u /made"
    with scene.box.container(*scene.typed, script=f"{look}; exec sleep 600") as one:
        one.wait_for_log("65536\n0\n0\n")
        first = int(one.logs().split()[1])
        assert Path(f"/proc/{one.pid}").stat().st_uid == first > 65536
        other = int(scene.run(look).split()[1])
        assert abs(first - other) >= 65536
    own("user")(scene)


def maps(users: str, groups: str = "") -> Check:
    """Return a check of the rows of /proc/self/uid_map and gid_map, the second as the first unless it is given."""

    def check(scene: Scene) -> None:
        lines = scene.run("echo $(cat /proc/self/uid_map); echo $(cat /proc/self/gid_map)").splitlines()
        assert lines == [users, groups or users]

    return check


def mapped_volume(scene: Scene) -> None:
    """What is the host's root's is the container's root's, and the other way round."""
    (scene.place / "secret").write_text("known\n")
    (scene.place / "secret").chmod(0o600)
    assert scene.run("cat /data/secret; echo >/data/new; chown 33 /data/new; stat -c %u /data/new") == "known\n33\n"
    assert (scene.place / "new").stat().st_uid == 33
    plain = tuple(word.removesuffix(":idmap").removesuffix(",idmap") for word in scene.typed)
    assert "denied" in scene._replace(typed=plain).run("cat /data/secret 2>&1 || true")


def user_namespace(scene: Scene) -> None:
    """Root inside has no power over what belongs to the host's user namespace, such as priorities."""
    own("user")(scene)
    raised = "renice -n -5 -p $$ 2>&1 || true"
    assert "denied" in scene.run(raised, "--cap-add", "SYS_NICE")
    assert scene.bare(raised, "--cap-add", "SYS_NICE") == ""


def time_namespace(scene: Scene) -> None:
    """Clocks that count from the boot are its own to shift."""
    own("time")(scene)
    assert scene.run("cat /proc/self/timens_offsets | wc -l") == "2\n"
