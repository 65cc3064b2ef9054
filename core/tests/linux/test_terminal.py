from __future__ import annotations

import os
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.linux import mounts, processes, terminal

InChild = Callable[..., Any]


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    devpts = os.open("/dev/pts", os.O_PATH)
    master, _ = terminal.open_pty(devpts)
    peer = terminal.open_peer(master)
    yield master, peer
    for fd in (devpts, master, peer):
        os.close(fd)


def test_the_terminal_is_of_the_devpts_that_was_asked(in_mount_namespace: InChild, tmp_path: Path) -> None:
    def body() -> list[Any]:
        fd = mounts.new_mount("devpts", {"newinstance": None, "ptmxmode": "0666"})
        mounts.attach(fd, mounts.AT_FDCWD, str(tmp_path))
        directory = os.open(tmp_path, os.O_PATH)
        master, path = terminal.open_pty(directory)
        peer = terminal.open_peer(master)
        os.write(peer, b"x")
        return [path, sorted(os.listdir(tmp_path)), os.get_inheritable(master), os.read(master, 5).decode()]

    assert in_mount_namespace(body) == ["/dev/pts/0", ["0", "ptmx"], False, "x"]


def test_size(pty: tuple[int, int]) -> None:
    master, peer = pty
    terminal.set_size(master, 33, 132)
    assert terminal.get_size(peer) == (33, 132)
    with pytest.raises(OSError, match="Inappropriate"), open("/dev/null", "rb") as file:
        terminal.get_size(file.fileno())


def test_raw_mode_passes_everything_and_is_undone(pty: tuple[int, int]) -> None:
    master, peer = pty
    original = termios.tcgetattr(peer)
    before = terminal.raw_mode(peer)
    os.write(master, b"\x03\x04\r\x1a")
    assert os.read(peer, 10) == b"\x03\x04\r\x1a"
    os.write(peer, b"\n")
    assert os.read(master, 10) == b"\n"
    terminal.restore(peer, before)
    assert termios.tcgetattr(peer) == original


def test_control_c_reaches_the_process_whose_terminal_it_is(in_child: InChild) -> None:
    def body() -> int:
        master, _ = terminal.open_pty(os.open("/dev/pts", os.O_PATH))
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            processes.reset_signals()
            processes.new_session(terminal.open_peer(master))
            os.write(writing, b"ready")
            signal.pause()
        os.read(reading, 5)
        os.write(master, b"\x03")
        ended = processes.wait(pid)
        return 0 if ended is None else ended.signal

    assert in_child(body) == signal.SIGINT
