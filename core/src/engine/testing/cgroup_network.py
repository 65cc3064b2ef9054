"""The cgroup suite, part eight: marks on packets (net_cls and net_prio, v1 alone), and handles of RDMA devices."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.contracts.cgroup import Capability
from engine.testing.cgroup_container import Container
from engine.testing.cgroup_support import Bench, CgroupChecks, limits

CLASS, PRIORITY = 0x100001, 5
SEND = """
import socket
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((input(), 0))
link.send(bytes(60))
print('sent', flush=True)
"""
HANDLES = """
import array, errno, os, struct
device, answers, held = input(), [], []
for _ in range(3):
    held.append(os.open(device, os.O_RDWR))
    response = array.array('I', [0, 0])
    try:
        os.write(held[-1], struct.pack('=IHHQ', 0, 4, 2, response.buffer_info()[0]))
        answers.append('opened')
    except OSError as error:
        answers.append(errno.errorcode[error.errno])
print(*answers, flush=True)
"""
"""Asks for contexts as struct ib_uverbs_get_context has it (rdma/ib_user_verbs.h); each is a handle of the device."""
VERBS = "/sys/class/infiniband_verbs"
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
"""Documentation/networking/tuntap.rst."""
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
"""netdevice(7)."""


class NetworkChecks(CgroupChecks):
    """A filter that looks at marks counts what is sent by a link of the suite's own; a device has so many handles."""

    def test_packets_bear_their_class(self, bench: Bench) -> None:
        """The packet of a container with a class is one of that class."""
        bench.needs(Capability.NET_CLS)
        with link_of_its_own(bench.mark) as link, counting(link, f"meta cgroup {CLASS}") as counted:
            send(bench.start(limits(network={"classID": CLASS}), SEND), link)
            assert counted() == 1

    def test_packets_bear_their_priority(self, bench: Bench) -> None:
        """What is sent by the link that has a priority has that priority."""
        bench.needs(Capability.NET_PRIO)
        with link_of_its_own(bench.mark) as link, counting(link, f"meta priority 0:{PRIORITY}") as counted:
            priorities = [{"name": link, "priority": PRIORITY}]
            send(bench.start(limits(network={"priorities": priorities}), SEND), link)
            assert counted() == 1

    def test_handles_of_rdma_devices_are_limited(self, bench: Bench) -> None:
        """With a limit of two the third is refused; soft RoCE (rdma_rxe) is a device to show it with."""
        bench.needs(Capability.RDMA)
        devices = sorted(name for name in _entries(VERBS) if name.startswith("uverbs"))
        if not devices:
            pytest.skip("this machine has no RDMA device")
        with open(f"{VERBS}/{devices[0]}/ibdev", encoding="ascii") as file:
            name = file.read().strip()
        container = bench.start(limits(rdma={name: {"hcaHandles": 2}}), HANDLES)
        container.say(f"/dev/infiniband/{devices[0]}")
        assert container.read_line() == "opened opened EAGAIN"


def _entries(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []


def send(container: Container, link: str) -> None:
    """Have a container that runs `SEND` send a packet."""
    container.say(link)
    assert container.read_line() == "sent"


@contextmanager
def link_of_its_own(mark: str) -> Iterator[str]:
    """Give the name of a tap link that is up. It goes with its descriptor, so also when the test is killed."""
    name = f"tap{mark}"
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _request(name, _IFF_TAP | _IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, _request(name, _IFF_UP))
        yield name
    finally:
        os.close(fd)


def _request(name: str, flags: int) -> bytes:
    """Return a struct ifreq."""
    return struct.pack("16sH22x", name.encode(), flags)


@contextmanager
def counting(link: str, condition: str) -> Iterator[Callable[[], int]]:
    """Give what tells how many packets that meet an nft(8) condition were sent by a link.

    Skips the check without nftables, or a kernel whose filters look at what links send (since Linux 5.16).
    """
    chain = f'type filter hook egress device "{link}" priority 0; {condition} counter name sent;'
    try:
        _nft(f"add table netdev {link} {{ counter sent {{}}; chain marked {{ {chain} }}; }}")
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing tells packets by their marks here: {error}")
    try:
        yield lambda: _packets(link)
    finally:
        _nft(f"delete table netdev {link}")


def _packets(table: str) -> int:
    listed = json.loads(_nft("--json", f"list counters table netdev {table}"))["nftables"]
    (found,) = (row["counter"]["packets"] for row in listed if "counter" in row)
    return int(found)


def _nft(*words: str) -> str:
    return subprocess.run(["nft", *words], stdout=subprocess.PIPE, text=True, check=True).stdout
