"""How often the kernel's out-of-memory killer was at work in a cgroup."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator

from engine.linux.cgroups import Group, parse_flat_keyed, read_value, write_value
from engine.tuples import NamedTuple

_LONGEST_RECORD = 8192
_ENOUGH = 4096
_GONE = {errno.ENOENT, errno.ENODEV}


def kills(group: Group, since: float = 0.0) -> int:
    """Return the number of processes killed for memory in the group; 0 where its hierarchies do not count them.

    ``memory.oom_control`` on v1 (the kernel's cgroup-v1/memory.rst, section 10), ``memory.events`` on v2. When the
    group is gone with its counters, as a systemd scope is within milliseconds of its last process, the kernel's log is
    asked instead, for records after ``since`` (CLOCK_MONOTONIC_RAW, seconds), if this process may read it.
    """
    places = [(group.v1["memory"], "memory.oom_control")] if "memory" in group.v1 else []
    places += [(group.v2, "memory.events")] if group.v2 else []
    found = [_read(directory, name) for directory, name in places]
    for counted in found:
        if counted is not None and "oom_kill" in counted:
            return counted["oom_kill"]
    if places and not any(os.path.isdir(directory) for directory, _ in places):
        return sum(f"/{os.path.basename(places[0][0])}," in record for record in _oom_records(since))
    return 0


class Watch(NamedTuple):
    """A descriptor that shows ``events`` of poll(2) when the killer has been called, or is about to kill."""

    fd: int
    events: int

    def clear(self) -> None:
        """Take note, so that it shows them for the next time only. Nothing when the group is gone."""
        try:
            os.pread(self.fd, _ENOUGH, 0) if self.events == select.POLLPRI else os.eventfd_read(self.fd)
        except OSError as error:
            if error.errno not in _GONE:
                raise


def watch(group: Group) -> Watch | None:
    """Have the kernel tell of the group's out-of-memory kills; None where it does not. Whoever asked closes it.

    On v1 by an eventfd for ``memory.oom_control`` (cgroup-v1/memory.rst, section 9), on v2 by ``memory.events``. Both
    tell a little more than kills, so `kills` has the last word; v1 tells just before it is counted.
    """
    try:
        if "memory" in group.v1:
            return Watch(_eventfd(group.v1["memory"]), select.POLLIN)
        if group.v2:
            return Watch(os.open(f"{group.v2}/memory.events", os.O_RDONLY | os.O_CLOEXEC), select.POLLPRI)
    except OSError as error:
        if error.errno not in _GONE:
            raise
    return None


def _eventfd(directory: str) -> int:
    told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            write_value(directory, "cgroup.event_control", f"{told} {control}")
        finally:
            os.close(control)
    except BaseException:
        os.close(told)
        raise
    return told


def waiting(group: Group) -> bool:
    """Tell whether processes wait for memory because the killer is switched off; only v1 can do that."""
    if "memory" not in group.v1:
        return False
    state = parse_flat_keyed(read_value(group.v1["memory"], "memory.oom_control"))
    return bool(state["oom_kill_disable"] and state["under_oom"])


def _read(directory: str, name: str) -> dict[str, int] | None:
    try:
        with open(f"{directory}/{name}", "rb", buffering=0) as file:
            return parse_flat_keyed(file.read().decode())
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _oom_records(since: float) -> Iterator[str]:
    """Yield the group part of each "oom-kill:" record of the kernel's log: ``,task_memcg=/path,task=name,…``.

    A record of /dev/kmsg is one read: ``priority,sequence,microseconds,flags;text`` (ABI/testing/dev-kmsg).
    """
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # Not there, or not for this user: then nothing is known.
        return
    try:
        while (record := _record(fd)) is not None:
            head, _, text = record.partition(";")
            if text.startswith("oom-kill:") and int(head.split(",")[2]) >= since * 1e6:
                yield text[text.find(",task_memcg=") :]
    finally:
        os.close(fd)


def _record(fd: int) -> str | None:
    """Return the next record, "" for one that was overwritten meanwhile, None at the end."""
    try:
        return os.read(fd, _LONGEST_RECORD).decode("utf-8", "replace")
    except BlockingIOError:
        return None
    except BrokenPipeError:
        return ""
