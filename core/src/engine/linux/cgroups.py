"""Control groups: their files, and freezing, thawing, killing and removing whole ones (cgroups(7), cgroup-v2.rst).

No limits and no layout here, those are a driver's. A group is a set of directories, one in each hierarchy in use.
Writing needs the permissions of the files, as a rule root's. "Group" always includes the groups below.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping

from engine.linux.hierarchies import Hierarchies, Hierarchy, discover
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Group", "Hierarchies", "Hierarchy", "discover", "freeze", "frozen", "join", "kill", "parse_flat_keyed",
    "parse_nested_keyed", "populated", "processes", "read_value", "remove", "thaw", "write_value",
]  # fmt: skip

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02
"""Seconds between two looks at something the kernel does by itself."""
_GONE = frozenset({errno.ENOENT, errno.ENODEV})
"""What a file of a removed group answers: when it is opened, and when it was open already."""


class Group(NamedTuple):
    """The directories of a group: ``v1`` by controller (several may share one), ``v2`` empty if not in use."""

    v1: dict[str, str]
    v2: str

    @property
    def directories(self) -> tuple[str, ...]:
        """Each directory once, the v2 one first."""
        return tuple(dict.fromkeys(path for path in (self.v2, *self.v1.values()) if path))

    def to_plain(self) -> dict[str, Any]:
        """Return the group as JSON-ready data."""
        return {"v1": dict(self.v1), "v2": self.v2}


def from_plain(data: Mapping[str, Any]) -> Group:
    """Return the group that ``to_plain`` described."""
    return Group(dict(data["v1"]), data["v2"])


def read_value(directory: str, name: str) -> str:
    """Return a group's file, without the newline at its end. Raises OSError with the path."""
    path = f"{directory}/{name}"
    with open(path, "rb", buffering=0) as file:
        try:
            return file.read().decode("utf-8", "surrogateescape").strip()
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None


def write_value(directory: str, name: str, value: str | int) -> None:
    """Write a group's file in one call, as the kernel takes it. Raises OSError with the path."""
    path = f"{directory}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Parse a file of lines "key number": cpu.stat, memory.stat, cgroup.events. ValueError for another form."""
    pairs = (line.split() for line in text.splitlines())
    return {key: int(value) for key, value in pairs}


def parse_nested_keyed(text: str) -> dict[str, dict[str, str]]:
    """Parse a file of lines "key name=value name=value": io.stat, io.max, cpu.pressure."""
    lines = (line.split() for line in text.splitlines())
    return {key: dict(pair.split("=", 1) for pair in pairs if "=" in pair) for key, *pairs in lines}


def join(group: Group, pid: int = 0) -> None:
    """Move a process to the group in each hierarchy; 0 is the caller. Children that it has already stay behind."""
    for directory in group.directories:
        write_value(directory, "cgroup.procs", pid)


def processes(group: Group) -> list[int]:
    """Return the pids in the group in any of its hierarchies, sorted, as the caller's pid namespace has them.

    A directory that is gone counts as empty, and so does a process of a pid namespace that the caller cannot see.
    """
    pids: set[int] = set()
    for top in group.directories:
        for directory in _tree(top):
            pids.update(_members(directory))
    return sorted(pids - {0})


def populated(group: Group) -> bool:
    """Tell whether any process is in the group; a zombie is not."""
    return any(_is_populated(top, top == group.v2) for top in group.directories)


def frozen(group: Group) -> bool:
    """Tell whether everything in the group stands still."""
    if group.v2:
        return parse_flat_keyed(read_value(group.v2, "cgroup.events")).get("frozen") == 1
    return read_value(_freezer(group), "freezer.state") == "FROZEN"


def freeze(group: Group, deadline: float = 10.0) -> None:
    """Stop every process of the group where it is, so that none can fork; return when all stand still.

    The v2 directory is used where there is one, else the v1 freezer. ``deadline`` is in seconds from now; TimeoutError
    when a process could not be stopped by then (it waits in the kernel for a device), and the group is thawed again.
    OSError (EOPNOTSUPP) for a group with neither.
    """
    try:
        if group.v2:
            write_value(group.v2, "cgroup.freeze", 1)
            _await(lambda: frozen(group), deadline, f"{group.v2} to freeze", events_of=group.v2)
        else:
            _await(lambda: _freeze_v1(group), deadline, f"{_freezer(group)} to freeze")
    except TimeoutError:
        thaw(group)
        raise


def _freeze_v1(group: Group) -> bool:
    # Written again each time: what was forked meanwhile is only stopped by another write.
    write_value(_freezer(group), "freezer.state", "FROZEN")
    return frozen(group)


def thaw(group: Group) -> None:
    """Let the group go on, in both kinds of hierarchy, and the groups below it too, whoever froze them."""
    for directory in _tree(group.v2) if group.v2 else ():
        _write_if_there(directory, "cgroup.freeze", "0")
    for directory in _tree(group.v1["freezer"]) if "freezer" in group.v1 else ():
        _write_if_there(directory, "freezer.state", "THAWED")


