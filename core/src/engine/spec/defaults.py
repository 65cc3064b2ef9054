"""What every container gets without being asked: Docker's defaults, stricter where that costs nothing.

Sources: docker-run(1); OCI runtime-spec 1.2, config-linux.md ("Default Filesystems", "Masked Paths").
"""

from __future__ import annotations

from engine.spec.runtime import SpecMount

OCI_VERSION = "1.2.0"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERM = "TERM=xterm"
SHM_SIZE = 64 << 20
"""Bytes of /dev/shm."""
STOP_SIGNAL = 15
STOP_SIGNAL_ANNOTATION = "org.opencontainers.image.stopSignal"
"""As the image-spec's conversion.md has it."""
INIT_TARGET = "/dev/engine-init"
"""Where ``--init`` puts its program: in the container's own /dev, so that nothing is made in the image's files."""

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
"""Hidden: they tell of the host (keys of others, power use as a side channel), or act on it."""
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Writing there would change the host, also without a capability."""


def default_mounts(*, shm_size: int, writable: bool) -> list[SpecMount]:
    """Return the file systems that every container has. ``writable``: /sys and the cgroups too (privileged)."""
    access = "rw" if writable else "ro"
    return [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", access),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", access),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={shm_size}"),
    ]


def _mount(destination: str, kind: str, source: str, *options: str) -> SpecMount:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
