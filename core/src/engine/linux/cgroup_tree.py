"""Making cgroup directories with what is missing above them, and taking both away again (cgroups(7), cpuset(7)).

A parent that had to be made is marked with an extended attribute, so that whoever removes the last group below it knows
that it may go too, whichever process made it. Makers and removers race without a lock: a maker that finds its parent
gone makes it again, a remover leaves alone what is not empty.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence

from engine.linux.cgroups import Group, kill, read_value, remove, write_value

MARK = "user.engine.made"
"""The attribute of a parent that was made along with a group; any owner of a cgroup may set it (Linux 5.7)."""
_TRIES = 100
_REALTIME_TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02
_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


def make(path: str, *, cpuset: bool = False) -> None:
    """Make the directory ``path`` of one hierarchy, and its missing parents.

    ``cpuset`` is for the v1 cpuset hierarchy: a fresh group there has no cpus and no memory nodes, and takes no task
    before it has; they are copied from the nearest parent that has some. Raises OSError: FileExistsError when the
    directory exists, FileNotFoundError when a parent vanishes again and again.
    """
    for _ in range(_TRIES):
        try:
            os.mkdir(path, 0o755)
            break
        except FileNotFoundError:
            _make_parent(os.path.dirname(path))
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if cpuset:
        for name in _CPUSET_FILES:
            _fill(path, name)


def _make_parent(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_parent(os.path.dirname(path))
        return
    try:
        os.setxattr(path, MARK, b"1")
    except FileNotFoundError:
        # Removed again by another container that ended: the caller comes back.
        return


def _fill(path: str, name: str) -> str:
    """Return what the cpuset file of this group holds, copied from above if it was empty."""
    value = read_value(path, name)
    if not value:
        value = _fill(os.path.dirname(path), name)
        write_value(path, name, value)
    return value


def allow_realtime(path: str, runtime: int, period: int) -> None:
    """Raise the realtime budgets of the parents that `make` made along with a v1 cpu group, for it to get its own.

    Each gets what its groups have together, with ``runtime`` of each ``period`` (microseconds) for the group ``path``,
    which takes it at once when it has none yet: others that want some of the same parents wait until then.
    Raises OSError (EINVAL) when the groups further up have not as much to give.
    """
    pause = _FIRST_PAUSE
    for number in range(_REALTIME_TRIES, 0, -1):
        try:
            _share_realtime(path, runtime, period)
        except OSError as error:
            # Whoever made a parent may be about to mark it as made, and till then it seems to be the user's.
            if error.errno != errno.EINVAL or number == 1:
                raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return


def _share_realtime(path: str, runtime: int, period: int) -> None:
    above = []
    parent = os.path.dirname(path)
    while is_marked(parent):
        above.append(parent)
        parent = os.path.dirname(parent)
    shared = os.open(above[-1] if above else path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(shared, fcntl.LOCK_EX)
        _raise_realtime(above, path, runtime / period)
        if not _realtime_share(path):
            write_value(path, "cpu.rt_period_us", period)
            write_value(path, "cpu.rt_runtime_us", runtime)
    finally:
        os.close(shared)


def _raise_realtime(above: Sequence[str], path: str, share: float) -> None:
    """Find out from below what each parent has to have, and give it from the top down."""
    needed = []
    for parent in above:
        beside = (entry.path for entry in os.scandir(parent) if entry.is_dir() and entry.path != path)
        share = max(share + sum(map(_realtime_share, beside)), _realtime_share(parent))
        needed.append((parent, share))
        path = parent
    for parent, share in reversed(needed):
        if share > _realtime_share(parent):
            whole = int(read_value(parent, "cpu.rt_period_us"))
            write_value(parent, "cpu.rt_runtime_us", min(int(share * whole) + 1, whole))


def _realtime_share(path: str) -> float:
    """Return the budget of a group as a part of the time; none of one that is gone."""
    try:
        return int(read_value(path, "cpu.rt_runtime_us")) / int(read_value(path, "cpu.rt_period_us"))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return 0.0
        raise


def is_marked(path: str) -> bool:
    """Tell whether a directory was made along with a group; False when it is gone."""
    try:
        return bool(os.getxattr(path, MARK))
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOENT, errno.EOPNOTSUPP}:
            return False
        raise


def discard(group: Group) -> None:
    """Kill what is in the group and remove its directories; then the parents that were made along, if they are empty.

    What is gone already is fine. Raises OSError (EBUSY, ETIMEDOUT) when processes are stuck in the kernel.
    """
    left = [path for path in group.directories if not _gone_at_once(path)]
    if left:
        kill(group)
        remove(group)
    for path in group.directories:
        _prune(os.path.dirname(path))


def vanishes(path: str, deadline: float) -> bool:
    """Wait up to ``deadline`` seconds for somebody else to remove the directory; tell whether it is gone."""
    end, pause = time.monotonic() + deadline, _FIRST_PAUSE
    while os.path.isdir(path):
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def _gone_at_once(path: str) -> bool:
    """Remove an empty group: the usual case, when the container's init was reaped, and much cheaper than looking."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.ENOTEMPTY}:
            return False
        raise
    return True


def _prune(path: str) -> None:
    try:
        while os.getxattr(path, MARK):
            os.rmdir(path)
            path = os.path.dirname(path)
    except OSError as error:
        # Not marked, gone, or in use by another group: whoever leaves it last removes it.
        if error.errno not in {errno.ENODATA, errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY, errno.EOPNOTSUPP}:
            raise
