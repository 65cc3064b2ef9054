from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from engine.linux import capabilities, processes

InChild = Callable[..., Any]
NET_RAW = capabilities.mask(["CAP_NET_RAW"])


def status(key: str) -> int:
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith(key))


def test_names_and_numbers() -> None:
    assert capabilities.NUMBERS["CAP_SYS_ADMIN"] == 21
    assert capabilities.NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40
    assert capabilities.names(1 << 62 | 1) == ["CAP_CHOWN", "62"]
    with pytest.raises(KeyError):
        capabilities.mask(["CAP_NONSENSE"])


def test_the_kernels_last_one() -> None:
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
        assert capabilities.last_capability() == int(file.read())


def test_sets_are_those_of_proc() -> None:
    sets = capabilities.get()
    assert sets == (status("CapEff"), status("CapPrm"), status("CapInh"))
    assert capabilities.bounding() == status("CapBnd")
    assert capabilities.ambient() == status("CapAmb")


def test_what_is_given_up_cannot_be_regained(in_child: InChild) -> None:
    def body() -> list[int]:
        before = capabilities.get().permitted
        less = before & ~NET_RAW
        capabilities.set(less, less, 0)
        got = status("CapPrm")
        try:
            capabilities.set(less, before, 0)
        except PermissionError as error:
            return [got ^ before, error.errno or 0]
        return []

    assert in_child(body) == [NET_RAW, errno.EPERM]


def test_the_bounding_set_holds_for_a_program(in_child: InChild) -> None:
    def body() -> str:
        capabilities.drop_bounding(NET_RAW)
        capabilities.drop_bounding(NET_RAW)
        result = subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True)
        return result.stdout.split()[1]

    assert not int(in_child(body), 16) & NET_RAW


def test_ambient_capabilities_reach_a_program_of_another_user(in_child: InChild) -> None:
    def body() -> str:
        capabilities.keep_on_setuid()
        os.setresuid(65534, 65534, 65534)
        capabilities.set(NET_RAW, NET_RAW, NET_RAW)
        capabilities.raise_ambient(NET_RAW)
        processes.set_no_new_privileges()
        result = subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True)
        return result.stdout.split()[1]

    assert int(in_child(body), 16) == NET_RAW


def test_ambient_needs_it_inheritable_first(in_child: InChild) -> None:
    def body() -> str:
        try:
            capabilities.raise_ambient(NET_RAW)
        except PermissionError as error:
            return str(error.filename)
        return ""

    assert in_child(body) == "CAP_NET_RAW"


def test_clear_ambient(in_child: InChild) -> None:
    def body() -> int:
        permitted = capabilities.get().permitted
        capabilities.set(permitted, permitted, NET_RAW)
        capabilities.raise_ambient(NET_RAW)
        capabilities.clear_ambient()
        return capabilities.ambient()

    assert in_child(body) == 0
