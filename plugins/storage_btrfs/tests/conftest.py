"""A real btrfs for the tests: an image file, whose loop device goes with its last mount (LO_FLAGS_AUTOCLEAR)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = 1 << 30


@contextmanager
def mounted_btrfs(directory: Path) -> Iterator[Path]:
    """Make a btrfs in an image below ``directory`` and mount it; unmounted also when this process is killed."""
    image, place = directory / "image", directory / "mounted"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    place.mkdir()
    # Waits for the end of its input, which comes with the end of this process at the latest.
    unmount = 'read -r _; umount -l "$0" 2>/dev/null; rm -f "$1"'
    guard = subprocess.Popen(["sh", "-c", unmount, place, image], stdin=subprocess.PIPE, start_new_session=True)
    try:
        subprocess.run(["mount", "-o", "loop,noatime", image, place], check=True)
        yield place
    finally:
        guard.communicate()


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount one btrfs for all tests of this process; each makes a root of its own in it."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.fail("mkfs.btrfs is missing: install btrfs-progs")
    with mounted_btrfs(tmp_path_factory.mktemp("btrfs")) as place:
        yield place


@pytest.fixture
def base(btrfs: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Make a directory for one test, and see that the test left no subvolume in it."""
    base = btrfs / f"test-{abs(hash(request.node.nodeid))}"
    base.mkdir()
    yield base
    remains = subprocess.run(["btrfs", "subvolume", "list", "-o", base], check=True, capture_output=True, text=True)
    for line in remains.stdout.splitlines():
        subprocess.run(["btrfs", "subvolume", "delete", btrfs / line.split(" path ")[1]], check=True)
    shutil.rmtree(base)
