"""The device filter of a v2 directory decides by type, numbers and accesses, and is replaced without a gap."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from engine.linux import bpf, cgroups

NULL, ZERO, FULL = ("c", 1, 3), ("c", 1, 5), ("c", 1, 7)
TRIALS = (("/dev/null", os.O_RDWR), ("/dev/zero", os.O_RDONLY), ("/dev/zero", os.O_RDWR), ("/dev/full", os.O_WRONLY))


@pytest.fixture
def directory() -> Iterator[str]:
    mount = cgroups.discover().v2_mount
    if not mount:
        pytest.skip("no v2 hierarchy is mounted here")
    path = f"{mount}/test-{secrets.token_hex(4)}"
    os.mkdir(path)
    yield path
    cgroups.kill(cgroups.Group({}, path))
    cgroups.remove(cgroups.Group({}, path))


def restrict(directory: str, allow: bool, rows: Sequence[bpf.DeviceRow]) -> list[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf.restrict_devices(fd, allow, rows)
        return bpf.attached(fd)
    finally:
        os.close(fd)


def opened(directory: str, in_child: Callable[..., Any]) -> list[bool]:
    """Return which trials succeed for a process in the group."""

    def inside() -> list[bool]:
        cgroups.write_value(directory, "cgroup.procs", 0)
        return [succeeds(path, flags) for path, flags in TRIALS]

    found: list[bool] = in_child(inside)
    return found


def succeeds(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return False
    return True


@pytest.mark.parametrize(
    ("allow", "rows", "expected"),
    [
        (False, [], [False, False, False, False]),
        (True, [], [True, True, True, True]),
        (False, [(*NULL, "rwm"), (*ZERO, "r")], [True, True, False, False]),
        (False, [("c", 1, -1, "r"), (*NULL, "rw")], [True, True, False, False]),
        (False, [("c", -1, -1, "rw")], [True, True, True, True]),
        (False, [("b", -1, -1, "rwm")], [False, False, False, False]),
        (True, [(*FULL, "w")], [True, True, True, False]),
        (True, [("c", 1, -1, "rwm")], [False, False, False, False]),
    ],
)
def test_what_may_be_opened(
    directory: str, in_child: Callable[..., Any], allow: bool, rows: list[bpf.DeviceRow], expected: list[bool]
) -> None:
    restrict(directory, allow, rows)
    assert opened(directory, in_child) == expected


def test_mknod_is_an_access_of_its_own(
    directory: str, in_child: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = str(tmp_path_factory.mktemp("nodes"))
    restrict(directory, False, [(*NULL, "m")])

    def inside() -> list[bool]:
        cgroups.write_value(directory, "cgroup.procs", 0)
        return [makes(f"{place}/{minor}", os.makedev(1, minor)) for minor in (3, 5)]

    assert in_child(inside) == [True, False]


def makes(path: str, device: int) -> bool:
    try:
        os.mknod(path, 0o020600, device)
    except PermissionError:
        return False
    os.unlink(path)
    return True


def test_a_second_filter_takes_the_first_one_s_place(directory: str, in_child: Callable[..., Any]) -> None:
    first = restrict(directory, False, [])
    second = restrict(directory, True, [(*FULL, "rwm")])
    assert len(first) == len(second) == 1
    assert first != second
    assert opened(directory, in_child) == [True, True, True, False]


def test_a_policy_of_hundreds_of_rows_fits(directory: str, in_child: Callable[..., Any]) -> None:
    rows = [("c", 200, minor, "rwm") for minor in range(400)]
    restrict(directory, False, [*rows, (*NULL, "rwm")])
    assert opened(directory, in_child) == [True, False, False, False]


def test_refused_on_what_is_no_cgroup(tmp_path: Any) -> None:
    with pytest.raises(OSError, match="device filters"):
        restrict(str(tmp_path), True, [])
