"""The pytest fixtures of the test bed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine import marks
from tests.testbed import rootfs
from tests.testbed.registry import Registry, serve
from tests.testbed.systemd_machine import SystemdMachine, native_mode


@pytest.fixture(scope="session")
def debian_rootfs_tar() -> Path:
    """Return the tarball of a small Debian with python3, of this machine's release."""
    return rootfs.build(rootfs.DEBIAN)


@pytest.fixture(scope="session")
def busybox_rootfs_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tarball of a root filesystem of static busybox."""
    target = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    rootfs.busybox_tar(target)
    return target


@pytest.fixture(scope="session")
def busybox_rootfs(busybox_rootfs_tar: Path) -> Path:
    """Return the directory of a root filesystem of static busybox; not to be written to."""
    directory = busybox_rootfs_tar.parent / "rootfs"
    rootfs.unpack(busybox_rootfs_tar, directory)
    return directory


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Return a registry server without TLS and accounts; each test has repositories of its own there."""
    with serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def interruptible() -> Iterator[None]:
    """See to it that SIGINT interrupts: what a shell starts in the background ignores it, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def systemd_machines() -> Iterator[Callable[[str], SystemdMachine]]:
    """Return a function from a cgroup layout (``v1``, ``hybrid``, ``v2``) to a booted machine with it.

    Each is booted once per worker and stopped at the end. Only what this machine's kernel has mounted can be had:
    ``v1`` and ``hybrid`` need v1 hierarchies here, and ``v2`` has only the controllers that are on v2 here.
    """
    booted: dict[str, SystemdMachine] = {}

    def boot(mode: str) -> SystemdMachine:
        if mode not in booted:
            worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
            machine = SystemdMachine(f"{marks.of_run()}-{worker}-{mode}", mode)
            try:
                machine.start()
            except BaseException:
                machine.stop()
                raise
            booted[mode] = machine
        return booted[mode]

    yield boot
    for machine in booted.values():
        machine.stop()


@pytest.fixture(scope="session")
def systemd_machine(systemd_machines: Callable[[str], SystemdMachine]) -> SystemdMachine:
    """Return a booted systemd whose cgroups are laid out as this machine's are."""
    return systemd_machines(native_mode())
