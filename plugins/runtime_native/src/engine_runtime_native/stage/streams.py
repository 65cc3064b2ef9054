"""Actions on the standard streams: a terminal of the container's own, and what becomes 0, 1 and 2."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from engine.actions.base import Slots, action
from engine.actions.task import Streams, preserved
from engine.linux import mounts, paths, processes, terminal
from engine.tuples import NamedTuple
from engine_runtime_native.stage import seal
from engine_runtime_native.stage.channel import Channel

_STRICT = paths.RESOLVE_IN_ROOT | paths.RESOLVE_NO_MAGICLINKS | paths.RESOLVE_NO_SYMLINKS
_PTMX = os.makedev(5, 2)


@action("open")
class OpenTerminal(NamedTuple):
    """Make a terminal in the container's devpts, hand its master to the shim, keep the other side as slot ``console``.

    With ``bound`` it is also put at /dev/console, as the init's terminal is (CHILD_BEFORE_PIVOT); an exec'ed process
    gets one of its own without that (CHILD_AFTER_PIVOT).
    """

    rows: int
    columns: int
    bound: bool

    def describe(self) -> str:
        """Return the sentence."""
        size = f" of {self.columns} columns and {self.rows} rows" if self.rows else ""
        return f"make a terminal{size} in the container's /dev/pts"

    def run(self, slots: Slots) -> None:
        """Make it; whatever is at /dev/pts, only a real ptmx is opened."""
        devpts = paths.openat2(slots["rootfs"], "dev/pts", os.O_PATH | os.O_DIRECTORY, 0, _STRICT)
        try:
            found = os.stat("ptmx", dir_fd=devpts, follow_symlinks=False)
            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _PTMX:
                raise OSError(errno.ENODEV, "there is no devpts", "/dev/pts")
            master, _path = terminal.open_pty(devpts)
        finally:
            os.close(devpts)
        try:
            self._use(master, slots)
        finally:
            os.close(master)

    def _use(self, master: int, slots: Slots) -> None:
        if self.rows and self.columns:
            terminal.set_size(master, self.rows, self.columns)
        slots["console"] = terminal.open_peer(master)
        if self.bound:
            target = paths.make_file(slots["rootfs"], "dev/console", 0o600)
            mount = mounts.bind_fd(slots["console"])
            try:
                mounts.move_mount(mount, target)
            finally:
                os.close(mount)
                os.close(target)
        shim = Channel.of_descriptor(slots["channel"])
        try:
            shim.send_descriptor("console", 0, master)
        finally:
            shim.detach()


@action("dup2")
class TakeStreams(NamedTuple):
    """Lead a new session, make the terminal or the pipes 0, 1 and 2, and close every other descriptor of the host.

    The terminal is given to the user. Pipes were opened to everybody (`share`), so /dev/stdout can be opened by name.
    The slots of so many ``preserved`` descriptors become 3 and those after it.
    """

    terminal: bool
    preserved: int = 0

    def describe(self) -> str:
        """Return the sentence."""
        more = f", and pass {self.preserved} more descriptors on" if self.preserved else ""
        return f"start a session on {'the terminal' if self.terminal else 'the pipes of the shim'}{more}"

    def run(self, slots: Slots) -> None:
        """Duplicate, own, close."""
        ends = [slots["console"]] * 3 if self.terminal else [slots["stdin"], slots["stdout"], slots["stderr"]]
        for number, end in enumerate(ends):
            os.dup2(end, number)
        self._preserve(slots)
        processes.new_session(0 if self.terminal else None)
        if self.terminal:
            os.fchown(0, slots["uid"], -1)

    def _preserve(self, slots: Slots) -> None:
        """Close all but what the last steps need, out of the way of the numbers of those that are passed on."""
        names = [preserved(number) for number in range(self.preserved)]
        for name in ("rootfs", *names) if names else ():
            slots[name] = fcntl.fcntl(slots[name], fcntl.F_DUPFD_CLOEXEC, 3 + self.preserved)
        seal.close_descriptors((slots["channel"], slots["rootfs"], *(slots[name] for name in names)))
        for number, name in enumerate(names):
            os.dup2(slots[name], 3 + number)
            os.close(slots.pop(name))


def share(streams: Streams) -> None:
    """Let every user open the pipes anew, in the shim: who reaches them is who may look into /proc/PID/fd.

    Their owner would do as well, but a user namespace may not change the owner of what the host made.
    """
    for fd in streams:
        if fd >= 0 and stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchmod(fd, 0o666)
