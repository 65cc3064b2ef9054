"""What a virtual machine has that this one has not, seen from inside: a systemd that booted it, and device-mapper."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from engine.testing.disks import loop_device

MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
DATA = "/dev/vdc"
"""The machine's empty disk."""
SECTORS = 65536
"""Of 512 bytes: 32 MiB for each thin device."""


def done(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def mapped(name: str, target: str, size: int = SECTORS) -> Iterator[str]:
    """Make a device of one target (dmsetup(8)), and remove it in the end."""
    done("dmsetup", "create", name, "--table", f"0 {size} {target}")
    try:
        yield f"/dev/mapper/{name}"
    finally:
        done("dmsetup", "remove", "--retry", name)


@contextlib.contextmanager
def mounted(device: str, place: Path) -> Iterator[Path]:
    place.mkdir()
    done("mount", device, str(place))
    try:
        yield place
    finally:
        done("umount", str(place))


def test_systemd_has_booted_it_and_answers_on_its_bus() -> None:
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert done("busctl", "get-property", *MANAGER, "SystemState") == 's "running"'


def test_device_mapper_has_thin_devices_and_snapshots_of_them(tmp_path: Path) -> None:
    with (
        loop_device(tmp_path) as metadata,
        mapped("pool", f"thin-pool {metadata} {DATA} 128 0", 16 * SECTORS) as pool,
    ):
        done("dmsetup", "message", pool, "0", "create_thin 0")
        with mapped("below", f"thin {pool} 0") as below:
            done("mkfs.ext4", "-q", below)
            with mounted(below, tmp_path / "below") as place:
                (place / "file").write_text("below")
            done("dmsetup", "message", pool, "0", "create_snap 1 0")
            with mapped("above", f"thin {pool} 1") as above, mounted(above, tmp_path / "above") as place:
                assert (place / "file").read_text() == "below"
                (place / "file").write_text("above")
            with mounted(below, tmp_path / "again") as place:
                assert (place / "file").read_text() == "below"
