"""The cgroup suite, part five: rates and weights of block devices, on a disk of the suite's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.cgroup import Capability
from engine.testing.cgroup_container import Container
from engine.testing.cgroup_support import MIB, Bench, CgroupChecks, limits
from engine.testing.disks import loop_device, numbers

RATE = MIB
CHUNK = 1 << 16
BLOCK = 4 * CHUNK
"""What is read at once: enough that a reader's own work is little beside the disk's, also where it is emulated."""
_CONTENDED = 250
"""Blocks that both read in their time where they wait for the disk, and not for a processor that is emulated."""
TRANSFER = f"""
import mmap, os
while line := input():
    path, what, count = line.split()
    fd = os.open(path, (os.O_RDONLY if what == 'read' else os.O_WRONLY) | os.O_DIRECT)
    data = mmap.mmap(-1, {CHUNK})
    for number in range(int(count)):
        move = os.preadv if what == 'read' else os.pwritev
        move(fd, [data], number % 512 * {CHUNK})
    os.close(fd)
    print('done', flush=True)
"""
"""Reads and writes past the page cache: on v1 that is all that a rate is about."""
READ_ON = f"""
import mmap, os, random, threading, time
path = input()
end, counts = time.monotonic() + 1.5, []
def read(seed):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    data, count = [mmap.mmap(-1, {BLOCK})], 0
    places = [number * {BLOCK} for number in range(128)]
    random.Random(seed).shuffle(places)
    while time.monotonic() < end:
        os.preadv(fd, data, places[count % 128])
        count += 1
    counts.append(count)
readers = [threading.Thread(target=read, args=(seed,)) for seed in (1, 2)]
for reader in readers: reader.start()
for reader in readers: reader.join()
print(sum(counts), flush=True)
"""
"""Two readers: a scheduler goes by weights only where there is always something to do."""


class IoChecks(CgroupChecks):
    """A disk is used at the rate and by the weight that was given."""

    @pytest.mark.parametrize("what", ["read", "write"])
    def test_a_transfer_is_slowed_to_its_rate(self, bench: Bench, what: str, tmp_path: Path) -> None:
        """What passes the page cache takes as long as its bytes do at the rate, and is counted."""
        bench.needs(Capability.IO, Capability.STATISTICS)
        with loop_device(tmp_path) as disk:
            key = f"throttle{what.capitalize()}BpsDevice"
            container = bench.start(_rate(key, disk, RATE), TRANSFER)
            took = _transfer(container, disk, what, 32)
            assert took > 0.8 * (32 * CHUNK - RATE / 10) / RATE
            found = bench.driver.statistics(container.group)._asdict()
            assert found[f"io_{what}_bytes"] >= 32 * CHUNK

    def test_operations_are_slowed_to_their_rate(self, bench: Bench, tmp_path: Path) -> None:
        """So many a second, whatever their size."""
        bench.needs(Capability.IO)
        with loop_device(tmp_path) as disk:
            container = bench.start(_rate("throttleWriteIOPSDevice", disk, 20), TRANSFER)
            assert _transfer(container, disk, "write", 30) > 1.0

    def test_update_of_a_rate_takes_effect(self, bench: Bench, tmp_path: Path) -> None:
        """A rate is given to a running group, and lifted."""
        bench.needs(Capability.IO)
        with loop_device(tmp_path) as disk:
            name = bench.name()
            container = bench.start({}, TRANSFER, name=name)
            bench.driver.update(name, _rate("throttleWriteBpsDevice", disk, RATE))
            assert _transfer(container, disk, "write", 32) > 1.5
            bench.driver.update(name, _rate("throttleWriteBpsDevice", disk, 0))
            asked = _rate("throttleWriteBpsDevice", disk, RATE)
            assert str(RATE) not in bench.driver.read_back(container.group, asked)["blockIO.throttleWriteBpsDevice"]

    def test_weights_divide_a_contended_disk(self, bench: Bench, tmp_path: Path) -> None:
        """Of two groups that read from a disk that obeys weights, the heavier one reads much more."""
        bench.needs(Capability.IO)
        try:
            with loop_device(tmp_path, scheduler="bfq") as disk:
                self._compare(Bench.beside(bench), disk)
        except OSError as error:
            pytest.skip(f"no disk obeys weights here: {error.strerror}")

    def _compare(self, bench: Bench, disk: str) -> None:
        """``bench`` has a driver made when the disk was there already."""
        bench.needs(Capability.IO_WEIGHT)
        try:
            both = [bench.start(limits(blockIO={"weight": weight}), READ_ON) for weight in (1000, 50)]
            for one in both:
                one.say(disk)
            heavy, light = (int(one.read_line()) for one in both)
            if heavy + light < _CONTENDED:
                pytest.skip("the processor is what is short on this machine, not the disk")
            assert heavy > 1.4 * light
        finally:
            bench.close()


def _rate(key: str, disk: str, rate: int) -> Any:
    return limits(blockIO={key: [{**numbers(disk), "rate": rate}]})


def _transfer(container: Container, disk: str, what: str, count: int) -> float:
    """Return the seconds that so many chunks took."""
    began = time.monotonic()
    container.say(f"{disk} {what} {count}")
    assert container.read_line() == "done"
    return time.monotonic() - began
