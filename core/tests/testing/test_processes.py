"""Functions in child processes: answers and errors come back, mounts do not, nobody outlives the parent."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from engine.linux import mountinfo, mounts
from engine.testing.processes import Child, ChildFailed, in_child, in_private_mounts


def test_the_answer_comes_back() -> None:
    assert in_child(lambda: (os.getppid(), "x" * (1 << 20))) == (os.getpid(), "x" * (1 << 20))


def test_an_error_comes_back_with_its_place() -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "not here", "name")

    with pytest.raises(FileNotFoundError, match="not here") as caught:
        in_child(fail)
    assert caught.value.filename == "name"
    assert "in fail" in "".join(caught.value.__notes__)


def test_an_error_that_cannot_be_sent_comes_as_text() -> None:
    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("told all the same")

    with pytest.raises(ChildFailed, match="told all the same"):
        in_child(fail)


def test_a_dead_child_is_told() -> None:
    with pytest.raises(ChildFailed, match="without an answer, wait status 0x9"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_private_mounts_stay_private(tmp_path: Path) -> None:
    def mount() -> bool:
        mounts.attach(mounts.new_mount("tmpfs"), mounts.AT_FDCWD, str(tmp_path))
        return mountinfo.at(str(tmp_path), mountinfo.read()) is not None

    assert in_private_mounts(mount)
    assert mountinfo.at(str(tmp_path), mountinfo.read()) is None


def test_a_discarded_child_is_gone() -> None:
    child = Child(lambda: time.sleep(60))
    child.discard()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_dies_with_its_parent() -> None:
    """Its end of the pipe closes, which whoever waits for the grandchild's pipe sees."""
    read_fd, write_fd = os.pipe()

    def parent() -> None:
        Child(lambda: time.sleep(60))
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildFailed):
        in_child(parent)
    os.close(write_fd)
    start = time.monotonic()
    assert os.read(read_fd, 1) == b""
    assert time.monotonic() - start < 30
    os.close(read_fd)
