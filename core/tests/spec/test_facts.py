"""What is read of the real machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core.tests.spec.facts_for_tests import asked
from engine.errors import InvalidInput, NotFound
from engine.spec import facts
from engine.spec.devices import DEFAULT_NODES, all_devices, find_devices
from engine.spec.options import RunOptions
from engine.spec.sizes import cpuset_members


def test_this_machine() -> None:
    found = facts.gather(RunOptions(image="i"))
    assert found.hostname == os.uname().nodename
    assert len(cpuset_members(found.cpus)) >= len(os.sched_getaffinity(0))
    assert "CAP_CHOWN" in found.capabilities
    assert not found.devices


def test_a_device_and_a_directory_of_devices() -> None:
    [null] = find_devices("/dev/null")
    status = os.stat("/dev/null")
    assert (null["major"], null["minor"], null["type"]) == (1, 3, "c")
    assert null["fileMode"] == stat.S_IMODE(status.st_mode)
    assert "/dev/null" in {node["path"] for node in find_devices("/dev")}


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        find_devices(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(InvalidInput):
            find_devices(str(place))


def test_privileged_gets_what_is_there_and_not_what_it_has_itself() -> None:
    paths = {node["path"] for node in all_devices()}
    assert not paths & DEFAULT_NODES
    assert not [path for path in paths if path.startswith(("/dev/pts/", "/dev/shm/"))]


def test_sources_of_mounts(tmp_path: Path) -> None:
    missing = tmp_path / "a" / "b"
    with pytest.raises(InvalidInput, match="does not exist"):
        facts.check_sources(asked("x", mount=[f"type=bind,source={missing},target=/d"]))
    assert not missing.exists()
    facts.check_sources(asked("x", volume=[f"{missing}:/d"]))
    facts.make_sources(asked("x", volume=[f"{missing}:/d"]), (0, 0))
    assert missing.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be made"):
        facts.make_sources(asked("x", volume=[f"{tmp_path}/file/sub:/d"]), (0, 0))


def test_sources_are_made_for_the_containers_root(tmp_path: Path) -> None:
    """But not where its ids are mapped to those on disk, nor where the directory was there."""
    made, mapped, there = (tmp_path / name for name in ("made", "mapped", "there"))
    there.mkdir()
    typed = [f"{made}:/a", f"{mapped}:/b:idmap", f"{there}:/c"]
    facts.make_sources(asked("x", volume=typed, userns="private"), (100000, 200000))
    owners = [(path.stat().st_uid, path.stat().st_gid) for path in (made, mapped, there)]
    assert owners == [(100000, 200000), (0, 0), (0, 0)]
