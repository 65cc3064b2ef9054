"""One virtual machine: QEMU in software emulation, and commands through a port of its own.

It ends with the process that started it, also when that is killed (PR_SET_PDEATHSIG), and keeps nothing: its root is an
overlay of the image that QEMU throws away.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests.testbed.virtual import image
from tests.testbed.virtual.agent import LENGTHS, PORT

BOOT_TIMEOUT = 240.0
"""Seconds. A boot takes some 10 on a quiet machine."""
MEMORY = "2G"
KERNEL = (
    "console=ttyS0 quiet loglevel=4 panic=-1 audit=0 mitigations=off nokaslr random.trust_cpu=on no_timer_check "
    "fsck.mode=skip systemd.show_status=0 systemd.log_level=notice"
)
HIERARCHIES = {
    "v2": "systemd.unified_cgroup_hierarchy=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
}
"""The kernel's command line for each layout of cgroups."""
SCRATCH_SIZE = 1 << 30
"""Bytes of ``/dev/vdc``, an empty disk of the machine's own (the file is sparse)."""
SWAP_SIZE = 128 << 20
"""Bytes of ``/dev/vdd``, which the machine swaps to."""
SOFT_ROCE = """
modprobe rdma_rxe
ip link add roce0 type dummy
ip link set roce0 up
rdma link add rxe0 type rxe netdev roce0
"""
"""An RDMA device in software, rdma-link(8)."""


class Done(NamedTuple):
    """How a command in the machine ended, and what it wrote."""

    status: int
    output: str
    errors: str


class VirtualMachine:
    """A machine of a release ("bookworm", "trixie") with a layout of cgroups; use it as a context manager.

    The checkout is at `image.CHECKOUT`, writable and thrown away in the end; ``/dev/vdc`` is an empty disk. There is
    swap, and an RDMA device, so that limits of them show.
    """

    def __init__(self, release: str, hierarchy: str) -> None:
        self.release = release
        self.hierarchy = hierarchy
        self.boot_seconds = 0.0
        self._numbers = itertools.count(1)
        self._answers: dict[int, Done] = {}
        self._arrived = threading.Condition()
        self._writing = threading.Lock()
        self._up = False
        self._gone = False

    def __enter__(self) -> Self:
        """Boot it, and return when systemd is done starting. Raises RuntimeError with the console's last words."""
        built = image.build(self.release)
        self._place = Path(tempfile.mkdtemp(prefix="engine-virtual-", dir="/var/tmp"))
        began = time.monotonic()
        try:
            self._port = self._start(built)
            threading.Thread(target=self._receive, daemon=True).start()
            self._wait(lambda: self._up, BOOT_TIMEOUT)
            self._settle()
        except BaseException:
            self.__exit__()
            raise
        self.boot_seconds = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        """End it at once; nothing of it is left."""
        self._qemu.kill()
        self._qemu.wait()
        shutil.rmtree(self._place)

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float = 600.0) -> Done:
        """Run a command in the machine, as root in ``/root``. Any number at a time, from different threads.

        Raises RuntimeError when there is no answer in time; the machine is of no more use then.
        """
        number = next(self._numbers)
        text = json.dumps({"id": number, "argv": list(command), "environment": dict(environment or {})}).encode()
        with self._writing:
            self._port.sendall(LENGTHS.pack(len(text), 0) + text)
        self._wait(lambda: number in self._answers, timeout)
        return self._answers.pop(number)

    def check(self, *command: str) -> str:
        """Run a command that must succeed, and return its output. Raises RuntimeError with what it said."""
        done = self.run(command)
        if done.status:
            raise RuntimeError(f"{' '.join(command)} failed in the machine: {done.errors or done.output}")
        return done.output

    def _settle(self) -> None:
        self.check("mount", "/dev/vdb", str(image.CHECKOUT))
        self.check("swapon", "/dev/vdd")
        self.check("sh", "-ec", SOFT_ROCE)
        state = self.run(["systemctl", "is-system-running", "--wait"]).output.strip()
        if state != "running":
            failed = self.run(["systemctl", "--failed", "--no-legend"]).output
            raise RuntimeError(f"the machine is {state}: {failed}")

    def _start(self, built: Path) -> socket.socket:
        disks = [built / "root.ext4", *(self._place / name for name in ("checkout.ext4", "scratch", "swap"))]
        image.disk_of_checkout(disks[1])
        for disk, size in zip(disks[2:], (SCRATCH_SIZE, SWAP_SIZE), strict=True):
            with disk.open("wb") as file:
                file.truncate(size)
        image.run(["mkswap", str(disks[3])])
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._place / "port"))
            listener.listen(1)
            listener.settimeout(30)
            with (self._place / "qemu.log").open("wb") as log:
                self._qemu = subprocess.Popen(
                    self._command(built, disks), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            try:
                port, _ = listener.accept()
            except TimeoutError:
                raise RuntimeError(f"QEMU did not start: {self._last_words()}") from None
        port.settimeout(None)
        return port

    def _command(self, built: Path, disks: list[Path]) -> list[str]:
        console = f"file:{self._place}/console"
        command = [
            "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem",
            "-smp", str(os.cpu_count() or 2), "-m", MEMORY, "-kernel", str(built / "vmlinux"),
            "-initrd", str(built / "initrd"), "-append", f"{KERNEL} {HIERARCHIES[self.hierarchy]}",
            "-serial", console, "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=port,path={self._place}/port",
            "-device", f"virtserialport,chardev=port,name={PORT}",
        ]  # fmt: skip
        for number, disk in enumerate(disks):
            drive = f"file={disk},format=raw,if=none,id=disk{number},snapshot=on,cache=unsafe"
            command += ["-drive", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]
        return command

    def _receive(self) -> None:
        """Take in answers until the machine is gone; runs in a thread of its own."""
        with self._port.makefile("rb") as stream:
            while lengths := stream.read(LENGTHS.size):
                header, size = LENGTHS.unpack(lengths)
                message = json.loads(stream.read(header))
                body = stream.read(size)
                with self._arrived:
                    self._up = True
                    if message["id"]:
                        split = message["output"]
                        texts = [part.decode(errors="replace") for part in (body[:split], body[split:])]
                        self._answers[message["id"]] = Done(message["status"], *texts)
                    self._arrived.notify_all()
        with self._arrived:
            self._gone = True
            self._arrived.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with self._arrived:
            self._arrived.wait_for(lambda: condition() or self._gone, timeout)
            if not condition():
                state = "ended" if self._gone else f"has not answered for {timeout:.0f} s"
                raise RuntimeError(f"the virtual machine {state}: {self._last_words()}")

    def _last_words(self) -> str:
        files = [self._place / "qemu.log", self._place / "console"]
        return "\n".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())
