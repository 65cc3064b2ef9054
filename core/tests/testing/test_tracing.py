"""Killing and failing at each step: the step is not executed, those before it are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.testing.tracing import CAN_FAIL, CAN_KILL, fail_at, kill_at

pytestmark = pytest.mark.skipif(not (CAN_KILL and CAN_FAIL), reason="the tracer does not know this machine")


def make_three(directory: Path) -> None:
    os.mkdir(directory / "one")
    os.stat(directory)
    fd = os.open(directory / "two", os.O_CREAT | os.O_WRONLY)
    os.close(fd)
    os.close(os.open(directory / "two", os.O_RDONLY))
    os.rename(directory / "two", directory / "three")


@pytest.mark.parametrize(
    ("number", "step", "there"),
    [(1, "mkdir", set()), (2, "openat", {"one"}), (3, "rename", {"one", "two"}), (4, None, {"one", "three"})],
)
def test_killed_before_the_step(tmp_path: Path, number: int, step: str | None, there: set[str]) -> None:
    assert kill_at(lambda: make_three(tmp_path), number) == step
    assert set(os.listdir(tmp_path)) == there


@pytest.mark.parametrize(
    ("number", "step", "there"),
    [(1, "mkdir", set()), (2, "openat", {"one"}), (3, "rename", {"one", "two"})],
)
def test_failed_instead_of_the_step(tmp_path: Path, number: int, step: str, there: set[str]) -> None:
    outcome = fail_at(lambda: make_three(tmp_path), number, errno.ENOSPC)
    assert outcome.step == step
    assert isinstance(outcome.error, OSError)
    assert outcome.error.errno == errno.ENOSPC
    assert set(os.listdir(tmp_path)) == there


def test_a_caller_that_copes_goes_on(tmp_path: Path) -> None:
    def cope() -> None:
        try:
            os.mkdir(tmp_path / "one")
        except OSError:
            os.mkdir(tmp_path / "two")

    assert fail_at(cope, 1, errno.EDQUOT) == ("mkdir", None)
    assert os.listdir(tmp_path) == ["two"]
    assert fail_at(cope, 7, errno.EDQUOT) == (None, None)


def test_what_the_function_raises_by_itself_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kill_at(lambda: os.rmdir(tmp_path / "absent"), 5)
