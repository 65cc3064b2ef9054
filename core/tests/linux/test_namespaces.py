from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.linux import namespaces, processes
from engine.linux.namespaces import IdRow

InChild = Callable[..., Any]


@pytest.mark.parametrize("kind", sorted(namespaces.KINDS))
def test_a_new_namespace_of_each_kind_is_another_and_can_be_joined(in_child: InChild, kind: str) -> None:
    flag = namespaces.KINDS[kind].flag

    def body() -> list[bool]:
        ours = namespaces.open_namespace("self", kind)
        child = processes.clone3(flag)
        if child.pid == 0:
            time.sleep(30)
            os._exit(0)
        theirs = namespaces.open_namespace(child.pid, kind)
        name = namespaces.KINDS[kind].proc_name
        differs = not namespaces.same_namespace(ours, theirs)
        namespaces.setns(child.pidfd, flag)
        joined = f"/proc/self/ns/{name}_for_children" if kind in {"pid", "time"} else f"/proc/self/ns/{name}"
        is_joined = namespaces.same_namespace(joined, theirs)
        processes.pidfd_send_signal(child.pidfd, 9)
        return [differs, is_joined]

    assert in_child(body) == [True, True]


def test_setns_of_the_wrong_kind(in_child: InChild) -> None:
    def body() -> int:
        fd = namespaces.open_namespace("self", "uts")
        try:
            namespaces.setns(fd, namespaces.CLONE_NEWNET)
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_child(body) == errno.EINVAL


def test_an_id_map_is_seen_inside(in_child: InChild) -> None:
    def body() -> str:
        child = processes.clone3(namespaces.CLONE_NEWUSER)
        if child.pid == 0:
            time.sleep(30)
            os._exit(0)
        rows = [IdRow(0, 100000, 1000), IdRow(1000, 0, 1)]
        namespaces.write_id_map(child.pid, rows, rows)
        with open(f"/proc/{child.pid}/gid_map", encoding="utf-8") as file:
            seen = file.read()
        processes.pidfd_send_signal(child.pidfd, 9)
        return seen

    assert in_child(body).split() == ["0", "100000", "1000", "1000", "0", "1"]


def test_a_bad_id_map_names_the_file(in_child: InChild) -> None:
    def body() -> list[Any]:
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        try:
            namespaces.write_id_map(os.getpid(), [IdRow(0, 0, 0)], [IdRow(0, 0, 1)])
        except OSError as error:
            return [error.errno, str(error.filename).rpartition("/")[2]]
        return []

    assert in_child(body) in ([errno.EINVAL, "uid_map"], [errno.EPERM, "gid_map"])


def test_an_unprivileged_user_maps_itself_when_setgroups_is_denied(in_child: InChild) -> None:
    def body() -> list[int]:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        processes.set_dumpable(True)
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        namespaces.write_id_map(os.getpid(), [IdRow(0, 65534, 1)], [IdRow(0, 65534, 1)], deny_setgroups=True)
        return [os.getuid(), os.getgid()]

    assert in_child(body) == [0, 0]


def test_a_user_namespace_for_a_mount_lives_while_it_is_held(in_child: InChild) -> None:
    def body() -> bool:
        fd = namespaces.userns_fd([IdRow(0, 100000, 65536)], [IdRow(0, 100000, 65536)])
        own = namespaces.open_namespace("self", "user")
        try:
            processes.wait(-1, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return not namespaces.same_namespace(fd, own)
        return False

    assert in_child(body)


def test_clocks_of_a_time_namespace(in_child: InChild) -> None:
    def body() -> float:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        namespaces.unshare(namespaces.CLONE_NEWTIME)
        namespaces.set_time_offsets(monotonic=1000 * 10**9, boottime=5000 * 10**9)
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, repr(time.clock_gettime(time.CLOCK_BOOTTIME)).encode())
            os._exit(0)
        return float(os.read(reading, 100)) - now

    assert 5000 <= in_child(body) < 5100


def test_a_process_alone_enters_its_own_time_namespace_where_no_execve_does(
    in_child: InChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "kernel_release", lambda: (6, 1))

    def body() -> float:
        namespaces.unshare(namespaces.CLONE_NEWTIME)
        namespaces.set_time_offsets(monotonic=0, boottime=5000 * 10**9)
        own = namespaces.own_time_namespace()
        assert own is not None
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        namespaces.setns(own, namespaces.CLONE_NEWTIME)
        return time.clock_gettime(time.CLOCK_BOOTTIME) - before

    assert 5000 <= in_child(body) < 5100
    monkeypatch.setattr(namespaces, "kernel_release", lambda: (6, 2))
    assert namespaces.own_time_namespace() is None


def test_loopback_answers(in_child: InChild) -> None:
    def body() -> bytes:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        namespaces.loopback_up()
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname(), timeout=5)
        server.accept()[0].sendall(b"hello")
        return client.recv(5).decode()

    assert in_child(body) == "hello"
