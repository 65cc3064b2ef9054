"""Groups are made with what is missing above them, and everything that was made goes again, also in a race."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.linux import cgroup_tree, cgroups
from engine.linux.cgroups import Group

MAKE_AND_DISCARD = """
import sys
from engine.linux import cgroup_tree
from engine.linux.cgroups import Group
for number in range(200):
    path = f"{sys.argv[1]}/{sys.argv[2]}{number}"
    cgroup_tree.make(path, cpuset=sys.argv[3] == "cpuset")
    cgroup_tree.discard(Group({"cpuset": path}, ""))
"""


@pytest.fixture(params=["v2", "cpuset"])
def top(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a directory at the top of a hierarchy that does not exist yet."""
    found = cgroups.discover()
    mount = found.v2_mount if request.param == "v2" else getattr(found.v1.get(request.param), "mount_point", "")
    if not mount:
        pytest.skip(f"no {request.param} hierarchy is mounted here")
    path = f"{mount}/test-{secrets.token_hex(4)}"
    yield path
    for directory, _, _ in os.walk(path, topdown=False):
        os.rmdir(directory)


def is_cpuset(path: str) -> bool:
    return os.path.exists(f"{os.path.dirname(path)}/cpuset.sched_load_balance")


def make(path: str) -> None:
    cgroup_tree.make(path, cpuset=is_cpuset(path[: path.index("/test-") + 1]))


def discard(path: str) -> None:
    cgroup_tree.discard(Group({"one": path}, ""))


def test_missing_parents_are_made_and_go_with_the_last_group(top: str) -> None:
    make(f"{top}/a/one")
    make(f"{top}/a/two")
    discard(f"{top}/a/one")
    assert os.path.isdir(f"{top}/a/two")
    discard(f"{top}/a/two")
    assert not os.path.exists(top)


def test_a_parent_that_was_there_stays(top: str) -> None:
    os.mkdir(top)
    make(f"{top}/a/one")
    discard(f"{top}/a/one")
    assert os.listdir(top)
    assert not os.path.exists(f"{top}/a")


def test_an_existing_group_is_an_error(top: str) -> None:
    make(f"{top}/one")
    with pytest.raises(FileExistsError):
        make(f"{top}/one")
    discard(f"{top}/one")


def test_discarding_twice_is_fine(top: str) -> None:
    make(f"{top}/one")
    discard(f"{top}/one")
    discard(f"{top}/one")


def test_a_fresh_group_takes_a_process_at_once(top: str) -> None:
    make(f"{top}/a/one")
    with subprocess.Popen(["sleep", "60"]) as process:
        cgroups.write_value(f"{top}/a/one", "cgroup.procs", process.pid)
        process.kill()
    discard(f"{top}/a/one")


def test_makers_and_removers_race_without_a_lock(top: str) -> None:
    """Two processes, each making and removing groups below one parent, which comes and goes all the time."""
    kind = "cpuset" if is_cpuset(top) else "v2"
    command = [sys.executable, "-c", MAKE_AND_DISCARD, f"{top}/a"]
    racers = [subprocess.Popen([*command, name, kind], stderr=subprocess.PIPE, text=True) for name in ("x", "y")]
    for racer in racers:
        _, errors = racer.communicate(timeout=60)
        assert racer.returncode == 0, errors
    assert not os.path.exists(top)


def test_waiting_for_somebody_else_to_remove(tmp_path: Path) -> None:
    directory = tmp_path / "one"
    directory.mkdir()
    assert not cgroup_tree.vanishes(str(directory), 0.05)
    remover = threading.Timer(0.1, directory.rmdir)
    began = time.monotonic()
    remover.start()
    assert cgroup_tree.vanishes(str(directory), 10.0)
    assert 0.05 < time.monotonic() - began < 5.0
    remover.join()
