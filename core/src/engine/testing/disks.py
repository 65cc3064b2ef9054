"""A block device of a test's own: an image file behind a loop device, which goes also when the test is killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STRICT = {"low_latency": "0", "strict_guarantees": "1"}
"""Makes bfq go by weights alone, and not by who looks interactive (block/bfq-iosched.rst)."""


@contextmanager
def loop_device(place: Path, mebibytes: int = 64, scheduler: str = "") -> Iterator[str]:
    """Give the path of a loop device over a file in a directory, with an I/O scheduler (the kernel's own: "").

    Raises OSError where the scheduler cannot be set: sysfs may be read-only here.
    """
    image = place / "disk"
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    attach = ["losetup", "--find", "--show", "--direct-io=on", str(image)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    # Waits for the end of its input, which comes with the end of this process at the latest. The scheduler is the
    # device's and not the file's: the next one would have it.
    detach = 'read -r _; test -z "$2" || echo none >"$1"; losetup --detach "$0"'
    setting = Path("/sys/block", os.path.basename(device), "queue/scheduler")
    command = ["sh", "-c", detach, device, str(setting), scheduler]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        if scheduler:
            setting.write_text(scheduler)
        if scheduler == "bfq":
            for name, value in _STRICT.items():
                setting.parent.joinpath("iosched", name).write_text(value)
        yield device
    finally:
        guard.communicate()


def numbers(device: str) -> dict[str, int]:
    """Return a device's numbers as ``linux.resources.blockIO`` has them."""
    found = os.stat(device).st_rdev
    return {"major": os.major(found), "minor": os.minor(found)}