def kill(group: Group, deadline: float = 10.0) -> None:
    """SIGKILL every process of the group, and return when none is left (zombies may be).

    On v2 the kernel does it at once (cgroup.kill, Linux 5.14). Otherwise forks are stopped by ``pids.max``, the group
    is frozen, everything gets the signal, and it is thawed, since only then does a task die that the v1 freezer holds;
    again, until it is empty. Either of the first two would do, but what forks all the time is frozen slowly.
    TimeoutError after ``deadline`` seconds: a process is stuck in the kernel, or is outside of the caller's pid
    namespace and there is no cgroup.kill.
    """
    try:
        _await(lambda: _kill_once(group), deadline, "", events_of=group.v2)
    except TimeoutError:
        pids = processes(group)
        some = ", ".join(map(str, pids[:5])) + (f" and {len(pids) - 5} more" if len(pids) > 5 else "")
        what = f"these processes do not end: {some}"
        raise TimeoutError(errno.ETIMEDOUT, what, " ".join(group.directories)) from None


def _kill_once(group: Group) -> bool:
    """Kill what is in the group now; tell whether it was empty already."""
    if not populated(group):
        return True
    if group.v2 and _is_populated(group.v2, is_v2=True) and _kill_at_once(group.v2):
        if "freezer" in group.v1:
            thaw(group)
    else:
        _kill_standing_still(group)
    return not populated(group)


def _kill_at_once(directory: str) -> bool:
    """Have the kernel kill all of a v2 group; False before Linux 5.14, where it cannot."""
    if not os.path.exists(f"{directory}/cgroup.kill"):
        return False
    _write_if_there(directory, "cgroup.kill", "1")
    return True


def _kill_standing_still(group: Group) -> None:
    """Freeze, signal, thaw, once. A group that cannot be frozen in half a second is signalled all the same."""
    _stop_forks(group)
    try:
        if group.v2 or "freezer" in group.v1:
            freeze(group, 0.5)
    except OSError as error:
        # Nothing forks all the same. Or the group is gone: systemd removes a scope's directories one by one.
        if error.errno not in _GONE | {errno.ETIMEDOUT}:
            raise
    try:
        for pid in processes(group):
            _signal(pid)
    finally:
        thaw(group)


def _stop_forks(group: Group) -> None:
    """Allow no process more (``pids.max``). It is not put back: the group has not long to live."""
    for directory in filter(None, (group.v1.get("pids"), group.v2)):
        if os.path.exists(f"{directory}/pids.max"):
            _write_if_there(directory, "pids.max", "0")


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It ended by itself between the reading of the list and here.
        return


def remove(group: Group, deadline: float = 5.0) -> None:
    """Remove the group's directories, the deepest first; one that is gone already is fine.

    The kernel answers EBUSY for a while after the last process ended: tried again until ``deadline`` seconds are over,
    on v2 as soon as the group's events say that it is empty. Then OSError (EBUSY) with the path.
    """
    end = time.monotonic() + deadline
    for top in group.directories:
        _remove_in_time(top, max(end - time.monotonic(), 0))


def _remove_in_time(top: str, deadline: float) -> None:
    try:
        _await(lambda: _remove_tree(top), deadline, "", events_of=top)
    except TimeoutError:
        pids = processes(Group({}, top))
        why = f"{os.strerror(errno.EBUSY)} (processes {pids})" if pids else os.strerror(errno.EBUSY)
        raise OSError(errno.EBUSY, why, top) from None


def _remove_tree(top: str) -> bool:
    """Remove what can be removed now; tell whether all of it is gone."""
    for directory in reversed(list(_tree(top))):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in {errno.EBUSY, errno.ENOTEMPTY}:
                return False
            raise
    return True


def _await(done: Callable[[], bool], deadline: float, what: str, events_of: str = "") -> None:
    """Return once ``done`` says so; ``events_of`` is a directory whose cgroup.events (v2) tells when to look again."""
    end = time.monotonic() + deadline
    events, pause = -1, _FIRST_PAUSE
    try:
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, f"waited {deadline:g} s for {what}")
            pause = min(pause * 2, _LONGEST_PAUSE)
            events = _open_if_there(f"{events_of}/cgroup.events") if events < 0 else events
            _sleep(min(pause, left), events)
    finally:
        if events >= 0:
            os.close(events)


def _open_if_there(path: str) -> int:
    """Open a file of a group for reading; -1 where there is none, or none any more."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _GONE:
            return -1
        raise


def _sleep(seconds: float, events: int) -> None:
    """Sleep, or less if the file of events changes, which the kernel tells by POLLPRI until it is read again."""
    if events < 0:
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    if poll.poll(seconds * 1000):
        try:
            os.pread(events, 4096, 0)
        except OSError as error:
            if error.errno not in _GONE:
                raise


def _freezer(group: Group) -> str:
    directory = group.v1.get("freezer")
    if directory is None:
        raise OSError(errno.EOPNOTSUPP, "the group is in no hierarchy that can freeze", " ".join(group.directories))
    return directory


def _is_populated(top: str, is_v2: bool) -> bool:
    try:
        if is_v2:
            return parse_flat_keyed(read_value(top, "cgroup.events")).get("populated") == 1
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return False
    return any(_members(directory) for directory in _tree(top))


def _members(directory: str) -> list[int]:
    try:
        return [int(pid) for pid in read_value(directory, "cgroup.procs").split()]
    except OSError as error:
        # Gone since it was listed; or a threaded group, whose processes are listed by the one above it.
        if error.errno in _GONE | {errno.EOPNOTSUPP}:
            return []
        raise


def _tree(top: str) -> Iterator[str]:
    """Yield the directory and all below it, parents first; nothing if it is gone."""
    try:
        with os.scandir(top) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    yield top
    for directory in below:
        yield from _tree(directory)


def _write_if_there(directory: str, name: str, value: str) -> None:
    """Write a file of a group that may have been removed since it was listed."""
    try:
        write_value(directory, name, value)
    except OSError as error:
        if error.errno not in _GONE:
            raise
