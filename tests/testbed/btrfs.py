"""A real btrfs in an image file, whose loop device goes with its last mount (LO_FLAGS_AUTOCLEAR)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 1 << 30
"""Bytes, at most: the file is sparse."""


@contextmanager
def mounted_btrfs(image: Path, place: Path) -> Iterator[Path]:
    """Make a btrfs in a file and mount it at a directory; unmounted also when this process is killed."""
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    place.mkdir(parents=True, exist_ok=True)
    # Waits for the end of its input, which comes with the end of this process at the latest.
    unmount = 'read -r _; umount -l "$0" 2>/dev/null; rm -f "$1"'
    guard = subprocess.Popen(["sh", "-c", unmount, place, image], stdin=subprocess.PIPE, start_new_session=True)
    try:
        subprocess.run(["mount", "-o", "loop,noatime", image, place], check=True)
        yield place
    finally:
        guard.communicate()
