from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.linux import mountinfo, mounts

LINES = [
    rb"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:7 - ext3 /dev/root rw,errors=continue",
    rb"37 36 0:5 / /mnt2/a\040b\011c\012d\134e rw shared:9 - tmpfs a\134b rw,size=10k",
    rb"38 36 0:6 / /mnt2 ro - proc proc rw",
]


def test_every_field() -> None:
    entry = mountinfo.parse(LINES[0])
    assert entry == (
        36, 35, "98:0", "/mnt1", "/mnt2", ("rw", "noatime"), ("master:1", "propagate_from:7"), "ext3", "/dev/root",
        ("rw", "errors=continue"),
    )  # fmt: skip


def test_octal_escapes_are_undone() -> None:
    entry = mountinfo.parse(LINES[1])
    assert entry.mount_point == "/mnt2/a b\tc\nd\\e"
    assert entry.source == "a\\b"


def test_find_takes_the_deepest_and_then_the_last_mounted() -> None:
    entries = [mountinfo.parse(line) for line in LINES]
    found = mountinfo.find("/mnt2/x", entries)
    assert found is not None
    assert found.mount_id == 38
    assert mountinfo.find("/mnt22", entries) is None
    assert mountinfo.at("/mnt2", entries) == entries[2]
    assert mountinfo.at("/mnt2/x", entries) is None
    assert mountinfo.below("/mnt2", entries) == entries
    assert mountinfo.of_type("proc", entries) == [entries[2]]


def test_a_line_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"b'-'|subsection"):
        mountinfo.parse(b"36 35 98:0 /a /b rw x y z")


def test_the_root_of_this_machine_is_found() -> None:
    assert mountinfo.find(os.path.realpath("/proc/self"), mountinfo.read()) is not None


def test_a_strange_mount_point_is_read_back(in_mount_namespace: Callable[..., Any], tmp_path: Path) -> None:
    strange = tmp_path / "a b\n\\#\udcff"
    strange.mkdir()

    def body() -> list[str]:
        mounts.mount("so urce", str(strange), "tmpfs", mounts.MS_NOSUID)
        entry = mountinfo.read()[-1]
        assert entry.mount_point == str(strange)
        assert "nosuid" in entry.options
        return [entry.fstype, entry.source]

    assert in_mount_namespace(body) == ["tmpfs", "so urce"]
