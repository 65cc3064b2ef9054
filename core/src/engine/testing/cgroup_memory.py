"""The cgroup suite, part seven: what memory is kept, what is swapped, and what TCP and huge pages may take."""

from __future__ import annotations

import errno
import os

import pytest

from engine.contracts.cgroup import Capability
from engine.contracts.cgroup_files import directory
from engine.errors import EngineError
from engine.linux.block import huge_page_sizes
from engine.linux.cgroups import Group, parse_flat_keyed, read_value
from engine.testing.cgroup_container import Container
from engine.testing.cgroup_support import MIB, Bench, CgroupChecks, limits

HOLD = """
held = bytearray(b'x') * (32 << 20)
print('up', flush=True)
input()
"""
CACHE = """
import os
fd = os.open('/var/tmp', os.O_TMPFILE | os.O_RDWR)
for _ in range(16):
    os.write(fd, bytes(1 << 20))
os.fsync(fd)
print('up', flush=True)
input()
"""
"""Holds pages of a file on a disk, which need not be written any more: what the kernel takes first."""
QUEUE = """
import socket
while input():
    server = socket.create_server(('127.0.0.1', 0))
    sender = socket.create_connection(server.getsockname())
    receiver, _ = server.accept()
    sender.settimeout(0.2)
    queued = 0
    try:
        while True:
            queued += sender.send(bytes(1 << 16))
    except TimeoutError:
        pass
    for one in (sender, receiver, server):
        one.close()
    print(queued, flush=True)
"""
"""Sends to a socket that nobody reads from, until all buffers between are full."""
MAP = """
import mmap
while line := input():
    size, flags = map(int, line.split())
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags).close()
        print(0, flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""
_MAP_HUGETLB, _MAP_HUGE_SHIFT = 0x40000, 26
"""mmap(2): the logarithm of the size is part of the flags."""
_UNITS = {"KB": 10, "MB": 20, "GB": 30}


class MemoryChecks(CgroupChecks):
    """Kinds of memory that have a setting of their own."""

    def test_swappiness_decides_what_is_swapped(self, bench: Bench) -> None:
        """A group that may swap can be left with less memory than it holds; with a swappiness of 0 it cannot."""
        bench.needs(Capability.SWAPPINESS, Capability.STATISTICS)
        asked, name = limits(memory={"swappiness": 100}), bench.name()
        swapping = bench.start(asked, HOLD, name=name)
        swapping.read_line()
        assert bench.driver.read_back(swapping.group, asked) == {"memory.swappiness": "100"}
        if not has_swap():
            pytest.skip("this machine has no swap")
        bench.driver.update(name, limits(memory={"limit": 16 * MIB}))
        assert (bench.driver.statistics(swapping.group).memory_swap_bytes or 0) > 12 * MIB
        staying = bench.name()
        bench.start(limits(memory={"swappiness": 0}), HOLD, name=staying).read_line()
        with pytest.raises(EngineError, match=r"memory.limit"):
            bench.driver.update(staying, limits(memory={"limit": 16 * MIB}))

    def test_a_reservation_is_kept_when_memory_is_short(self, bench: Bench) -> None:
        """What the kernel takes of two groups, it takes from the one without a reservation."""
        bench.needs(Capability.MEMORY, Capability.STATISTICS)
        asked = limits(memory={"reservation": 64 * MIB})
        reserved = bench.start(asked, CACHE, parent=bench.parent)
        reserved.read_line()
        assert bench.driver.read_back(reserved.group, asked) == {"memory.reservation": str(64 * MIB)}
        shorten = f"{os.path.dirname(directory(reserved.group, 'memory'))}/memory.reclaim"
        if not os.path.exists(shorten):
            pytest.skip("the kernel cannot be told to take memory back: that is cgroup v2's since Linux 5.19")
        both = reserved, bench.start({}, CACHE, parent=bench.parent)
        both[1].read_line()
        before = [held(bench, one) for one in both]
        with open(shorten, "w", encoding="ascii") as file:
            file.write(str(8 * MIB))
        kept, taken = (was - held(bench, one) for was, one in zip(before, both, strict=True))
        assert kept < MIB
        assert taken > 4 * MIB

    def test_buffers_of_tcp_are_limited(self, bench: Bench) -> None:
        """A sender stalls at the limit where nobody reads, and later once the limit is lifted."""
        bench.needs(Capability.KERNEL_TCP)
        limit, name = MIB // 4, bench.name()
        container = bench.start(limits(memory={"kernelTCP": limit}), QUEUE, name=name)
        container.say("limited")
        assert 0 < int(container.read_line()) < 2 * limit
        bench.driver.update(name, limits(memory={"kernelTCP": -1}))
        container.say("lifted")
        assert int(container.read_line()) > 4 * limit

    def test_huge_pages_are_limited(self, bench: Bench) -> None:
        """One may be mapped, or fails for the machine has none; the second is refused because of the limit."""
        bench.needs(Capability.HUGETLB)
        page = huge_page_sizes()[0]
        size = int(page[:-2]) << _UNITS[page[-2:]]
        container = bench.start(limits(hugepageLimits=[{"pageSize": page, "limit": size}]), MAP)  # type: ignore[arg-type]
        flags = _MAP_HUGETLB | (size.bit_length() - 1) << _MAP_HUGE_SHIFT
        container.say(f"{size} {flags}")
        container.read_line()
        assert huge_pages_refused(container.group, page) == 0
        container.say(f"{2 * size} {flags}")
        assert container.read_line() == str(errno.ENOMEM)
        assert huge_pages_refused(container.group, page) == 1


def held(bench: Bench, container: Container) -> int:
    """Return the memory of the group in bytes."""
    return bench.driver.statistics(container.group).memory_bytes or 0


def has_swap() -> bool:
    """Return whether this machine has any swap in use."""
    with open("/proc/swaps", encoding="utf-8") as file:
        return len(file.readlines()) > 1


def huge_pages_refused(group: Group, page: str) -> int:
    """Return how often a limit of this size was in the way; the kernel counts that without any huge page as well."""
    where = directory(group, "hugetlb")
    if "hugetlb" in group.v1:
        return int(read_value(where, f"hugetlb.{page}.rsvd.failcnt"))
    return parse_flat_keyed(read_value(where, f"hugetlb.{page}.events"))["max"]
