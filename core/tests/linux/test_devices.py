from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.linux import devices


@pytest.fixture
def directory(tmp_path: Path) -> Any:
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


def test_a_node_has_its_mode_whatever_the_umask(directory: int, in_child: Callable[..., Any], tmp_path: Path) -> None:
    def body() -> int:
        os.umask(0o077)
        for node in devices.DEFAULT_NODES:
            devices.make_node(directory, *node)
        return os.umask(0)

    assert in_child(body) == 0o077
    for node in devices.DEFAULT_NODES:
        status = (tmp_path / node.name).stat()
        assert status.st_mode == node.mode
        assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (node.major, node.minor)
        assert os.stat(f"/dev/{node.name}").st_rdev == status.st_rdev


def test_the_node_works(directory: int, tmp_path: Path) -> None:
    devices.make_node(directory, "zero", stat.S_IFCHR | 0o600, 1, 5)
    with open(tmp_path / "zero", "rb") as file:
        assert file.read(4) == bytes(4)


def test_a_path_or_an_existing_name_is_refused(directory: int) -> None:
    with pytest.raises(ValueError, match="path"):
        devices.make_node(directory, "../null", stat.S_IFCHR, 1, 3)
    devices.make_node(directory, "null", stat.S_IFCHR, 1, 3)
    with pytest.raises(FileExistsError) as caught:
        devices.make_node(directory, "null", stat.S_IFCHR, 1, 3)
    assert caught.value.errno == errno.EEXIST
    assert caught.value.filename == "null"
