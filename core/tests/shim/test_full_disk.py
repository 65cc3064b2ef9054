"""What the shim writes down where there is room for a part of it alone: it is whole, or not there."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from engine.actions import execute
from engine.actions.base import Phase, Step
from engine.actions.cgroups import MakeCgroup
from engine.actions.journal import Journal, read
from engine.errors import KernelError
from engine.shim import records
from engine.testing.processes import in_child, in_private_mounts

PAGE = resource.getpagesize()


def opened(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY)


def test_a_record_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    def write() -> str | None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * PAGE}", "tmpfs", tmp_path], check=True)
        directory = opened(tmp_path)
        records.write(directory, "name", ("before",), sync=False)
        with pytest.raises(OSError, match="No space left"):
            records.write(directory, "name", ("x" * PAGE,), sync=False)
        return records.read_name(directory)

    assert in_private_mounts(write) == "before"


def test_what_the_journal_has_no_room_for_is_not_done(tmp_path: Path) -> None:
    made = [tmp_path / "first", tmp_path / "second"]
    steps = [Step(Phase.PARENT_BEFORE, MakeCgroup(str(path), ()), "test") for path in made]

    def run() -> list[Step]:
        directory = opened(tmp_path)
        journal = Journal(directory)
        journal.intend(steps[0])
        room = (tmp_path / "journal").stat().st_size + 10
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises(KernelError, match="second"):
            execute.run(steps[1:], {}, journal)
        return read(directory)

    assert in_child(run) == steps[:1]
    assert not made[1].exists()
